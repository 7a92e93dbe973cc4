//! The ledger as it is stored: what became of each slot. An entry may be a range of many slots: wherever slots are listed or
//! counted, a range counts with the part of it that lies within the window.

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::StoreResult;
use crate::id::{DagId, RunId};

/// What became of a slot, or of a range of slots.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SlotRow {
    /// The DAG.
    pub dag: DagId,
    /// The slot, or the first of the range.
    pub slot: DateTime<Utc>,
    /// The last slot of the range; equal to `slot` for one slot.
    pub to: DateTime<Utc>,
    /// How many slots the range holds.
    pub count: u64,
    /// Fired, skipped or missed.
    pub outcome: SlotOutcome,
    /// Why it was skipped or missed, in words.
    pub reason: Option<String>,
    /// The run that was created for it.
    pub run: Option<RunId>,
    /// When this was decided; for a fired slot `decided_at - slot` is how late it was.
    pub decided_at: DateTime<Utc>,
}

/// What became of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SlotOutcome {
    /// It has a run.
    Fired,
    /// A policy or a pause said no.
    Skipped,
    /// It was older than `deadline` when it was looked at, and `catchup` said no.
    Missed,
}

impl SlotOutcome {
    /// The word used in the store, the API and on pages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fired => "fired",
            Self::Skipped => "skipped",
            Self::Missed => "missed",
        }
    }

    /// The value of that word.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Fired, Self::Skipped, Self::Missed].into_iter().find(|outcome| outcome.as_str() == word)
    }
}

/// A stretch of time: `from` belongs to it, `until` does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeWindow {
    /// Its first instant.
    pub from: DateTime<Utc>,
    /// The first instant after it.
    pub until: DateTime<Utc>,
}

/// Which ledger entries to list: newest first, and by DAG where they begin at the same instant.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SlotFilter {
    /// Only of this DAG.
    pub dag: Option<DagId>,
    /// Only with this outcome.
    pub outcome: Option<SlotOutcome>,
    /// Only those with a slot at or after this: a range that begins before it and reaches into it is listed.
    pub since: Option<DateTime<Utc>>,
    /// Only those with a slot before this.
    pub before: Option<DateTime<Utc>>,
    /// Only those that come after this place in the list (the last one of the page before).
    pub after: Option<SlotPlace>,
    /// At most this many.
    pub limit: usize,
}

/// Where an entry stands in the ledger. No two stand at the same place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotPlace {
    /// Its slot, or the first of its range.
    pub slot: DateTime<Utc>,
    /// Its DAG.
    pub dag: DagId,
}

/// Slots, counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SlotCounts {
    /// Slots with a run.
    pub fired: u64,
    /// Slots that a policy or a pause skipped.
    pub skipped: u64,
    /// Slots that were missed.
    pub missed: u64,
    /// How late the latest fired slot was, in milliseconds.
    pub late_max_ms: u64,
}

/// The ledger within a window, counted.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LedgerCounts {
    /// Entries whose slots all lie within the window, counted by DAG, in the order of their names.
    pub whole: Vec<(DagId, SlotCounts)>,
    /// Ranges of which some slots may lie outside of it, by DAG and slot: at most two of a DAG, one at each end. How many
    /// of theirs lie within, [`SlotRow::within`] or the DAG's schedule can tell.
    pub cut: Vec<SlotRow>,
}

/// Missed slots that belong together: those of all entries whose times from the first slot to the decision overlap.
#[derive(Debug, Clone, PartialEq)]
pub struct Outage {
    /// The first slot missed.
    pub from: DateTime<Utc>,
    /// The last one.
    pub to: DateTime<Utc>,
    /// How many, of all DAGs, also those outside of the window that was asked for.
    pub slots: u64,
    /// Of how many DAGs.
    pub dags: u64,
    /// The first of them by name.
    pub dag: DagId,
    /// Why, in words, if all entries say the same.
    pub reason: Option<String>,
}

/// The outages that reach into a window.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Outages {
    /// How many there are.
    pub total: u64,
    /// The newest of them, newest first.
    pub list: Vec<Outage>,
}

/// What is counted step by step.
#[derive(Debug, Clone, PartialEq)]
pub struct StepFilter {
    /// From when to when.
    pub window: TimeWindow,
    /// How long a step is, counted from the window's beginning; at least a second.
    pub step: TimeDelta,
    /// DAGs that fire so often that they are counted apart.
    pub often: Vec<DagId>,
}

