//! DAG files and their versions.

use std::sync::Arc;

use chrono::TimeDelta;
use rota_core::id::{DagId, DagVersion};
use rota_core::port::{DagPut, FileErrorPut, FilesPut, SlotFilter, SlotOutcome, SlotRow, Store};

use super::world::{World, admin, assert_conflict, assert_not_found, dag_put};

pub async fn the_same_text_is_the_same_version(store: Arc<dyn Store>) {
    let world = World::begin(Arc::clone(&store)).await;
    let before = store.view_dag(&DagId::trusted("d")).await.unwrap();
    assert_eq!(world.put(dag_put("d", "one")).await, DagVersion(1));
    assert_eq!(store.view_dag(&DagId::trusted("d")).await.unwrap(), before);
}

pub async fn another_text_is_the_next_version(store: Arc<dyn Store>) {
    let world = World::begin(Arc::clone(&store)).await;
    let dag = DagId::trusted("d");
    assert_eq!(world.put(dag_put("d", "two")).await, DagVersion(2));
    assert_eq!(world.put(dag_put("d", "one")).await, DagVersion(3), "back to an old text is a new version");
    let sources = [(1, "one"), (2, "two"), (3, "one")];
    for (version, source) in sources {
        assert_eq!(store.version_source(&dag, DagVersion(version)).await.unwrap(), source);
        assert_eq!(store.version_source(&dag, DagVersion(version)).await.unwrap(), source);
        assert_eq!(store.view_source(&dag, DagVersion(version)).await.unwrap().unwrap().0, source);
    }
    let row = store.view_dag(&dag).await.unwrap().unwrap();
    assert_eq!((row.version, row.hash.as_str(), row.path.as_str()), (DagVersion(3), "hash of one", "d.yaml"));
}

pub async fn a_new_version_keeps_pause_and_cursor(store: Arc<dyn Store>) {
    let world = World::begin(Arc::clone(&store)).await;
    let (cursor, next_slot) = (Some(world.at), Some(world.at + TimeDelta::hours(1)));
    world.put(DagPut { cursor, next_slot, ..dag_put("e", "one") }).await;
    let dag = DagId::trusted("e");
    store.dag_pause(&dag, true, &admin()).await.unwrap();
    world.put(DagPut { next_slot, ..dag_put("e", "two") }).await;
    let row = store.view_dag(&dag).await.unwrap().unwrap();
    assert_eq!((row.paused, row.cursor, row.next_slot), (true, cursor, next_slot));
    let later = Some(world.at + TimeDelta::hours(2));
    world.put(DagPut { cursor: later, next_slot: None, ..dag_put("e", "three") }).await;
    let row = store.view_dag(&dag).await.unwrap().unwrap();
    assert_eq!((row.paused, row.cursor, row.next_slot), (true, later, None));
}

pub async fn an_edit_accounts_for_what_its_old_schedule_left_undecided(store: Arc<dyn Store>) {
    let world = World::begin(Arc::clone(&store)).await;
    let slots = vec![SlotRow {
        dag: DagId::trusted("d"),
        slot: world.at,
        to: world.at + TimeDelta::hours(1),
        count: 2,
        outcome: SlotOutcome::Missed,
        reason: Some("the schedule was changed".to_owned()),
        run: None,
        decided_at: world.at + TimeDelta::hours(2),
    }];
    let dags = vec![DagPut { cursor: Some(world.at + TimeDelta::hours(2)), ..dag_put("d", "two") }];
    let files = FilesPut { dags, slots: slots.clone(), at: world.at, ..FilesPut::default() };
    store.files_put(world.epoch, &files).await.unwrap();
    let all = SlotFilter { limit: 10, ..SlotFilter::default() };
    assert_eq!(store.view_slots(&all).await.unwrap(), slots);
    // A second entry for a slot is a conflict, and then nothing of the edit is stored.
    let dags = vec![dag_put("d", "three")];
    assert_conflict(store.files_put(world.epoch, &FilesPut { dags, ..files }).await);
    let row = store.view_dag(&DagId::trusted("d")).await.unwrap().unwrap();
    assert_eq!(row.version, DagVersion(2));
}

