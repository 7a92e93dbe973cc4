//! The states of tasks and runs, and the only functions that change them. `docs/states.md` draws both; a test
//! compares the drawing with [`task_next`] and [`run_next`].

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[$vdoc])* $variant,)+ }

        impl $name {
            /// Every value, in the order of declaration.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The word used in the store, the API and on pages.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }

            /// The value of that word.
            pub fn parse(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)+ _ => None }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}

words! {
    /// Where a task is. A task that waits has no row in the store, unless a person cleared it; in all other states it has.
    TaskState {
        /// For its upstream tasks, or for room in its queue.
        Waiting = "waiting",
        /// May be claimed by a worker.
        Queued = "queued",
        /// Claimed; its process runs, or ran on a worker that is gone.
        Running = "running",
        /// Waits outside any worker (not reached before the `wait` action exists).
        Deferred = "deferred",
        /// Failed or was lost; the next attempt waits for its time.
        UpForRetry = "up_for_retry",
        /// Ended well.
        Success = "success",
        /// Ended badly, no attempt left.
        Failed = "failed",
        /// Will not run: an upstream task failed.
        UpstreamFailed = "upstream_failed",
        /// Will not run: `when`, a trigger rule or skipped upstream tasks said so.
        Skipped = "skipped",
        /// Ended or never started because a person, a policy or a time limit cancelled it.
        Cancelled = "cancelled",
    }
}

words! {
    /// Where a run is.
    RunState {
        /// Waits for `max_active_runs`.
        Queued = "queued",
        /// Its tasks are walked.
        Running = "running",
        /// All leaf tasks succeeded or were skipped.
        Success = "success",
        /// A leaf task failed, or the run's time was up.
        Failed = "failed",
        /// A person or `overlap: cancel_previous` ended it.
        Cancelled = "cancelled",
    }
}

words! {
    /// Why a run exists.
    Trigger {
        /// Its slot was due.
        Schedule = "schedule",
        /// A person or a client asked for it.
        Manual = "manual",
        /// A backfill asked for it.
        Backfill = "backfill",
        /// A task of another run asked for it.
        Parent = "parent",
    }
}

impl TaskState {
    /// Whether nothing more happens to the task by itself.
    pub const fn is_terminal(self) -> bool {
        match self {
            Self::Success | Self::Failed | Self::UpstreamFailed | Self::Skipped | Self::Cancelled => true,
            Self::Waiting | Self::Queued | Self::Running | Self::Deferred | Self::UpForRetry => false,
        }
    }

    /// Whether the task ended and did not do what it was for: such a leaf fails its run, and such tasks are what a retry of
    /// all failed ones takes.
    pub const fn ended_badly(self) -> bool {
        match self {
            Self::Failed | Self::UpstreamFailed | Self::Cancelled => true,
            Self::Success
            | Self::Skipped
            | Self::Waiting
            | Self::Queued
            | Self::Running
            | Self::Deferred
            | Self::UpForRetry => false,
        }
    }
}

impl RunState {
    /// Whether nothing more happens to the run by itself.
    pub const fn is_terminal(self) -> bool {
        match self {
            Self::Success | Self::Failed | Self::Cancelled => true,
            Self::Queued | Self::Running => false,
        }
    }
}

words! {
    /// What happens to a task. In brackets: who writes it.
    TaskEvent {
        /// Its first attempt was planned (leader).
        Queue = "queue",
        /// A rule or `when` said it will not run (leader).
        Skip = "skip",
        /// An upstream task failed (leader).
        FailUpstream = "fail_upstream",
        /// Its `when` could not be evaluated, or its attempt was lost and `on_lost` forbids another (leader).
        Abort = "abort",
        /// A worker claimed it (worker).
        Claim = "claim",
        /// The worker that claimed it was short of something that a start needs: nothing of it ran (worker).
        GiveBack = "give_back",
        /// Its attempt ended well (worker).
        Succeed = "succeed",
        /// The success of an attempt that was given up as lost came before the next one was claimed (worker).
        TakeOver = "take_over",
        /// Its attempt ended badly (worker).
        Fail = "fail",
        /// Its attempt was ended because of a cancel (worker), or will never start (leader).
        Cancel = "cancel",
        /// Another attempt was planned after a failure or a loss (leader).
        Retry = "retry",
        /// The time of its next attempt has come (leader).
        Requeue = "requeue",
        /// A person asked for the task to run again (leader).
        Clear = "clear",
    }
}

words! {
    /// What happens to a run; all written by the leader.
    RunEvent {
        /// It has a place among the active runs.
        Start = "start",
        /// Its tasks ended and no leaf failed.
        Succeed = "succeed",
        /// Its tasks ended and a leaf failed, or its time was up.
        Fail = "fail",
        /// It was cancelled and all its tasks ended.
        Cancel = "cancel",
        /// A person asked for tasks of it to run again.
        Restart = "restart",
    }
}

/// An event that its state does not allow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("illegal transition: {event} in state {state}")]
pub struct IllegalTransition {
    /// The state it happened in.
    pub state: &'static str,
    /// The event.
    pub event: &'static str,
}

/// The state of a task after `event`.
pub const fn task_next(state: TaskState, event: TaskEvent) -> Result<TaskState, IllegalTransition> {
    use TaskEvent as E;
    use TaskState as S;
    let next = match (state, event) {
        (S::Waiting, E::Queue) | (S::UpForRetry, E::Requeue) | (S::Running, E::GiveBack) => S::Queued,
        (S::Waiting, E::Skip) => S::Skipped,
        (S::Waiting, E::FailUpstream) => S::UpstreamFailed,
        (S::Waiting | S::Running, E::Abort) => S::Failed,
        (S::Queued, E::Claim) => S::Running,
        (S::Running, E::Succeed) | (S::Queued | S::UpForRetry, E::TakeOver) => S::Success,
        (S::Running, E::Fail) => S::Failed,
        (S::Waiting | S::Queued | S::Running | S::UpForRetry, E::Cancel) => S::Cancelled,
        (S::Running | S::Failed, E::Retry) => S::UpForRetry,
        (
            S::UpForRetry | S::Success | S::Failed | S::UpstreamFailed | S::Skipped | S::Cancelled,
            E::Clear,
        ) => S::Waiting,
        (
            S::Waiting
            | S::Queued
            | S::Running
            | S::Deferred
            | S::UpForRetry
            | S::Success
            | S::Failed
            | S::UpstreamFailed
            | S::Skipped
            | S::Cancelled,
            _,
        ) => return Err(IllegalTransition { state: state.as_str(), event: event.as_str() }),
    };
    Ok(next)
}

/// The state of a run after `event`.
pub const fn run_next(state: RunState, event: RunEvent) -> Result<RunState, IllegalTransition> {
    use RunEvent as E;
    use RunState as S;
    let next = match (state, event) {
        (S::Queued, E::Start) => S::Running,
        (S::Running, E::Succeed) => S::Success,
        (S::Running, E::Fail) => S::Failed,
        (S::Queued | S::Running, E::Cancel) => S::Cancelled,
        (S::Success | S::Failed | S::Cancelled, E::Restart) => S::Queued,
        (S::Queued | S::Running | S::Success | S::Failed | S::Cancelled, _) => {
            return Err(IllegalTransition { state: state.as_str(), event: event.as_str() });
        }
    };
    Ok(next)
}
