//! What becomes of messages: nobody hoards them, poison is put aside, and queues may vanish or differ.

use std::collections::HashSet;
use std::time::Duration;

use lapin::options::BasicPublishOptions;
use lapin::{BasicProperties, Connection, ConnectionProperties};
use rota_backend::{QueueKind, RabbitBroker, RabbitOptions};
use rota_core::port::Broker;
use rota_tests::conformance::{until, within};
use rota_tests::services::rabbit::Rabbit;

use super::support::*;

/// How long it is watched that nothing comes.
const QUIET: Duration = Duration::from_millis(300);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_busy_worker_did_not_ask_for_goes_to_an_idle_one() {
    for kind in KINDS {
        let broker = connected(options(calm().await, kind)).await;
        publish(&broker, "a", 0..10).await;
        let mut busy = subscribe(&broker, &["a"]).await;
        let first = within("a delivery", busy.next(1)).await.unwrap();
        assert_eq!(first.len(), 1);
        let mut idle = subscribe(&broker, &["a"]).await;
        let others = attempts(0..10).into_iter().filter(|key| *key != first[0].key).collect();
        take(&mut *idle, others).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledging_does_not_pull_in_what_nobody_asked_for() {
    for kind in KINDS {
        let broker = connected(options(calm().await, kind)).await;
        publish(&broker, "a", 0..40).await;
        let mut busy = subscribe(&broker, &["a"]).await;
        let mut left = attempts(0..40);
        for room in [4, 4, 2, 1, 4] {
            let deliveries = within("a delivery", busy.next(room)).await.unwrap();
            assert!(deliveries.len() <= room);
            let tags: Vec<u64> = deliveries.iter().map(|delivery| delivery.tag).collect();
            busy.ack(&tags).await.unwrap();
            left.retain(|key| deliveries.iter().all(|delivery| delivery.key != *key));
        }
        // It is busy from here on, without having left.
        let mut idle = subscribe(&broker, &["a"]).await;
        take(&mut *idle, left).await;
        let again = tokio::time::timeout(QUIET, idle.next(1)).await;
        assert!(again.is_err(), "what was acknowledged came back: {again:?}");
        drop(busy);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_of_several_queues_gives_back_what_it_has_no_room_for() {
    for kind in KINDS {
        let broker = connected(options(calm().await, kind)).await;
        for name in ["a", "b", "c"] {
            publish(&broker, name, 0..5).await;
        }
        let mut busy = subscribe(&broker, &["a", "b", "c", "a"]).await;
        let taken = within("a delivery", busy.next(2)).await.unwrap();
        assert!((1..=2).contains(&taken.len()), "{taken:?}");
        let mut seen = taken.len();
        let mut idle = subscribe(&broker, &["a", "b", "c"]).await;
        while seen < 15 {
            let deliveries = within("what was given back", idle.next(15)).await.unwrap();
            let tags: Vec<u64> = deliveries.iter().map(|delivery| delivery.tag).collect();
            idle.ack(&tags).await.unwrap();
            seen += deliveries.len();
        }
        assert_eq!(seen, 15, "each comes once");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_is_given_up_loses_nothing() {
    let broker = connected(options(calm().await, QueueKind::Classic)).await;
    let mut consumer = subscribe(&broker, &["a"]).await;
    for round in 0..50 {
        let short = Duration::from_micros(u64::from(round) * 40);
        let early = tokio::time::timeout(short, consumer.next(1 + round as usize % 3)).await;
        assert!(early.is_err(), "nothing was published: {early:?}");
        publish(&broker, "a", round..round + 1).await;
        if let Ok(deliveries) = tokio::time::timeout(short, consumer.next(2)).await {
            let deliveries = deliveries.unwrap();
            assert_eq!(deliveries[0].key, attempt(round));
            consumer.ack(&[deliveries[0].tag]).await.unwrap();
        } else {
            take(&mut *consumer, attempts(round..round + 1)).await;
        }
    }
}

/// Puts `bodies` into a queue, as somebody else might.
async fn put(broker_url: &str, queue: &str, bodies: &[Vec<u8>]) {
    let connection = Connection::connect(broker_url, ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    for body in bodies {
        let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
        channel
            .basic_publish("".into(), queue.into(), options, body, properties)
            .await
            .unwrap()
            .await
            .unwrap();
    }
    connection.close(200, "done".into()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn poison_is_put_aside_and_later_messages_arrive() {
    for kind in KINDS {
        let rabbit = calm().await;
        let options = options(rabbit, kind);
        let prefix = options.prefix.clone();
        let broker = connected(options).await;
        let mut consumer = subscribe(&broker, &["a"]).await;
        let poison = [
            b"".to_vec(),
            b"garbage".to_vec(),
            vec![0xff; 100_000],
            br#"{"v":2,"run":1,"task":1,"index":0,"attempt":1}"#.to_vec(),
            br#"{"v":1,"run":"x","task":1,"index":0,"attempt":1}"#.to_vec(),
        ];
        put(&rabbit.url(), &format!("{prefix}tasks.a"), &poison).await;
        publish(&broker, "a", 0..5).await;
        take(&mut *consumer, attempts(0..5)).await;
        assert_eq!(broker.unreadable(), 5);
        let dead = format!("{prefix}dead");
        let all = async || lying_ready(rabbit, &dead).filter(|count| *count == 5);
        until("the dead letters", all).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_queue_is_noticed_and_declared_again() {
    for kind in KINDS {
        let rabbit = calm().await;
        let options = options(rabbit, kind);
        let name = format!("{}tasks.a", options.prefix);
        let broker = connected(options).await;
        publish(&broker, "a", 0..1).await;
        let mut consumer = subscribe(&broker, &["a"]).await;
        take(&mut *consumer, attempts(0..1)).await;
        let waits = tokio::spawn(async move { consumer.next(1).await });
        let subscribed =
            || rabbit.ctl(&["list_consumers", "--quiet", "queue_name"]).lines().any(|it| it == name);
        until("the subscription", async || subscribed().then_some(())).await;
        rabbit.ctl(&["delete_queue", &name]);
        let ended = within("the end of the subscription", waits).await.unwrap();
        assert!(ended.is_err(), "{ended:?}");
        let failed = within("the answer", broker.publish(&dispatches("a", 1..3))).await.unwrap();
        assert_eq!(failed.len(), 2, "there was no queue to take them");
        assert_eq!(within("the answer", broker.publish(&dispatches("a", 1..3))).await.unwrap(), vec![]);
        let mut consumer = subscribe(&broker, &["a"]).await;
        take(&mut *consumer, attempts(1..3)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_for_several_queues_fails_only_where_the_queue_is_gone() {
    let rabbit = calm().await;
    let options = options(rabbit, QueueKind::Classic);
    let name = format!("{}tasks.gone", options.prefix);
    let broker = connected(options).await;
    let (gone, there) = (dispatches("gone", 0..200), dispatches("there", 200..400));
    let mixed: Vec<_> =
        gone.iter().zip(&there).flat_map(|(gone, there)| [gone.clone(), there.clone()]).collect();
    assert_eq!(broker.publish(&mixed).await.unwrap(), vec![]);
    rabbit.ctl(&["delete_queue", &name]);
    let failed = broker.publish(&mixed).await.unwrap();
    assert_eq!(failed.into_iter().collect::<HashSet<_>>(), attempts(0..200));
    assert_eq!(broker.publish(&mixed).await.unwrap(), vec![]);
}

/// Stops the process of a queue at the server, or lets it go on: it takes messages and does nothing with them.
fn queue_process(rabbit: &Rabbit, verb: &str, name: &str) {
    let find = format!("{{ok, Q}} = rabbit_amqqueue:lookup(rabbit_misc:r(<<\"/\">>, queue, <<\"{name}\">>))");
    let pid = "P = case amqqueue:get_pid(Q) of {N, _} -> whereis(N); P0 -> P0 end";
    rabbit.ctl(&["eval", &format!("{find}, {pid}, sys:{verb}(P).")]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_that_takes_nothing_holds_up_no_other() {
    for kind in KINDS {
        let rabbit = calm().await;
        let options = options(rabbit, kind);
        let name = format!("{}tasks.stuck", options.prefix);
        let broker = connected(options).await;
        publish(&broker, "stuck", 0..1).await;
        publish(&broker, "a", 1..2).await;
        queue_process(rabbit, "suspend", &name);
        let mixed = [dispatches("stuck", 100..150), dispatches("a", 2..50)].concat();
        for _ in 0..3 {
            let failed = within("the answer", broker.publish(&mixed)).await.unwrap();
            assert_eq!(failed.into_iter().collect::<HashSet<_>>(), attempts(100..150));
        }
        assert!(broker.link().borrow().is_up(), "the link was kept");
        take(&mut *subscribe(&broker, &["a"]).await, attempts(1..50)).await;
        queue_process(rabbit, "resume", &name);
        publish(&broker, "stuck", 100..150).await;
        take(&mut *subscribe(&broker, &["stuck"]).await, attempts(100..150)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_of_the_other_kind_is_used_as_it_is() {
    let mut options = options(calm().await, QueueKind::Classic);
    publish(&connected(options.clone()).await, "a", 0..3).await;
    options.kind = QueueKind::Quorum;
    let broker = connected(options).await;
    publish(&broker, "a", 3..6).await;
    take(&mut *subscribe(&broker, &["a"]).await, attempts(0..6)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn urls_are_tried_in_turn_and_passwords_are_not_shown() {
    let rabbit = calm().await;
    let nobody = format!("amqp://guest:hidden@127.0.0.1:{}", rota_tests::services::free_port());
    let broker = RabbitBroker::start(RabbitOptions::new(vec![nobody.clone()], "test")).unwrap();
    let mut link = broker.link();
    let refused = link.wait_for(|link| link.to_string().contains("refused"));
    let why = within("the reason", refused).await.unwrap().to_string();
    assert!(why.starts_with("connecting to rabbitmq at 127.0.0.1:") && !why.contains("hidden"), "{why}");
    let error = broker.publish(&dispatches("a", 0..1)).await.unwrap_err().to_string();
    assert!(error.contains("refused") && !error.contains("hidden"), "{error}");
    let mut options = options(rabbit, QueueKind::Classic);
    options.urls.insert(0, nobody);
    publish(&connected(options).await, "a", 0..1).await;
}
