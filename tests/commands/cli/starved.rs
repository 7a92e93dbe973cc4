//! A machine that is short of descriptors, of room or of inodes: no task fails for it, the worker says so and recovers by itself. And
//! what tasks inherit from the process that starts them.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use rota_tests::lab::descriptors::{Starved, limit_of};
use serde_json::Value;

use super::start::page;
use super::trouble::{Disk, port};
use crate::support::{Rota, Server, lines, rota, wait_for, write_dag};

/// Descriptors that are left: enough for a request, too few for the pipes of a process.
const SPARE: usize = 4;

fn readiness(server: &Server) -> String {
    page(port(server), "/readyz").map(|(_, text)| text).unwrap_or_default()
}

fn is_degraded(server: &Server) -> bool {
    readiness(server).contains("degraded: the worker claims no tasks")
}

fn trigger(server: &Server, dag: &str) {
    let end = server.rota(&["dag", "trigger", dag]).finish();
    assert_eq!(end.code, 0, "{end:?}");
}

/// The states of the server's runs, the newest first.
fn states(server: &Server) -> Vec<String> {
    let end = server.rota(&["run", "list", "-o", "json"]).finish();
    let runs: Value = serde_json::from_str(&end.stdout).unwrap_or_default();
    let states = runs.as_array().into_iter().flatten().map(|run| run["state"].as_str().unwrap().to_owned());
    states.collect()
}

/// All runs succeed, each with its first attempt.
fn all_succeed(server: &Server, count: usize) {
    wait_for("the runs' success", || {
        let states = states(server);
        assert!(states.iter().all(|state| state != "failed"), "{states:?}");
        states.len() == count && states.iter().all(|state| state == "success")
    });
    for run in 1..=count {
        let end = server.rota(&["run", "show", &run.to_string(), "-o", "json"]).finish();
        let shown: Value = serde_json::from_str(&end.stdout).unwrap();
        assert_eq!(shown["tasks"][0]["attempt"], 1, "{shown}");
    }
}

fn witness(path: &Path) -> String {
    format!("tasks: {{a: {{run: 'echo ran >> {}; echo said'}}}}\n", path.display())
}

#[test]
fn without_descriptors_attempts_are_given_back_and_run_when_there_are_some() {
    let dir = tempfile::tempdir().unwrap();
    let ran = dir.path().join("ran");
    let server = Server::start(&[("job.yaml", &witness(&ran))]);
    trigger(&server, "job");
    all_succeed(&server, 1);
    let starved = Starved::of(server.pid(), SPARE);
    trigger(&server, "job");
    wait_for("the worker's word", || is_degraded(&server));
    assert!(readiness(&server).contains("Too many open files"), "{}", readiness(&server));
    wait_for("the list's word", || {
        let end = server.rota(&["worker", "list"]).finish();
        end.stdout.contains("degraded") && end.stdout.contains("Too many open files")
    });
    trigger(&server, "job");
    assert_eq!((lines(&ran), states(&server).len()), (1, 3));
    drop(starved);
    all_succeed(&server, 3);
    assert_eq!(lines(&ran), 3, "each ran once");
    wait_for("the worker's end of trouble", || !is_degraded(&server));
    let log = server.rota(&["run", "logs", "2", "a"]).finish();
    assert!(log.stdout.contains("said"), "{log:?}");
    let told = server.stop().stderr;
    assert_eq!(told.matches("cannot start tasks and claims none").count(), 1, "{told}");
    assert!(told.contains("can start tasks again"), "{told}");
}

