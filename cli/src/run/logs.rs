//! `rota run logs`.

use std::io;

use rota_core::id::{RunId, TaskName};

use crate::client::{Client, Server, Task};
use crate::failure::{CommandResult, Failure, Outcome};
use crate::output::{note, print_line, print_piece};
use crate::text::{self, Colours};

const EXAMPLES: &str = "\
Examples:
  rota run logs 17
      what its only task printed, or the only one that failed
  rota run logs 17 report
      what the newest attempt of this task printed
  rota run logs 17 --failed --tail 20
      the last lines of every task that failed
  rota run logs 17 report --attempt 1
      what an earlier attempt printed
  rota run logs 17 report --follow
      go on until the attempt ends
  rota run logs 17 report --raw > report.log
      with colour codes and other control characters";

/// Print what tasks printed
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The run's number
    run: RunId,
    /// The task's name [default: the only one, or the only one that failed]
    task: Option<TaskName>,
    /// Every task that failed
    #[arg(long, conflicts_with_all = ["task", "attempt", "follow"])]
    failed: bool,
    /// Which attempt [default: the newest]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    attempt: Option<u32>,
    /// Only the last lines
    #[arg(long, value_name = "LINES", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    tail: Option<u32>,
    /// Go on printing until the attempt ends
    #[arg(short, long)]
    follow: bool,
    /// Leave control characters in
    #[arg(long)]
    raw: bool,
    #[command(flatten)]
    server: Server,
}

pub(super) async fn run(args: Args) -> CommandResult {
    let client = args.server.client()?;
    if let Some(task) = &args.task {
        print(&client, &args, task.as_str(), 0).await?;
        return Ok(Outcome::Done);
    }
    let tasks = tasks(&client, args.run).await?;
    if !args.failed {
        let task = the_clear_one(args.run, &tasks)?;
        note(&text::clean(&format!("task {}, {}", task.task, task.state)));
        print(&client, &args, &task.task, task.index).await?;
        return Ok(Outcome::Done);
    }
    let failed: Vec<&Task> = tasks.iter().filter(|task| has_failed(task)).collect();
    if failed.is_empty() {
        return Err(Failure::failed(format!("no task of run {} has failed", args.run))
            .help(format!("`rota run show {}` shows where its tasks are", args.run))
            .into());
    }
    for (place, task) in failed.iter().enumerate() {
        let gap = if place == 0 { "" } else { "\n" };
        let head = format!("== {}, attempt {} ==", task.task, task.attempt);
        print_line(&format!("{gap}{}", text::clean(&head)))?;
        print(&client, &args, &task.task, task.index).await?;
    }
    Ok(Outcome::Done)
}

async fn tasks(client: &Client, run: RunId) -> anyhow::Result<Vec<Task>> {
    let found = client.list(&format!("/runs/{run}/tasks"), usize::MAX).await;
    let found = client.or_nearest_task(run, &[], found).await?;
    Ok(found.into_iter().map(serde_json::from_value).collect::<Result<_, _>>()?)
}

/// Whether it failed by what it did, so that its log says why.
fn has_failed(task: &Task) -> bool {
    task.state == "failed" && task.attempt > 0
}

/// The task that is meant when none is named: the only one, else the only one that has started, else the only one that
/// failed.
fn the_clear_one(run: RunId, tasks: &[Task]) -> anyhow::Result<&Task> {
    let started = || tasks.iter().filter(|task| task.attempt > 0).collect::<Vec<_>>();
    let failed = || tasks.iter().filter(|task| has_failed(task)).collect::<Vec<_>>();
    for candidates in [tasks.iter().collect(), started(), failed()] {
        if let [task] = candidates.as_slice() {
            return Ok(task);
        }
    }
    let names: Vec<&str> = tasks.iter().take(20).map(|task| task.task.as_str()).collect();
    Err(Failure::usage(format!("run {run} has {} tasks, and it is not clear which is meant", tasks.len()))
        .at("TASK")
        .expected(format!("one of {}", names.join(", ")))
        .help(format!("name one, or have those that failed with `rota run logs {run} --failed`"))
        .into())
}

async fn print(client: &Client, args: &Args, task: &str, index: u32) -> anyhow::Result<()> {
    let mut path = format!("/runs/{}/tasks/{task}/logs?index={index}&follow={}", args.run, args.follow);
    if let Some(attempt) = args.attempt {
        path.push_str(&format!("&attempt={attempt}"));
    }
    if let Some(lines) = args.tail {
        path.push_str(&format!("&line=-{lines}"));
    }
    let mut lines = Lines { colours: (!args.raw).then(|| Colours::on(&io::stdout())), rest: Vec::new() };
    let streamed = client.stream(&path, |piece| lines.push(piece)).await;
    let named: Vec<TaskName> = args.task.iter().cloned().collect();
    client.or_nearest_task(args.run, &named, streamed).await?;
    lines.end()
}

/// Passes whole lines to stdout, so that a character is never cut in two while it is cleaned.
struct Lines {
    /// `None`: everything passes as it is.
    colours: Option<Colours>,
    rest: Vec<u8>,
}

impl Lines {
    /// Longest stretch without a line end that is held back.
    const REST_MAX: usize = 64 * 1024;

    fn push(&mut self, piece: &[u8]) -> anyhow::Result<()> {
        self.rest.extend_from_slice(piece);
        let whole = match self.rest.iter().rposition(|&byte| byte == b'\n') {
            Some(end) => end + 1,
            None if self.rest.len() > Self::REST_MAX => self.rest.len(),
            None => return Ok(()),
        };
        let lines: Vec<u8> = self.rest.drain(..whole).collect();
        self.print(&lines)
    }

    fn end(&mut self) -> anyhow::Result<()> {
        let rest = std::mem::take(&mut self.rest);
        self.print(&rest)
    }

    fn print(&self, bytes: &[u8]) -> anyhow::Result<()> {
        match self.colours {
            Some(colours) => {
                print_piece(text::clean_log(&String::from_utf8_lossy(bytes), colours).as_bytes())
            }
            None => print_piece(bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn clear(states: &[(&str, u32)]) -> Result<String, String> {
        let task = |(no, (state, attempt)): (usize, &(&str, u32))| {
            serde_json::from_value(json!({"task": format!("t{no}"), "state": state, "attempt": attempt}))
                .unwrap()
        };
        let tasks: Vec<Task> = states.iter().enumerate().map(task).collect();
        the_clear_one(RunId(7), &tasks).map(|task| task.task.clone()).map_err(|error| error.to_string())
    }

    #[test]
    fn the_only_task_that_can_be_meant_is_meant_and_else_they_are_named() {
        assert_eq!(clear(&[("waiting", 0)]), Ok("t0".into()));
        assert_eq!(clear(&[("waiting", 0), ("running", 1)]), Ok("t1".into()));
        assert_eq!(clear(&[("success", 1), ("failed", 2), ("upstream_failed", 0)]), Ok("t1".into()));
        let told = clear(&[("success", 1), ("success", 1)]).unwrap_err();
        assert!(told.contains("one of t0, t1") && told.contains("rota run logs 7 --failed"), "{told}");
        assert!(clear(&[("failed", 1), ("failed", 1)]).is_err());
        assert!(clear(&[]).is_err());
    }
}
