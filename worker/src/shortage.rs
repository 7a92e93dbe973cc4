//! What a machine can be short of when a process is to be started: descriptors, processes, memory, room on a disk. That is the
//! worker's trouble and never the task's, which has not begun.

use std::io::{self, ErrorKind};

use rustix::io::Errno;

/// What the system answers then.
const ERRNOS: [Errno; 6] =
    [Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::AGAIN, Errno::NOSPC, Errno::DQUOT];

/// Why nothing was started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum StartError {
    /// The machine is short of something, in words. Nothing of the command was looked at.
    Short(String),
    /// The command cannot be started here, in words: the attempt has failed.
    Wrong(String),
}

impl StartError {
    /// Of what the system answered. `words` say what was tried.
    pub(crate) fn of(error: &io::Error, words: String) -> Self {
        if is_shortage(error) { Self::Short(words) } else { Self::Wrong(words) }
    }
}

/// Whether an error says that the machine is short of something, and nothing about what was asked.
pub(crate) fn is_shortage(error: &io::Error) -> bool {
    let is_full = matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded);
    is_full || ERRNOS.iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shortage_is_told_from_what_is_wrong_with_a_command() {
        let is_short = |errno: Errno| is_shortage(&io::Error::from(errno));
        for errno in ERRNOS {
            assert!(is_short(errno), "{errno}");
        }
        for errno in [Errno::NOENT, Errno::ACCESS, Errno::TOOBIG, Errno::NOEXEC, Errno::TXTBSY, Errno::NOTDIR]
        {
            assert!(!is_short(errno), "{errno}");
        }
        assert!(is_shortage(&io::Error::new(ErrorKind::StorageFull, "full")));
    }
}
