//! Lists: their filters, their order and their bounds. And forgetting.

use std::sync::Arc;

use chrono::TimeDelta;
use rota_core::id::{DagId, RunId};
use rota_core::port::{
    ActiveRuns, AuditRow, Batch, FailedDags, LogChunk, LogExtent, NewRun, PruneRequest, RunFilter, RunRow,
    RunTransition, SlotFilter, SlotOutcome, Store,
};
use rota_core::state::{RunState, TaskState};

use super::ledger::entry;
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

pub async fn logs_are_paged(store: Arc<dyn Store>) {
    let world = World::begin(Arc::clone(&store)).await;
    let (_, claimed) = world.running("w").await;
    let chunks: Vec<LogChunk> =
        (0..10).map(|seq| LogChunk { key: claimed.key, seq, text: format!("{seq}\n") }).collect();
    store.log_append(&chunks).await.unwrap();
    assert_eq!(store.view_log(claimed.key, 4, 3).await.unwrap(), chunks[4..7]);
    assert_eq!(store.view_log(claimed.key, 9, 3).await.unwrap(), chunks[9..]);
}

pub async fn logs_are_counted_without_their_text(store: Arc<dyn Store>) {
    let world = World::begin(Arc::clone(&store)).await;
    let (_, claimed) = world.running("w").await;
    let long = "y".repeat(200_000);
    let texts = ["", "one\n", "two\nthr", "ee\n\n\n", "\n", "ü€𝄞 \r\n \n ", "no end", &long, "\n\\n%n"];
    let chunks: Vec<LogChunk> = (0..)
        .zip(texts)
        .map(|(seq, text)| LogChunk { key: claimed.key, seq: seq * 3, text: text.to_owned() })
        .collect();
    store.log_append(&chunks).await.unwrap();
    let expected: Vec<LogExtent> = chunks
        .iter()
        .map(|chunk| LogExtent {
            seq: chunk.seq,
            bytes: chunk.text.len() as u64,
            newlines: chunk.text.matches('\n').count() as u64,
            ends_line: chunk.text.ends_with('\n'),
        })
        .collect();
    assert_eq!(store.view_log_extents(claimed.key, 0, 100).await.unwrap(), expected);
    assert_eq!(store.view_log_extents(claimed.key, 4, 2).await.unwrap(), expected[2..4]);
    assert_eq!(store.view_log_extents(claimed.key, 25, 2).await.unwrap(), []);
    assert_eq!(store.view_log_extents(claimed.key.task.attempt(2), 0, 2).await.unwrap(), []);
}

pub async fn the_audit_log_is_paged_newest_first_and_no_row_is_lost(store: Arc<dyn Store>) {
    let world = World::begin(Arc::clone(&store)).await;
    // Intents of one transaction have one time: so many rows at once that pages end among them.
    let dag = DagId::trusted("d");
    let actor = admin();
    let pauses = (0..12).map(|number| store.dag_pause(&dag, number % 2 == 0, &actor));
    futures_util::future::join_all(pauses).await;
    let all = store.view_audit(None, 100).await.unwrap();
    assert!(all.len() >= 3 && all.iter().all(|row| row.at >= world.at), "{all:?}");
    assert!(all.is_sorted_by(|newer, older| (newer.at, newer.id) > (older.at, older.id)));
    for size in 1..=all.len() {
        let mut paged = Vec::new();
        let mut after = None;
        while let Some(last) = {
            let page = store.view_audit(after, size).await.unwrap();
            paged.extend(page.iter().cloned());
            page.last().map(AuditRow::place)
        } {
            after = Some(last);
        }
        assert_eq!(paged, all, "pages of {size}");
    }
}

pub async fn active_runs_are_counted_beyond_what_is_listed(store: Arc<dyn Store>) {
    let world = World::begin(Arc::clone(&store)).await;
    world.put(dag_put("e", "one")).await;
    assert_eq!(store.view_active_runs(None, 3).await.unwrap(), ActiveRuns::default());
    let runs: Vec<NewRun> = (0..9)
        .map(|number| {
            let state = if number < 3 { RunState::Queued } else { RunState::Running };
            NewRun { state, ..world.new_run_of(if number == 8 { "e" } else { "d" }) }
        })
        .collect();
    let all = world.commit(Batch { runs, ..Batch::default() }).await.unwrap().runs;
    world.move_run(all[4], RunState::Running, RunState::Success).await.unwrap();
    let active = store.view_active_runs(None, 3).await.unwrap();
    assert_eq!((active.running, active.queued), (5, 3));
    assert_eq!(ids(&active.list), [all[3], all[5], all[6]], "the oldest that run come first");
    let of_d = store.view_active_runs(Some(&DagId::trusted("d")), 100).await.unwrap();
    assert_eq!((of_d.running, of_d.queued), (4, 3));
    assert_eq!(ids(&of_d.list), [3, 5, 6, 7, 0, 1, 2].map(|place| all[place]));
    let none = store.view_active_runs(None, 0).await.unwrap();
    assert_eq!((none.running, none.queued, none.list), (5, 3, vec![]));
}

pub async fn failed_dags_are_counted_beyond_what_is_listed(store: Arc<dyn Store>) {
    let world = World::begin(Arc::clone(&store)).await;
    let dags: Vec<String> = (0..18).map(|number| format!("dag-{number:02}")).collect();
    for dag in &dags {
        world.put(dag_put(dag, "one")).await;
    }
    assert_eq!(store.view_failed_dags(world.at, 5).await.unwrap(), FailedDags::default());
    // One DAG fails more often than any list is long, the other 17 once before it. Of two a later run succeeds.
    let names = dags.iter().map(String::as_str).chain(std::iter::repeat_n("dag-00", 250));
    let runs = names.map(|dag| world.new_run_of(dag)).collect();
    let failed = world.commit(Batch { runs, ..Batch::default() }).await.unwrap().runs;
    let ends = |run: &RunId, at| RunTransition {
        run: *run,
        from: RunState::Running,
        to: RunState::Failed,
        at,
        reason: Some("it failed".to_owned()),
    };
    let run_transitions = failed.iter().map(|run| ends(run, world.at)).collect();
    world.commit(Batch { run_transitions, ..Batch::default() }).await.unwrap();
    let runs = ["dag-03", "dag-05", "d"].map(|dag| world.new_run_of(dag)).to_vec();
    let later = world.commit(Batch { runs, ..Batch::default() }).await.unwrap().runs;
    for run in &later[..2] {
        world.move_run(*run, RunState::Running, RunState::Success).await.unwrap();
    }
    let ended = world.at - TimeDelta::seconds(1);
    world.move_run_at(later[2], (RunState::Running, RunState::Failed), ended).await.unwrap();
    let told = store.view_failed_dags(world.at, 5).await.unwrap();
    assert_eq!((told.failing, told.recovered, told.list.len()), (16, 2, 5));
    assert_eq!((told.list[0].run.id, told.list[0].runs), (*failed.last().unwrap(), 251));
    assert!(told.list.iter().all(|dag| !dag.recovered));
    let all = store.view_failed_dags(world.at, 100).await.unwrap().list;
    assert_eq!(
        all.iter().map(|dag| dag.run.id).filter(|run| later.contains(run)).count(),
        0,
        "before the time"
    );
    let recovered: Vec<_> = all.iter().filter(|dag| dag.recovered).map(|dag| dag.run.dag.as_str()).collect();
    assert_eq!((all.len(), recovered), (18, vec!["dag-05", "dag-03"]));
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
