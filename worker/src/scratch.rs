//! Where tasks start on a worker: in the folder of their DAG's file, or in a fresh directory of their own where this worker
//! has no such folder.

use std::io;
use std::path::{Path, PathBuf};

use rota_core::port::Claimed;

use crate::options::WorkerOptions;

/// The folder that an attempt starts in. A scratch directory goes with the value.
#[derive(Debug)]
pub(crate) struct StartFolder {
    path: PathBuf,
    is_scratch: bool,
}

impl StartFolder {
    /// The folder of the DAG's file, if this worker has it, else a fresh directory.
    ///
    /// # Errors
    /// In words: the directory cannot be made.
    pub(crate) fn of(options: &WorkerOptions, claimed: &Claimed) -> Result<Self, String> {
        let folder =
            options.dags_dir.as_ref().and_then(|root| Some(root.join(&claimed.path).parent()?.to_owned()));
        if let Some(path) = folder.filter(|folder| folder.is_dir()) {
            return Ok(Self { path, is_scratch: false });
        }
        let path = root(options).join(format!("{}-{}", claimed.token, claimed.name));
        let made = std::fs::create_dir_all(&path);
        made.map_err(|error| format!("cannot make the task's directory {}: {error}", path.display()))?;
        Ok(Self { path, is_scratch: true })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it was made for this attempt.
    pub(crate) fn is_scratch(&self) -> bool {
        self.is_scratch
    }
}

impl Drop for StartFolder {
    fn drop(&mut self) {
        if self.is_scratch
            && let Err(error) = std::fs::remove_dir_all(&self.path)
        {
            tracing::warn!(
                "cannot remove the directory of a task that has ended, {}: {error}",
                self.path.display()
            );
        }
    }
}

/// Removes what earlier lives of this worker left.
///
/// # Errors
/// What the file system says.
pub(crate) fn clear(options: &WorkerOptions) -> io::Result<()> {
    match std::fs::remove_dir_all(root(options)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn root(options: &WorkerOptions) -> PathBuf {
    options.state_dir.join("scratch")
}
