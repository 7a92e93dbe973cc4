//! Lists: their filters, their order and their bounds. And forgetting.

use std::sync::Arc;

use chrono::TimeDelta;
use rota_core::id::{DagId, RunId};
use rota_core::port::{
    Batch, LogChunk, NewRun, PruneRequest, RunFilter, RunRow, SlotCounts, SlotFilter, SlotOutcome, SlotRow,
    Store,
};
use rota_core::state::{RunState, TaskState};

use super::world::{World, admin, dag_put};

fn ids(rows: &[RunRow]) -> Vec<RunId> {
    rows.iter().map(|run| run.id).collect()
}

pub async fn runs_are_filtered_and_paged_newest_first(store: Arc<dyn Store>) {
    let world = World::begin(Arc::clone(&store)).await;
    world.put(dag_put("e", "one")).await;
    let runs: Vec<NewRun> =
        (0..6).map(|number| world.new_run_of(if number % 2 == 0 { "d" } else { "e" })).collect();
    let all = world.commit(Batch { runs, ..Batch::default() }).await.unwrap().runs;
    world.move_run(all[0], RunState::Running, RunState::Failed).await.unwrap();
    world.move_run(all[3], RunState::Running, RunState::Failed).await.unwrap();
    let list = async |filter: RunFilter| ids(&store.view_runs(&filter).await.unwrap());
    let any = RunFilter { limit: 100, ..RunFilter::default() };
    assert_eq!(list(any.clone()).await, all.iter().rev().copied().collect::<Vec<_>>());
    assert_eq!(list(RunFilter { limit: 2, before: Some(all[4]), ..any.clone() }).await, [all[3], all[2]]);
    let of_d = RunFilter { dag: Some(DagId::trusted("d")), ..any.clone() };
    assert_eq!(list(of_d.clone()).await, [all[4], all[2], all[0]]);
    assert_eq!(list(RunFilter { states: vec![RunState::Failed], ..of_d }).await, [all[0]]);
    assert_eq!(list(RunFilter { states: vec![RunState::Failed], ..any.clone() }).await, [all[3], all[0]]);
    let active = RunFilter { states: vec![RunState::Queued, RunState::Running], limit: 3, ..any.clone() };
    assert_eq!(list(active).await, [all[5], all[4], all[2]]);
    assert_eq!(list(RunFilter { limit: 0, ..any }).await, []);
}

pub async fn recent_runs_are_bounded_per_dag(store: Arc<dyn Store>) {
    let world = World::begin(Arc::clone(&store)).await;
    for dag in ["e", "f"] {
        world.put(dag_put(dag, "one")).await;
    }
    let dags = ["d", "e", "d", "f", "d", "e"];
    let runs = dags.map(|dag| world.new_run_of(dag)).to_vec();
    let all = world.commit(Batch { runs, ..Batch::default() }).await.unwrap().runs;
    let wanted = ["d", "e", "x"].map(DagId::trusted);
    let recent = store.view_recent_runs(&wanted, 2).await.unwrap();
    assert_eq!(ids(&recent), [all[4], all[2], all[5], all[1]]);
}

fn entry(dag: &str, world: &World, minute: i64, outcome: SlotOutcome) -> SlotRow {
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

pub async fn the_ledger_is_counted(store: Arc<dyn Store>) {
    let world = World::begin(Arc::clone(&store)).await;
    let nothing = store.view_slot_counts(world.at).await.unwrap();
    assert_eq!(nothing, SlotCounts::default());
    let late = NewRun { at: world.at + TimeDelta::milliseconds(250), slot: world.at, ..world.new_run() };
    let range = SlotRow { count: 40, ..entry("d", &world, 10, SlotOutcome::Missed) };
    let old = entry("d", &world, -10, SlotOutcome::Skipped);
    let slots = vec![range, old, entry("d", &world, 11, SlotOutcome::Skipped)];
    world.commit(Batch { runs: vec![late], slots, ..Batch::default() }).await.unwrap();
    let counts = store.view_slot_counts(world.at).await.unwrap();
    assert_eq!(counts, SlotCounts { fired: 1, skipped: 1, missed: 40, late_max_ms: 250 });
}

pub async fn logs_are_paged(store: Arc<dyn Store>) {
    let world = World::begin(Arc::clone(&store)).await;
    let (_, claimed) = world.running("w").await;
    let chunks: Vec<LogChunk> =
        (0..10).map(|seq| LogChunk { key: claimed.key, seq, text: format!("{seq}\n") }).collect();
    store.log_append(&chunks).await.unwrap();
    assert_eq!(store.view_log(claimed.key, 4, 3).await.unwrap(), chunks[4..7]);
    assert_eq!(store.view_log(claimed.key, 9, 3).await.unwrap(), chunks[9..]);
}

pub async fn the_audit_log_is_paged_newest_first(store: Arc<dyn Store>) {
    let _world = World::begin(Arc::clone(&store)).await;
    let mut paused = false;
    for _ in 0..5 {
        paused = !paused;
        store.dag_pause(&DagId::trusted("d"), paused, &admin()).await.unwrap();
    }
    let all = store.view_audit(None, 100).await.unwrap();
    assert_eq!(all.len(), 6, "and the version that was stored first");
    assert!(all.is_sorted_by(|newer, older| newer.at >= older.at));
    let first = store.view_audit(None, 2).await.unwrap();
    assert_eq!(first, all[..2]);
    assert!(store.view_audit(Some(first[1].at), 100).await.unwrap().iter().all(|row| row.at < first[1].at));
}

pub async fn prune_forgets_old_runs_in_bites_and_keeps_the_rest(store: Arc<dyn Store>) {
    let world = World::begin(Arc::clone(&store)).await;
    let (hands, young) = world.running("w").await;
    let mut old = Vec::new();
    for number in 0..3 {
        let keys = world.queued(2).await;
        let claimed = world.claim(&hands, &keys).await;
        world.finish(&claimed[0], TaskState::Success).await;
        store.log_append(&[LogChunk { key: keys[0], seq: 0, text: "x\n".to_owned() }]).await.unwrap();
        let ended = world.at - TimeDelta::days(40) + TimeDelta::days(number);
        let run = keys[0].task.run;
        world.move_run_at(run, (RunState::Running, RunState::Success), ended).await.unwrap();
        old.push(keys[0]);
    }
    let ancient = entry("d", &world, -60 * 24 * 50, SlotOutcome::Missed);
    world.commit(Batch { slots: vec![ancient], ..Batch::default() }).await.unwrap();
    let prune = async || {
        let request = PruneRequest { before: world.at - TimeDelta::days(30), runs_max: 2 };
        store.prune(world.epoch, request).await.unwrap()
    };
    assert_eq!((prune().await, prune().await, prune().await), (2, 1, 0));
    for key in old {
        assert_eq!(store.run_load(key.task.run).await.unwrap(), None);
        assert_eq!(store.tasks_load(&[key.task]).await.unwrap(), vec![]);
        assert_eq!(store.view_log(key, 0, 10).await.unwrap(), vec![]);
    }
    assert_eq!(ids(&store.runs_active(RunId(0), 10).await.unwrap()), [young.key.task.run]);
    assert_eq!(world.task(young.key.task).await.state, TaskState::Running);
    let ledger = store.view_slots(&SlotFilter { limit: 100, ..SlotFilter::default() }).await.unwrap();
    assert!(ledger.iter().all(|slot| slot.slot >= world.at), "old entries are gone, young ones stay");
    let next = world.run().await;
    assert!(next > young.key.task.run, "numbers of runs are never used again");
}
