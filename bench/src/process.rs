//! What the kernel knows about processes.

use anyhow::Context;

/// Clock ticks per second in `/proc/PID/stat`: USER_HZ, which Linux has kept at 100 on every architecture people use.
const TICKS_PER_S: f64 = 100.0;

/// Resident memory of a process.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Memory {
    /// Everything, bytes.
    pub(crate) rss: f64,
    /// Its own pages (heap, stacks), bytes.
    pub(crate) anon: f64,
    /// Pages of files (the binary, libraries, the store's shared memory), bytes.
    pub(crate) file: f64,
}

/// Resident memory of a process now.
pub(crate) fn memory(pid: u32) -> anyhow::Result<Memory> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).context("the process is gone")?;
    let bytes = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok());
        kib.map(|kib| kib * 1024.0).with_context(|| format!("/proc/{pid}/status has no {name}"))
    };
    Ok(Memory { rss: bytes("VmRSS")?, anon: bytes("RssAnon")?, file: bytes("RssFile")? })
}

/// CPU time of a process and of its children that were waited for, in seconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cpu {
    /// In user mode, of its own.
    pub(crate) user: f64,
    /// In the kernel, of its own.
    pub(crate) system: f64,
    /// Both, of its children.
    pub(crate) children: f64,
}

impl Cpu {
    /// Of a process until now.
    pub(crate) fn of(pid: u32) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).context("the process is gone")?;
        // The name may hold anything but ends with the last parenthesis; the next field is number 3.
        let fields = text.rsplit_once(')').map_or("", |(_, rest)| rest);
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let seconds = |number: usize| -> anyhow::Result<f64> {
            let ticks = fields.get(number - 3).context("/proc/PID/stat is too short")?;
            Ok(ticks.parse::<f64>()? / TICKS_PER_S)
        };
        Ok(Self { user: seconds(14)?, system: seconds(15)?, children: seconds(16)? + seconds(17)? })
    }

    /// What was used since `earlier`.
    pub(crate) fn since(self, earlier: Self) -> Self {
        Self {
            user: self.user - earlier.user,
            system: self.system - earlier.system,
            children: self.children - earlier.children,
        }
    }
}

/// CPU time of several processes, by name.
#[derive(Debug)]
pub(crate) struct Usage(Vec<(&'static str, Cpu)>);

impl Usage {
    /// Of these processes until now.
    pub(crate) fn of(processes: impl Iterator<Item = (&'static str, u32)>) -> anyhow::Result<Self> {
        processes.map(|(name, pid)| Ok((name, Cpu::of(pid)?))).collect::<anyhow::Result<_>>().map(Self)
    }

    /// What was used since `earlier`.
    pub(crate) fn since(self, earlier: &Self) -> Self {
        let pairs = self.0.into_iter().zip(&earlier.0);
        Self(pairs.map(|((name, now), (_, then))| (name, now.since(*then))).collect())
    }

    /// All of them together.
    pub(crate) fn total(&self) -> Cpu {
        let sum = |part: fn(&Cpu) -> f64| self.0.iter().map(|(_, cpu)| part(cpu)).sum();
        Cpu { user: sum(|cpu| cpu.user), system: sum(|cpu| cpu.system), children: sum(|cpu| cpu.children) }
    }

    /// Microseconds of each process, without its children, per task; empty for a single process.
    pub(crate) fn each_us(&self, tasks: usize) -> Vec<(&'static str, f64)> {
        let each = self.0.iter().filter(|_| self.0.len() > 1);
        each.map(|(name, cpu)| (*name, (cpu.user + cpu.system) * 1e6 / tasks as f64)).collect()
    }
}

/// The children of a process.
pub(crate) fn children(pid: u32) -> Vec<u32> {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    threads
        .flatten()
        .filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok())
        .flat_map(|text| text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<u32>>())
        .collect()
}

/// How many processes and threads the machine has started since it booted.
pub(crate) fn forks() -> anyhow::Result<u64> {
    let text = std::fs::read_to_string("/proc/stat")?;
    let line = text.lines().find_map(|line| line.strip_prefix("processes "));
    line.context("/proc/stat does not count processes")?.trim().parse().context("not a count")
}

/// Load average of the last minute, as text.
pub(crate) fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or_default().to_owned()
}

/// The processor's name.
pub(crate) fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("model name"));
    line.and_then(|line| line.split_once(": ")).map_or("unknown", |(_, name)| name).to_owned()
}
