//! Bare process spawns per second through tokio, on the path that rota takes: `posix_spawn`, an own process group,
//! stdin from /dev/null, several at a time.

use std::process::Stdio;
use std::time::Instant;

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::task::JoinSet;

use crate::process::Cpu;

/// What is started.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Program {
    /// `/bin/true`, its output thrown away.
    True,
    /// `bash -euo pipefail -c true`, as `run: "true"` does; its output thrown away.
    Bash,
    /// The same, its output read through two pipes, as rota reads it.
    BashPiped,
}

/// Spawns per second of each program.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SpawnLimits {
    pub(crate) bare_true: f64,
    pub(crate) bash: f64,
    pub(crate) bash_piped: f64,
    /// CPU time of the process that spawns, per `bash_piped`, in microseconds: what no scheduler can save.
    pub(crate) parent_us: f64,
}

impl SpawnLimits {
    /// Measures all three, `count` processes each, `at_a_time` of them side by side.
    pub(crate) async fn measure(count: usize, at_a_time: usize) -> anyhow::Result<Self> {
        let bare_true = per_second(Program::True, count, at_a_time).await?;
        let bash = per_second(Program::Bash, count, at_a_time).await?;
        let cpu = Cpu::of(std::process::id())?;
        let bash_piped = per_second(Program::BashPiped, count, at_a_time).await?;
        let cpu = Cpu::of(std::process::id())?.since(cpu);
        Ok(Self { bare_true, bash, bash_piped, parent_us: (cpu.user + cpu.system) * 1e6 / count as f64 })
    }

    /// The mean of a measurement before and one after.
    pub(crate) fn mean(self, other: Self) -> Self {
        Self {
            bare_true: f64::midpoint(self.bare_true, other.bare_true),
            bash: f64::midpoint(self.bash, other.bash),
            bash_piped: f64::midpoint(self.bash_piped, other.bash_piped),
            parent_us: f64::midpoint(self.parent_us, other.parent_us),
        }
    }

    /// As a figure's context.
    pub(crate) fn describe(self) -> Value {
        json!({
            "true_per_s": self.bare_true.round(),
            "bash_true_per_s": self.bash.round(),
            "bash_true_two_pipes_per_s": self.bash_piped.round(),
            "cpu_parent_us_per_spawn": self.parent_us.round(),
        })
    }
}

async fn per_second(program: Program, count: usize, at_a_time: usize) -> anyhow::Result<f64> {
    let began = Instant::now();
    let mut lanes = JoinSet::new();
    for lane in 0..at_a_time {
        let share = count / at_a_time + usize::from(lane < count % at_a_time);
        lanes.spawn(async move {
            for _ in 0..share {
                once(program).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(lane) = lanes.join_next().await {
        lane??;
    }
    Ok(count as f64 / began.elapsed().as_secs_f64())
}

async fn once(program: Program) -> anyhow::Result<()> {
    let mut command = match program {
        Program::True => Command::new("/bin/true"),
        Program::Bash | Program::BashPiped => {
            let mut command = Command::new("/bin/bash");
            command.args(["-euo", "pipefail", "-c", "true"]);
            command
        }
    };
    command.stdin(Stdio::null()).process_group(0).kill_on_drop(true);
    let status = match program {
        Program::True | Program::Bash => command.stdout(Stdio::null()).stderr(Stdio::null()).status().await,
        Program::BashPiped => command.output().await.map(|output| output.status),
    };
    let status = status.with_context(|| format!("cannot start {program:?}"))?;
    ensure!(status.success(), "{program:?} ended with {status}");
    Ok(())
}
