//! The three services of a cluster at once, what tests do to them, and a place of its own in them for each test.

use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;

use super::etcd::Etcd;
use super::postgres::Postgres;
use super::rabbit::Rabbit;

/// The services.
pub struct Services {
    /// The store.
    pub postgres: Postgres,
    /// The broker.
    pub rabbit: Rabbit,
    /// The election.
    pub etcd: Etcd,
}

/// One test's part of them.
pub struct Place {
    /// The database, and the virtual host of the broker.
    pub name: String,
    /// The prefix of its keys in etcd.
    pub prefix: String,
}

impl Place {
    /// Where the broker is behind a port.
    pub fn broker_url(&self, port: u16) -> String {
        format!("amqp://guest:guest@127.0.0.1:{port}/{}", self.name)
    }

    /// How a rota is told of it, where each service is behind a port.
    pub fn settings(&self, postgres: u16, broker: u16, etcd: u16) -> [(&'static str, String); 4] {
        [
            ("ROTA_DATABASE_URL", format!("postgres://rota@127.0.0.1:{postgres}/{}", self.name)),
            ("ROTA_BROKER_URL", self.broker_url(broker)),
            ("ROTA_ETCD_ENDPOINTS", format!("http://127.0.0.1:{etcd}")),
            ("ROTA_ETCD_PREFIX", self.prefix.clone()),
        ]
    }
}

impl Services {
    /// Starts all three, side by side.
    ///
    /// # Panics
    /// If one of them does not start.
    pub fn start() -> Self {
        std::thread::scope(|scope| {
            let rabbit = scope.spawn(Rabbit::start);
            let etcd = scope.spawn(|| Etcd::start_cluster(1));
            let postgres = Postgres::start();
            let rabbit = rabbit.join().expect("RabbitMQ starts");
            Self { postgres, rabbit, etcd: etcd.join().expect("etcd starts") }
        })
    }

    /// After a test that ended in the middle of something.
    pub fn mend(&mut self) {
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
    pub fn place(&self, test: &str) -> Place {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("{test}{}", NEXT.fetch_add(1, Ordering::Relaxed));
        self.postgres.database(&name);
        self.add_vhost(&name);
        Place { prefix: format!("/{name}/"), name }
    }

    /// The port of etcd's only member.
    pub fn etcd_port(&self) -> u16 {
        self.etcd.client_port(0)
    }

    /// Kills etcd; its data stays.
    pub fn stop_etcd(&mut self) {
        self.etcd.kill(0);
    }

    /// Starts etcd with the data it had, and waits until it answers.
    pub fn start_etcd(&mut self) {
        self.etcd.start(0);
        self.etcd.wait_ready();
    }

    /// Takes the leader's lease away.
    ///
    /// # Panics
    /// If there is no `etcdctl`, or it answers something else than JSON.
    pub fn revoke_lease(&self, prefix: &str) {
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

    /// Takes everything out of the broker but the virtual host.
    pub fn wipe_broker(&mut self, place: &Place) {
        self.rabbit.wipe();
        self.add_vhost(&place.name);
    }

    /// Deletes all queues of a place.
    pub fn delete_queues(&self, place: &Place) {
        let script = format!(
            "[rabbit_amqqueue:delete(Q, false, false, <<\"a test\">>) || Q <- rabbit_amqqueue:list(<<\"{}\">>)].",
            place.name
        );
        self.rabbit.ctl(&["eval", &script]);
    }

    /// Closes all connections to a place.
    pub fn close_connections(&self, place: &Place) {
        self.rabbit.ctl(&["close_all_connections", "-p", &place.name, "a test"]);
    }

    /// From now on the broker blocks whoever publishes.
    pub fn memory_alarm(&self) {
        self.rabbit.ctl(&["set_vm_memory_high_watermark", "0.00001"]);
    }

    /// No longer.
    pub fn end_memory_alarm(&self) {
        self.rabbit.ctl(&["set_vm_memory_high_watermark", "0.4"]);
    }
}
