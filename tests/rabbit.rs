//! The broker over a real RabbitMQ: the conformance suite over both kinds of queue, then what a healthy server does not
//! show. One server serves all tests that leave it alone, another one those that kill it, one after the other.

use std::sync::{Arc, OnceLock};

use rota_backend::{QueueKind, RabbitBroker, RabbitOptions};
use rota_core::port::Broker;
use rota_tests::conformance::{Opened, within};
use rota_tests::services::rabbit::Rabbit;

/// The server that nobody harms.
fn calm() -> &'static Rabbit {
    static CALM: OnceLock<Rabbit> = OnceLock::new();
    CALM.get_or_init(Rabbit::start)
}

/// A prefix that no other test has.
fn prefix() -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    format!("t{}.", NUMBER.fetch_add(1, Ordering::Relaxed))
}

fn options(rabbit: &Rabbit, kind: QueueKind) -> RabbitOptions {
    let mut options = RabbitOptions::new(vec![rabbit.url()], "test");
    options.prefix = prefix();
    options.kind = kind;
    options
}

/// A broker whose connections stand.
async fn connected(options: RabbitOptions) -> RabbitBroker {
    let broker = RabbitBroker::start(options).unwrap();
    within("the connections", broker.link().wait_for(|link| link.is_up())).await.unwrap();
    broker
}

async fn open(kind: QueueKind) -> Opened<dyn Broker> {
    let rabbit = tokio::task::spawn_blocking(calm).await.unwrap();
    Opened { port: Arc::new(connected(options(rabbit, kind)).await), keep: Box::new(()) }
}

mod classic {
    use super::*;

    async fn open() -> Opened<dyn Broker> {
        super::open(QueueKind::Classic).await
    }

    rota_tests::broker_suite!(open);
}

mod quorum {
    use super::*;

    async fn open() -> Opened<dyn Broker> {
        super::open(QueueKind::Quorum).await
    }

    rota_tests::broker_suite!(open);
}
