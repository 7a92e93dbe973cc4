//! What scheduler replicas see in their DAG directories.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use rota_core::id::{DagId, ReplicaId};
use rota_core::port::{FileRecord, FileSeen, FilesPut, PruneRequest, ReplicaBeat, ReplicaState, Store};

use super::world::{World, dag_put};

fn replica() -> ReplicaId {
    ReplicaId::trusted("r1")
}

fn of_dag(dag: &str, hash: Option<&str>) -> FileSeen {
    FileSeen { dag: Some(DagId::trusted(dag)), path: format!("{dag}.yaml"), hash: hash.map(str::to_owned) }
}

async fn record(store: &Arc<dyn Store>, replica: &ReplicaId) -> Vec<FileRecord> {
    let mut record = store.files_record(replica).await.unwrap();
    record.sort_by(|one, other| (&one.dag, &one.path).cmp(&(&other.dag, &other.path)));
    record
}

/// Records what `dag` looks like here; returns the record of it.
async fn see(store: &Arc<dyn Store>, hash: Option<&str>) -> FileRecord {
    store.files_seen(&replica(), &[of_dag("d", hash)]).await.unwrap();
    record(store, &replica()).await.pop().unwrap()
}

async fn updated_at(store: &Arc<dyn Store>) -> DateTime<Utc> {
    store.view_dag(&DagId::trusted("d")).await.unwrap().unwrap().updated_at
}

pub async fn what_a_replica_sees_is_recorded_once(store: Arc<dyn Store>) {
    let _world = World::begin(Arc::clone(&store)).await;
    assert_eq!(record(&store, &replica()).await, vec![]);
    let before = store.now().await.unwrap();
    let broken = FileSeen { dag: None, path: "d".to_owned(), hash: Some("b".to_owned()) };
    store.files_seen(&replica(), &[of_dag("d", Some("x")), broken.clone()]).await.unwrap();
    store.files_seen(&ReplicaId::trusted("r2"), &[of_dag("d", Some("y"))]).await.unwrap();
    let first = record(&store, &replica()).await;
    let named: Vec<_> =
        first.iter().map(|row| (row.dag.as_ref().map(DagId::as_str), row.path.as_str())).collect();
    assert_eq!(
        named,
        vec![(None, "d"), (Some("d"), "d.yaml")],
        "a path and a DAG of one name are two things"
    );
    assert_eq!((first[1].hash.as_deref(), first[1].prev_hash.as_deref()), (Some("x"), None));
    // Two clocks of one store may differ by a hair.
    assert!(first[1].seen_at >= before - TimeDelta::seconds(1), "{first:?}");
    store.files_seen(&replica(), &[of_dag("d", Some("x")), broken]).await.unwrap();
    assert_eq!(record(&store, &replica()).await, first, "the same again changes nothing");
    let moved = FileSeen { path: "team/d.yaml".to_owned(), ..of_dag("d", Some("x")) };
    store.files_seen(&replica(), &[moved]).await.unwrap();
    let row = record(&store, &replica()).await.remove(1);
    assert_eq!(
        row,
        FileRecord { path: "team/d.yaml".to_owned(), ..first[1].clone() },
        "another name is no edit"
    );
    store.files_seen(&replica(), &[]).await.unwrap();
}

pub async fn a_record_remembers_the_version_that_was_left(store: Arc<dyn Store>) {
    let world = World::begin(Arc::clone(&store)).await;
    let here = see(&store, Some("hash of one")).await;
    assert_eq!(here.prev_hash, None);
    let left = see(&store, Some("x")).await;
    assert_eq!((left.hash.as_deref(), left.prev_hash.as_deref()), (Some("x"), Some("hash of one")));
    assert!(left.seen_at > here.seen_at && left.seen_at > updated_at(&store).await);
    let further = see(&store, Some("y")).await;
    assert_eq!(further.prev_hash, left.prev_hash, "what was never the store's is not remembered");
    assert!(further.seen_at > left.seen_at);
    world.put(dag_put("d", "two")).await;
    see(&store, Some("hash of two")).await;
    let back = see(&store, Some("hash of one")).await;
    assert_eq!(back.prev_hash.as_deref(), Some("hash of two"));
}

pub async fn a_record_remembers_an_absence_that_was_left(store: Arc<dyn Store>) {
    let world = World::begin(Arc::clone(&store)).await;
    see(&store, Some("hash of one")).await;
    let gone = see(&store, None).await;
    assert_eq!((gone.hash.as_deref(), gone.prev_hash.as_deref()), (None, Some("hash of one")));
    let files = FilesPut { gone: vec![DagId::trusted("d")], at: gone.seen_at, ..FilesPut::default() };
    store.files_put(world.epoch, &files).await.unwrap();
    let back = see(&store, Some("hash of one")).await;
    assert_eq!((back.hash.as_deref(), back.prev_hash.as_deref()), (Some("hash of one"), Some("")));
    assert!(back.seen_at > gone.seen_at);
}

