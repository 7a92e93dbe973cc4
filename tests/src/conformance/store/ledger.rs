//! The ledger: its lists, their order and bounds, and that a range of slots counts with the part that lies in the window.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use rota_core::id::DagId;
use rota_core::port::{
    Batch, LedgerCounts, NewRun, SlotCounts, SlotFilter, SlotOutcome, SlotRow, SlotStep, StepFilter, Store,
    TimeWindow,
};
use rota_core::state::RunState;

use super::world::{World, dag_put};

pub(super) fn entry(dag: &str, world: &World, minute: i64, outcome: SlotOutcome) -> SlotRow {
    let slot = world.at + TimeDelta::minutes(minute);
    let reason = Some("paused".to_owned());
    let (dag, decided_at) = (DagId::trusted(dag), slot + TimeDelta::seconds(1));
    SlotRow { dag, slot, to: slot, count: 1, outcome, reason, run: None, decided_at }
}

pub async fn ledger_entries_are_filtered_and_bounded(store: Arc<dyn Store>) {
    let world = World::begin(Arc::clone(&store)).await;
    let slots: Vec<SlotRow> = (0..6)
        .map(|minute| {
            let outcome = if minute < 3 { SlotOutcome::Missed } else { SlotOutcome::Skipped };
            entry(if minute % 2 == 0 { "d" } else { "e" }, &world, minute, outcome)
        })
        .collect();
    world.commit(Batch { slots: slots.clone(), ..Batch::default() }).await.unwrap();
    let list = async |filter: SlotFilter| store.view_slots(&filter).await.unwrap();
    let pick = |places: &[usize]| places.iter().map(|place| slots[*place].clone()).collect::<Vec<_>>();
    let any = SlotFilter { limit: 100, ..SlotFilter::default() };
    assert_eq!(list(SlotFilter { limit: 2, ..any.clone() }).await, pick(&[5, 4]));
    assert_eq!(list(SlotFilter { dag: Some(DagId::trusted("d")), ..any.clone() }).await, pick(&[4, 2, 0]));
    assert_eq!(
        list(SlotFilter { outcome: Some(SlotOutcome::Missed), ..any.clone() }).await,
        pick(&[2, 1, 0])
    );
    let window = SlotFilter { since: Some(slots[1].slot), before: Some(slots[4].slot), ..any };
    assert_eq!(list(window).await, pick(&[3, 2, 1]));
}

pub async fn ledger_pages_end_among_slots_of_one_instant_and_lose_none(store: Arc<dyn Store>) {
    let world = World::begin(Arc::clone(&store)).await;
    let slots: Vec<SlotRow> = ["d", "e", "f", "g"]
        .iter()
        .flat_map(|dag| [0, 1, 2].map(|minute| entry(dag, &world, minute, SlotOutcome::Missed)))
        .collect();
    world.commit(Batch { slots: slots.clone(), ..Batch::default() }).await.unwrap();
    let mut expected = slots;
    expected.sort_by_key(|row| (std::cmp::Reverse(row.slot), row.dag.clone()));
    for limit in 1..=expected.len() {
        let mut paged: Vec<SlotRow> = Vec::new();
        let mut page = SlotFilter { limit, ..SlotFilter::default() };
        loop {
            let rows = store.view_slots(&page).await.unwrap();
            let Some(last) = rows.last() else { break };
            page.after = Some(last.place());
            paged.extend(rows);
        }
        assert_eq!(paged, expected, "pages of {limit}");
    }
}

/// A minute's slots from `first` to `last`, missed, decided a minute after the last one.
fn range(dag: &str, at: DateTime<Utc>, (first, last): (i64, i64)) -> SlotRow {
    let minute = |minute| at + TimeDelta::minutes(minute);
    SlotRow {
        dag: DagId::trusted(dag),
        slot: minute(first),
        to: minute(last),
        count: u64::try_from(last - first + 1).unwrap(),
        outcome: SlotOutcome::Missed,
        reason: Some("nobody led".to_owned()),
        run: None,
        decided_at: minute(last + 1),
    }
}

