//! A standalone whose disk is full, or whose file is damaged: probes, pages and commands say so.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use rota_tests::lab::PATIENCE;
use sqlx::{Connection, SqliteConnection};

use super::start::page;
use crate::support::{Finished, Server, wait_for};

/// A small file system of its own, unmounted when dropped.
pub(crate) struct Disk(PathBuf);

impl Disk {
    fn mounted(at: &Path) -> Self {
        Self::mounted_with(at, "size=8m,mode=700")
    }

    pub(crate) fn mounted_with(at: &Path, options: &str) -> Self {
        fs::create_dir_all(at).unwrap();
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(at).status();
        assert!(mount.unwrap().success(), "a small disk needs the right to mount one");
        Self(at.to_owned())
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }

    /// Takes all the room that is left.
    pub(crate) fn fill(&self) {
        let mut filler = File::create(self.filler()).unwrap();
        let block = [0; 4096];
        while filler.write_all(&block).is_ok() {}
    }

    pub(crate) fn clear(&self) {
        fs::remove_file(self.filler()).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _unmounted = Command::new("umount").arg("--lazy").arg(&self.0).status();
        let _removed = self.0.parent().map(fs::remove_dir_all);
    }
}

pub(crate) fn port(server: &Server) -> u16 {
    server.url().rsplit(':').next().unwrap().parse().unwrap()
}

fn home(server: &Server) -> String {
    let token = fs::read_to_string(server.data().join("admin-token")).unwrap();
    let port = port(server);
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let bearer = format!("Authorization: Bearer {}", token.trim());
    write!(stream, "GET / HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\nAccept: text/html\r\n{bearer}\r\n\r\n")
        .unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

const EACH_SECOND: &str = "schedule: {every: 1s}\ntasks: {a: {run: 'true'}}\n";

#[test]
fn a_full_disk_is_said_everywhere_and_is_over_when_there_is_room() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::mounted(&dir.path().join("data"));
    let server = Server::start_in(dir, &[("tick.yaml", EACH_SECOND)]);
    let port = port(&server);
    assert_eq!(page(port, "/readyz").unwrap().0, 200);
    disk.fill();
    wait_for("the probes' no", || page(port, "/readyz").is_some_and(|(status, _)| status == 503));
    for probe in ["/readyz", "/leader"] {
        let (status, text) = page(port, probe).unwrap();
        assert!(status == 503 && text.contains("disk is full"), "{probe}: {status} {text}");
    }
    let failed = |end: Finished| {
        assert_eq!(end.code, 1, "{end:?}");
        let said = end.stdout + &end.stderr;
        assert!(said.contains("disk is full"), "{said}");
    };
    failed(server.rota(&["leader"]).finish());
    failed(server.rota(&["dag", "trigger", "tick"]).finish());
    let home = home(&server);
    assert!(home.contains("Nothing moves") && home.contains("disk is full"), "{home}");
    disk.clear();
    wait_for("the probes' yes", || page(port, "/readyz").is_some_and(|(status, _)| status == 200));
    wait_for("the leader's yes", || server.rota(&["leader"]).finish().code == 0);
    assert_eq!(page(port, "/leader").unwrap().0, 200);
    let end = server.rota(&["dag", "trigger", "tick", "--wait"]).finish();
    assert_eq!(end.code, 0, "{end:?}");
    assert_eq!(server.stop().code, 0);
}

/// Takes over into the file what stands in its log only.
fn empty_the_log(server: &Server) {
    let address = format!("sqlite://{}", server.data().join("rota.db").display());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut connection = SqliteConnection::connect(&address).await.unwrap();
        sqlx::query("pragma wal_checkpoint(truncate)").execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    });
}

/// Overwrites pages of the store from `first` on.
fn overwrite(server: &Server, first: u64) {
    let path = server.data().join("rota.db");
    let mut file = OpenOptions::new().write(true).open(&path).unwrap();
    file.seek(SeekFrom::Start(first * 4096)).unwrap();
    let rest = file.metadata().unwrap().len().saturating_sub(first * 4096);
    file.write_all(&vec![0xa5; usize::try_from(rest).unwrap()]).unwrap();
}

fn says_damaged(end: &Finished) {
    assert_eq!(end.code, 1, "{end:?}");
    for said in ["the store is damaged", "rota.db", "put a backup in its place"] {
        assert!(end.stderr.contains(said), "{said}: {end:?}");
    }
}

#[test]
fn overwritten_pages_end_the_process_and_the_next_start() {
    let mut server = Server::start(&[("tick.yaml", EACH_SECOND)]);
    server.interrupted();
    empty_the_log(&server);
    server.restart();
    overwrite(&server, 1);
    says_damaged(&server.ended());
    says_damaged(&server.standalone().finish());
}

#[test]
fn a_file_that_is_no_database_is_refused_with_what_to_do() {
    let mut server = Server::start(&[]);
    server.interrupted();
    // What stands in the log would count.
    empty_the_log(&server);
    fs::write(server.data().join("rota.db"), [0xa5; 8192]).unwrap();
    says_damaged(&server.standalone().finish());
}
