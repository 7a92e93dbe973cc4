//! Runs one attempt: starts its process, reads what it prints, ends it when its time is up or somebody says so, and
//! tells how it ended. Knows nothing of stores and brokers, so `rota dag test` uses it as the worker does.

mod child;
mod command;
mod output;
mod pipes;
mod stop;
mod verdict;
mod words;

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use rota_core::port::{Clock, Object};
use rota_core::schedule::format_duration;
use rustix::process::Signal;
use tokio::time::{Instant, sleep_until};

use child::{Child, Exit};
pub use command::default_shell;
use command::{Request, Surroundings};
use output::{Output, OutputDir};
use pipes::{Pipes, Tap};
pub use stop::{Stop, StopReason, Stopped, stop};

use crate::account::Account;
use crate::custody::{Marker, Warden, sweep_attempt};
use crate::limits::Limits;
use crate::log::{LineSink, Stream};
use crate::shortage::StartError;

/// How long what a process left behind may go on printing before it is killed.
const LINGER: Duration = Duration::from_millis(250);
/// How long, after that, the pipes may be held by a process that left the group.
const DRAIN_MAX: Duration = Duration::from_millis(1750);
/// How long a job that does nothing may take.
const TRY_OUT_MAX: Duration = Duration::from_secs(10);
/// The variable that tells the processes of one attempt from those of another.
const FENCE: &str = "ROTA_FENCE_TOKEN";

/// One command to run.
#[derive(Debug, Clone)]
pub struct Job {
    /// The program and its arguments. A program without a slash is searched on the `PATH` the task will have.
    pub argv: Vec<String>,
    /// The same without a shell, where a shell would only replace itself with it. Tried first; if it cannot be started,
    /// `argv` is, so that what the shell says about it is what people see.
    pub direct: Option<Vec<String>>,
    /// Its environment, over the allowed part of the worker's. A later entry replaces an earlier one of that name.
    pub env: Vec<(String, String)>,
    /// Where it starts.
    pub cwd: PathBuf,
    /// How long it may run.
    pub timeout: Option<Duration>,
    /// From TERM to KILL.
    pub grace: Duration,
    /// A remark by rota that its log begins with.
    pub remark: Option<String>,
    /// The output keys that it must write to succeed.
    pub outputs: Vec<String>,
    /// Told to it as `ROTA_FENCE_TOKEN`. No two attempts of one executor share one.
    pub token: i64,
}

impl Job {
    /// A job to find out whether jobs can be started.
    fn that_does_nothing(cwd: &Path) -> Self {
        Self {
            argv: vec!["true".to_owned()],
            direct: None,
            env: Vec::new(),
            cwd: cwd.to_owned(),
            timeout: Some(TRY_OUT_MAX),
            grace: Duration::ZERO,
            remark: None,
            outputs: Vec::new(),
            // No attempt's: claims count from 1.
            token: 0,
        }
    }
}

/// Takes the lines of a job that nobody reads.
struct Nowhere;

impl LineSink for Nowhere {
    fn take(&mut self, _: DateTime<Utc>, _: Stream, _: &[u8]) {}
}

/// What became of a job.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Whether it did what it should.
    pub end: End,
    /// When its process was started; `None` if it never was.
    pub spawned_at: Option<DateTime<Utc>>,
    /// When its process ended.
    pub ended_at: DateTime<Utc>,
    /// The process's exit code.
    pub exit_code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Why it did not succeed, in words.
    pub error: Option<String>,
    /// What it wrote to `$ROTA_OUTPUT`.
    pub outputs: Option<Object>,
}

impl Outcome {
    /// Of an attempt of which nothing was started.
    pub(crate) fn unstarted(end: End, at: DateTime<Utc>, error: Option<String>) -> Self {
        // Not every store takes NUL.
        let error = error.map(|error| error.replace('\0', "\u{fffd}"));
        Self { end, spawned_at: None, ended_at: at, exit_code: None, signal: None, error, outputs: None }
    }
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Exit code 0, and all promised outputs are there.
    Success,
    /// Anything else that it did itself, or its time was up.
    Failed,
    /// It was cancelled.
    Cancelled,
    /// The worker had to end it for reasons of its own: not the task's fault and not its result.
    Lost,
    /// The machine was short of something that a start needs. Nothing of it ran, so it may be started elsewhere or later.
    NotStarted,
}

/// Starts the processes of one worker.
pub struct Executor {
    surroundings: Surroundings,
    outputs: OutputDir,
    marker: Marker,
    warden: Option<Warden>,
    clock: Arc<dyn Clock>,
}

