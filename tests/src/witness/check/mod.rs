//! The checker: does the witness contradict a promise? It knows what the test wrote and did, and nothing of rota.

mod slots;
mod tasks;
#[cfg(test)]
mod tests;

use std::fmt;

use super::history::History;
use super::record::Micros;

/// How long after its end line an attempt may take to be recorded: one that is interrupted in this time may be lost.
pub const COMMIT_MAX: Micros = 2_000_000;

/// A promise that can be broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// An owed slot neither ran nor has a reason.
    LostSlot,
    /// A slot that had to run was skipped or missed.
    NeedlessSkip,
    /// A slot both ran and has a reason why it did not.
    RanAndSkipped,
    /// A run for a slot, a DAG or a task that does not exist.
    Phantom,
    /// A slot with two runs.
    DoubleRun,
    /// An attempt, or a claim, that was started twice.
    DoubleStart,
    /// A start after a success.
    AfterSuccess,
    /// Two attempts of a task at the same time.
    Overlap,
    /// Two runs at the same time of a DAG that allows one.
    CrowdedRuns,
    /// A task that started before those before it had ended as they must.
    EarlyStart,
    /// Attempts that are not numbered 1, 2, 3, ...
    AttemptGap,
    /// An attempt that stopped although nothing stopped it.
    MissingEnd,
    /// An attempt that went on after its worker was gone.
    Outlived,
    /// A second start of a task that must not be started twice.
    OnceTwice,
    /// A granted key without a run.
    LostKey,
    /// A key with two runs.
    DoubledKey,
    /// Something happened after all was quiet.
    NotQuiet,
    /// A line that cannot be read, or a clock that jumped: the witness is no good.
    NoEvidence,
    /// rota says success, the witness has no end with exit code 0.
    SuccessWithoutEnd,
    /// The witness has an end that rota does not know.
    EndNotRecorded,
    /// rota and the witness disagree otherwise.
    Disagreement,
    /// A run or task that is not over, or whose states do not fit together.
    Stuck,
    /// A slot with no entry in the ledger, or two; or an entry for slots that do not exist.
    BadLedger,
    /// A process that should be gone.
    Residue,
    /// A replica planned something after another one had taken over.
    OldEpoch,
    /// A state, an attempt or a token changed as it must not.
    IllegalChange,
}

/// A broken promise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which one.
    pub rule: Rule,
    /// The least that shows it, in words.
    pub what: String,
}

impl Violation {
    /// A broken promise.
    pub fn new(rule: Rule, what: impl Into<String>) -> Self {
        Self { rule, what: what.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.rule, self.what)
    }
}

/// Judges a history. Empty: nothing contradicts the promises.
#[must_use]
pub fn check(history: &History) -> Vec<Violation> {
    let mut found = evidence(history);
    found.extend(slots::check(history));
    found.extend(slots::check_keys(history));
    found.extend(tasks::check(history));
    found.extend(tasks::check_narrow(history));
    found
}

/// Whether the witness can be trusted at all, and ends where it should.
fn evidence(history: &History) -> Vec<Violation> {
    let mut found: Vec<Violation> = history
        .unreadable
        .iter()
        .map(|line| Violation::new(Rule::NoEvidence, format!("this line cannot be read: {line:?}")))
        .collect();
    let offsets = history.events.iter().map(|event| event.at - event.boot * 10_000);
    if let (Some(least), Some(most)) = (offsets.clone().min(), offsets.max())
        && most - least > 500_000
    {
        let what = format!("the clock jumped by {} ms during the test", (most - least) / 1000);
        found.push(Violation::new(Rule::NoEvidence, what));
    }
    let late = history.events.iter().filter(|event| event.at > history.quiet_at);
    found.extend(late.map(|event| {
        let what = format!(
            "run {} {} attempt {}: {:?} after all was quiet",
            event.run, event.task, event.attempt, event.kind
        );
        Violation::new(Rule::NotQuiet, what)
    }));
    found
}