pub async fn a_change_is_later_than_what_it_left_whatever_the_clock_did(store: Arc<dyn Store>) {
    let world = World::begin(Arc::clone(&store)).await;
    see(&store, Some("hash of two")).await;
    let at = store.now().await.unwrap() + TimeDelta::hours(1);
    let files = FilesPut { dags: vec![dag_put("d", "two")], at, ..FilesPut::default() };
    store.files_put(world.epoch, &files).await.unwrap();
    let left = see(&store, Some("x")).await;
    assert!(left.seen_at > at);
    assert!(see(&store, Some("y")).await.seen_at > left.seen_at);
}

pub async fn a_dag_says_since_when_it_is_gone_or_back(store: Arc<dyn Store>) {
    let world = World::begin(Arc::clone(&store)).await;
    let at = |hours| world.at + TimeDelta::hours(hours);
    let gone = FilesPut { gone: vec![DagId::trusted("d")], at: at(1), ..FilesPut::default() };
    store.files_put(world.epoch, &gone).await.unwrap();
    assert_eq!(updated_at(&store).await, at(1));
    let back = FilesPut { dags: vec![dag_put("d", "one")], at: at(2), ..FilesPut::default() };
    store.files_put(world.epoch, &back).await.unwrap();
    assert_eq!(updated_at(&store).await, at(2));
    let same = FilesPut { at: at(3), ..back };
    store.files_put(world.epoch, &same).await.unwrap();
    assert_eq!(updated_at(&store).await, at(2));
}

pub async fn contents_that_were_versions_are_known(store: Arc<dyn Store>) {
    let world = World::begin(Arc::clone(&store)).await;
    for source in ["two", "one"] {
        world.put(dag_put("d", source)).await;
    }
    let content = |dag: &str, hash: &str| (DagId::trusted(dag), hash.to_owned());
    let (one, two) = (content("d", "hash of one"), content("d", "hash of two"));
    let asked = [one.clone(), content("d", "hash of three"), content("e", "hash of one"), two.clone()];
    let mut known = store.versions_known(&asked).await.unwrap();
    known.sort();
    assert_eq!(known, vec![one, two]);
    assert_eq!(store.versions_known(&[]).await.unwrap(), vec![]);
}

fn beat() -> ReplicaBeat {
    ReplicaBeat {
        id: replica(),
        host: "host".to_owned(),
        pid: 1,
        version: "test".to_owned(),
        zones: "2026f".to_owned(),
        dags_dir: None,
        state: ReplicaState::Standby,
        epoch: None,
        turned_ago: None,
        trouble: None,
    }
}

pub async fn the_last_turn_and_the_trouble_of_a_replica_are_those_of_its_last_beat(store: Arc<dyn Store>) {
    let of = async |beat: &ReplicaBeat| {
        store.replica_beat(beat).await.unwrap();
        let row = store.view_replicas().await.unwrap().pop().unwrap();
        (row.turned_at.map(|at| row.seen_at - at), row.trouble)
    };
    let (ago, why) = (Duration::from_secs(7), "its disk is full".to_owned());
    let stuck = ReplicaBeat { turned_ago: Some(ago), trouble: Some(why.clone()), ..beat() };
    assert_eq!(of(&stuck).await, (Some(TimeDelta::seconds(7)), Some(why)));
    let leads = ReplicaBeat { turned_ago: Some(Duration::ZERO), ..beat() };
    assert_eq!(of(&leads).await, (Some(TimeDelta::zero()), None));
    assert_eq!(of(&beat()).await, (None, None), "one that stands by turns nothing");
}

pub async fn replicas_that_are_long_gone_are_forgotten(store: Arc<dyn Store>) {
    let world = World::begin(Arc::clone(&store)).await;
    let beat = beat();
    store.replica_beat(&beat).await.unwrap();
    let row = store.view_replicas().await.unwrap().into_iter().find(|row| row.id == replica()).unwrap();
    assert_eq!((row.version.as_str(), row.zones.as_str()), ("test", "2026f"));
    see(&store, Some("x")).await;
    let now = store.now().await.unwrap();
    let prune = async |before| store.prune(world.epoch, PruneRequest { before, runs_max: 10 }).await.unwrap();
    prune(now - TimeDelta::hours(1)).await;
    assert_eq!(record(&store, &replica()).await.len(), 1);
    prune(now + TimeDelta::hours(1)).await;
    assert_eq!(record(&store, &replica()).await, vec![]);
    assert_eq!(store.view_replicas().await.unwrap(), vec![]);
}
