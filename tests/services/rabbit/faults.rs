//! What becomes of the broker's users when the server dies, forgets, hangs up, hangs or wants no messages.

use std::time::{Duration, Instant};

use rota_backend::{QueueKind, RabbitBroker};
use rota_core::id::WorkerId;
use rota_core::port::{Bell, Bells, Broker, Change, Changes, Nudges};
use rota_tests::conformance::{until, within};
use tokio::task::block_in_place;

use super::support::*;

/// Far longer than a call may take by its own bounds.
const CALL_MAX: Duration = Duration::from_secs(15);

/// One listener of each kind.
struct Listeners {
    bells: Box<dyn Bells>,
    nudges: Box<dyn Nudges>,
    changes: Box<dyn Changes>,
}

impl Listeners {
    async fn of(broker: &RabbitBroker) -> Self {
        Self {
            bells: broker.bells().await.unwrap(),
            nudges: broker.nudges(&WorkerId::trusted("w")).await.unwrap(),
            changes: broker.changes().await.unwrap(),
        }
    }

    /// Each is told once that it may have missed something.
    async fn hear_of_the_gap(&mut self) {
        let bells = within("the bells after the gap", self.bells.next(10)).await.unwrap();
        assert_eq!(bells, [Bell::Intent, Bell::Workers]);
        within("the nudge after the gap", self.nudges.next()).await.unwrap();
        assert_eq!(within("the news after the gap", self.changes.next()).await.unwrap(), None);
    }

    /// Each hears what is said now, and nothing else.
    async fn hear(&mut self, broker: &RabbitBroker) {
        let bell = Bell::Finished(vec![attempt(1)]);
        broker.ring(bell.clone()).await.unwrap();
        assert_eq!(within("the bell", self.bells.next(10)).await.unwrap(), [bell]);
        broker.nudge(&WorkerId::trusted("w")).await.unwrap();
        within("the nudge", self.nudges.next()).await.unwrap();
        broker.announce(&[Change::Fleet]).await.unwrap();
        assert_eq!(within("the news", self.changes.next()).await.unwrap(), Some(vec![Change::Fleet]));
    }
}

