//! The broker over a real RabbitMQ: the conformance suite over both kinds of queue, then what a healthy server does not
//! show. One server serves all tests that leave it alone, another one those that harm it, one after the other.

#![expect(clippy::unwrap_used, reason = "a test that cannot do what it is about has failed")]

mod faults;
mod queues;
mod support;

use std::sync::Arc;

use rota_backend::QueueKind;
use rota_core::port::Broker;
use rota_tests::conformance::Opened;
use support::{calm, connected, options};

async fn open(kind: QueueKind) -> Opened<dyn Broker> {
    Opened { port: Arc::new(connected(options(calm().await, kind)).await), keep: Box::new(()) }
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
