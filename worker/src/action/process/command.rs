//! Puts a command together: a clean environment, a program found before the fork, and nothing that would take the
//! standard library off its `posix_spawn` path (no `pre_exec`, no search on a changed `PATH`; another user only where somebody
//! chose one).

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};

use rota_core::dag::DefaultShell;
use rustix::process::Pid;

use super::pipes::ProcessEnds;
use crate::account::Account;
use crate::limits::Limits;

/// What of the worker's own environment tasks may see, besides `LC_*`. Never rota's own settings: those hold secrets.
const PASSED_ON: [&str; 8] = ["PATH", "HOME", "LANG", "TZ", "TMPDIR", "USER", "LOGNAME", "SHELL"];
/// Where programs are looked for when the worker itself has no `PATH`.
const PATH_DEFAULT: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// This program, also after an upgrade replaced its file.
const THIS_PROGRAM: &str = "/proc/self/exe";
/// Looked-up programs that are remembered. The memory is emptied when it is full.
const PROGRAMS_MAX: usize = 256;

/// What every command of a worker has in common.
#[derive(Debug)]
pub(super) struct Surroundings {
    /// The environment that tasks start from.
    base: Vec<(OsString, OsString)>,
    /// Whom tasks run as, if not as this process does.
    account: Option<Account>,
    /// What each process may use.
    limits: Limits,
    /// Programs found on the base `PATH`.
    programs: Mutex<HashMap<String, PathBuf>>,
}

impl Surroundings {
    /// Takes the allowed part of this process's environment.
    pub(super) fn of_this_process() -> Self {
        let is_allowed = |name: &OsStr| {
            name.to_str().is_some_and(|name| PASSED_ON.contains(&name) || name.starts_with("LC_"))
        };
        let mut base: Vec<_> = std::env::vars_os().filter(|(name, _)| is_allowed(name)).collect();
        if !base.iter().any(|(name, _)| name == "PATH") {
            base.push(("PATH".into(), PATH_DEFAULT.into()));
        }
        Self { base, account: None, limits: Limits::default(), programs: Mutex::default() }
    }

    /// The same for tasks of another user.
    pub(super) fn run_as(mut self, account: Account) -> Self {
        let own = [
            ("HOME", account.home.as_os_str()),
            ("USER", OsStr::new(&account.name)),
            ("LOGNAME", OsStr::new(&account.name)),
            ("SHELL", account.shell.as_os_str()),
        ];
        self.base.retain(|(name, _)| !own.iter().any(|(own, _)| name == own));
        self.base.extend(own.map(|(name, value)| (name.into(), value.into())));
        self.account = Some(account);
        self
    }

    /// The same with limits.
    pub(super) fn limited(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// The file that `program` names: itself if it holds a slash (relative to `cwd`), else the first on the `PATH`
    /// that the task will have.
    ///
    /// # Errors
    /// In words, for a program that is on no directory of the `PATH`.
    pub(super) fn find(
        &self,
        program: &str,
        cwd: &Path,
        env: &[(String, String)],
    ) -> Result<PathBuf, String> {
        if program.contains('/') {
            return Ok(cwd.join(program));
        }
        if program.is_empty() {
            return Err("cannot start the command: its program is an empty text".to_owned());
        }
        let own_path = env.iter().rev().find(|(name, _)| name == "PATH").map(|(_, path)| OsStr::new(path));
        match own_path {
            Some(path) => search(program, path, cwd),
            None => self.find_known(program, cwd),
        }
    }

    /// Starts `program` as the leader of its own group, with these ends of pipes for what it prints. The caller reaps it.
    pub(super) fn start(&self, request: &Request<'_>, ends: ProcessEnds) -> io::Result<Pid> {
        let (name, args) = request.argv.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let mut command = if self.limits.is_empty() {
            let mut command = Command::new(request.program);
            command.arg0(name).args(args);
            command
        } else {
            let mut command = Command::new(THIS_PROGRAM);
            command.args(self.limits.arguments(request.program, request.argv));
            command
        };
        if let Some(account) = &self.account {
            command.uid(account.uid).gid(account.gid);
        }
        let process = command
            .env_clear()
            .envs(self.base.iter().map(|(name, value)| (name, value)))
            .envs(request.env.iter().map(|(name, value)| (name, value)))
            .envs(request.marks.iter().copied())
            .current_dir(request.cwd)
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(ends.stdout)
            .stderr(ends.stderr)
            .spawn()?;
        let group = i32::try_from(process.id()).ok().filter(|pid| *pid > 1).and_then(Pid::from_raw);
        Ok(group.ok_or(io::ErrorKind::InvalidData)?)
    }

    fn find_known(&self, program: &str, cwd: &Path) -> Result<PathBuf, String> {
        let mut programs = self.programs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = programs.get(program).filter(|found| is_program(found)) {
            return Ok(found.clone());
        }
        let path = self.base.iter().find(|(name, _)| name == "PATH").map(|(_, path)| path.as_os_str());
        let found = search(program, path.unwrap_or_default(), cwd)?;
        if programs.len() >= PROGRAMS_MAX {
            programs.clear();
        }
        programs.insert(program.to_owned(), found.clone());
        Ok(found)
    }
}

/// What one command adds to its surroundings.
pub(super) struct Request<'a> {
    /// The file to execute.
    pub(super) program: &'a Path,
    /// The name it is called by, then its arguments.
    pub(super) argv: &'a [String],
    /// The task's environment.
    pub(super) env: &'a [(String, String)],
    /// rota's own variables, which the task's cannot replace.
    pub(super) marks: &'a [(&'a str, &'a OsStr)],
    /// Where it starts.
    pub(super) cwd: &'a Path,
}

fn search(program: &str, path: &OsStr, cwd: &Path) -> Result<PathBuf, String> {
    std::env::split_paths(path)
        .map(|directory| cwd.join(directory).join(program))
        .find(|file| is_program(file))
        .ok_or_else(|| {
            let path = String::from_utf8_lossy(path.as_bytes());
            format!(
                "cannot start {program}: no such program on PATH ({path}); give its full path, or ./{program}"
            )
        })
}

fn is_program(file: &Path) -> bool {
    file.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

/// The shell of `run:` scripts on this host: bash where there is bash, else sh.
pub fn default_shell() -> DefaultShell {
    static HAS_BASH: OnceLock<bool> = OnceLock::new();
    let has_bash = HAS_BASH.get_or_init(|| search("bash", OsStr::new(PATH_DEFAULT), Path::new("/")).is_ok());
    if *has_bash { DefaultShell::Bash } else { DefaultShell::Sh }
}