#[test]
fn a_full_directory_of_the_worker_stops_claims_and_fails_no_task() {
    let dir = tempfile::tempdir().unwrap();
    let ran = dir.path().join("ran");
    let data = dir.path().join("data");
    fs::create_dir(&data).unwrap();
    // The store's file has room; the worker's own directory has neither much of it nor many inodes.
    let disk = Disk::mounted_with(&data.join("worker"), "size=1m,nr_inodes=64,mode=700");
    let server = Server::start_in(dir, &[("job.yaml", &witness(&ran))]);
    disk.fill();
    wait_for("the worker's word", || is_degraded(&server));
    assert!(readiness(&server).contains("No space left"), "{}", readiness(&server));
    trigger(&server, "job");
    assert_eq!(lines(&ran), 0);
    disk.clear();
    all_succeed(&server, 1);
    wait_for("the worker's end of trouble", || !is_degraded(&server));
    // Out of inodes, with the next look at the directory still to come: the attempt is claimed and given back.
    let spent: Vec<_> = (0..)
        .map(|number| data.join(format!("worker/{number}")))
        .take_while(|path| File::create(path).is_ok())
        .collect();
    trigger(&server, "job");
    wait_for("the worker's word", || is_degraded(&server));
    assert_eq!(lines(&ran), 1);
    for path in spent {
        fs::remove_file(path).unwrap();
    }
    all_succeed(&server, 2);
    assert_eq!(lines(&ran), 2, "each ran once");
    assert_eq!(server.stop().code, 0);
}

const TELLS: &str = "tasks: {a: {run: 'umask; ulimit -Sn; ulimit -Sc; grep NoNewPrivs /proc/self/status; ls /proc/self/fd'}}\n";

/// What a task says of itself under a standalone that was started with an open descriptor 7 and a soft limit of 300.
fn told_by_a_task(options: &[&str]) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let (dags, data) = (dir.path().join("dags"), dir.path().join("data"));
    fs::create_dir(&dags).unwrap();
    write_dag(&dags, "tells.yaml", TELLS);
    let mut shell = Command::new("sh");
    let script = "umask 022; ulimit -Sn 300; exec 7</dev/null; exec \"$0\" \"$@\"";
    shell.args(["-c", script]).arg(rota_tests::lab::binary().get_program());
    shell.args(["standalone", "--listen", "127.0.0.1:0", "--dags"]).arg(&dags).arg("--data").arg(&data);
    let running = Rota::from(shell).args(options).start();
    let asks = |args: &[&str]| rota().args(args).arg("--data").arg(&data).finish();
    wait_for("the run's end", || {
        data.join("server.json").exists() && asks(&["dag", "trigger", "tells", "--wait"]).code == 0
    });
    let log = asks(&["run", "logs", "1", "a"]);
    let own = limit_of(pid(&data));
    running.interrupt();
    assert_eq!(running.finish().code, 0);
    assert!(own.current > Some(300), "rota raises its own limit: {own:?}");
    let words = log.stdout.lines().map(|line| line.split_whitespace().last().unwrap_or_default().to_owned());
    words.collect()
}

fn pid(data: &Path) -> u32 {
    let text = fs::read_to_string(data.join("server.json")).unwrap();
    serde_json::from_str::<Value>(&text).unwrap()["pid"].as_u64().unwrap().try_into().unwrap()
}

#[test]
fn tasks_start_with_closed_descriptors_and_a_private_umask() {
    let told = told_by_a_task(&[]);
    let open_files: u64 = told[1].parse().unwrap();
    assert!(open_files > 300, "the limit that rota raised is its tasks' too: {told:?}");
    assert_eq!((told[0].as_str(), &told[2..4]), ("0077", &["0".to_owned(), "0".to_owned()][..]), "{told:?}");
    assert!(!told[4..].contains(&"7".to_owned()), "{told:?}");
}

#[test]
fn what_tasks_start_with_can_be_chosen() {
    let told = told_by_a_task(&["--umask", "027", "--no-new-privileges", "--limit", "open-files=123,core=0"]);
    assert_eq!(told[..4], ["0027", "123", "0", "1"], "{told:?}");
}

#[test]
fn what_tasks_cannot_start_with_is_refused_with_what_they_can() {
    for (option, value, said) in [
        ("--umask", "89", "is no umask"),
        ("--limit", "ram=1GiB", "there are core, cpu-seconds, file-size, memory, open-files, processes"),
        ("--limit", "memory=lots", "expected a size such as 512MiB"),
    ] {
        let end = rota().args(["standalone", option, value]).finish();
        assert!(end.code == 2 && end.stderr.contains(said), "{option} {value}: {end:?}");
    }
}
