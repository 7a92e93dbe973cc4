//! How long both commands of the README take in a fresh clone: `cargo run --release -- standalone` until its first task
//! has finished, and `tests/run`. The crates that cargo has downloaded before are not downloaded again.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use crate::figures::Bench;
use crate::record::Record;
use crate::store::Store;

const LOOK: Duration = Duration::from_millis(100);
const COMMAND_MAX: Duration = Duration::from_secs(3600);
const STOP_MAX: Duration = Duration::from_secs(60);

pub(crate) async fn measure(bench: &Bench) -> anyhow::Result<Vec<Record>> {
    let clone = bench.clean_clone.as_deref().context("say where the clone is to go: --clean-clone DIR")?;
    ensure!(!clone.exists(), "{} is there already; name a directory to be made", clone.display());
    let root = repository().await?;
    let mut git = Command::new("git");
    git.args(["clone", "--quiet", "--no-hardlinks"]).arg(&root).arg(clone);
    let cloned = git.status().await?;
    ensure!(cloned.success(), "git clone ended with {cloned}");
    let first = first_task(clone).await?;
    let began = Instant::now();
    let tests = finished(&mut start(clone, "tests/run", &[])?).await?;
    ensure!(tests.success(), "tests/run ended with {tests}");
    let record = |name, took: Duration| Record::new(name, took.as_secs_f64(), "s");
    Ok(vec![record("clean_clone_first_task_s", first), record("clean_clone_tests_s", began.elapsed())])
}

async fn repository() -> anyhow::Result<PathBuf> {
    let mut git = Command::new("git");
    let output = git.args(["rev-parse", "--show-toplevel"]).output().await?;
    ensure!(output.status.success(), "run this inside the repository: {:?}", output.stderr);
    Ok(PathBuf::from(String::from_utf8(output.stdout)?.trim()))
}

async fn first_task(clone: &Path) -> anyhow::Result<Duration> {
    let began = Instant::now();
    let mut child = start(clone, "cargo", &["run", "--release", "--", "standalone"])?;
    let data = clone.join("rota-data");
    while !has_finished_task(&data).await {
        let ended = child.try_wait()?;
        ensure!(ended.is_none(), "`cargo run` ended: {ended:?}");
        ensure!(began.elapsed() < COMMAND_MAX, "no finished task within {COMMAND_MAX:?}");
        sleep(LOOK).await;
    }
    let took = began.elapsed();
    let group = child.id().and_then(|pid| Pid::from_raw(pid.cast_signed())).context("it ended by itself")?;
    kill_process_group(group, Signal::INT)?;
    timeout(STOP_MAX, child.wait()).await.context("the server did not stop")??;
    Ok(took)
}

async fn has_finished_task(data: &Path) -> bool {
    if !data.join("rota.db").exists() {
        return false;
    }
    let Ok(mut store) = Store::in_directory(data).await else { return false };
    store.finished().await.is_ok_and(|count| count > 0)
}

/// Starts a command in the clone, in a process group of its own, its output on our stderr.
fn start(clone: &Path, program: &str, args: &[&str]) -> anyhow::Result<Child> {
    let program = if program.contains('/') { clone.join(program) } else { program.into() };
    let mut command = Command::new(&program);
    command
        .args(args)
        .current_dir(clone)
        .env_remove("CARGO_TARGET_DIR")
        .env("ROTA_LISTEN", "127.0.0.1:0")
        .stdin(Stdio::null())
        .stdout(std::io::stderr())
        .process_group(0)
        .kill_on_drop(true);
    command.spawn().with_context(|| format!("cannot start {}", program.display()))
}

async fn finished(child: &mut Child) -> anyhow::Result<ExitStatus> {
    Ok(timeout(COMMAND_MAX, child.wait()).await.context("it takes too long")??)
}
