//! What people write.

use std::collections::HashSet;
use std::sync::Arc;

use rota_core::id::{DagId, DagVersion, RunId, TaskName};
use rota_core::port::{Batch, Deed, FilesPut, IntentKind, RetrySelection, RunFilter, Store, TriggerRequest};
use rota_core::state::{RunState, Trigger};

use super::world::{World, admin, assert_not_found, assert_refused};

pub async fn a_trigger_makes_a_queued_run(store: Arc<dyn Store>) {
    let world = World::begin(Arc::clone(&store)).await;
    let params = [("region".to_owned(), "eu".into())].into_iter().collect();
    let request = TriggerRequest { params, ..world.request() };
    let first = store.run_trigger(&request, &admin()).await.unwrap();
    assert!(first.created);
    let run = store.run_load(first.run.id).await.unwrap().unwrap();
    assert_eq!(run, first.run);
    assert_eq!((run.state, run.trigger, run.slot), (RunState::Queued, Trigger::Manual, None));
    assert_eq!((run.version, run.params), (DagVersion(1), request.params.clone()));
    let second = store.run_trigger(&request, &admin()).await.unwrap();
    assert!(second.created && second.run.id > first.run.id, "without a key every request is a run");
}

pub async fn an_idempotency_key_makes_one_run(store: Arc<dyn Store>) {
    let world = World::begin(Arc::clone(&store)).await;
    world.put(super::world::dag_put("e", "one")).await;
    let request = |dag: &str| TriggerRequest {
        dag: DagId::trusted(dag),
        idempotency_key: Some("k".to_owned()),
        ..world.request()
    };
    let first = store.run_trigger(&request("d"), &admin()).await.unwrap();
    let again = store.run_trigger(&request("d"), &admin()).await.unwrap();
    assert_eq!((first.created, again.created, again.run.id), (true, false, first.run.id));
    let elsewhere = store.run_trigger(&request("e"), &admin()).await.unwrap();
    assert!(elsewhere.created, "the key counts within its DAG");
}

pub async fn concurrent_triggers_with_one_key_make_one_run(store: Arc<dyn Store>) {
    let world = World::begin(Arc::clone(&store)).await;
    let request = TriggerRequest { idempotency_key: Some("k".to_owned()), ..world.request() };
    let triggers: Vec<_> = (0..20)
        .map(|_| {
            let (store, request) = (Arc::clone(&store), request.clone());
            tokio::spawn(async move { store.run_trigger(&request, &admin()).await.unwrap() })
        })
        .collect();
    let (mut created, mut ids) = (0, HashSet::new());
    for trigger in triggers {
        let triggered = trigger.await.unwrap();
        created += u32::from(triggered.created);
        ids.insert(triggered.run.id);
    }
    assert_eq!((created, ids.len()), (1, 1));
}

pub async fn a_trigger_of_an_unknown_or_gone_dag_is_refused(store: Arc<dyn Store>) {
    let world = World::begin(Arc::clone(&store)).await;
    let unknown = TriggerRequest { dag: DagId::trusted("x"), ..world.request() };
    assert_not_found(store.run_trigger(&unknown, &admin()).await);
    let future = TriggerRequest { version: DagVersion(9), ..world.request() };
    assert_not_found(store.run_trigger(&future, &admin()).await);
    let gone = FilesPut { gone: vec![DagId::trusted("d")], at: world.at, ..FilesPut::default() };
    store.files_put(world.epoch, &gone).await.unwrap();
    assert_not_found(store.run_trigger(&world.request(), &admin()).await);
    assert_eq!(store.view_runs(&RunFilter { limit: 10, ..RunFilter::default() }).await.unwrap(), vec![]);
}

pub async fn a_pause_says_whether_it_changed_anything(store: Arc<dyn Store>) {
    let _world = World::begin(Arc::clone(&store)).await;
    let dag = DagId::trusted("d");
    for (paused, changes) in [(false, false), (true, true), (true, false), (false, true)] {
        assert_eq!(store.dag_pause(&dag, paused, &admin()).await.unwrap(), changes);
        assert_eq!(store.view_dag(&dag).await.unwrap().unwrap().paused, paused);
    }
    assert_not_found(store.dag_pause(&DagId::trusted("x"), true, &admin()).await);
}

