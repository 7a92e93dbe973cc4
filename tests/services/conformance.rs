//! The conformance suites over the embedded adapters. A clustered adapter gets a module like these.

use std::sync::Arc;

use rota_backend::{InProcessBroker, SoloLeadership, SqliteStore, SystemClock};
use rota_core::id::ReplicaId;
use rota_tests::conformance::{Opened, leadership::Contenders};

mod sqlite {
    use super::*;

    async fn open() -> Opened<dyn rota_core::port::Store> {
        let directory = tempfile::tempdir().expect("a directory for the test");
        let store = SqliteStore::open(directory.path().join("rota.db"), Arc::new(SystemClock)).await;
        let store = store.expect("a fresh store");
        Opened { port: Arc::new(store), keep: Box::new(directory) }
    }

    rota_tests::store_suite!(open);
}

mod in_process {
    use super::*;

    async fn open() -> Opened<dyn rota_core::port::Broker> {
        Opened { port: Arc::new(InProcessBroker::new()), keep: Box::new(()) }
    }

    rota_tests::broker_suite!(open);
}

mod solo {
    use super::*;

    async fn open() -> Opened<Contenders> {
        let election = SoloLeadership::new(ReplicaId::trusted("only"));
        let contenders = Contenders { one: Box::new(election.clone()), other: Box::new(election) };
        Opened { port: Arc::new(contenders), keep: Box::new(()) }
    }

    rota_tests::leadership_suite!(open);
}

#[test]
fn every_claim_is_in_its_suite() {
    rota_tests::conformance::assert_every_claim_is_listed();
}
