//! What every broker must do. Messages may be lost or doubled, says the port; over a healthy broker they are not, and
//! that is what these claims hold it to. Priorities are a broker's own affair.

#![expect(missing_docs, reason = "a claim says all in its name")]

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use rota_core::id::{AttemptKey, DagId, QueueName, RunId, TaskKey, TaskNo, WorkerId};
use rota_core::port::{Bell, Broker, Change, Consumer, Dispatch};

use super::within;

/// How long a claim watches that nothing comes.
const QUIET: Duration = Duration::from_millis(100);

/// One test per claim; `open` returns `Opened<dyn Broker>` with no messages in it.
#[macro_export]
macro_rules! broker_suite {
    ($open:path) => {
        $crate::claims!($open, broker: [
            what_is_published_arrives_once_and_in_order,
            a_consumer_takes_no_more_than_it_asks_for,
            a_waiting_consumer_wakes_when_something_arrives,
            a_consumer_hears_only_its_own_queues,
            consumers_of_one_queue_share_the_work,
            what_was_not_acknowledged_goes_to_the_next,
            what_was_acknowledged_does_not_come_back,
            publishing_without_a_consumer_keeps_the_message,
            every_bell_is_heard,
            a_bell_rung_before_the_look_is_not_missed,
            ringing_without_a_listener_is_no_error,
            a_nudge_reaches_its_worker_only,
            changes_reach_every_dashboard,
        ]);
    };
}

fn attempt(number: u32) -> AttemptKey {
    TaskKey::single(RunId(1), TaskNo(number)).attempt(1)
}

fn queue(name: &str) -> QueueName {
    QueueName::trusted(name)
}

fn dispatches(name: &str, numbers: std::ops::Range<u32>) -> Vec<Dispatch> {
    numbers.map(|number| Dispatch { key: attempt(number), queue: queue(name), priority: 0 }).collect()
}

async fn publish(broker: &dyn Broker, dispatches: &[Dispatch]) {
    assert_eq!(within("publish", broker.publish(dispatches)).await.unwrap(), vec![]);
}

/// Takes and acknowledges until `count` have arrived.
async fn take(consumer: &mut dyn Consumer, count: usize) -> Vec<AttemptKey> {
    let mut keys = Vec::new();
    while keys.len() < count {
        let deliveries = within("a delivery", consumer.next(count - keys.len())).await.unwrap();
        let tags: Vec<u64> = deliveries.iter().map(|delivery| delivery.tag).collect();
        consumer.ack(&tags).await.unwrap();
        keys.extend(deliveries.into_iter().map(|delivery| delivery.key));
    }
    keys
}

async fn assert_nothing_comes(consumer: &mut dyn Consumer) {
    let more = tokio::time::timeout(QUIET, consumer.next(1)).await;
    assert!(more.is_err(), "nothing more was to come: {more:?}");
}

pub async fn what_is_published_arrives_once_and_in_order(broker: Arc<dyn Broker>) {
    let mut consumer = broker.consume(&[queue("a")]).await.unwrap();
    publish(&*broker, &dispatches("a", 0..100)).await;
    let keys = take(&mut *consumer, 100).await;
    assert_eq!(keys, (0..100).map(attempt).collect::<Vec<_>>());
    assert_nothing_comes(&mut *consumer).await;
}

pub async fn a_consumer_takes_no_more_than_it_asks_for(broker: Arc<dyn Broker>) {
    let mut consumer = broker.consume(&[queue("a")]).await.unwrap();
    publish(&*broker, &dispatches("a", 0..10)).await;
    let first = within("a delivery", consumer.next(3)).await.unwrap();
    assert!((1..=3).contains(&first.len()));
}

pub async fn a_waiting_consumer_wakes_when_something_arrives(broker: Arc<dyn Broker>) {
    let mut consumer = broker.consume(&[queue("a")]).await.unwrap();
    let waiting = tokio::spawn(async move { take(&mut *consumer, 1).await });
    tokio::task::yield_now().await;
    publish(&*broker, &dispatches("a", 7..8)).await;
    assert_eq!(within("the wake-up", waiting).await.unwrap(), vec![attempt(7)]);
}

pub async fn a_consumer_hears_only_its_own_queues(broker: Arc<dyn Broker>) {
    let mut consumer = broker.consume(&[queue("a"), queue("b")]).await.unwrap();
    publish(&*broker, &dispatches("c", 0..1)).await;
    publish(&*broker, &dispatches("b", 1..2)).await;
    publish(&*broker, &dispatches("a", 2..3)).await;
    let keys: HashSet<AttemptKey> = take(&mut *consumer, 2).await.into_iter().collect();
    assert_eq!(keys, HashSet::from([attempt(1), attempt(2)]));
    assert_nothing_comes(&mut *consumer).await;
}