/// Waits until publishers are told at once that there is no broker.
async fn refused(broker: &RabbitBroker) {
    until("the refusal", async || broker.publish(&dispatches("a", 1..2)).await.err()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_costs_only_time() {
    let mut rabbit = rough().await;
    for kind in KINDS {
        let options = options(&rabbit, kind);
        let prefix = options.prefix.clone();
        let broker = connected(options).await;
        let mut listeners = Listeners::of(&broker).await;
        listeners.hear(&broker).await;
        publish(&broker, "kept", 0..20).await;
        publish(&broker, "a", 0..1).await;
        let mut consumer = subscribe(&broker, &["a"]).await;
        take(&mut *consumer, attempts(0..1)).await;
        if kind == QueueKind::Quorum {
            block_in_place(|| rabbit.quorum_queues_are_kept(&prefix, 3));
        }
        let waits = tokio::spawn(async move { consumer.next(5).await });

        block_in_place(|| rabbit.kill());
        let ended = within("the end of the subscription", waits).await.unwrap();
        assert!(ended.is_err(), "{ended:?}");
        let why = is_down(&broker).await;
        assert!(why.contains(&format!("rabbitmq at 127.0.0.1:{}", rabbit.port())), "{why}");
        let asked = Instant::now();
        let published = broker.publish(&dispatches("a", 1..2)).await;
        assert!(published.is_err() || published.is_ok_and(|failed| failed == [attempt(1)]));
        refused(&broker).await;
        broker.ring(Bell::Intent).await.unwrap_err();
        assert!(broker.consume(&[queue("a")]).await.is_err());
        let mut late = Listeners::of(&broker).await;
        assert!(asked.elapsed() < CALL_MAX, "nobody waits for a broker that is away");

        block_in_place(|| rabbit.start_again());
        is_up(&broker).await;
        listeners.hear_of_the_gap().await;
        late.hear_of_the_gap().await;
        listeners.hear(&broker).await;
        publish(&broker, "a", 2..5).await;
        take(&mut *subscribe(&broker, &["a"]).await, attempts(2..5)).await;
        take(&mut *subscribe(&broker, &["kept"]).await, attempts(0..20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wiped_server_is_furnished_again() {
    let mut rabbit = rough().await;
    for kind in KINDS {
        let broker = connected(options(&rabbit, kind)).await;
        let mut listeners = Listeners::of(&broker).await;
        publish(&broker, "a", 0..5).await;
        block_in_place(|| rabbit.wipe());
        is_up(&broker).await;
        listeners.hear_of_the_gap().await;
        listeners.hear(&broker).await;
        publish(&broker, "a", 5..10).await;
        take(&mut *subscribe(&broker, &["a"]).await, attempts(5..10)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closed_connections_are_opened_again() {
    let rabbit = rough().await;
    let broker = connected(options(&rabbit, QueueKind::Classic)).await;
    let mut listeners = Listeners::of(&broker).await;
    let mut consumer = subscribe(&broker, &["a"]).await;
    for round in 0..3 {
        publish(&broker, "a", round..round + 1).await;
        take(&mut *consumer, attempts(round..round + 1)).await;
        let waits = tokio::spawn(async move { consumer.next(1).await });
        block_in_place(|| rabbit.ctl(&["close_all_connections", "a test"]));
        assert!(within("the end of the subscription", waits).await.unwrap().is_err());
        listeners.hear_of_the_gap().await;
        is_up(&broker).await;
        consumer = subscribe(&broker, &["a"]).await;
    }
}

/// Raises the alarm for memory, and takes it back when dropped.
struct Alarm<'r>(&'r rota_tests::services::rabbit::Rabbit);

impl<'r> Alarm<'r> {
    fn raise(rabbit: &'r rota_tests::services::rabbit::Rabbit) -> Self {
        rabbit.ctl(&["set_vm_memory_high_watermark", "0.00001"]);
        Self(rabbit)
    }
}

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        self.0.ctl(&["set_vm_memory_high_watermark", "0.4"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_takes_no_messages_still_delivers_them() {
    let rabbit = rough().await;
    for kind in KINDS {
        let broker = connected(options(&rabbit, kind)).await;
        publish(&broker, "a", 0..8).await;
        let mut consumer = subscribe(&broker, &["a"]).await;
        let alarm = block_in_place(|| Alarm::raise(&rabbit));
        // The first one may be written before the server says that it wants none; it is reported as failed.
        let blocked = async || {
            let asked = Instant::now();
            let published = broker.publish(&dispatches("a", 100..102)).await;
            assert!(asked.elapsed() < CALL_MAX, "bounded: {:?}", asked.elapsed());
            assert_ne!(published.as_deref().ok(), Some([].as_slice()), "nothing was taken");
            published.err().filter(|error| error.to_string().contains("blocks publishers"))
        };
        until("the refusal", blocked).await;
        let why = is_down(&broker).await;
        assert!(why.starts_with("rabbitmq blocks publishers: "), "{why}");
        broker.ring(Bell::Intent).await.unwrap_err();
        take(&mut *consumer, attempts(0..8)).await;
        drop(consumer);
        block_in_place(|| drop(alarm));
        is_up(&broker).await;
        publish(&broker, "a", 8..20).await;
        take(&mut *subscribe(&broker, &["a"]).await, attempts(8..20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_hangs_keeps_nobody_waiting() {
    let rabbit = rough().await;
    let broker = connected(options(&rabbit, QueueKind::Classic)).await;
    publish(&broker, "a", 0..1).await;
    let mut consumer = subscribe(&broker, &["a"]).await;
    rabbit.stop();
    let asked = Instant::now();
    let failed = broker.publish(&dispatches("a", 1..3)).await;
    let took = asked.elapsed();
    let subscribed = broker.consume(&[queue("a")]).await;
    let subscribing_took = asked.elapsed() - took;
    rabbit.cont();
    assert!(failed.is_err() || failed.is_ok_and(|failed| failed.len() == 2));
    assert!(took < CALL_MAX && subscribing_took < CALL_MAX, "{took:?}, {subscribing_took:?}");
    assert!(subscribed.is_err());
    is_up(&broker).await;
    publish(&broker, "a", 1..3).await;
    // The old subscription goes on or ends, it never just hangs.
    let taken = async {
        while let Ok(deliveries) = consumer.next(4).await {
            let tags: Vec<u64> = deliveries.iter().map(|delivery| delivery.tag).collect();
            if consumer.ack(&tags).await.is_err() || deliveries.iter().any(|it| it.key == attempt(2)) {
                return;
            }
        }
        take(&mut *subscribe(&broker, &["a"]).await, attempts(1..3)).await;
    };
    within("the messages", taken).await;
}
