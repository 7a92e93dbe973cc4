//! Every setting of a process in a cluster: its key in `rota.toml`, its variable in the environment, its default.

/// A setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Key {
    /// `section.name` in `rota.toml`; without a dot at its top.
    pub(super) path: &'static str,
    /// In the environment.
    pub(super) variable: &'static str,
    /// The kinds of process that read it.
    pub(super) readers: &'static [&'static str],
    /// What it is when nobody says otherwise, in words.
    pub(super) default: &'static str,
    /// Whether the value is a secret, which is never printed and may be `file:/path`.
    pub(super) is_secret: bool,
}

const ALL_ROLES: &[&str] = &["scheduler", "worker", "web"];
const SCHEDULER: &[&str] = &["scheduler"];
const WORKER: &[&str] = &["worker"];
const WEB: &[&str] = &["web"];

macro_rules! keys {
    ($($readers:ident $name:ident: $path:literal, $variable:literal, $default:literal $(, $secret:ident)?;)+) => {
        $(pub(super) const $name: Key = Key {
            path: $path,
            variable: $variable,
            readers: $readers,
            default: $default,
            is_secret: keys!(@ $($secret)?),
        };)+
        /// All of them.
        pub(super) const ALL: &[Key] = &[$($name),+];
    };
    (@ secret) => { true };
    (@) => { false };
}

keys! {
    ALL_ROLES NAME: "name", "ROTA_NAME", "the machine's name";
    ALL_ROLES LISTEN: "listen", "ROTA_LISTEN", "127.0.0.1:7682 web, :7683 scheduler, :7684 worker";
    ALL_ROLES DATABASE_URL: "database.url", "ROTA_DATABASE_URL", "", secret;
    ALL_ROLES BROKER_URLS: "broker.urls", "ROTA_BROKER_URL", "", secret;
    ALL_ROLES BROKER_QUEUES: "broker.queues", "ROTA_BROKER_QUEUES", "classic";
    ALL_ROLES BROKER_PREFIX: "broker.prefix", "ROTA_BROKER_PREFIX", "rota.";
    ALL_ROLES BROKER_CA: "broker.ca", "ROTA_BROKER_CA", "the system's";
    SCHEDULER ETCD_ENDPOINTS: "etcd.endpoints", "ROTA_ETCD_ENDPOINTS", "";
    SCHEDULER ETCD_PREFIX: "etcd.prefix", "ROTA_ETCD_PREFIX", "/rota/";
    SCHEDULER ETCD_USER: "etcd.user", "ROTA_ETCD_USER", "none";
    SCHEDULER ETCD_PASSWORD: "etcd.password", "ROTA_ETCD_PASSWORD", "none", secret;
    SCHEDULER ETCD_CA: "etcd.ca", "ROTA_ETCD_CA", "the system's";
    SCHEDULER ETCD_CERT: "etcd.cert", "ROTA_ETCD_CERT", "none";
    SCHEDULER ETCD_KEY: "etcd.key", "ROTA_ETCD_KEY", "none";
    SCHEDULER ETCD_DOMAIN: "etcd.domain", "ROTA_ETCD_DOMAIN", "the endpoint's";
    SCHEDULER LEADER_TTL: "leader.ttl", "ROTA_LEADER_TTL", "5s";
    SCHEDULER PEER_LISTEN: "leader.peer-listen", "ROTA_PEER_LISTEN", "127.0.0.1:7685";
    SCHEDULER PEER_ADVERTISE: "leader.peer-advertise", "ROTA_PEER_ADVERTISE", "that address, or the machine's name";
    SCHEDULER SCHEDULER_DAGS: "scheduler.dags", "ROTA_DAGS", "none";
    SCHEDULER SCHEDULER_RETENTION: "scheduler.retention", "ROTA_RETENTION", "90d";
    WORKER WORKER_SLOTS: "worker.slots", "ROTA_WORKER_SLOTS", "four per core";
    WORKER WORKER_QUEUES: "worker.queues", "ROTA_WORKER_QUEUES", "default";
    WORKER WORKER_LABELS: "worker.labels", "ROTA_WORKER_LABELS", "none";
    WORKER WORKER_LEASE: "worker.lease", "ROTA_WORKER_LEASE", "30s";
    WORKER WORKER_DRAIN_GRACE: "worker.drain-grace", "ROTA_WORKER_DRAIN_GRACE", "10s";
    WORKER WORKER_DATA: "worker.data", "ROTA_DATA", "rota-worker";
    WORKER WORKER_USER: "worker.user", "ROTA_WORKER_USER", "the worker's";
    WORKER WORKER_UMASK: "worker.umask", "ROTA_WORKER_UMASK", "077";
    WORKER WORKER_NO_NEW_PRIVILEGES: "worker.no-new-privileges", "ROTA_WORKER_NO_NEW_PRIVILEGES", "false";
    WORKER WORKER_LIMITS: "worker.limits", "ROTA_WORKER_LIMITS", "none";
    WORKER WORKER_DAGS: "worker.dags", "ROTA_DAGS", "none";
    WEB WEB_ADMIN_TOKEN: "web.admin-token", "ROTA_ADMIN_TOKEN", "", secret;
    WEB WEB_HOSTS: "web.hosts", "ROTA_HOSTS", "the machine's name, if it listens for others";
    WEB WEB_CERT: "web.cert", "ROTA_WEB_CERT", "none";
    WEB WEB_KEY: "web.key", "ROTA_WEB_KEY", "none";
    WEB WEB_TLS: "web.tls", "ROTA_WEB_TLS", "false";
    WEB WEB_INSECURE: "web.insecure", "ROTA_WEB_INSECURE", "false";
    WEB WEB_PLACE: "web.place", "ROTA_PLACE", "cluster";
    WEB WEB_TIMEZONE: "web.timezone", "ROTA_TIMEZONE", "the machine's";
}

/// Settings that name a file with a private key.
pub(super) const KEY_FILES: &[Key] = &[ETCD_KEY, WEB_KEY];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guide_lists_every_setting_with_its_variable_and_its_default() {
        let guide = include_str!("../../../docs/configuration.md");
        for key in ALL {
            let mark = if key.is_secret { " *" } else { "" };
            let start = format!("| `{}`{mark} | `{}` |", key.path, key.variable);
            let line = guide.lines().find(|line| line.starts_with(&start));
            let line =
                line.unwrap_or_else(|| panic!("docs/configuration.md has no line that starts with {start}"));
            let default = format!("| {} |", key.default);
            let has_default = key.default.is_empty() || line.replace('`', "").contains(&default);
            assert!(has_default, "the default of {} is {}: {line}", key.path, key.default);
        }
    }
}
