//! Runs, slots and cursors.

use std::sync::Arc;

use chrono::TimeDelta;
use rota_core::id::{DagId, RunId};
use rota_core::port::{Batch, CursorMove, Ending, NewRun, SlotFilter, SlotOutcome, SlotRow, Store};
use rota_core::state::RunState;

use super::world::{World, admin, assert_conflict};

pub async fn a_fired_slot_has_a_run_and_a_ledger_entry(store: Arc<dyn Store>) {
    let world = World::begin(Arc::clone(&store)).await;
    let new =
        NewRun { params: [("region".to_owned(), "eu".into())].into_iter().collect(), ..world.new_run() };
    let runs = vec![new.clone()];
    let id = world.commit(Batch { runs, ..Batch::default() }).await.unwrap().runs[0];
    let run = store.run_load(id).await.unwrap().unwrap();
    assert_eq!(run, new.clone().into_row(id), "the planner goes on with this row without reading it");
    let ledger = store.view_slots(&SlotFilter { limit: 10, ..SlotFilter::default() }).await.unwrap();
    let entry = SlotRow {
        dag: new.dag,
        slot: new.slot,
        to: new.slot,
        count: 1,
        outcome: SlotOutcome::Fired,
        reason: None,
        run: Some(id),
        decided_at: new.at,
    };
    assert_eq!(ledger, vec![entry]);
}

pub async fn a_slot_fires_once(store: Arc<dyn Store>) {
    let world = World::begin(Arc::clone(&store)).await;
    let new = world.new_run();
    world.commit(Batch { runs: vec![new.clone()], ..Batch::default() }).await.unwrap();
    assert_conflict(world.commit(Batch { runs: vec![new.clone()], ..Batch::default() }).await);
    let twin = world.new_run();
    assert_conflict(world.commit(Batch { runs: vec![twin.clone(), twin], ..Batch::default() }).await);
    let skipped = skipped(&new, SlotOutcome::Skipped);
    assert_conflict(world.commit(Batch { slots: vec![skipped], ..Batch::default() }).await);
    assert_eq!(store.runs_active(RunId(0), 10).await.unwrap().len(), 1);
}

fn skipped(new: &NewRun, outcome: SlotOutcome) -> SlotRow {
    SlotRow {
        dag: new.dag.clone(),
        slot: new.slot,
        to: new.slot,
        count: 1,
        outcome,
        reason: Some("the DAG was paused".to_owned()),
        run: None,
        decided_at: new.at,
    }
}

pub async fn new_runs_get_growing_ids_in_the_order_of_the_batch(store: Arc<dyn Store>) {
    let world = World::begin(Arc::clone(&store)).await;
    let mut runs: Vec<NewRun> = (0..50).map(|_| world.new_run()).collect();
    runs.reverse();
    let ids = world.commit(Batch { runs: runs.clone(), ..Batch::default() }).await.unwrap().runs;
    for (new, id) in runs.iter().zip(&ids) {
        assert_eq!(store.run_load(*id).await.unwrap().unwrap().slot, Some(new.slot));
    }
    let later = world.run().await;
    assert!(ids.iter().all(|id| *id < later));
}

pub async fn a_cursor_moves_only_from_where_it_stands(store: Arc<dyn Store>) {
    let world = World::begin(Arc::clone(&store)).await;
    let to = world.at + TimeDelta::minutes(1);
    let step = |from, to| CursorMove { dag: DagId::trusted("d"), from, to, next_slot: Some(to) };
    let commit = |cursor| world.commit(Batch { cursors: vec![cursor], ..Batch::default() });
    assert_conflict(commit(step(Some(world.at), to)).await);
    commit(step(None, to)).await.unwrap();
    assert_conflict(commit(step(None, to)).await);
    commit(step(Some(to), to + TimeDelta::minutes(1))).await.unwrap();
    let row = store.view_dag(&DagId::trusted("d")).await.unwrap().unwrap();
    assert_eq!(
        (row.cursor, row.next_slot),
        (Some(to + TimeDelta::minutes(1)), Some(to + TimeDelta::minutes(1)))
    );
}

pub async fn a_conflict_rolls_back_everything(store: Arc<dyn Store>) {
    let world = World::begin(Arc::clone(&store)).await;
    let keys = world.queued(2).await;
    let before = store.tasks_load(&[keys[0].task, keys[1].task]).await.unwrap();
    let wrong = RunId(keys[0].task.run.0 + 1000);
    let batch = Batch {
        runs: vec![world.new_run()],
        slots: vec![skipped(&world.new_run(), SlotOutcome::Missed)],
        cursors: vec![CursorMove { dag: DagId::trusted("d"), from: None, to: world.at, next_slot: None }],
        cancels: vec![(keys[0].task, "no".to_owned())],
        end_requests: vec![(wrong, Ending { state: RunState::Failed, reason: String::new() })],
        ..Batch::default()
    };
    assert_conflict(world.commit(batch).await);
    assert_eq!(store.runs_active(RunId(0), 10).await.unwrap().len(), 1);
    assert_eq!(store.view_slots(&SlotFilter { limit: 10, ..SlotFilter::default() }).await.unwrap().len(), 1);
    assert_eq!(store.view_dag(&DagId::trusted("d")).await.unwrap().unwrap().cursor, None);
    assert_eq!(store.tasks_load(&[keys[0].task, keys[1].task]).await.unwrap(), before);
}