/// Why an attempt is being ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Forced {
    TimeUp,
    By(StopReason),
}

/// What may be left of an attempt outside its group.
#[derive(Debug, Clone, Copy)]
struct Strays {
    token: i64,
    /// It did not end by itself: what it started had no chance to end either.
    are_likely: bool,
}

impl Executor {
    /// An executor that keeps output files in `outputs_dir` (made private and empty) and tells `warden`, if there is
    /// one, what it starts. Without a warden, processes may outlive a killed worker.
    ///
    /// # Errors
    /// The directory cannot be made or emptied.
    pub fn new(
        outputs_dir: &Path,
        marker: Marker,
        warden: Option<Warden>,
        clock: Arc<dyn Clock>,
    ) -> io::Result<Self> {
        let outputs = OutputDir::create(outputs_dir)?;
        Ok(Self { surroundings: Surroundings::of_this_process(), outputs, marker, warden, clock })
    }

    /// The same, with tasks of another user, who gets an outputs directory of their own for each.
    ///
    /// # Errors
    /// In words: that user cannot get to the outputs directory.
    pub fn run_as(mut self, account: Account) -> Result<Self, String> {
        self.outputs = self.outputs.owned_by(account.clone())?;
        self.surroundings = self.surroundings.run_as(account);
        Ok(self)
    }

    /// The same with limits for each process.
    pub fn limited(mut self, limits: Limits) -> Self {
        self.surroundings = self.surroundings.limited(limits);
        self
    }

    /// Runs a job to its end. Everything it started in its process group is gone when this returns; so is what left
    /// the group, if the job was ended from outside or the stray held its output. Dropping the future ends the group.
    pub async fn run<S: LineSink>(&self, job: &Job, stopped: &mut Stopped, sink: &mut S) -> Outcome {
        if let Some(reason) = stopped.reason() {
            return self.unstarted(None, Some(Forced::By(reason)), job);
        }
        let started = self.start(job);
        if let Err(StartError::Short(why)) = started {
            return Outcome::unstarted(End::NotStarted, self.clock.now(), Some(why));
        }
        if let Some(remark) = &job.remark {
            sink.take(self.clock.now(), Stream::Sys, format!("{remark}\n").as_bytes());
        }
        let (output, child, mut pipes) = match started {
            Ok(started) => started,
            Err(StartError::Short(error) | StartError::Wrong(error)) => {
                sink.take(self.clock.now(), Stream::Sys, format!("{error}\n").as_bytes());
                return self.unstarted(Some(error), None, job);
            }
        };
        let spawned_at = self.clock.now();
        let mut tap = Tap { sink, clock: &*self.clock };
        let (exit, forced) = watch(&child, &mut pipes, &mut tap, job, stopped).await;
        let ended_at = self.clock.now();
        let strays = Strays { token: job.token, are_likely: forced.is_some() };
        self.clear_up(child, &mut pipes, &mut tap, strays).await;
        let written = output.take();
        let ended = verdict::Ended { exit: Some(exit), forced, written, start_error: None };
        let outcome = verdict::outcome(ended, job, Some(spawned_at), ended_at);
        if let Some(error) = &outcome.error {
            sink.take(ended_at, Stream::Sys, format!("{error}\n").as_bytes());
        }
        outcome
    }

    fn unstarted(&self, start_error: Option<String>, forced: Option<Forced>, job: &Job) -> Outcome {
        let ended = verdict::Ended { exit: None, forced, written: Ok(None), start_error };
        verdict::outcome(ended, job, None, self.clock.now())
    }

    /// Finds out whether anything can be started, by starting something that does nothing.
    pub(crate) async fn try_out(&self, cwd: &Path) -> Result<(), String> {
        let (_stop, mut stopped) = stop();
        let outcome = self.run(&Job::that_does_nothing(cwd), &mut stopped, &mut Nowhere).await;
        match outcome.end {
            End::NotStarted => Err(outcome.error.unwrap_or_default()),
            // What else may be wrong with it is no shortage.
            End::Success | End::Failed | End::Cancelled | End::Lost => Ok(()),
        }
    }

    fn start(&self, job: &Job) -> Result<(Output, Child, Pipes), StartError> {
        let output = self.outputs.attempt()?;
        let direct = job.direct.as_ref().map(|direct| self.start_argv(job, direct, &output));
        let (child, pipes) = match direct {
            Some(Ok(started)) => started,
            Some(Err(short @ StartError::Short(_))) => return Err(short),
            Some(Err(StartError::Wrong(_))) | None => self.start_argv(job, &job.argv, &output)?,
        };
        Ok((output, child, pipes))
    }

