//! What a process that runs tasks sets up for itself and for them, once, before it has a second thread: what is inherited by every
//! process that it starts costs nothing per task.

use rustix::fs::Mode;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit, umask};

/// Descriptors that this process wants: connections, pipes of tasks, the store's files.
const OPEN_FILES: u64 = 65_536;
/// The first descriptor that is no standard stream.
const FIRST_OTHER: i32 = 3;
/// The mode bits that files of tasks go without unless somebody says otherwise: they are their user's alone.
pub(crate) const UMASK_DEFAULT: &str = "077";

/// What people may choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Confinement {
    /// The mode bits that new files go without.
    pub(crate) umask: Mode,
    /// Whether no process of this one can gain rights by what it executes (`sudo`, `ping`, `sendmail` and the like then fail).
    pub(crate) no_new_privileges: bool,
}

impl Confinement {
    /// Reads a umask in octal digits, such as `077` or `0022`.
    ///
    /// # Errors
    /// In words.
    pub(crate) fn umask(text: &str) -> Result<Mode, String> {
        let bits = u32::from_str_radix(text, 8).ok().filter(|bits| *bits <= 0o777);
        bits.and_then(Mode::from_bits).ok_or_else(|| format!("`{text}` is no umask"))
    }

    /// Sets it all up.
    ///
    /// # Errors
    /// The kernel refuses one of them.
    pub(crate) fn settle(self) -> std::io::Result<()> {
        umask(self.umask);
        if self.no_new_privileges {
            rustix::thread::set_no_new_privs(true)?;
        }
        // What the process that started this one had open, and forgot to close, is none of the tasks' business.
        close_fds::set_fds_cloexec(FIRST_OTHER, &[]);
        let core = getrlimit(Resource::Core);
        // The memory holds secrets. A task that wants its core dumps can raise its soft limit again.
        setrlimit(Resource::Core, Rlimit { current: Some(0), ..core })?;
        let open_files = getrlimit(Resource::Nofile);
        let wanted = open_files.maximum.map_or(OPEN_FILES, |most| most.min(OPEN_FILES));
        if open_files.current.is_some_and(|current| current < wanted) {
            setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), ..open_files })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn umasks_are_octal_and_hold_permissions_only() {
        assert_eq!(Confinement::umask("077"), Ok(Mode::from_bits_truncate(0o077)));
        assert_eq!(Confinement::umask("0022"), Ok(Mode::from_bits_truncate(0o022)));
        assert_eq!(Confinement::umask("0"), Ok(Mode::empty()));
        for text in ["", "8", "1000", "-7", "u=rwx", "0x3f"] {
            assert!(Confinement::umask(text).is_err(), "{text}");
        }
    }
}
