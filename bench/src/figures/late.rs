//! How late a cron job of every second is, over one minute on an otherwise idle server: from the slot to the task's own
//! stamp, and from the slot to the ledger entry. The limit is measured in the same minute, half a second apart: how late
//! this program itself, with a timer and nothing else to do, can start the same process.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};
use tokio::time::sleep;

use crate::clock::{ms, now_ns};
use crate::dags;
use crate::figures::Bench;
use crate::home::Home;
use crate::limits::chain;
use crate::record::Record;
use crate::server::Server;
use crate::stamp;
use crate::stats::Samples;
use crate::store::{Fired, TaskTimes};

const SECONDS: usize = 60;
const AIM_P99_MS: f64 = 10.0;
const SECOND_US: i64 = 1_000_000;
const SECOND_NS: i64 = 1_000_000_000;

pub(crate) async fn measure(bench: &Bench) -> anyhow::Result<Vec<Record>> {
    let home = Home::new(bench)?;
    let file = home.file("stamps");
    let home = home.dag("tick", &dags::every_second("tick", &dags::stamp(&bench.me, &file)))?;
    let server = Server::start(bench, &home).await?;
    server.dag_known("tick").await?;
    let seconds = bench.size(SECONDS);
    eprintln!("{seconds} s of a job every second");
    let bare = punctual(&bench.me, &home.file("bare"), seconds + 2).await?;
    let mut store = server.stop().await?;
    let ledger = store.fired("tick").await?;
    ensure!(ledger.len() >= seconds, "expected at least {seconds} slots, the ledger has {}", ledger.len());
    let gap = ledger.windows(2).find(|pair| pair[1].slot - pair[0].slot != SECOND_US);
    ensure!(gap.is_none(), "the ledger has a gap: {gap:?}");
    let mut starts = starts_by_slot(&stamp::read(&file)?)?;
    let (mut process, mut decided) = (Vec::new(), Vec::new());
    // The last slot may have been cut off by the stop: it may lack its process, no other may.
    for (place, fired) in ledger.iter().enumerate() {
        let start = starts.remove(&fired.slot);
        ensure!(start.is_some() || place + 1 == ledger.len(), "slot {} has no process", fired.slot);
        process.extend(start.map(|start_ns| ms(start_ns - fired.slot * 1000)));
        decided.push(ms((fired.decided_at - fired.slot) * 1000));
    }
    ensure!(starts.is_empty(), "{} processes ran for slots that are not in the ledger", starts.len());
    let (process, decided) = (Samples::new(process)?, Samples::new(decided)?);
    let tasks = store.tasks("tick").await?;
    let part = |part: fn(&Fired, &TaskTimes) -> i64| {
        let parts = ledger.iter().zip(&tasks).map(|(fired, (_, task))| ms(part(fired, task) * 1000));
        anyhow::Ok(Samples::new(parts.collect())?.median())
    };
    Ok(vec![
        Record::new("late_process_p99_ms", process.quantile(0.99), "ms")
            .samples(&process)
            .aim(AIM_P99_MS)
            .limit("p99 of a timer and the same process, without a scheduler", bare.quantile(0.99))
            .number("limit_p50", bare.median())
            .number("limit_max", bare.quantile(1.0))
            .number("over_limit_p50", process.median() - bare.median())
            .number("slot_to_run_decided_p50", decided.median())
            .number("run_decided_to_task_decided_p50", part(|fired, task| task.queued_at - fired.decided_at)?)
            .number("task_decided_to_claim_p50", part(|_, task| task.started_at - task.queued_at)?)
            .number("claim_to_spawned_p50", part(|_, task| task.spawned_at - task.started_at)?),
        Record::new("late_ledger_p99_ms", decided.quantile(0.99), "ms").samples(&decided),
    ])
}

/// How late a plain timer starts a stamp, once a second, half a second after the full one, in milliseconds.
async fn punctual(me: &Path, file: &Path, seconds: usize) -> anyhow::Result<Samples> {
    let half = SECOND_NS / 2;
    let first = (now_ns() / SECOND_NS + 1) * SECOND_NS + half;
    let mut due = Vec::new();
    for no in 0..seconds {
        let at = first + no as i64 * SECOND_NS;
        sleep(Duration::from_nanos(u64::try_from(at - now_ns()).unwrap_or(0))).await;
        chain::stamp_once(me, file).await?;
        due.push(at);
    }
    let stamps = stamp::read(file)?;
    ensure!(stamps.len() == due.len(), "expected {} stamps, got {}", due.len(), stamps.len());
    Samples::new(stamps.iter().zip(due).map(|(stamp, at)| ms(stamp.start_ns - at)).collect())
}

/// When the process of each slot started, by slot in microseconds. A slot with two processes is an error.
fn starts_by_slot(stamps: &[stamp::Stamp]) -> anyhow::Result<BTreeMap<i64, i64>> {
    let mut starts = BTreeMap::new();
    for stamp in stamps {
        let slot = chrono::DateTime::parse_from_rfc3339(&stamp.slot);
        let slot = slot.with_context(|| format!("`{}` is no slot", stamp.slot))?.timestamp_micros();
        let twice = starts.insert(slot, stamp.start_ns);
        ensure!(twice.is_none(), "slot {} ran twice", stamp.slot);
    }
    Ok(starts)
}