    fn start_argv(&self, job: &Job, argv: &[String], output: &Output) -> Result<(Child, Pipes), StartError> {
        let name = argv.first().map(String::as_str).unwrap_or_default();
        let program = self.surroundings.find(name, &job.cwd, &job.env).map_err(StartError::Wrong)?;
        let explain =
            |error: io::Error| StartError::of(&error, words::cannot_start(name, &program, &job.cwd, &error));
        let token = job.token.to_string();
        let (mark_name, mark) = self.marker.variable();
        // Shells tell their programs where they are, so whoever is started without one is told as well.
        let marks = [
            ("PWD", job.cwd.as_os_str()),
            ("ROTA_OUTPUT", output.file().as_os_str()),
            (FENCE, OsStr::new(&token)),
            (mark_name, OsStr::new(mark)),
        ];
        let request = Request { program: &program, argv, env: &job.env, marks: &marks, cwd: &job.cwd };
        // All that may fail comes before the process: one that has begun is never ended for want of something.
        let (pipes, ends) = Pipes::open().map_err(explain)?;
        let group = self.surroundings.start(&request, ends).map_err(explain)?;
        let custody = self.warden.as_ref().map(|warden| warden.guard(group));
        Ok((Child::adopt(group, custody), pipes))
    }

    /// The leader has ended: reads the rest, ends the rest.
    async fn clear_up<S: LineSink>(
        &self,
        child: Child,
        pipes: &mut Pipes,
        tap: &mut Tap<'_, S>,
        strays: Strays,
    ) {
        // Whoever still holds a pipe may be a `tee` that the script did not wait for: it gets a moment.
        pipes.drain(tap, LINGER).await;
        child.signal(Signal::KILL);
        let is_held = !pipes.are_closed();
        if is_held || strays.are_likely {
            let killed = self.sweep(strays.token).await;
            if killed > 0 {
                let remark =
                    format!("{killed} process(es) left behind outside the task's group were killed\n");
                tap.sink.take(self.clock.now(), Stream::Sys, remark.as_bytes());
            }
        }
        if is_held {
            pipes.drain(tap, DRAIN_MAX).await;
        }
        pipes.flush(tap);
        child.close();
    }

    /// Ends what left the group. Looks at every process there is, so it is kept off the usual path.
    async fn sweep(&self, token: i64) -> usize {
        let (marker, entry) = (self.marker.clone(), format!("{FENCE}={token}"));
        tokio::task::spawn_blocking(move || sweep_attempt(&marker, &entry)).await.unwrap_or(0)
    }
}

/// Watches a process until it has ended, and sees to it that it does.
async fn watch<S: LineSink>(
    child: &Child,
    pipes: &mut Pipes,
    tap: &mut Tap<'_, S>,
    job: &Job,
    stopped: &mut Stopped,
) -> (Exit, Option<Forced>) {
    let mut forced = None;
    let mut next = job.timeout.map(|timeout| Instant::now() + timeout);
    loop {
        let is_order = tokio::select! {
            biased;
            exit = child.ended() => return (exit, forced),
            () = stopped.changed() => true,
            () = reached(next) => false,
            () = pipes.pass_on(tap) => continue,
        };
        let is_kill = if is_order { stopped.is_kill() } else { forced.is_some() };
        if is_order && is_kill {
            forced = forced.or_else(|| stopped.reason().map(Forced::By));
        }
        if is_kill {
            next = None;
            child.signal(Signal::KILL);
        } else if forced.is_none() {
            forced = Some(stopped.reason().filter(|_| is_order).map_or(Forced::TimeUp, Forced::By));
            next = Some(Instant::now() + job.grace);
            child.signal(Signal::TERM);
            // A stopped process hears nothing until it is continued.
            child.signal(Signal::CONT);
        }
    }
}

async fn reached(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => std::future::pending().await,
    }
}

impl Forced {
    /// In words.
    fn describe(self, job: &Job) -> String {
        match self {
            Self::TimeUp => {
                format!("time limit of {} was up", format_duration(job.timeout.unwrap_or_default()))
            }
            Self::By(StopReason::Cancelled) => "cancelled".to_owned(),
            Self::By(StopReason::LeaseLost) => "lost: the worker's lease ran out".to_owned(),
            Self::By(StopReason::Shutdown) => "lost: the worker was shut down".to_owned(),
        }
    }
}
