//! What the tests of RabbitMQ share: the servers, and what a leader and a worker do with a broker.

use std::collections::HashSet;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use rota_backend::{QueueKind, RabbitBroker, RabbitOptions};
use rota_core::id::{AttemptKey, QueueName, RunId, TaskKey, TaskNo};
use rota_core::port::{Broker, Consumer, Dispatch};
use rota_tests::conformance::{until, within};
use rota_tests::services::rabbit::Rabbit;
use tokio::sync::{Mutex, MutexGuard};

pub(crate) const KINDS: [QueueKind; 2] = [QueueKind::Classic, QueueKind::Quorum];

/// The server that nobody harms.
pub(crate) async fn calm() -> &'static Rabbit {
    static CALM: OnceLock<Rabbit> = OnceLock::new();
    tokio::task::spawn_blocking(|| CALM.get_or_init(Rabbit::start)).await.unwrap()
}

/// The server that this test alone uses until it ends, and may harm.
pub(crate) async fn rough() -> MutexGuard<'static, Rabbit> {
    static ROUGH: OnceLock<Mutex<Rabbit>> = OnceLock::new();
    let start = || ROUGH.get_or_init(|| Mutex::new(Rabbit::start()));
    tokio::task::spawn_blocking(start).await.unwrap().lock().await
}

/// Options with a prefix that no other test has.
pub(crate) fn options(rabbit: &Rabbit, kind: QueueKind) -> RabbitOptions {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let mut options = RabbitOptions::new(vec![rabbit.url()], "test");
    options.prefix = format!("t{}.", NUMBER.fetch_add(1, Ordering::Relaxed));
    options.kind = kind;
    options
}

/// A broker whose connections stand.
pub(crate) async fn connected(options: RabbitOptions) -> RabbitBroker {
    let broker = RabbitBroker::start(options).unwrap();
    is_up(&broker).await;
    broker
}

/// Waits until both connections stand.
pub(crate) async fn is_up(broker: &RabbitBroker) {
    within("the connections", broker.link().wait_for(|link| link.is_up())).await.unwrap();
}

/// Waits until they do not: why.
pub(crate) async fn is_down(broker: &RabbitBroker) -> String {
    let mut link = broker.link();
    within("the loss", link.wait_for(|link| !link.is_up())).await.unwrap().to_string()
}

pub(crate) fn queue(name: &str) -> QueueName {
    QueueName::trusted(name)
}

pub(crate) fn attempt(number: u32) -> AttemptKey {
    TaskKey::single(RunId(1), TaskNo(number)).attempt(1)
}

pub(crate) fn dispatches(name: &str, numbers: std::ops::Range<u32>) -> Vec<Dispatch> {
    numbers.map(|number| Dispatch { key: attempt(number), queue: queue(name), priority: 0 }).collect()
}

pub(crate) fn attempts(numbers: std::ops::Range<u32>) -> HashSet<AttemptKey> {
    numbers.map(attempt).collect()
}

/// Publishes as the leader does: what failed is published again.
pub(crate) async fn publish(broker: &RabbitBroker, name: &str, numbers: std::ops::Range<u32>) {
    let mut left = dispatches(name, numbers);
    until("the publication", async || {
        match broker.publish(&left).await {
            Ok(failed) => left.retain(|dispatch| failed.contains(&dispatch.key)),
            Err(error) => println!("publishing again: {error}"),
        }
        left.is_empty().then_some(())
    })
    .await;
}

/// Subscribes as a worker does: again until it works.
pub(crate) async fn subscribe(broker: &RabbitBroker, names: &[&str]) -> Box<dyn Consumer> {
    let queues: Vec<QueueName> = names.iter().map(|name| queue(name)).collect();
    until("the subscription", async || broker.consume(&queues).await.ok()).await
}

/// Takes and acknowledges until all of `keys` have come, some perhaps twice.
pub(crate) async fn take(consumer: &mut dyn Consumer, mut keys: HashSet<AttemptKey>) {
    while !keys.is_empty() {
        let deliveries = within("a delivery", consumer.next(keys.len())).await.unwrap();
        let tags: Vec<u64> = deliveries.iter().map(|delivery| delivery.tag).collect();
        consumer.ack(&tags).await.unwrap();
        for delivery in deliveries {
            keys.remove(&delivery.key);
        }
    }
}

/// Messages that lie ready in a queue at the broker.
pub(crate) fn lying_ready(rabbit: &Rabbit, name: &str) -> Option<u32> {
    let listed = rabbit.ctl(&["list_queues", "--quiet", "name", "messages_ready"]);
    let mut rows = listed.lines().filter_map(|line| line.split_once('\t'));
    rows.find(|(queue, _)| *queue == name).and_then(|(_, count)| count.trim().parse().ok())
}
