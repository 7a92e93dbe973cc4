//! A cluster on this machine: a scheduler, a worker and a web server, each a process of its own, on private services.

use anyhow::{Context, ensure};
use rota_tests::lab::without_settings;
use rota_tests::services::free_port;
use rota_tests::services::together::Services;
use tokio::process::Command;
use tokio::task::block_in_place;

use super::launched::Launched;
use super::{Door, Ledger, Parts};
use crate::figures::Bench;
use crate::home::Home;

/// The lease of the leader in etcd.
const LEADER_TTL: &str = "2s";
const TOKEN: &str = "bench-of-the-cluster-0123456789abcdef";

/// The roles, in the order in which they are stopped.
pub(crate) const ROLES: [&str; 3] = ["web", "worker", "scheduler"];

/// Ports at which each role, in the order of [`ROLES`], finds Postgres.
pub(crate) type Databases = [u16; ROLES.len()];

/// Makes a place in the services and starts the processes there.
pub(super) async fn start(
    bench: &Bench,
    home: &Home,
    services: &Services,
    databases: Option<Databases>,
) -> anyhow::Result<Parts> {
    let place = block_in_place(|| services.place("bench"));
    let direct = services.postgres.url(&place.name);
    migrate(bench, &direct).await?;
    let (mut processes, mut pages) = (Vec::new(), Vec::new());
    for (no, role) in ROLES.into_iter().enumerate() {
        let listen = format!("127.0.0.1:{}", free_port());
        let mut process = Command::from(without_settings(&bench.rota));
        process.args(["start", role]);
        process.env("ROTA_NAME", role).env("ROTA_LISTEN", &listen);
        let database = databases.map_or(services.postgres.port(), |ports| ports[no]);
        process.envs(place.settings(database, services.rabbit.port(), services.etcd_port()));
        settings(&mut process, role, bench, home);
        processes.push(Launched::start(role, &mut process, home.file(&format!("{role}.log")))?);
        pages.push(format!("http://{listen}"));
    }
    Ok(Parts { processes, ledger: Ledger::Database(direct), pages })
}

/// Where its web server is reached.
pub(super) fn door(pages: &[String]) -> Option<Door> {
    Some(Door { url: pages.first()?.clone(), token: TOKEN.to_owned() })
}

fn settings(process: &mut Command, role: &str, bench: &Bench, home: &Home) {
    match role {
        "scheduler" => {
            process.env("ROTA_DAGS", home.dags()).env("ROTA_LEADER_TTL", LEADER_TTL);
            process.env("ROTA_PEER_LISTEN", format!("127.0.0.1:{}", free_port()));
        }
        "worker" => {
            process.env("ROTA_DATA", home.data());
            if let Some(slots) = bench.slots {
                process.env("ROTA_WORKER_SLOTS", slots.to_string());
            }
        }
        _ => {
            process.env("ROTA_ADMIN_TOKEN", TOKEN);
        }
    }
}

async fn migrate(bench: &Bench, url: &str) -> anyhow::Result<()> {
    let mut migrate = Command::from(without_settings(&bench.rota));
    migrate.arg("migrate").env("ROTA_DATABASE_URL", url).kill_on_drop(true);
    let output = migrate.output().await.context("cannot start rota migrate")?;
    ensure!(output.status.success(), "rota migrate: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
