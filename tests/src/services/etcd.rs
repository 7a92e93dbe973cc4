//! A private etcd of one or three members. Nothing survives it: it does not even sync its files.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use rustix::process::Signal;
use tempfile::TempDir;

use super::{Leashed, free_port, wait_until};

/// Milliseconds between two heartbeats of its members.
const HEARTBEAT_MS: &str = "50";
/// Milliseconds without a heartbeat until members elect another leader. Leases cannot be shorter than one and a half of it.
const ELECTION_MS: &str = "500";

/// Certificates that clients must show and trust, as PEM files.
#[derive(Debug, Clone)]
pub struct Certificates {
    /// Who signed the others.
    pub ca: PathBuf,
    /// The certificate of clients and members.
    pub cert: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

/// See the module's text. Members are counted from 0.
pub struct Etcd {
    directory: TempDir,
    members: Vec<Member>,
    certificates: Option<Certificates>,
}

struct Member {
    client_port: u16,
    peer_port: u16,
    process: Option<Leashed>,
}

impl Etcd {
    /// Starts a cluster and waits until it answers.
    ///
    /// # Panics
    /// If it cannot be started, with the end of its log.
    pub fn start_cluster(members: usize) -> Self {
        Self::launch(members, None)
    }

    /// Starts one member that talks TLS and wants a certificate from its clients.
    ///
    /// # Panics
    /// If it cannot be started, or `openssl` makes no certificates.
    pub fn start_with_tls() -> Self {
        let directory = tempfile::tempdir().expect("a directory for certificates");
        let certificates = make_certificates(directory.path());
        Self::launch_in(directory, 1, Some(certificates))
    }

    fn launch(members: usize, certificates: Option<Certificates>) -> Self {
        Self::launch_in(tempfile::tempdir().expect("a directory for etcd"), members, certificates)
    }

    fn launch_in(directory: TempDir, members: usize, certificates: Option<Certificates>) -> Self {
        let member = |_| Member { client_port: free_port(), peer_port: free_port(), process: None };
        let mut etcd = Self { directory, members: (0..members).map(member).collect(), certificates };
        (0..members).for_each(|i| etcd.start(i));
        etcd.wait_ready();
        etcd
    }

    /// Where clients connect to, one address per member.
    pub fn endpoints(&self) -> Vec<String> {
        self.members
            .iter()
            .map(|member| format!("{}://127.0.0.1:{}", self.scheme(), member.client_port))
            .collect()
    }

    /// The port that a member's clients connect to.
    pub fn client_port(&self, i: usize) -> u16 {
        self.members[i].client_port
    }

    /// The certificates, if it talks TLS.
    pub fn certificates(&self) -> Option<&Certificates> {
        self.certificates.as_ref()
    }

    /// Starts a member with the data it had; does not wait until it answers.
    pub fn start(&mut self, i: usize) {
        let command = self.command(i);
        self.members[i].process = Some(Leashed::start(&command, &self.log(i)));
    }

