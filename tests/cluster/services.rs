//! The three services, private, shared by all tests of this binary. A test holds them alone, because it breaks them.

use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock};

use rota_tests::services::etcd::Etcd;
use rota_tests::services::postgres::Postgres;
use rota_tests::services::rabbit::Rabbit;
use serde_json::Value;

/// The services.
pub(crate) struct Services {
    pub(crate) postgres: Postgres,
    pub(crate) rabbit: Rabbit,
    pub(crate) etcd: Etcd,
}

/// Where one test's part of them is.
pub(crate) struct Place {
    /// The database, and the virtual host of the broker.
    pub(crate) name: String,
    /// The prefix of its keys in etcd.
    pub(crate) prefix: String,
}

/// Waits for its turn. What an earlier test left broken is mended.
pub(crate) fn take() -> MutexGuard<'static, Services> {
    static SERVICES: OnceLock<Mutex<Services>> = OnceLock::new();
    let services = SERVICES.get_or_init(|| {
        Mutex::new(std::thread::scope(|scope| {
            let rabbit = scope.spawn(Rabbit::start);
            let etcd = scope.spawn(|| Etcd::start_cluster(1));
            let postgres = Postgres::start();
            Services { postgres, rabbit: rabbit.join().unwrap(), etcd: etcd.join().unwrap() }
        }))
    });
    let services = services.lock().unwrap_or_else(|poisoned| {
        let mut services = poisoned.into_inner();
        services.mend();
        services
    });
    services.end_memory_alarm();
    services
}

impl Services {
    /// After a test that ended in the middle of something.
    fn mend(&mut self) {
        if !self.postgres.try_sql("postgres", "select 1").status.success() {
            self.postgres.crash();
            self.postgres.restart();
        }
        self.etcd.kill(0);
        self.start_etcd();
        self.rabbit.kill();
        self.rabbit.start_again();
    }

    /// A database, a virtual host and a prefix that nobody used before.
    pub(crate) fn place(&self, test: &str) -> Place {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("{test}{}", NEXT.fetch_add(1, Ordering::Relaxed));
        self.postgres.database(&name);
        self.add_vhost(&name);
        Place { prefix: format!("/{name}/"), name }
    }

    pub(crate) fn etcd_port(&self) -> u16 {
        self.etcd.client_port(0)
    }

    pub(crate) fn stop_etcd(&mut self) {
        self.etcd.kill(0);
    }

    pub(crate) fn start_etcd(&mut self) {
        self.etcd.start(0);
        self.etcd.wait_ready();
    }

    /// Takes the leader's lease away.
    pub(crate) fn revoke_lease(&self, prefix: &str) {
        let text = self.etcd.etcdctl(&["get", &format!("{prefix}leader"), "-w", "json"]);
        let answer: Value = serde_json::from_str(&text).unwrap();
        let Some(lease) = answer["kvs"][0]["lease"].as_i64() else { return };
        let mut revoke = Command::new("etcdctl");
        revoke.env("ETCDCTL_API", "3").args(["--endpoints", &self.etcd.endpoints().join(",")]);
        // It may be gone by itself meanwhile.
        let _gone = revoke.args(["lease", "revoke", &format!("{lease:x}")]).output().unwrap();
    }

    fn add_vhost(&self, name: &str) {
        self.rabbit.ctl(&["add_vhost", name]);
        self.rabbit.ctl(&["set_permissions", "-p", name, "guest", ".*", ".*", ".*"]);
    }

    /// Where the broker is behind a port.
    pub(crate) fn rabbit_url(&self, port: u16, place: &Place) -> String {
        format!("amqp://guest:guest@127.0.0.1:{port}/{}", place.name)
    }

    /// Takes everything out of the broker but the virtual host.
    pub(crate) fn wipe_broker(&mut self, place: &Place) {
        self.rabbit.wipe();
        self.add_vhost(&place.name);
    }

    pub(crate) fn delete_queues(&self, place: &Place) {
        let script = format!(
            "[rabbit_amqqueue:delete(Q, false, false, <<\"a test\">>) || Q <- rabbit_amqqueue:list(<<\"{}\">>)].",
            place.name
        );
        self.rabbit.ctl(&["eval", &script]);
    }

    pub(crate) fn close_connections(&self, place: &Place) {
        self.rabbit.ctl(&["close_all_connections", "-p", &place.name, "a test"]);
    }

    pub(crate) fn memory_alarm(&self) {
        self.rabbit.ctl(&["set_vm_memory_high_watermark", "0.00001"]);
    }

    pub(crate) fn end_memory_alarm(&self) {
        self.rabbit.ctl(&["set_vm_memory_high_watermark", "0.4"]);
    }
}