pub async fn a_broken_file_keeps_the_last_good_version(store: Arc<dyn Store>) {
    let world = World::begin(Arc::clone(&store)).await;
    let broken = |path: &str| FileErrorPut {
        path: path.to_owned(),
        errors: serde_json::json!([{"path": path, "line": 3, "col": 1, "message": "unknown key", "hint": null}]),
        source: "dag: [".to_owned(),
    };
    let files =
        FilesPut { errors: vec![broken("new.yaml"), broken("d.yaml")], at: world.at, ..FilesPut::default() };
    store.files_put(world.epoch, &files).await.unwrap();
    let rows = store.files_broken().await.unwrap();
    assert_eq!(rows, store.files_broken().await.unwrap());
    let named: Vec<_> =
        rows.iter().map(|row| (row.path.as_str(), row.dag.as_ref().map(DagId::as_str))).collect();
    assert_eq!(named, vec![("d.yaml", Some("d")), ("new.yaml", None)]);
    assert_eq!((&rows[0].errors, rows[0].seen_at), (&files.errors[1].errors, world.at));
    let row = store.view_dag(&DagId::trusted("d")).await.unwrap().unwrap();
    assert_eq!((row.version, row.present), (DagVersion(1), true));
    let mended = FilesPut { mended: vec!["d.yaml".to_owned()], at: world.at, ..FilesPut::default() };
    store.files_put(world.epoch, &mended).await.unwrap();
    let left: Vec<String> = store.files_broken().await.unwrap().into_iter().map(|row| row.path).collect();
    assert_eq!(left, vec!["new.yaml"]);
}

pub async fn a_dag_whose_file_is_gone_keeps_its_history_and_can_come_back(store: Arc<dyn Store>) {
    let world = World::begin(Arc::clone(&store)).await;
    let run = world.run().await;
    let dag = DagId::trusted("d");
    let gone = FilesPut { gone: vec![dag.clone()], at: world.at, ..FilesPut::default() };
    store.files_put(world.epoch, &gone).await.unwrap();
    let row = store.view_dag(&dag).await.unwrap().unwrap();
    assert_eq!((row.present, row.next_slot), (false, None));
    assert!(store.run_load(run).await.unwrap().is_some());
    assert_eq!(world.put(dag_put("d", "one")).await, DagVersion(1));
    assert!(store.view_dag(&dag).await.unwrap().unwrap().present);
}

pub async fn a_source_that_is_unknown_is_not_found(store: Arc<dyn Store>) {
    let _world = World::begin(Arc::clone(&store)).await;
    assert_not_found(store.version_source(&DagId::trusted("d"), DagVersion(2)).await);
    assert_not_found(store.version_source(&DagId::trusted("x"), DagVersion(1)).await);
    assert_eq!(store.view_source(&DagId::trusted("x"), DagVersion(1)).await.unwrap(), None);
    assert_eq!(store.view_dag(&DagId::trusted("x")).await.unwrap(), None);
}

pub async fn a_new_version_is_audited_with_file_and_hash_and_the_same_text_is_not(store: Arc<dyn Store>) {
    let world = World::begin(Arc::clone(&store)).await;
    let before = store.view_audit(None, 100).await.unwrap().len();
    let puts = ["one", "two", "two", "one"].map(|text| dag_put("e", text));
    for put in puts {
        world.put(put).await;
    }
    let dags = ["x", "y"].map(|dag| dag_put(dag, "one")).to_vec();
    store.files_put(world.epoch, &FilesPut { dags, at: world.at, ..FilesPut::default() }).await.unwrap();
    let audit = store.view_audit(None, 100).await.unwrap();
    let new: Vec<_> = audit[..audit.len() - before].iter().collect();
    assert!(new.iter().all(|row| (row.actor.as_str(), row.origin.as_str()) == ("scheduler", "r1")));
    let mut told: Vec<_> =
        new.iter().map(|row| (row.subject.as_str(), row.outcome.clone().unwrap())).collect();
    told.sort();
    let text = |dag: &'static str, version, text| {
        (dag, format!("version {version} from {dag}.yaml, SHA-256 hash of {text}"))
    };
    assert_eq!(
        told,
        [
            text("e", 1, "one"),
            text("e", 2, "two"),
            text("e", 3, "one"),
            text("x", 1, "one"),
            text("y", 1, "one")
        ]
    );
}
