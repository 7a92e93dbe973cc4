//! Resident memory of the server: idle without DAGs, with 1,000 DAGs loaded, and after a client has listed them all.

use std::time::Duration;

use anyhow::ensure;
use tokio::time::{Instant, sleep};

use crate::dags;
use crate::figures::Bench;
use crate::home::Home;
use crate::process::{self, Memory};
use crate::record::Record;
use crate::server::Server;
use crate::store::Store;

const DAGS: usize = 1_000;
const AIM_IDLE_MIB: f64 = 30.0;
/// How long a server is left alone before it is looked at.
const SETTLE: Duration = Duration::from_secs(8);
const LOAD_MAX: Duration = Duration::from_secs(60);

pub(crate) async fn measure(bench: &Bench) -> anyhow::Result<Vec<Record>> {
    let home = Home::new(bench)?;
    let server = Server::start(bench, &home).await?;
    eprintln!("an idle server");
    sleep(SETTLE).await;
    let idle = record("rss_idle_mib", &server)?.aim(AIM_IDLE_MIB);
    server.stop().await?;
    let count = bench.size(DAGS);
    let mut home = Home::new(bench)?;
    for no in 0..count {
        home = home.dag(&format!("typical_{no}"), &dags::typical(no))?;
    }
    eprintln!("{count} DAGs");
    let server = Server::start(bench, &home).await?;
    let deadline = Instant::now() + LOAD_MAX;
    // Asked in the store, not over HTTP: a server that has answered for its DAGs remembers them twice.
    while Store::in_directory(&home.data()).await?.dag_count().await? < count {
        ensure!(Instant::now() < deadline, "{count} DAGs were not loaded within {LOAD_MAX:?}");
        sleep(Duration::from_millis(50)).await;
    }
    sleep(SETTLE).await;
    let loaded = record("rss_1000_dags_mib", &server)?.with("dags", count);
    let mut listed = 0;
    let mut cursor = String::new();
    while listed < count {
        let page = server.json(&format!("/api/v1/dags?limit=500&cursor={cursor}")).await?;
        let items = page["items"].as_array().map_or(0, Vec::len);
        ensure!(items > 0, "the list of DAGs ended after {listed} of {count}");
        listed += items;
        cursor = page["next_cursor"].as_str().unwrap_or_default().to_owned();
    }
    let seen = record("rss_1000_dags_listed_mib", &server)?.with("dags", count);
    server.stop().await?;
    Ok(vec![idle, loaded, seen])
}

fn record(name: &str, server: &Server) -> anyhow::Result<Record> {
    const MIB: f64 = 1024.0 * 1024.0;
    let Memory { rss, anon, file } = process::memory(server.pid())?;
    let children = process::children(server.pid());
    let warden: Memory = children.first().and_then(|pid| process::memory(*pid).ok()).unwrap_or_default();
    Ok(Record::new(name, rss / MIB, "MiB")
        .number("own_pages_mib", anon / MIB)
        .number("file_pages_mib", file / MIB)
        .number("warden_rss_mib", warden.rss / MIB)
        .number("warden_own_pages_mib", warden.anon / MIB))
}
