//! Every setting of a process in a cluster: its key in `rota.toml` and its variable in the environment.

/// A setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Key {
    /// `section.name` in `rota.toml`; without a dot at its top.
    pub(super) path: &'static str,
    /// In the environment.
    pub(super) variable: &'static str,
    /// Whether the value is a secret, which is never printed and may be `file:/path`.
    pub(super) is_secret: bool,
}

macro_rules! keys {
    ($($name:ident: $path:literal, $variable:literal $(, $secret:ident)?;)+) => {
        $(pub(super) const $name: Key = Key { path: $path, variable: $variable, is_secret: keys!(@ $($secret)?) };)+
        /// All of them.
        pub(super) const ALL: &[Key] = &[$($name),+];
    };
    (@ secret) => { true };
    (@) => { false };
}

keys! {
    NAME: "name", "ROTA_NAME";
    LISTEN: "listen", "ROTA_LISTEN";
    DATABASE_URL: "database.url", "ROTA_DATABASE_URL", secret;
    BROKER_URLS: "broker.urls", "ROTA_BROKER_URL", secret;
    BROKER_QUEUES: "broker.queues", "ROTA_BROKER_QUEUES";
    ETCD_ENDPOINTS: "etcd.endpoints", "ROTA_ETCD_ENDPOINTS";
    ETCD_PREFIX: "etcd.prefix", "ROTA_ETCD_PREFIX";
    ETCD_USER: "etcd.user", "ROTA_ETCD_USER";
    ETCD_PASSWORD: "etcd.password", "ROTA_ETCD_PASSWORD", secret;
    ETCD_CA: "etcd.ca", "ROTA_ETCD_CA";
    ETCD_CERT: "etcd.cert", "ROTA_ETCD_CERT";
    ETCD_KEY: "etcd.key", "ROTA_ETCD_KEY";
    ETCD_DOMAIN: "etcd.domain", "ROTA_ETCD_DOMAIN";
    LEADER_TTL: "leader.ttl", "ROTA_LEADER_TTL";
    PEER_LISTEN: "leader.peer-listen", "ROTA_PEER_LISTEN";
    PEER_ADVERTISE: "leader.peer-advertise", "ROTA_PEER_ADVERTISE";
    SCHEDULER_DAGS: "scheduler.dags", "ROTA_DAGS";
    SCHEDULER_RETENTION: "scheduler.retention", "ROTA_RETENTION";
    WORKER_DAGS: "worker.dags", "ROTA_DAGS";
    WORKER_DATA: "worker.data", "ROTA_DATA";
    WORKER_SLOTS: "worker.slots", "ROTA_WORKER_SLOTS";
    WORKER_QUEUES: "worker.queues", "ROTA_WORKER_QUEUES";
    WORKER_LABELS: "worker.labels", "ROTA_WORKER_LABELS";
    WORKER_LEASE: "worker.lease", "ROTA_WORKER_LEASE";
    WORKER_DRAIN_GRACE: "worker.drain-grace", "ROTA_WORKER_DRAIN_GRACE";
    WEB_HOSTS: "web.hosts", "ROTA_HOSTS";
    WEB_TLS: "web.tls", "ROTA_WEB_TLS";
    WEB_PLACE: "web.place", "ROTA_PLACE";
    WEB_TIMEZONE: "web.timezone", "ROTA_TIMEZONE";
    WEB_ADMIN_TOKEN: "web.admin-token", "ROTA_ADMIN_TOKEN", secret;
}
