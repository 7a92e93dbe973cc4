//! A `rota` process under test: its environment, its log, signals, and a leash that ends it with the test.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rota_tests::lab::binary;
use rustix::process::{Pid, Signal, kill_process};

/// Kills a process once stdin ends, which it does with the test's process.
const LEASH: &str = r#"read -r _; kill -9 "$1""#;
/// How long a health page may take.
const ANSWER_MAX: Duration = Duration::from_millis(800);

/// What a process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Scheduler,
    Worker,
    Web,
}

impl Role {
    fn word(self) -> &'static str {
        match self {
            Self::Scheduler => "scheduler",
            Self::Worker => "worker",
            Self::Web => "web",
        }
    }
}

/// A process that can be started again and again.
pub(crate) struct Process {
    pub(crate) name: String,
    pub(crate) role: Role,
    /// Where its pages are.
    pub(crate) port: u16,
    environment: Vec<(String, String)>,
    log: PathBuf,
    running: Option<Running>,
}

/// A life of it. When it is dropped, it is over.
struct Running {
    child: Child,
    leash: Child,
}

impl Process {
    /// One that has not started.
    pub(crate) fn new(name: &str, role: Role, port: u16, dir: &Path) -> Self {
        let log = dir.join(format!("{name}.log"));
        let environment = vec![
            ("ROTA_NAME".to_owned(), name.to_owned()),
            ("ROTA_LISTEN".to_owned(), format!("127.0.0.1:{port}")),
            ("ROTA_LOG".to_owned(), "info".to_owned()),
        ];
        Self { name: name.to_owned(), role, port, environment, log, running: None }
    }

    pub(crate) fn set(&mut self, name: &str, value: impl Into<String>) {
        self.environment.push((name.to_owned(), value.into()));
    }

    /// Starts it and does not wait for it.
    pub(crate) fn start(&mut self) {
        assert!(self.running.is_none(), "{} runs already", self.name);
        let log = File::options().create(true).append(true).open(&self.log).unwrap();
        let mut command = binary();
        command.args(["start", self.role.word()]);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let child = command.spawn().unwrap();
        let mut leash = Command::new("bash");
        leash.args(["-c", LEASH, "leash", &child.id().to_string()]).stdin(Stdio::piped());
        self.running = Some(Running { child, leash: leash.spawn().unwrap() });
    }

    pub(crate) fn is_running(&self) -> bool {
        self.running.is_some()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.running.as_ref().expect("it runs").child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        if let Some(running) = &self.running {
            kill_process(Pid::from_child(&running.child), signal).unwrap();
        }
    }

    /// Ends it as `kill -9` does.
    pub(crate) fn kill(&mut self) {
        self.running = None;
    }

    /// Asks it to stop and waits until it has.
    pub(crate) fn stop(&mut self, limit: Duration) -> Option<ExitStatus> {
        self.signal(Signal::TERM);
        let running = self.running.as_mut()?;
        let since = Instant::now();
        let mut status = None;
        while status.is_none() && since.elapsed() < limit {
            std::thread::sleep(Duration::from_millis(10));
            status = running.child.try_wait().unwrap();
        }
        self.running = None;
        status
    }

    /// Whether it has ended although nobody asked it to.
    pub(crate) fn has_failed(&mut self) -> Option<ExitStatus> {
        self.running.as_mut().and_then(|running| running.child.try_wait().unwrap())
    }

    /// Status of one of its pages; none if it does not answer.
    pub(crate) fn page(&self, path: &str) -> Option<u16> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        let mut stream = TcpStream::connect_timeout(&address, ANSWER_MAX).ok()?;
        stream.set_read_timeout(Some(ANSWER_MAX)).ok()?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n").ok()?;
        let mut head = [0; 12];
        stream.read_exact(&mut head).ok()?;
        std::str::from_utf8(&head[9..]).ok()?.parse().ok()
    }

    /// Everything that it has printed.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _gone = self.child.wait();
        let _gone = self.leash.kill();
        let _gone = self.leash.wait();
    }
}