/// Ranges of a window from minute 0 to 60, by how they lie in it.
const LYING: [(&str, (i64, i64)); 9] = [
    ("inside", (10, 20)),
    ("over-both-ends", (-30, 90)),
    ("over-the-beginning", (-30, 10)),
    ("over-the-end", (50, 90)),
    ("touching-the-beginning", (-10, 0)),
    ("just-before", (-10, -1)),
    ("touching-the-end", (59, 70)),
    ("just-after", (60, 70)),
    ("all-of-it", (0, 59)),
];

fn lies_in((first, last): (i64, i64)) -> u64 {
    u64::try_from(last.min(59) - first.max(0) + 1).unwrap_or(0)
}

pub async fn ranges_are_listed_and_counted_by_what_lies_in_the_window(store: Arc<dyn Store>) {
    let world = World::begin(Arc::clone(&store)).await;
    let rows: Vec<SlotRow> = LYING.iter().map(|(dag, ends)| range(dag, world.at, *ends)).collect();
    world.commit(Batch { slots: rows.clone(), ..Batch::default() }).await.unwrap();
    let window = TimeWindow { from: world.at, until: world.at + TimeDelta::minutes(60) };
    let filter = SlotFilter {
        since: Some(window.from),
        before: Some(window.until),
        outcome: Some(SlotOutcome::Missed),
        limit: 100,
        ..SlotFilter::default()
    };
    let listed = store.view_slots(&filter).await.unwrap();
    let in_window: BTreeSet<&str> =
        LYING.iter().filter(|(_, ends)| lies_in(*ends) > 0).map(|(dag, _)| *dag).collect();
    assert_eq!(listed.iter().map(|row| row.dag.as_str()).collect::<BTreeSet<_>>(), in_window);
    assert_eq!(listed.len(), in_window.len(), "each once");
    assert!(listed.is_sorted_by(|a, b| (b.slot, &a.dag) < (a.slot, &b.dag)), "newest first, then by DAG");
    let counts = store.view_slot_counts(None, window).await.unwrap();
    assert_eq!(missed_in(&counts, &window), LYING.iter().map(|(_, ends)| lies_in(*ends)).sum::<u64>());
    for (dag, ends) in LYING {
        let id = DagId::trusted(dag);
        let counts = store.view_slot_counts(Some(&id), window).await.unwrap();
        assert_eq!(missed_in(&counts, &window), lies_in(ends), "{dag}");
        let whole = counts.whole.iter().map(|(_, counts)| counts.missed).sum::<u64>();
        let is_whole = ends.0 >= 0 && ends.1 < 60;
        assert_eq!(
            whole,
            if is_whole { lies_in(ends) } else { 0 },
            "{dag}: nothing is shared that lies wholly in it"
        );
        let of_dag = SlotFilter { dag: Some(id), ..filter.clone() };
        assert_eq!(store.view_slots(&of_dag).await.unwrap().len(), usize::from(lies_in(ends) > 0), "{dag}");
    }
}

fn missed_in(counts: &LedgerCounts, window: &TimeWindow) -> u64 {
    let whole = counts.whole.iter().map(|(_, counts)| counts.missed).sum::<u64>();
    whole + counts.cut.iter().map(|row| row.within(window)).sum::<u64>()
}

pub async fn the_ledger_is_counted_by_dag(store: Arc<dyn Store>) {
    let world = World::begin(Arc::clone(&store)).await;
    world.put(dag_put("e", "one")).await;
    let window = TimeWindow { from: world.at, until: world.at + TimeDelta::days(1) };
    assert_eq!(store.view_slot_counts(None, window).await.unwrap(), LedgerCounts::default());
    let late = NewRun { at: world.at + TimeDelta::milliseconds(250), slot: world.at, ..world.new_run() };
    let slots = vec![
        range("d", world.at, (10, 49)),
        entry("d", &world, -10, SlotOutcome::Skipped),
        entry("d", &world, 60, SlotOutcome::Skipped),
        entry("e", &world, 11, SlotOutcome::Missed),
    ];
    world.commit(Batch { runs: vec![late], slots, ..Batch::default() }).await.unwrap();
    let counts = store.view_slot_counts(None, window).await.unwrap();
    let of_d = SlotCounts { fired: 1, skipped: 1, missed: 40, late_max_ms: 250 };
    let of_e = SlotCounts { missed: 1, ..SlotCounts::default() };
    let whole = vec![(DagId::trusted("d"), of_d), (DagId::trusted("e"), of_e)];
    assert_eq!(counts, LedgerCounts { whole, cut: vec![] });
}

