//! The election over a real, private etcd: the conformance suite, and what becomes of terms when leaders, etcd or the
//! connections between them break.

mod lab;

mod leaders;

mod links;

mod outages;

mod conformance {
    use std::sync::Arc;

    use rota_tests::conformance::{Opened, leadership::Contenders};
    use rota_tests::services::etcd::Etcd;

    use super::lab::{options, replica};

    async fn open() -> Opened<Contenders> {
        let etcd = Etcd::start_cluster(1);
        let [one, other] = ["one", "other"].map(|name| Box::new(replica(options(&etcd, name))));
        Opened { port: Arc::new(Contenders { one, other }), keep: Box::new(etcd) }
    }

    rota_tests::leadership_suite!(open);
}