pub async fn consumers_of_one_queue_share_the_work(broker: Arc<dyn Broker>) {
    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
    let consumers: Vec<_> = (0..4)
        .map(|_| {
            let (broker, sender) = (Arc::clone(&broker), sender.clone());
            tokio::spawn(async move {
                let mut consumer = broker.consume(&[queue("a")]).await.unwrap();
                loop {
                    for key in take(&mut *consumer, 1).await {
                        sender.send(key).unwrap();
                    }
                }
            })
        })
        .collect();
    publish(&*broker, &dispatches("a", 0..500)).await;
    let mut keys = Vec::new();
    while keys.len() < 500 {
        keys.push(within("all deliveries", receiver.recv()).await.unwrap());
    }
    assert_eq!(keys.iter().collect::<HashSet<_>>().len(), 500, "each must arrive once");
    consumers.iter().for_each(tokio::task::JoinHandle::abort);
}

pub async fn what_was_not_acknowledged_goes_to_the_next(broker: Arc<dyn Broker>) {
    publish(&*broker, &dispatches("a", 0..3)).await;
    let mut first = broker.consume(&[queue("a")]).await.unwrap();
    let mut held = 0;
    while held < 3 {
        held += within("a delivery", first.next(3 - held)).await.unwrap().len();
    }
    let mut second = broker.consume(&[queue("a")]).await.unwrap();
    drop(first);
    let keys: HashSet<AttemptKey> = take(&mut *second, 3).await.into_iter().collect();
    assert_eq!(keys, (0..3).map(attempt).collect());
}

pub async fn what_was_acknowledged_does_not_come_back(broker: Arc<dyn Broker>) {
    publish(&*broker, &dispatches("a", 0..2)).await;
    let mut first = broker.consume(&[queue("a")]).await.unwrap();
    take(&mut *first, 2).await;
    drop(first);
    let mut second = broker.consume(&[queue("a")]).await.unwrap();
    assert_nothing_comes(&mut *second).await;
}

pub async fn publishing_without_a_consumer_keeps_the_message(broker: Arc<dyn Broker>) {
    let consumer = broker.consume(&[queue("a")]).await.unwrap();
    drop(consumer);
    publish(&*broker, &dispatches("a", 5..6)).await;
    let mut consumer = broker.consume(&[queue("a")]).await.unwrap();
    assert_eq!(take(&mut *consumer, 1).await, vec![attempt(5)]);
}

pub async fn every_bell_is_heard(broker: Arc<dyn Broker>) {
    let mut bells = broker.bells().await.unwrap();
    for number in 0..50 {
        broker.ring(Bell::Finished(vec![attempt(number)])).await.unwrap();
    }
    for bell in [Bell::Intent, Bell::Intent, Bell::Workers] {
        broker.ring(bell).await.unwrap();
    }
    let (mut finished, mut others) = (HashSet::new(), HashSet::new());
    while finished.len() < 50 || others.len() < 2 {
        for bell in within("the bells", bells.next(2)).await.unwrap() {
            match bell {
                Bell::Finished(keys) => finished.extend(keys),
                other => drop(others.insert(format!("{other:?}"))),
            }
        }
    }
    assert_eq!(finished, (0..50).map(attempt).collect());
}

pub async fn a_bell_rung_before_the_look_is_not_missed(broker: Arc<dyn Broker>) {
    let mut bells = broker.bells().await.unwrap();
    broker.ring(Bell::Intent).await.unwrap();
    assert_eq!(within("the bell", bells.next(10)).await.unwrap(), vec![Bell::Intent]);
}

pub async fn ringing_without_a_listener_is_no_error(broker: Arc<dyn Broker>) {
    within("the ring", broker.ring(Bell::Workers)).await.unwrap();
    within("the nudge", broker.nudge(&WorkerId::trusted("nobody"))).await.unwrap();
    within("the news", broker.announce(&[Change::Fleet])).await.unwrap();
}

pub async fn a_nudge_reaches_its_worker_only(broker: Arc<dyn Broker>) {
    let (one, other) = (WorkerId::trusted("one"), WorkerId::trusted("other"));
    let mut of_one = broker.nudges(&one).await.unwrap();
    let mut of_other = broker.nudges(&other).await.unwrap();
    broker.nudge(&one).await.unwrap();
    within("the nudge", of_one.next()).await.unwrap();
    assert!(tokio::time::timeout(QUIET, of_other.next()).await.is_err());
}

pub async fn changes_reach_every_dashboard(broker: Arc<dyn Broker>) {
    let mut dashboards = [broker.changes().await.unwrap(), broker.changes().await.unwrap()];
    let sent = [Change::Fleet, Change::Dag(DagId::trusted("d"))];
    for change in &sent {
        broker.announce(std::slice::from_ref(change)).await.unwrap();
    }
    for dashboard in &mut dashboards {
        let mut seen = Vec::new();
        while seen.len() < sent.len() {
            seen.extend(within("the news", dashboard.next()).await.unwrap().expect("nothing was lost"));
        }
        assert_eq!(seen, sent);
    }
}
