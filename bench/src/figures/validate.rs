//! `rota dag validate` of 1,000 files. Verified by a mistake in one of them, which must be found where it stands.

use std::process::{Output, Stdio};
use std::time::Instant;

use anyhow::{Context, ensure};
use tokio::process::Command;

use crate::dags;
use crate::figures::Bench;
use crate::home::Home;
use crate::record::Record;
use crate::stats::Samples;

const FILES: usize = 1_000;
const ROUNDS: usize = 7;

pub(crate) async fn measure(bench: &Bench) -> anyhow::Result<Vec<Record>> {
    let files = bench.size(FILES);
    let mut home = Home::new(bench)?;
    for no in 0..files {
        home = home.dag(&format!("typical_{no}"), &dags::typical(no))?;
    }
    let mut times = Vec::new();
    for round in 0..ROUNDS {
        eprintln!("round {} of {ROUNDS}, {files} files", round + 1);
        let began = Instant::now();
        let output = validate(bench, &home).await?;
        times.push(began.elapsed().as_secs_f64() * 1e3);
        ensure!(output.status.success(), "valid files were refused: {}", text(&output));
    }
    let broken = dags::typical(0).replace("needs: [clean]", "needs: [claen]").replace("typical_0", "broken");
    let home = home.dag("broken", &broken)?;
    let output = validate(bench, &home).await?;
    ensure!(output.status.code() == Some(1), "a broken file must exit with 1: {}", text(&output));
    ensure!(text(&output).contains("broken.yaml:"), "the broken file is not named: {}", text(&output));
    let times = Samples::new(times)?;
    Ok(vec![
        Record::new("validate_1000_files_ms", times.median(), "ms")
            .samples(&times)
            .with("files", files)
            .number("files_per_s", files as f64 * 1e3 / times.median()),
    ])
}

async fn validate(bench: &Bench, home: &Home) -> anyhow::Result<Output> {
    let mut command = Command::new(&bench.rota);
    command.args(["dag", "validate"]).arg(home.dags()).stdin(Stdio::null()).kill_on_drop(true);
    command.output().await.context("cannot start rota")
}

fn text(output: &Output) -> String {
    let both = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    String::from_utf8_lossy(&both).into_owned()
}