    /// Kills a member; its data stays.
    pub fn kill(&mut self, i: usize) {
        self.members[i].process = None;
        let ports = [self.members[i].client_port, self.members[i].peer_port];
        wait_until("etcd's ports after it was killed", &self.log(i), || {
            ports.iter().all(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        });
    }

    /// Kills all members, deletes their data and starts them anew, as a cluster that knows nothing.
    ///
    /// # Panics
    /// If the data cannot be deleted or the cluster does not start.
    pub fn wipe(&mut self) {
        self.each(Self::kill);
        self.each(|etcd, i| std::fs::remove_dir_all(etcd.data(i)).expect("data that can be deleted"));
        self.each(Self::start);
        self.wait_ready();
    }

    /// Stops a member's process (SIGSTOP).
    pub fn pause(&self, i: usize) {
        self.signal(i, Signal::STOP);
    }

    /// Lets a stopped member go on (SIGCONT).
    pub fn resume(&self, i: usize) {
        self.signal(i, Signal::CONT);
    }

    /// Waits until all running members answer.
    ///
    /// # Panics
    /// When that takes too long, with the end of a log.
    pub fn wait_ready(&self) {
        for (i, member) in self.members.iter().enumerate().filter(|(_, member)| member.process.is_some()) {
            let endpoint = format!("{}://127.0.0.1:{}", self.scheme(), member.client_port);
            wait_until("etcd", &self.log(i), || {
                self.ctl(&endpoint, &["endpoint", "health"]).status.success()
            });
        }
    }

    /// Runs `etcdctl` against all members.
    ///
    /// # Panics
    /// If it fails.
    pub fn etcdctl(&self, args: &[&str]) -> String {
        let output = self.ctl(&self.endpoints().join(","), args);
        assert!(
            output.status.success(),
            "etcdctl {}: {}",
            args.join(" "),
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn ctl(&self, endpoints: &str, args: &[&str]) -> Output {
        let mut command = Command::new("etcdctl");
        command.env("ETCDCTL_API", "3").args(["--endpoints", endpoints]);
        if let Some(Certificates { ca, cert, key }) = &self.certificates {
            command.arg("--cacert").arg(ca).arg("--cert").arg(cert).arg("--key").arg(key);
        }
        command.args(args).output().expect("etcdctl; tests/run installs what the tests need")
    }

    fn each(&mut self, mut act: impl FnMut(&mut Self, usize)) {
        (0..self.members.len()).for_each(|i| act(self, i));
    }

    fn signal(&self, i: usize, signal: Signal) {
        if let Some(process) = &self.members[i].process {
            process.signal(signal);
        }
    }

    fn scheme(&self) -> &'static str {
        if self.certificates.is_some() { "https" } else { "http" }
    }

    fn data(&self, i: usize) -> PathBuf {
        self.directory.path().join(format!("etcd{i}"))
    }

    fn log(&self, i: usize) -> PathBuf {
        self.directory.path().join(format!("etcd{i}.log"))
    }

    fn command(&self, i: usize) -> Command {
        let member = &self.members[i];
        let client = format!("{}://127.0.0.1:{}", self.scheme(), member.client_port);
        let peer = |member: &Member| format!("http://127.0.0.1:{}", member.peer_port);
        let cluster: Vec<String> =
            self.members.iter().enumerate().map(|(i, member)| format!("etcd{i}={}", peer(member))).collect();
        let mut command = Command::new("etcd");
        command.arg("--unsafe-no-fsync").args(["--log-level", "warn", "--logger", "zap"]);
        command.args(["--heartbeat-interval", HEARTBEAT_MS, "--election-timeout", ELECTION_MS]);
        command.args(["--name", &format!("etcd{i}"), "--data-dir"]).arg(self.data(i));
        command.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
        command.args(["--listen-peer-urls", &peer(member), "--initial-advertise-peer-urls", &peer(member)]);
        command.args(["--initial-cluster", &cluster.join(","), "--initial-cluster-state", "new"]);
        if let Some(Certificates { ca, cert, key }) = &self.certificates {
            command.arg("--client-cert-auth").arg("--trusted-ca-file").arg(ca);
            command.arg("--cert-file").arg(cert).arg("--key-file").arg(key);
        }
        command
    }
}

/// An authority, and one certificate for members and clients on loopback.
fn make_certificates(directory: &Path) -> Certificates {
    let path = |name: &str| directory.join(name);
    let (ca, ca_key, cert, key) = (path("ca.pem"), path("ca.key"), path("cert.pem"), path("cert.key"));
    let make = |subject: &str, key: &Path, cert: &Path| {
        let mut command = Command::new("openssl");
        command.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]);
        command.args(["-days", "2", "-subj", subject, "-keyout"]).arg(key).arg("-out").arg(cert);
        command
    };
    run(&mut make("/CN=rota test authority", &ca_key, &ca));
    let mut leaf = make("/CN=rota", &key, &cert);
    leaf.arg("-CA").arg(&ca).arg("-CAkey").arg(&ca_key);
    leaf.args(["-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]);
    leaf.args(["-addext", "basicConstraints=critical,CA:FALSE"]);
    leaf.args(["-addext", "extendedKeyUsage=serverAuth,clientAuth"]);
    run(&mut leaf);
    Certificates { ca, cert, key }
}

fn run(command: &mut Command) {
    let output = command.output().expect("openssl");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
