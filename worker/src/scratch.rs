//! Where tasks start on a worker: in the folder of their DAG's file, or in a fresh private directory of their own where this
//! worker has no such folder. Such a directory goes when its attempt has ended, whatever the task made of it.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rota_core::port::Claimed;

use crate::options::WorkerOptions;
use crate::shortage::StartError;

/// For this user only: a task may write secrets there.
const PRIVATE: u32 = 0o700;

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
    /// The directory cannot be made.
    pub(crate) fn of(options: &WorkerOptions, claimed: &Claimed) -> Result<Self, StartError> {
        let folder =
            options.dags_dir.as_ref().and_then(|root| Some(root.join(&claimed.path).parent()?.to_owned()));
        if let Some(path) = folder.filter(|folder| folder.is_dir()) {
            return Ok(Self { path, is_scratch: false });
        }
        let path = root(options).join(format!("{}-{}", claimed.token, claimed.name));
        let made = DirBuilder::new().recursive(true).mode(PRIVATE).create(&path);
        let failed = |error: io::Error| {
            let words = format!("cannot make the task's directory {}: {error}", path.display());
            StartError::of(&error, words)
        };
        made.map_err(failed)?;
        if let Some(account) = &options.run_as {
            account.let_through(&root(options)).map_err(StartError::Wrong)?;
            account.own(&path).map_err(failed)?;
        }
        Ok(Self { path, is_scratch: true })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it was made for this attempt.
    pub(crate) fn is_scratch(&self) -> bool {
        self.is_scratch
    }

    /// Removes a scratch directory off the runtime: a task may leave very many files.
    pub(crate) async fn close(self) {
        if !self.is_scratch {
            return;
        }
        // It ends early only when the runtime does, and then the worker's next start clears up.
        let _ = tokio::task::spawn_blocking(move || drop(self)).await;
    }
}

impl Drop for StartFolder {
    fn drop(&mut self) {
        if self.is_scratch
            && let Err(error) = remove(&self.path)
        {
            tracing::warn!(
                "cannot remove the directory of a task that has ended, {}: {error}",
                self.path.display()
            );
        }
    }
}

/// Removes what earlier lives of this worker left. What cannot be removed is told and left: it is in nobody's way.
pub(crate) fn clear(options: &WorkerOptions) {
    let root = root(options);
    if let Err(error) = remove(&root) {
        tracing::warn!("cannot remove what earlier tasks left in {}: {error}", root.display());
    }
}

fn root(options: &WorkerOptions) -> PathBuf {
    options.state_dir.join("scratch")
}

/// Removes a directory with all that is in it, also where a task took the right to write from it (module caches do). One that
/// is not there is no error, and a link goes without what it leads to.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => fs::remove_file(path),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            unlock(path);
            fs::remove_dir_all(path)
        }
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Gives this user all rights on the directories at and below `path`. Links are not followed.
fn unlock(path: &Path) {
    let mut waiting = vec![path.to_owned()];
    while let Some(directory) = waiting.pop() {
        // What cannot be changed here is what the removal then complains of.
        let _ = fs::set_permissions(&directory, Permissions::from_mode(PRIVATE));
        let entries = fs::read_dir(&directory).into_iter().flatten().flatten();
        let directories = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        waiting.extend(directories.map(|entry| entry.path()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_was_made_read_only_goes_too() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("1-a");
        fs::create_dir_all(path.join("cache/deep")).unwrap();
        fs::write(path.join("cache/deep/file"), "x").unwrap();
        for directory in ["cache/deep", "cache"] {
            fs::set_permissions(path.join(directory), Permissions::from_mode(0o500)).unwrap();
        }
        // Root may remove it anyway, others only after this.
        unlock(&path);
        assert_eq!(fs::metadata(path.join("cache/deep")).unwrap().permissions().mode() & 0o777, PRIVATE);
        remove(&path).unwrap();
        assert!(!path.exists());
        remove(&path).unwrap();
    }
}