/// The fired slots of one step, by how their runs stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SlotStep {
    /// Which step, from 0.
    pub step: u32,
    /// Slots whose run failed.
    pub failed: u64,
    /// Slots whose run is not over.
    pub active: u64,
    /// Of the others, those of DAGs that fire often.
    pub often: u64,
    /// And all the rest.
    pub fired: u64,
}

/// What pages and commands ask of the ledger.
#[async_trait]
pub trait SlotViews: Send + Sync {
    /// Ledger entries, newest first.
    async fn view_slots(&self, filter: &SlotFilter) -> StoreResult<Vec<SlotRow>>;
    /// The ledger of one DAG or of all within a window, counted.
    async fn view_slot_counts(&self, dag: Option<&DagId>, window: TimeWindow) -> StoreResult<LedgerCounts>;
    /// How many outages have a missed slot in a window, and at most `limit` of them.
    async fn view_outages(&self, window: TimeWindow, limit: usize) -> StoreResult<Outages>;
    /// Fired slots by steps of time, in order. Steps without one are left out.
    async fn view_slot_steps(&self, filter: &StepFilter) -> StoreResult<Vec<SlotStep>>;
}

impl SlotCounts {
    /// So many more slots with this outcome.
    pub fn add(&mut self, outcome: SlotOutcome, slots: u64) {
        match outcome {
            SlotOutcome::Fired => self.fired += slots,
            SlotOutcome::Skipped => self.skipped += slots,
            SlotOutcome::Missed => self.missed += slots,
        }
    }

    /// These and those.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            fired: self.fired + other.fired,
            skipped: self.skipped + other.skipped,
            missed: self.missed + other.missed,
            late_max_ms: self.late_max_ms.max(other.late_max_ms),
        }
    }
}

impl SlotRow {
    /// Where it stands in the ledger.
    pub fn place(&self) -> SlotPlace {
        SlotPlace { slot: self.slot, dag: self.dag.clone() }
    }

    /// How many of its slots lie within a window, as if they lay evenly between the first and the last: exact for
    /// schedules whose slots do, and never more than it holds.
    pub fn within(&self, window: &TimeWindow) -> u64 {
        self.slots_before(window.until).saturating_sub(self.slots_before(window.from))
    }

    fn slots_before(&self, at: DateTime<Utc>) -> u64 {
        if at <= self.slot {
            return 0;
        }
        if at > self.to {
            return self.count;
        }
        let micros = |from: DateTime<Utc>| i128::from((at - from).num_microseconds().unwrap_or(i64::MAX));
        let (gone, whole) = (micros(self.slot), micros(self.slot) - micros(self.to));
        let steps = i128::from(self.count.saturating_sub(1));
        // Slots lie on both ends, so there is one step less than there are slots. Rounded up: the slot that a step begins
        // with is before `at`.
        let before = (gone * steps + whole - 1) / whole.max(1);
        u64::try_from(before.max(1)).unwrap_or(self.count).min(self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::minutes(minute)
    }

    fn range(first: i64, last: i64, every: i64) -> SlotRow {
        SlotRow {
            dag: DagId::trusted("d"),
            slot: at(first),
            to: at(last),
            count: u64::try_from((last - first) / every + 1).unwrap(),
            outcome: SlotOutcome::Missed,
            reason: None,
            run: None,
            decided_at: at(last + 1),
        }
    }

    #[test]
    fn a_part_of_an_even_range_is_counted_exactly_wherever_the_window_lies() {
        for (first, last, every) in [(10, 70, 1), (10, 70, 5), (10, 70, 60), (10, 10, 7), (0, 53_224, 1)] {
            let row = range(first, last, every);
            let slots: Vec<i64> = (first..=last).step_by(usize::try_from(every).unwrap()).collect();
            for from in [-5, 0, 9, 10, 11, 14, 15, 40, 69, 70, 71, 53_000] {
                for until in [from, from + 1, from + 3, from + 60, from + 1440, 90_000] {
                    let expected = slots.iter().filter(|slot| (from..until).contains(*slot)).count() as u64;
                    let window = TimeWindow { from: at(from), until: at(until) };
                    assert_eq!(row.within(&window), expected, "{first}-{last}/{every} in {from}..{until}");
                    let inside = TimeDelta::milliseconds(300);
                    let late = TimeWindow { from: at(from) + inside, until: at(until) + inside };
                    let expected = slots.iter().filter(|slot| (from + 1..=until).contains(*slot)).count();
                    assert_eq!(
                        row.within(&late),
                        expected as u64,
                        "{first}-{last}/{every} after {from}..{until}"
                    );
                }
            }
        }
    }
}