pub async fn ranges_that_overlap_until_they_are_decided_are_one_outage(store: Arc<dyn Store>) {
    let world = World::begin(Arc::clone(&store)).await;
    let other = SlotRow { reason: Some("too late".to_owned()), ..range("b", world.at, (120, 140)) };
    let slots = vec![
        // One: it began before the window; the second begins at the minute in which the first is decided.
        range("a", world.at, (-5_000, 9)),
        range("b", world.at, (10, 20)),
        range("c", world.at, (12, 13)),
        // Two: with different reasons.
        range("a", world.at, (100, 130)),
        other,
        // Three: one slot.
        range("a", world.at, (200, 200)),
        // None: fired or skipped slots, and what ended before the window.
        entry("d", &world, 150, SlotOutcome::Skipped),
        range("e", world.at, (-20, -10)),
    ];
    world.commit(Batch { slots, ..Batch::default() }).await.unwrap();
    let window = TimeWindow { from: world.at, until: world.at + TimeDelta::days(1) };
    let all = store.view_outages(window, 10).await.unwrap();
    let said: Vec<_> =
        all.list.iter().map(|it| (it.dag.as_str(), it.dags, it.slots, it.reason.as_deref())).collect();
    assert_eq!(all.total, 3);
    assert_eq!(
        said,
        [
            ("a", 1, 1, Some("nobody led")),
            ("a", 2, 31 + 21, None),
            ("a", 3, 5_010 + 11 + 2, Some("nobody led"))
        ]
    );
    let minute = |minute| world.at + TimeDelta::minutes(minute);
    assert_eq!((all.list[2].from, all.list[2].to), (minute(-5_000), minute(20)));
    let newest = store.view_outages(window, 1).await.unwrap();
    assert_eq!((newest.total, newest.list), (3, all.list[..1].to_vec()));
    let later = TimeWindow { from: minute(300), ..window };
    assert_eq!(store.view_outages(later, 10).await.unwrap().total, 0);
}

pub async fn fired_slots_are_told_step_by_step(store: Arc<dyn Store>) {
    let world = World::begin(Arc::clone(&store)).await;
    world.put(dag_put("e", "one")).await;
    // Minutes 0 to 11, of which the even ones belong to `d`.
    let runs: Vec<NewRun> =
        (0..12).map(|minute| world.new_run_of(if minute % 2 == 0 { "d" } else { "e" })).collect();
    let all = world.commit(Batch { runs, ..Batch::default() }).await.unwrap().runs;
    for (place, to) in
        [(0, RunState::Success), (1, RunState::Failed), (2, RunState::Failed), (3, RunState::Success)]
    {
        world.move_run(all[place], RunState::Running, to).await.unwrap();
    }
    for place in [5, 6, 7] {
        world.move_run(all[place], RunState::Running, RunState::Success).await.unwrap();
    }
    let slots = vec![range("f", world.at, (0, 3)), entry("g", &world, 2, SlotOutcome::Skipped)];
    world.commit(Batch { slots, ..Batch::default() }).await.unwrap();
    let minute = |minute| world.at + TimeDelta::minutes(minute);
    let filter = StepFilter {
        window: TimeWindow { from: minute(0), until: minute(10) },
        step: TimeDelta::minutes(5),
        often: vec![DagId::trusted("e")],
    };
    let steps = store.view_slot_steps(&filter).await.unwrap();
    assert_eq!(
        steps,
        [
            SlotStep { step: 0, failed: 2, active: 1, often: 1, fired: 1 },
            SlotStep { step: 1, failed: 0, active: 2, often: 2, fired: 1 }
        ]
    );
}
