//! What is dangerous about how a process is set up, though it works: said when it starts and by `--check`. Looks at modes and
//! words only; it changes nothing and refuses nothing.

use std::fs::{self, Metadata};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// What others may do by a file's mode.
const OTHERS_READ: u32 = 0o004;
const OTHERS_WRITE: u32 = 0o002;
/// In such a directory one may only remove what is one's own.
const STICKY: u32 = 0o1000;
/// Files below a DAG directory that are looked at.
const ENTRIES_MAX: usize = 10_000;
/// Different characters that a random token of the shortest length has at least, but for one in a million.
const DIFFERENT_MIN: usize = 8;
/// What people write who mean to choose a token later, and what is guessed first.
const GUESSED: [&str; 9] =
    ["password", "passwort", "changeme", "change-me", "example", "secret", "qwerty", "12345678", "admin"];

/// Says what was found to whoever reads the log.
pub(crate) fn tell(cautions: &[String]) {
    for caution in cautions {
        tracing::warn!("{caution}");
    }
}

/// What is said of root where tasks are root's too.
pub(crate) const AND_ITS_TASKS: &str = ", and so do its tasks (ROTA_WORKER_USER names another user for them)";

/// A process that need not be root and is.
pub(crate) fn root(then: &str) -> Option<String> {
    rustix::process::geteuid()
        .is_root()
        .then(|| format!("rota runs as root{then}: give it a user of its own"))
}

/// A DAG directory in which others may write: they run commands as this user's tasks.
pub(crate) fn dags(root: &Path) -> Option<String> {
    let found = open_ancestor(root).or_else(|| open_entry(root))?;
    Some(format!(
        "every user of this machine may change {}, and so run commands as rota's tasks: chmod o-w {}",
        found.display(),
        found.display()
    ))
}

/// A file with secrets (`what` it holds) that others may read or change.
pub(crate) fn secrets(path: &Path, what: &str) -> Option<String> {
    let mode = fs::metadata(path).ok()?.permissions().mode();
    let deed = match (mode & OTHERS_WRITE != 0, mode & OTHERS_READ != 0) {
        (true, _) => "change",
        (false, true) => "read",
        (false, false) => return None,
    };
    let path = path.display();
    Some(format!("every user of this machine may {deed} {path}, which holds {what}: chmod o-rwx {path}"))
}

/// A token that is long enough and can be guessed all the same.
pub(crate) fn token(token: &str, place: &str) -> Option<String> {
    let lower = token.to_ascii_lowercase();
    let mut different: Vec<char> = token.chars().collect();
    different.sort_unstable();
    different.dedup();
    let why = match GUESSED.iter().find(|word| lower.contains(*word)) {
        Some(word) => format!("it holds `{word}`"),
        None if different.len() < DIFFERENT_MIN => {
            format!("it has only {} different characters", different.len())
        }
        None if is_repeated(&lower) => "it repeats itself".to_owned(),
        None => return None,
    };
    Some(format!(
        "the admin token ({place}) can be guessed, {why}: make one with `head -c 24 /dev/urandom | base64`"
    ))
}

