//! How many slots became what. An entry that lies in the window only in part counts with that part: as the DAG's own
//! schedule tells it where that schedule has just the entry's slots, else as if they lay evenly.

use std::collections::HashMap;

use chrono::TimeDelta;
use rota_core::id::DagId;
use rota_core::port::{SlotCounts, SlotRow, TimeWindow};
use rota_core::schedule::Schedule;

use crate::app::Ctx;
use crate::error::Outcome;
use crate::show::time::LocalClock;

/// Slots of one entry that are walked, where a schedule has several rules and so cannot be counted by arithmetic.
const WALK_MAX: u64 = 1_000;

/// The ledger within a window, counted.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) total: SlotCounts,
    pub(crate) by_dag: HashMap<DagId, SlotCounts>,
}

/// The last 24 hours. It reaches ahead a little: what the leader has just decided lies there, if its clock is before ours.
pub(crate) fn last_day(moment: &LocalClock) -> TimeWindow {
    TimeWindow { from: moment.now - TimeDelta::days(1), until: moment.now + TimeDelta::hours(1) }
}

/// Counts the slots of one DAG, or of all.
pub(crate) async fn counts(ctx: &Ctx, dag: Option<&DagId>, window: TimeWindow) -> Outcome<Counts> {
    let told = ctx.app.ports.store.view_slot_counts(dag, window).await?;
    let mut by_dag: HashMap<DagId, SlotCounts> = told.whole.into_iter().collect();
    let schedules = schedules(ctx, &told.cut).await?;
    for row in &told.cut {
        let slots = part(schedules.get(&row.dag), row, &window);
        by_dag.entry(row.dag.clone()).or_default().add(row.outcome, slots);
    }
    let total = by_dag.values().fold(SlotCounts::default(), |sum, counts| sum.plus(*counts));
    Ok(Counts { total, by_dag })
}

/// The present schedules of the DAGs that these entries are of.
async fn schedules(ctx: &Ctx, entries: &[SlotRow]) -> Outcome<HashMap<DagId, Schedule>> {
    if entries.is_empty() {
        return Ok(HashMap::new());
    }
    let store = &*ctx.app.ports.store;
    let mut rows = store.dags_load().await?;
    rows.retain(|row| entries.iter().any(|entry| entry.dag == row.dag));
    let dags = ctx.app.catalog.current(store, &rows).await?;
    let schedules = rows.into_iter().zip(dags);
    Ok(schedules.filter_map(|(row, dag)| Some((row.dag, dag?.schedule.clone()?))).collect())
}

/// How many slots of an entry lie within a window.
pub(crate) fn part(schedule: Option<&Schedule>, entry: &SlotRow, window: &TimeWindow) -> u64 {
    let count = |window: TimeWindow| {
        schedule.filter(|_| entry.count > 1)?.count_between(window.from, window.until, WALK_MAX)
    };
    let all = TimeWindow { from: entry.slot, until: entry.to + TimeDelta::seconds(1) };
    let cut = TimeWindow { from: all.from.max(window.from), until: all.until.min(window.until) };
    // A schedule that was edited since says nothing about the slots of the one before.
    match count(all) {
        Some(slots) if slots == entry.count => count(cut).unwrap_or_else(|| entry.within(window)),
        Some(_) | None => entry.within(window),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{DateTime, Utc};
    use rota_core::port::SlotOutcome;
    use rota_core::schedule::{Rule, Spec};

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().expect("valid")
    }

    fn schedule(lines: &[&str]) -> Schedule {
        let rules = lines.iter().map(|line| Rule::Cron((*line).to_owned())).collect();
        Schedule::compile(Spec::new(rules), "a").expect("valid")
    }

    fn entry(from: &str, to: &str, count: u64) -> SlotRow {
        SlotRow {
            dag: DagId::trusted("d"),
            slot: at(from),
            to: at(to),
            count,
            outcome: SlotOutcome::Missed,
            reason: None,
            run: None,
            decided_at: at(to),
        }
    }

    #[test]
    fn a_part_of_an_uneven_range_is_what_its_schedule_says() {
        // Friday, Monday, Tuesday; the window begins on Monday morning.
        let weekdays = entry("2026-10-23T09:00:00Z", "2026-10-27T09:00:00Z", 3);
        let window = TimeWindow { from: at("2026-10-26T08:00:00Z"), until: at("2026-10-28T00:00:00Z") };
        assert_eq!(weekdays.within(&window), 1, "what an even share would say");
        assert_eq!(part(Some(&schedule(&["0 9 * * 1-5"])), &weekdays, &window), 2);
        assert_eq!(part(Some(&schedule(&["0 9 * * 1,2,5", "0 9 * * 3"])), &weekdays, &window), 2);
    }

    #[test]
    fn a_schedule_that_is_not_the_one_of_the_range_is_not_asked() {
        let weekdays = entry("2026-10-23T09:00:00Z", "2026-10-27T09:00:00Z", 3);
        let window = TimeWindow { from: at("2026-10-26T08:00:00Z"), until: at("2026-10-28T00:00:00Z") };
        assert_eq!(part(Some(&schedule(&["* * * * *"])), &weekdays, &window), weekdays.within(&window));
        assert_eq!(part(None, &weekdays, &window), weekdays.within(&window));
    }

    #[test]
    fn one_slot_is_in_the_window_or_not() {
        let one = entry("2026-10-23T09:00:00Z", "2026-10-23T09:00:00Z", 1);
        let until = |until| TimeWindow { from: at("2026-10-23T08:00:00Z"), until: at(until) };
        assert_eq!(part(None, &one, &until("2026-10-23T09:00:00Z")), 0);
        assert_eq!(part(None, &one, &until("2026-10-23T09:00:01Z")), 1);
    }
}
