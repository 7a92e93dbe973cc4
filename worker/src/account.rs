//! Another user for tasks, so that they can neither read nor signal what is rota's own: its token, its store, its memory.
//!
//! Only root can have it. The standard library then forks instead of using `posix_spawn`, and drops all of root's groups, so
//! a task has the user's own group and no other one.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

/// Where users are looked up. Those of a directory service have to be given by number.
const USERS: &str = "/etc/passwd";
/// Lets others pass through a directory to what is theirs, and see nothing of what else is there.
const PASS: u32 = 0o011;

/// A user of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// `USER` and `LOGNAME` of its tasks.
    pub name: String,
    /// Its number.
    pub uid: u32,
    /// Its group's number.
    pub gid: u32,
    /// `HOME` of its tasks.
    pub home: PathBuf,
    /// `SHELL` of its tasks.
    pub shell: PathBuf,
}

impl Account {
    /// The user of that name, or `UID:GID`.
    ///
    /// # Errors
    /// In words: there is none, it is root, or this process may not become anybody else.
    pub fn find(name: &str) -> Result<Self, String> {
        let users = fs::read_to_string(USERS).map_err(|error| format!("cannot read {USERS}: {error}"))?;
        let account = Self::among(&users, name).ok_or_else(|| {
            format!(
                "there is no user `{name}` in {USERS}; one of a directory service can be given as UID:GID"
            )
        })?;
        if account.uid == 0 {
            return Err(format!("`{name}` is root: name a user that may do less"));
        }
        if !rustix::process::geteuid().is_root() {
            return Err("only root can start tasks as another user".to_owned());
        }
        Ok(account)
    }

    fn among(users: &str, name: &str) -> Option<Self> {
        let numbers =
            name.split_once(':').and_then(|(uid, gid)| Some((uid.parse().ok()?, gid.parse().ok()?)));
        if let Some((uid, gid)) = numbers {
            let (home, shell) = ("/".into(), "/bin/sh".into());
            let name = format!("{uid}");
            return Some(Self { name, uid, gid, home, shell });
        }
        users.lines().find_map(|line| match line.split(':').collect::<Vec<_>>().as_slice() {
            [user, _, uid, gid, _, home, shell] if *user == name => Some(Self {
                name: name.to_owned(),
                uid: uid.parse().ok()?,
                gid: gid.parse().ok()?,
                home: home.into(),
                shell: if shell.is_empty() { "/bin/sh".into() } else { shell.into() },
            }),
            _ => None,
        })
    }

    /// Makes a directory of rota passable, and sees to it that this user gets there.
    ///
    /// # Errors
    /// In words: it cannot be opened, or one above it is closed.
    pub fn let_through(&self, directory: &Path) -> Result<(), String> {
        let failed =
            |error: io::Error| format!("cannot open {} for {}: {error}", directory.display(), self.name);
        if !self.passes(directory) {
            let mode = fs::metadata(directory).map_err(failed)?.mode();
            fs::set_permissions(directory, fs::Permissions::from_mode(mode & 0o7777 | PASS))
                .map_err(failed)?;
        }
        let full = fs::canonicalize(directory).map_err(failed)?;
        match full.ancestors().find(|above| !self.passes(above)) {
            None => Ok(()),
            Some(closed) => Err(format!(
                "tasks run as {} and cannot get to {}: chmod o+x {}, or keep rota's state elsewhere",
                self.name,
                full.display(),
                closed.display()
            )),
        }
    }

    /// Gives a directory to this user.
    pub(crate) fn own(&self, directory: &Path) -> io::Result<()> {
        chown(directory, Some(self.uid), Some(self.gid))
    }

    fn passes(&self, directory: &Path) -> bool {
        let Ok(found) = fs::metadata(directory) else { return false };
        let bit = if found.uid() == self.uid {
            0o100
        } else if found.gid() == self.gid {
            0o010
        } else {
            0o001
        };
        found.mode() & bit != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_found_by_name_and_by_number() {
        let users = "root:x:0:0:root:/root:/bin/bash\nbroken\njobs:x:901:902::/srv/jobs:\n";
        let jobs = Account::among(users, "jobs").unwrap();
        assert_eq!(
            (jobs.uid, jobs.gid, jobs.home, jobs.shell),
            (901, 902, "/srv/jobs".into(), "/bin/sh".into())
        );
        let numbers = Account::among(users, "7:8").unwrap();
        assert_eq!((numbers.name.as_str(), numbers.uid, numbers.gid), ("7", 7, 8));
        for absent in ["job", "jobs:", "7", "", "broken", "7:x"] {
            assert_eq!(Account::among(users, absent), None, "{absent}");
        }
        assert!(Account::find("root").is_err() && Account::find("no-such-user").is_err());
    }
}