pub async fn an_intent_waits_until_it_is_done(store: Arc<dyn Store>) {
    let world = World::begin(Arc::clone(&store)).await;
    let run = world.run().await;
    let retry = IntentKind::Retry(RetrySelection::Tasks(vec![TaskName::trusted("load")]));
    let first = store.intent_add(run, &IntentKind::Cancel, &admin()).await.unwrap();
    let second = store.intent_add(run, &retry, &admin()).await.unwrap();
    let pending = store.intents_pending(10).await.unwrap();
    assert_eq!(pending.iter().map(|intent| intent.id).collect::<Vec<_>>(), [first, second]);
    assert_eq!((pending[1].run, &pending[1].kind, pending[1].actor.as_str()), (run, &retry, "admin"));
    assert_eq!(store.intents_pending(1).await.unwrap().len(), 1);
    let done = |id| Batch { intents_done: vec![(id, "2 tasks".to_owned())], ..Batch::default() };
    world.commit(done(first)).await.unwrap();
    super::world::assert_conflict(world.commit(done(first)).await);
    assert_eq!(store.intents_pending(10).await.unwrap(), pending[1..]);
}

pub async fn a_pointless_intent_is_refused(store: Arc<dyn Store>) {
    let world = World::begin(Arc::clone(&store)).await;
    let run = world.run().await;
    let retry = IntentKind::Retry(RetrySelection::Failed);
    world.move_run(run, RunState::Running, RunState::Success).await.unwrap();
    assert_refused(store.intent_add(run, &IntentKind::Cancel, &admin()).await);
    store.intent_add(run, &retry, &admin()).await.unwrap();
    let queued = store.run_trigger(&world.request(), &admin()).await.unwrap().run.id;
    assert_refused(store.intent_add(queued, &retry, &admin()).await);
    store.intent_add(queued, &IntentKind::Cancel, &admin()).await.unwrap();
    assert_not_found(store.intent_add(RunId(999), &retry, &admin()).await);
    assert_eq!(store.intents_pending(10).await.unwrap().len(), 2);
}

pub async fn every_intent_is_audited_with_its_outcome(store: Arc<dyn Store>) {
    let world = World::begin(Arc::clone(&store)).await;
    let run = store.run_trigger(&world.request(), &admin()).await.unwrap().run.id;
    store.dag_pause(&DagId::trusted("d"), true, &admin()).await.unwrap();
    store.dag_pause(&DagId::trusted("d"), false, &admin()).await.unwrap();
    let cancel = store.intent_add(run, &IntentKind::Cancel, &admin()).await.unwrap();
    let audit = store.view_audit(None, 10).await.unwrap();
    let seen: Vec<_> = audit.iter().rev().map(|row| (row.action.as_str(), row.subject.clone())).collect();
    let expected = [
        ("dag_version", "d".to_owned()),
        ("run_trigger", "d".to_owned()),
        ("dag_pause", "d".to_owned()),
        ("dag_unpause", "d".to_owned()),
        ("run_cancel", run.to_string()),
    ];
    assert_eq!(seen, expected);
    let by_people = &audit[..audit.len() - 1];
    assert!(by_people.iter().all(|row| row.actor == "admin" && row.origin == "127.0.0.1"));
    assert_eq!(audit[0].outcome, None);
    let intents_done = vec![(cancel, "never started".to_owned())];
    world.commit(Batch { intents_done, ..Batch::default() }).await.unwrap();
    assert_eq!(store.view_audit(None, 1).await.unwrap()[0].outcome.as_deref(), Some("never started"));
}

pub async fn deeds_are_audited_in_their_order_and_an_instant_apart(store: Arc<dyn Store>) {
    let world = World::begin(Arc::clone(&store)).await;
    let deed = |number: usize| Deed {
        actor: admin(),
        action: "sign_in_failed",
        subject: String::new(),
        outcome: (number > 0).then(|| format!("{number} \0 more")),
    };
    let deeds: Vec<Deed> = (0..5).map(deed).collect();
    store.audit_add(&[]).await.unwrap();
    store.audit_add(&deeds).await.unwrap();
    let audit = store.view_audit(None, 5).await.unwrap();
    let outcomes: Vec<_> = audit.iter().rev().map(|row| row.outcome.clone()).collect();
    let expected =
        [None, Some(1), Some(2), Some(3), Some(4)].map(|n| n.map(|n| format!("{n} \u{FFFD} more")));
    assert_eq!(outcomes, expected);
    assert!(audit.iter().all(|row| row.action == "sign_in_failed" && row.origin == "127.0.0.1"));
    assert!(audit.is_sorted_by(|newer, older| newer.at > older.at), "pages are cut between instants");
    assert!(audit[4].at >= world.at);
}
