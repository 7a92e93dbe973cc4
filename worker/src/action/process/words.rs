//! How an attempt ended, in words for people.

use std::io;
use std::path::Path;

/// `exit code 3`, `killed by signal 9 (SIGKILL)`.
pub(super) fn exit(code: Option<i32>, signal: Option<i32>) -> String {
    match (code, signal) {
        (_, Some(signal)) => format!("killed by signal {signal} ({})", signal_name(signal)),
        (Some(126), None) => "exit code 126 (the command is not executable)".to_owned(),
        (Some(127), None) => "exit code 127 (command not found)".to_owned(),
        (Some(code), None) => format!("exit code {code}"),
        (None, None) => "ended in an unknown way".to_owned(),
    }
}

/// Why `program` could not be started in `cwd`: the system's answer does not say which of the two it means.
pub(super) fn cannot_start(program: &str, path: &Path, cwd: &Path, error: &io::Error) -> String {
    if !cwd.is_dir() {
        return format!("cannot start {program}: its working directory {} does not exist", cwd.display());
    }
    let reason = match error.kind() {
        io::ErrorKind::NotFound if path.exists() => {
            "the interpreter named in its first line does not exist".into()
        }
        io::ErrorKind::NotFound => "no such file".to_owned(),
        io::ErrorKind::PermissionDenied if path.is_dir() => "it is a directory".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied (is it executable? try chmod +x)".to_owned(),
        io::ErrorKind::ArgumentListTooLong => {
            "its arguments or environment are too long (Linux takes 128 KiB each); pass a file instead"
                .to_owned()
        }
        io::ErrorKind::InvalidInput => "an argument or environment value holds a NUL byte".to_owned(),
        _ if error.raw_os_error() == Some(rustix::io::Errno::NOEXEC.raw_os_error()) => {
            "it is neither a program nor a script with a first line like #!/bin/sh".to_owned()
        }
        _ => error.to_string(),
    };
    format!("cannot start {program}: {reason}")
}

fn signal_name(signal: i32) -> &'static str {
    const NAMES: [&str; 31] = [
        "SIGHUP",
        "SIGINT",
        "SIGQUIT",
        "SIGILL",
        "SIGTRAP",
        "SIGABRT",
        "SIGBUS",
        "SIGFPE",
        "SIGKILL",
        "SIGUSR1",
        "SIGSEGV",
        "SIGUSR2",
        "SIGPIPE",
        "SIGALRM",
        "SIGTERM",
        "SIGSTKFLT",
        "SIGCHLD",
        "SIGCONT",
        "SIGSTOP",
        "SIGTSTP",
        "SIGTTIN",
        "SIGTTOU",
        "SIGURG",
        "SIGXCPU",
        "SIGXFSZ",
        "SIGVTALRM",
        "SIGPROF",
        "SIGWINCH",
        "SIGIO",
        "SIGPWR",
        "SIGSYS",
    ];
    usize::try_from(signal - 1)
        .ok()
        .and_then(|place| NAMES.get(place))
        .copied()
        .unwrap_or("a real-time signal")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_told_in_words() {
        assert_eq!(exit(Some(3), None), "exit code 3");
        assert_eq!(exit(None, Some(9)), "killed by signal 9 (SIGKILL)");
        assert_eq!(exit(None, Some(31)), "killed by signal 31 (SIGSYS)");
        assert_eq!(exit(None, Some(40)), "killed by signal 40 (a real-time signal)");
    }
}
