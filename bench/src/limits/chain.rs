//! The edge without a scheduler: the same stamps, one process after the other, as fast as tokio can.

use std::path::Path;
use std::process::Stdio;

use anyhow::ensure;
use tokio::process::Command;

use crate::clock::ms;
use crate::stamp;
use crate::stats::Samples;

/// Times from one stamp's end to the next one's start, in milliseconds: process exit, wait, spawn, start.
pub(crate) async fn edges(me: &Path, file: &Path, count: usize) -> anyhow::Result<Samples> {
    for _ in 0..=count {
        stamp_once(me, file).await?;
    }
    let stamps = stamp::read(file)?;
    ensure!(stamps.len() == count + 1, "expected {} stamps, got {}", count + 1, stamps.len());
    Samples::new(stamps.windows(2).map(|pair| ms(pair[1].start_ns - pair[0].end_ns)).collect())
}

/// Runs one stamp.
pub(crate) async fn stamp_once(me: &Path, file: &Path) -> anyhow::Result<()> {
    let mut command = Command::new(me);
    command.arg(stamp::COMMAND).arg(file).stdin(Stdio::null()).process_group(0).kill_on_drop(true);
    let output = command.output().await?;
    ensure!(output.status.success(), "a stamp ended with {}", output.status);
    Ok(())
}
