//! A private Postgres. It refuses to run as root, so it runs as the `postgres` user there.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::{Folder, Leashed, free_port, wait_until};
use rustix::process::Signal;

/// The user it runs as where tests run as root.
const USER: &str = "postgres";

/// A running Postgres with one superuser, `rota`, who needs no password on loopback.
pub struct Postgres {
    // Dropped first: nothing may write to the directory when it goes.
    server: Option<Leashed>,
    directory: Folder,
    bin: PathBuf,
    owner: Option<(u32, u32)>,
    port: u16,
}

impl Postgres {
    /// Makes a cluster and starts it.
    ///
    /// # Panics
    /// If Postgres is not installed or does not start.
    pub fn start() -> Self {
        let directory = Folder::new();
        let owner = rustix::process::geteuid().is_root().then(|| ids_of(USER));
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).expect("own directory");
        if let Some((uid, gid)) = owner {
            chown(directory.path(), Some(uid), Some(gid)).expect("root may give its directory away");
        }
        let mut postgres = Self { directory, bin: bin(), owner, port: free_port(), server: None };
        let init = postgres
            .tool("initdb", &["-D", "data", "-U", "rota", "-A", "trust", "-E", "UTF8", "--locale=C", "-N"]);
        assert!(init.status.success(), "initdb: {}", String::from_utf8_lossy(&init.stderr));
        let settings = "listen_addresses = '127.0.0.1'\nunix_socket_directories = ''\nmax_connections = 200\n\
                        shared_buffers = 128MB\nlog_min_messages = warning\nmax_wal_size = 2GB\n";
        let config = postgres.directory.path().join("data/postgresql.conf");
        let text = fs::read_to_string(&config).expect("initdb wrote it");
        fs::write(config, text + settings).expect("own directory");
        postgres.launch();
        postgres
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Makes a fresh database and says where it is.
    ///
    /// # Panics
    /// If it cannot be made.
    pub fn database(&self, name: &str) -> String {
        self.sql("postgres", &format!("create database \"{name}\""));
        self.url(name)
    }

    /// Where a database is.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://rota@127.0.0.1:{}/{database}", self.port)
    }

    /// Runs statements with `psql` and returns what they print, without headers and padding.
    ///
    /// # Panics
    /// If they fail.
    pub fn sql(&self, database: &str, sql: &str) -> String {
        let out = self.try_sql(database, sql);
        assert!(out.status.success(), "{sql}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8_lossy(&out.stdout).trim().to_owned()
    }

    /// As [`Postgres::sql`], for a server that may be away.
    ///
    /// # Panics
    /// If there is no `psql`.
    pub fn try_sql(&self, database: &str, sql: &str) -> Output {
        let mut psql = Command::new(self.bin.join("psql"));
        psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", sql, "-d", &self.url(database)]);
        psql.output().expect("psql is installed with Postgres")
    }

    /// Ends it as a crash does: `immediate` shutdown, recovery at the next start.
    pub fn crash(&mut self) {
        // What does not end in time is killed with the rest of its group.
        let _ = self.tool("pg_ctl", &["-D", "data", "-m", "immediate", "-w", "-t", "15", "stop"]);
        self.server = None;
    }

    /// Starts it again on the same data and waits until it accepts.
    pub fn restart(&mut self) {
        self.launch();
    }

    /// Stops or continues all of its processes, as a machine that hangs does.
    ///
    /// # Panics
    /// If it does not run.
    pub fn signal(&self, signal: Signal) {
        self.server.as_ref().expect("it runs").signal(signal);
    }

    /// Ends all sessions of one database but the asking one.
    pub fn terminate_sessions(&self, database: &str) {
        let sql =
            "select count(pg_terminate_backend(pid)) from pg_stat_activity where datname = current_database()
                   and pid <> pg_backend_pid()";
        let _ = self.try_sql(database, sql);
    }

    fn launch(&mut self) {
        let log = self.directory.path().join("log");
        let mut command = self.command("postgres");
        command.args(["-D", "data", "-p", &self.port.to_string()]);
        self.server = Some(Leashed::start(&command, &log));
        wait_until("Postgres accepts connections", &log, || {
            self.try_sql("postgres", "select 1").status.success()
        });
    }

    fn tool(&self, name: &str, args: &[&str]) -> Output {
        let mut command = self.command(name);
        command.args(args).output().expect("Postgres is installed; tests/run installs it")
    }

    fn command(&self, name: &str) -> Command {
        let program = self.bin.join(name);
        let mut command = match self.owner {
            None => Command::new(program),
            Some((uid, gid)) => {
                let mut command = Command::new("setpriv");
                command.args([
                    format!("--reuid={uid}"),
                    format!("--regid={gid}"),
                    "--clear-groups".to_owned(),
                ]);
                command.arg(program);
                command
            }
        };
        command.current_dir(self.directory.path()).env("HOME", self.directory.path());
        command
    }
}

/// Debian keeps the server's programs out of the path, one directory per version.
fn bin() -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest =
        versions.map(|entry| entry.path().join("bin")).filter(|bin| bin.join("postgres").exists()).max();
    newest.expect("Postgres is installed (on Debian: apt-get install postgresql); tests/run installs it")
}

fn ids_of(user: &str) -> (u32, u32) {
    let users = fs::read_to_string(Path::new("/etc/passwd")).expect("a list of users");
    let line =
        users.lines().find(|line| line.starts_with(&format!("{user}:"))).expect("the package makes its user");
    let ids: Vec<u32> = line.split(':').skip(2).take(2).filter_map(|id| id.parse().ok()).collect();
    (ids[0], ids[1])
}