/// The broker's default account, which everybody knows, on another machine.
pub(crate) fn broker(url: &str) -> Option<String> {
    let rest = url.split_once("://")?.1;
    let authority = rest.split(['/', '?']).next()?;
    let (account, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    let user = account.split(':').next().filter(|user| !user.is_empty()).unwrap_or("guest");
    let name = if host.starts_with('[') { host.split_inclusive(']').next() } else { host.split(':').next() };
    let name = name.filter(|name| !name.is_empty()).unwrap_or("localhost");
    if user != "guest" || is_this_machine(name) {
        return None;
    }
    Some(format!(
        "the broker at {name} is used with RabbitMQ's default account `guest`, which everybody knows: make a user for rota \
         and delete guest (docs/deploy)"
    ))
}

/// Whether a host's name or address, as it stands in a URL, can only mean this machine.
pub(crate) fn is_this_machine(name: &str) -> bool {
    let address = name.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    name.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

fn is_repeated(text: &str) -> bool {
    (1..=text.len() / 2).any(|period| text.bytes().skip(period).eq(text.bytes().take(text.len() - period)))
}

fn others_write(metadata: &Metadata) -> bool {
    metadata.permissions().mode() & OTHERS_WRITE != 0
}

/// A directory above `root` in which others may put another one in its place.
fn open_ancestor(root: &Path) -> Option<PathBuf> {
    let root = fs::canonicalize(root).ok()?;
    let is_open = |path: &&Path| {
        fs::metadata(path).is_ok_and(|found| others_write(&found) && found.permissions().mode() & STICKY == 0)
    };
    root.ancestors().skip(1).find(is_open).map(Path::to_owned)
}

/// The directory itself, or what in it others may write. Links are not followed: the scheduler does not either.
fn open_entry(root: &Path) -> Option<PathBuf> {
    let mut waiting = vec![root.to_owned()];
    let mut left = ENTRIES_MAX;
    while let Some(directory) = waiting.pop() {
        if fs::metadata(&directory).is_ok_and(|found| others_write(&found)) {
            return Some(directory);
        }
        for entry in fs::read_dir(&directory).into_iter().flatten().flatten().take(left) {
            left -= 1;
            match entry.metadata() {
                Ok(found) if found.is_dir() => waiting.push(entry.path()),
                Ok(found) if found.is_file() && others_write(&found) => return Some(entry.path()),
                Ok(_) | Err(_) => {}
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;

    use super::*;

    #[test]
    fn the_default_account_is_told_of_on_other_machines_only() {
        let urls = [
            ("amqp://guest:guest@mq", true),
            ("amqp://mq:5672/%2f", true),
            ("amqps://guest@10.0.0.7:5671/rota?heartbeat=5", true),
            ("amqp://guest:a@b@[2001:db8::1]:5672", true),
            ("amqp://rota:guest@mq", false),
            ("amqp://guest:guest@localhost:5672", false),
            ("amqp://127.0.0.1", false),
            ("amqp://guest:x@[::1]:5672/", false),
        ];
        for (url, is_told) in urls {
            assert_eq!(broker(url).is_some(), is_told, "{url}");
        }
    }

    #[test]
    fn tokens_that_are_guessed_are_told_of_and_random_ones_are_not() {
        let weak = [
            "aaaaaaaaaaaaaaaaaaaaaaaa",
            "my-Password-is-my-dog",
            "abcdefghijkabcdefghijk",
            "01010101010101010101",
        ];
        for text in weak {
            assert!(token(text, "ROTA_ADMIN_TOKEN").is_some(), "{text}");
        }
        for text in ["correct-horse-battery-staple", "63f0b1c2a59e4d7788aa", "+pQ0vV9Yl2zS1o/8kXw7jRt3"] {
            assert_eq!(token(text, "ROTA_ADMIN_TOKEN"), None);
        }
    }

    #[test]
    fn what_others_may_read_or_change_is_told_with_the_way_to_close_it() {
        let folder = tempfile::tempdir().unwrap();
        let (root, file) = (folder.path().join("dags"), folder.path().join("dags/team/a.yaml"));
        fs::create_dir_all(root.join("team")).unwrap();
        fs::write(&file, "tasks: []").unwrap();
        let set = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        for path in [&root, &root.join("team"), &file] {
            set(path, 0o755);
        }
        assert_eq!(dags(&root), None);
        for (path, mode) in
            [(&file, 0o646), (&root, 0o1777), (&root.join("team"), 0o777), (&folder.path().into(), 0o777)]
        {
            set(path, mode);
            let told = dags(&root).unwrap();
            assert!(
                told.contains(&format!("chmod o-w {}", fs::canonicalize(path).unwrap().display())),
                "{told}"
            );
            set(path, 0o755);
        }
        let modes = [(0o600, None), (0o640, None), (0o644, Some("read")), (0o602, Some("change"))];
        for (mode, deed) in modes {
            set(&file, mode);
            assert_eq!(
                secrets(&file, "a token").is_some_and(|told| told.contains(deed.unwrap())),
                deed.is_some()
            );
        }
    }
}
