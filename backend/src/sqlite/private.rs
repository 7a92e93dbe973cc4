//! The store's files on disk: for their owner alone, whatever the directory and the umask are. SQLite gives its log and its
//! shared memory the mode of the database, so the database is made first, and private.

use std::fs::{self, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Of every file of the store.
const MODE: u32 = 0o600;
/// What of a mode lets others in.
const OTHERS: u32 = 0o077;
/// SQLite's files beside the database, by what is added to its name.
const BESIDE: [&str; 4] = ["", "-wal", "-shm", "-journal"];

/// Makes the database if it is missing, and takes everybody else's rights on it away. What cannot be done is said: a store
/// that others can read is no reason not to schedule.
pub(super) fn make_private(database: &Path) {
    // A file that is there is not opened: closing it would drop the locks that this process may have on it. And what stands
    // in the way of making it is told by SQLite, which meets it again.
    let _ = OpenOptions::new().write(true).create_new(true).mode(MODE).open(database);
    // Through a link: SQLite keeps its other files beside what the link leads to.
    let Ok(database) = fs::canonicalize(database) else { return };
    for added in BESIDE {
        let mut name = database.clone().into_os_string();
        name.push(added);
        let path = Path::new(&name);
        match tighten(path) {
            Ok(true) => tracing::warn!("others could read {}; now only its owner can", path.display()),
            Ok(false) => {}
            Err(error) => tracing::warn!("others can read {}: chmod 600 failed: {error}", path.display()),
        }
    }
}

/// Whether the file was open to others.
fn tighten(path: &Path) -> io::Result<bool> {
    let is_open = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata.is_file() && metadata.permissions().mode() & OTHERS != 0,
        Err(_) => false,
    };
    if is_open {
        fs::set_permissions(path, Permissions::from_mode(MODE))?;
    }
    Ok(is_open)
}
