//! A directory for one measurement: DAG files, a data directory, witness files, the server's log.

use std::path::{Path, PathBuf};

use anyhow::Context;
use rustix::fs::statfs;

use crate::figures::Bench;

/// Magic numbers of file systems, from linux/magic.h.
const FILE_SYSTEMS: [(u64, &str); 6] = [
    (0xEF53, "ext4"),
    (0x0102_1994, "tmpfs"),
    (0x9123_683E, "btrfs"),
    (0x5846_5342, "xfs"),
    (0x794C_7630, "overlayfs"),
    (0x2FC1_2FC1, "zfs"),
];

/// What kind of file system a directory is on.
///
/// # Errors
/// The directory is not there.
pub(crate) fn file_system(dir: &Path) -> anyhow::Result<&'static str> {
    let found = statfs(dir).with_context(|| format!("cannot look at {}", dir.display()))?;
    // The field's type differs between architectures; the magic numbers fit 32 bits in all of them.
    let magic = u64::from(found.f_type as u32);
    Ok(FILE_SYSTEMS.iter().find(|(number, _)| *number == magic).map_or("unknown", |(_, name)| name))
}

/// See the module's text. Removed when dropped, unless it is to be kept.
#[derive(Debug)]
pub(crate) struct Home {
    dir: tempfile::TempDir,
}

impl Home {
    /// A new home without DAG files.
    pub(crate) fn new(bench: &Bench) -> anyhow::Result<Self> {
        let mut builder = tempfile::Builder::new();
        builder.prefix("rota-bench-").disable_cleanup(bench.keep);
        let dir = builder.tempdir_in(&bench.dir).context("cannot make a directory for the measurement")?;
        let home = Self { dir };
        std::fs::create_dir(home.dags())?;
        if bench.keep {
            eprintln!("keeping {}", home.dir.path().display());
        }
        Ok(home)
    }

    /// Adds a DAG file.
    pub(crate) fn dag(self, name: &str, text: &str) -> anyhow::Result<Self> {
        std::fs::write(self.dags().join(format!("{name}.yaml")), text)?;
        Ok(self)
    }

    /// The DAG directory.
    pub(crate) fn dags(&self) -> PathBuf {
        self.dir.path().join("dags")
    }

    /// The data directory; made by the server.
    pub(crate) fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// Another file.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}
