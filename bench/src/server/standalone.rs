//! `rota standalone`: everything in one process.

use std::path::Path;

use rota_tests::lab::without_settings;
use serde_json::{Value, json};
use tokio::process::Command;

use super::launched::Launched;
use super::{Door, Ledger, Parts};
use crate::figures::Bench;
use crate::home::Home;

/// Starts a server on `home`.
pub(super) fn start(bench: &Bench, home: &Home) -> anyhow::Result<Parts> {
    let mut standalone = Command::from(without_settings(&bench.rota));
    standalone.args(["standalone", "--listen", "127.0.0.1:0", "--dags"]).arg(home.dags());
    standalone.arg("--data").arg(home.data());
    if let Some(slots) = bench.slots {
        standalone.args(["--slots", &slots.to_string()]);
    }
    let server = Launched::start("standalone", &mut standalone, home.file("rota.log"))?;
    Ok(Parts { processes: vec![server], ledger: Ledger::Directory(home.data()), pages: Vec::new() })
}

/// Where the server of a data directory is reached, once process `pid` has written it.
pub(super) fn door(data: &Path, pid: u32) -> Option<Door> {
    let text = std::fs::read_to_string(data.join("server.json")).ok()?;
    let beacon: Value = serde_json::from_str(&text).ok()?;
    if beacon["pid"] != json!(pid) {
        return None;
    }
    let token = std::fs::read_to_string(data.join("admin-token")).ok()?;
    Some(Door { url: beacon["url"].as_str()?.to_owned(), token: token.trim().to_owned() })
}