pub async fn a_run_moves_only_from_its_state(store: Arc<dyn Store>) {
    let world = World::begin(Arc::clone(&store)).await;
    let runs = vec![NewRun { state: RunState::Queued, ..world.new_run() }];
    let run = world.commit(Batch { runs, ..Batch::default() }).await.unwrap().runs[0];
    assert_eq!(store.run_load(run).await.unwrap().unwrap().started_at, None);
    assert_conflict(world.move_run(run, RunState::Running, RunState::Success).await);
    world.move_run(run, RunState::Queued, RunState::Running).await.unwrap();
    assert_eq!(store.run_load(run).await.unwrap().unwrap().started_at, Some(world.at));
    world.move_run(run, RunState::Running, RunState::Failed).await.unwrap();
    assert_conflict(world.move_run(run, RunState::Running, RunState::Success).await);
    let row = store.run_load(run).await.unwrap().unwrap();
    assert_eq!((row.state, row.finished_at), (RunState::Failed, Some(world.at)));
    assert_eq!(row.reason.as_deref(), Some("it was failed"));
    assert_conflict(world.move_run(RunId(run.0 + 99), RunState::Running, RunState::Success).await);
}

pub async fn a_restarted_run_forgets_its_end(store: Arc<dyn Store>) {
    let world = World::begin(Arc::clone(&store)).await;
    let run = world.run().await;
    let started_at = store.run_load(run).await.unwrap().unwrap().started_at;
    let ending = Ending { state: RunState::Cancelled, reason: "cancelled by admin".to_owned() };
    world.commit(Batch { end_requests: vec![(run, ending.clone())], ..Batch::default() }).await.unwrap();
    world.move_run(run, RunState::Running, RunState::Cancelled).await.unwrap();
    assert_eq!(store.run_load(run).await.unwrap().unwrap().ending, Some(ending));
    world.move_run(run, RunState::Cancelled, RunState::Queued).await.unwrap();
    let row = store.run_load(run).await.unwrap().unwrap();
    assert_eq!((row.state, row.finished_at, row.ending, row.reason), (RunState::Queued, None, None, None));
    assert_eq!(row.started_at, started_at, "it keeps the time of its first start until the next one");
    let later = started_at.unwrap() + TimeDelta::hours(1);
    world.move_run_at(run, (RunState::Queued, RunState::Running), later).await.unwrap();
    let row = store.run_load(run).await.unwrap().unwrap();
    assert_eq!(row.started_at, Some(later), "time limits count from the last start");
}

pub async fn a_run_is_ended_once_and_only_while_it_runs(store: Arc<dyn Store>) {
    let world = World::begin(Arc::clone(&store)).await;
    let ending = Ending { state: RunState::Failed, reason: "time limit of 2h was up".to_owned() };
    let end = |run| world.commit(Batch { end_requests: vec![(run, ending.clone())], ..Batch::default() });
    let run = world.run().await;
    end(run).await.unwrap();
    assert_conflict(end(run).await);
    assert_eq!(store.run_load(run).await.unwrap().unwrap().state, RunState::Running);
    let manual = store.run_trigger(&world.request(), &admin()).await.unwrap().run.id;
    assert_conflict(end(manual).await);
}

pub async fn a_range_of_slots_is_one_entry(store: Arc<dyn Store>) {
    let world = World::begin(Arc::clone(&store)).await;
    let first = skipped(&world.new_run(), SlotOutcome::Missed);
    let range = SlotRow { to: first.slot + TimeDelta::days(30), count: 43_200, ..first };
    world.commit(Batch { slots: vec![range.clone()], ..Batch::default() }).await.unwrap();
    let ledger = store.view_slots(&SlotFilter { limit: 10, ..SlotFilter::default() }).await.unwrap();
    assert_eq!(ledger, vec![range]);
}

pub async fn active_runs_come_oldest_first_and_in_pages(store: Arc<dyn Store>) {
    let world = World::begin(Arc::clone(&store)).await;
    let (one, two, three) = (world.run().await, world.run().await, world.run().await);
    let manual = store.run_trigger(&world.request(), &admin()).await.unwrap().run.id;
    world.move_run(two, RunState::Running, RunState::Success).await.unwrap();
    let ids = |rows: Vec<rota_core::port::RunRow>| rows.into_iter().map(|run| run.id).collect::<Vec<_>>();
    assert_eq!(ids(store.runs_active(RunId(0), 2).await.unwrap()), vec![one, three]);
    assert_eq!(ids(store.runs_active(three, 2).await.unwrap()), vec![manual]);
    assert_eq!(ids(store.runs_queued(RunId(0), 10).await.unwrap()), vec![manual]);
    assert_eq!(ids(store.runs_queued(manual, 10).await.unwrap()), vec![]);
}

pub async fn an_empty_batch_commits(store: Arc<dyn Store>) {
    let world = World::begin(store).await;
    assert_eq!(world.commit(Batch::default()).await.unwrap(), rota_core::port::Committed::default());
}
