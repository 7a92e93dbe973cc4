//! A private RabbitMQ server: its own node name, its own epmd, its own directories, nothing of the system's configuration.

use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::{Leashed, free_port, wait_until};

/// Where packages put the server's own scripts. Those in the path switch users and directories.
const SCRIPTS: &str = "/usr/lib/rabbitmq/bin";
/// Removes a directory once stdin ends, which it does with the test's process, even if the test never drops the server.
const FORGET: &str = r#"cat; until rm -rf -- "$0"; do sleep 0.2; done"#;

/// A server, and its epmd.
pub struct Rabbit {
    port: u16,
    epmd_port: u16,
    dist_port: u16,
    directory: TempDir,
    server: Option<Leashed>,
    _epmd: Leashed,
}

impl Rabbit {
    /// Starts a server and waits until it takes connections.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn start() -> Self {
        let directory = tempfile::Builder::new().prefix("rota-rabbit-").tempdir();
        let directory = directory.expect("a directory for the server");
        forget_with_the_test(directory.path());
        let epmd_port = free_port();
        let mut epmd = Command::new("epmd");
        epmd.args(["-address", "127.0.0.1", "-port", &epmd_port.to_string()]);
        let epmd = Leashed::start(&epmd, &directory.path().join("epmd.log"));
        let (port, dist_port) = (free_port(), free_port());
        let mut rabbit = Self { port, epmd_port, dist_port, directory, server: None, _epmd: epmd };
        rabbit.configure();
        rabbit.start_again();
        rabbit
    }

    /// Where it listens, for the default user.
    pub fn url(&self) -> String {
        format!("amqp://guest:guest@127.0.0.1:{}", self.port)
    }

    /// The port that it listens on.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Kills it, as a crash would, and waits until its port is closed.
    pub fn kill(&mut self) {
        if self.server.take().is_some() {
            wait_until("the end of rabbitmq", &self.path().join("out.log"), || !self.takes_connections());
        }
    }

    fn takes_connections(&self) -> bool {
        TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok()
    }

    /// Starts it with the data that it had, and waits until it takes connections.
    ///
    /// # Panics
    /// If it does not.
    pub fn start_again(&mut self) {
        self.kill();
        let mut command = self.command("rabbitmq-server");
        command.current_dir(self.path());
        let log = self.path().join("out.log");
        let mut server = Leashed::start(&command, &log);
        wait_until("rabbitmq", &log, || {
            assert!(!server.has_ended(), "rabbitmq ended while starting, see {}", log.display());
            self.takes_connections()
        });
        self.server = Some(server);
    }

    /// Kills it, removes its data, starts it.
    ///
    /// # Panics
    /// If the data cannot be removed, or it does not start.
    pub fn wipe(&mut self) {
        self.kill();
        std::fs::remove_dir_all(self.path().join("mnesia")).expect("data that can be removed");
        self.start_again();
    }

    /// Waits until a crash would not lose the quorum queues whose names begin with `prefix`, `count` of them: RabbitMQ
    /// writes their directory now and then, and a queue that it does not know after a crash never has a leader again.
    ///
    /// # Panics
    /// If that takes too long.
    pub fn quorum_queues_are_kept(&self, prefix: &str, count: usize) {
        let node = format!("rota{}@localhost", self.port);
        let names = self.path().join(format!("mnesia/{node}/quorum/{node}/names.dets"));
        let start = format!("%2F_{prefix}");
        wait_until("the directory of quorum queues", &self.path().join("out.log"), || {
            let written = std::fs::read(&names).unwrap_or_default();
            written.windows(start.len()).filter(|text| *text == start.as_bytes()).count() >= count
        });
    }

    /// Runs `rabbitmqctl` against it: what it printed.
    ///
    /// # Panics
    /// If it fails.
    pub fn ctl(&self, args: &[&str]) -> String {
        let output = self.command("rabbitmqctl").args(args).stdin(Stdio::null()).output();
        let output = output.expect("rabbitmqctl can be started");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "rabbitmqctl {args:?}: {stdout}{stderr}");
        stdout
    }

    /// Stops its process, as a frozen machine would: connections stay open and nothing answers.
    ///
    /// # Panics
    /// If it does not run.
    pub fn stop(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets a stopped process go on.
    ///
    /// # Panics
    /// If it does not run.
    pub fn cont(&self) {
        self.signal(Signal::CONT);
    }

    /// Signals the server alone: its leash must go on, or a stopped server would outlive the test.
    fn signal(&self, signal: Signal) {
        let pid = std::fs::read_to_string(self.path().join("pid")).expect("a running server has a pid file");
        let pid = pid.trim().parse().ok().and_then(Pid::from_raw).expect("a pid in the pid file");
        kill_process(pid, signal).expect("a running server can be signalled");
    }

    fn configure(&self) {
        let config = format!(
            "listeners.tcp.1 = 127.0.0.1:{}\nlog.console = false\nlog.file.level = info\nheartbeat = 20\n\
             disk_free_limit.absolute = 50MB\nvm_memory_calculation_strategy = allocated\n",
            self.port
        );
        std::fs::write(self.path().join("rabbitmq.conf"), config).expect("a configuration");
        std::fs::write(self.path().join("plugins"), "[].").expect("a list of plugins");
        std::fs::write(self.path().join("env.conf"), "").expect("an environment");
    }

    fn command(&self, script: &str) -> Command {
        let mut command = Command::new(Path::new(SCRIPTS).join(script));
        let paths = [
            ("HOME", ""),
            ("ERL_CRASH_DUMP", "erl_crash.dump"),
            ("RABBITMQ_CONFIG_FILE", "rabbitmq.conf"),
            ("RABBITMQ_ADVANCED_CONFIG_FILE", "advanced.config"),
            ("RABBITMQ_CONF_ENV_FILE", "env.conf"),
            ("RABBITMQ_ENABLED_PLUGINS_FILE", "plugins"),
            ("RABBITMQ_GENERATED_CONFIG_DIR", "generated"),
            ("RABBITMQ_MNESIA_BASE", "mnesia"),
            ("RABBITMQ_LOG_BASE", "log"),
            ("RABBITMQ_PID_FILE", "pid"),
        ];
        command.envs(paths.map(|(name, file)| (name, self.path().join(file))));
        command.env("RABBITMQ_NODENAME", format!("rota{}@localhost", self.port));
        command.env("RABBITMQ_DIST_PORT", self.dist_port.to_string());
        command.env("ERL_EPMD_PORT", self.epmd_port.to_string());
        command.env("ERL_EPMD_ADDRESS", "127.0.0.1");
        // An idle server must not spin, the machine is shared with other tests.
        command.env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "+sbwt none +sbwtdcpu none +sbwtdio none");
        command.env("LANG", "C.UTF-8");
        command
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }
}

fn forget_with_the_test(directory: &Path) {
    let mut janitor = Command::new("bash");
    janitor.args(["-c", FORGET]).arg(directory).stdin(Stdio::piped()).stdout(Stdio::null());
    let mut janitor = janitor.spawn().expect("bash can be started");
    // Its pipe is never closed but by the end of this process.
    std::mem::forget(janitor.stdin.take());
    // Nobody waits for it: it outlives this process by a moment.
    drop(janitor);
}
