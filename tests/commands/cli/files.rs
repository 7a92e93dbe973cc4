//! Which files of a directory count: a command and a server see the same, whatever lies there.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs::{self, Permissions, create_dir, create_dir_all};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

use rota_core::dag::FileError;
use rota_scheduler::walk::DEPTH_MAX;
use rota_scheduler::{DagDirectory, FileState};
use rota_tests::lab::binary;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use tempfile::TempDir;

use crate::support::{Server, rota, wait_for};

const IO: &str = "a file system";

/// Has an error, so that a command tells of it when it sees it.
const BROKEN: &str = "tasks: {a: {}}\n";

/// A directory with everything in it that may lie in one, and another one that its links lead to.
fn everything() -> (TempDir, TempDir) {
    let (dir, other) = (tempfile::tempdir().expect(IO), tempfile::tempdir().expect(IO));
    let at = |path: &str| dir.path().join(path);
    let link = |to: &str, path: &str| symlink(to, at(path)).expect(IO);
    let file = |path: &str| fs::write(at(path), BROKEN).expect(IO);
    for path in ["sub", "..2024_1/mounted", "closed", ".git", "dir.yaml"] {
        create_dir_all(at(path)).expect(IO);
    }
    for path in
        ["a.yaml", "b.yml", "sub/c.yaml", "dir.yaml/d.yaml", "..2024_1/e.yaml", "..2024_1/mounted/f.yaml"]
    {
        file(path);
    }
    // Not DAG files by their names, and what editors leave behind.
    for path in [
        "notes.md",
        "a.yaml~",
        "#a.yaml#",
        ".a.yaml.swp",
        ".hidden.yaml",
        ".git/g.yaml",
        "a.yaml.bak",
        "A.YAML",
    ] {
        file(path);
    }
    link("nobody@host.1:1", ".#a.yaml");
    link("..2024_1", "..data");
    link("..data/e.yaml", "e.yaml");
    link("..data/mounted", "mounted");
    link("sub/c.yaml", "inside.yaml");
    link("nowhere", "dangling.yaml");
    link("loop.yaml", "loop.yaml");
    link("/dev/zero", "device.yaml");
    link("/etc/passwd", "outside.yaml");
    link("..", "parent");
    link("sub", "again");
    fs::write(other.path().join("x.yaml"), BROKEN).expect(IO);
    symlink(other.path(), at("elsewhere")).expect(IO);
    let pipe = Mode::from_raw_mode(0o644);
    mknodat(CWD, at("pipe.yaml"), FileType::Fifo, pipe, 0).expect(IO);
    mknodat(CWD, at("sub/pipe.yml"), FileType::Fifo, pipe, 0).expect(IO);
    drop(UnixListener::bind(at("socket.yaml")).expect(IO));
    for name in [&b"\xff.yaml"[..], b"\xff.md"] {
        fs::write(dir.path().join(OsStr::from_bytes(name)), BROKEN).expect(IO);
    }
    create_dir(dir.path().join(OsStr::from_bytes(b"\xffdir"))).expect(IO);
    fs::write(at("binary.yaml"), b"a: \xff").expect(IO);
    fs::write(at("large.yaml"), "#".repeat((1 << 20) + 1)).expect(IO);
    file("closed/h.yaml");
    fs::write(at("secret.yaml"), BROKEN).expect(IO);
    let deep = |depth: usize| (0..depth).fold(String::new(), |path, _| path + "n/");
    create_dir_all(at(&deep(DEPTH_MAX + 1))).expect(IO);
    file(&format!("{}last.yaml", deep(DEPTH_MAX)));
    file(&format!("{}never.yaml", deep(DEPTH_MAX + 1)));
    (dir, other)
}

/// What is said of a directory: errors by path, and what is ignored by path.
type Said = (BTreeSet<(String, u32, u32, String)>, BTreeMap<String, String>);

fn by_the_server(dir: &Path) -> Said {
    let mut directory = DagDirectory::new(dir.to_owned());
    let scan = directory.scan().expect("a scan");
    let errors = scan.values().flat_map(|found| match &found.state {
        FileState::Good(dag) => panic!("{} is broken", dag.id),
        FileState::Broken(errors) => errors.clone(),
    });
    let error = |error: FileError| (error.path, error.line, error.col, error.message);
    (errors.map(error).collect(), directory.ignored().clone())
}

fn by_the_command(command: Command, dir: &Path) -> Said {
    let end = crate::support::Rota::from(command).args(["dag", "validate", "-o", "json"]).arg(dir).finish();
    assert_eq!(end.code, 1, "{end:?}");
    let errors: Vec<FileError> = serde_json::from_str(&end.stdout).expect("errors");
    let prefix = format!("{}/", dir.display());
    let relative = |path: &str| path.strip_prefix(&prefix).expect("a path below the directory").to_owned();
    let errors =
        errors.into_iter().map(|error| (relative(&error.path), error.line, error.col, error.message));
    let lines = end.stderr.lines().filter_map(|line| line.strip_prefix("ignored: ")?.split_once(": "));
    let lines: Vec<(String, String)> = lines.map(|(path, why)| (relative(path), why.to_owned())).collect();
    let ignored: BTreeMap<_, _> = lines.iter().cloned().collect();
    assert_eq!(ignored.len(), lines.len(), "each is said once: {lines:?}");
    (errors.collect(), ignored)
}

#[test]
fn a_command_and_a_server_see_the_same_files_whatever_lies_in_a_directory() {
    let (dir, _other) = everything();
    let (errors, ignored) = by_the_server(dir.path());
    let (told, passed) = by_the_command(binary(), dir.path());
    assert_eq!(errors, told);
    assert_eq!(ignored, passed);

    let last = format!("{}last.yaml", "n/".repeat(DEPTH_MAX));
    let seen: BTreeSet<&str> = errors.iter().map(|(path, ..)| path.as_str()).collect();
    let expected = [
        "a.yaml",
        "b.yml",
        "binary.yaml",
        "closed/h.yaml",
        "dir.yaml/d.yaml",
        "e.yaml",
        "inside.yaml",
        "large.yaml",
        "mounted/f.yaml",
        "secret.yaml",
        "sub/c.yaml",
        &last,
    ];
    assert_eq!(seen, BTreeSet::from(expected));
    let too_deep = format!("{}n", "n/".repeat(DEPTH_MAX));
    let reasons = [
        ("again", "already"),
        ("dangling.yaml", "nowhere"),
        ("device.yaml", "out of the directory, to /dev/zero"),
        ("elsewhere", "out of the directory"),
        ("loop.yaml", "in a circle"),
        (&too_deep, "more than 16 directories deep"),
        ("outside.yaml", "out of the directory, to /etc/passwd"),
        ("parent", "out of the directory"),
        ("pipe.yaml", "a named pipe"),
        ("socket.yaml", "a socket"),
        ("sub/pipe.yml", "a named pipe"),
        ("\u{fffd}.yaml", "not UTF-8"),
        ("\u{fffd}dir", "not UTF-8"),
    ];
    assert_eq!(ignored.keys().map(String::as_str).collect::<Vec<_>>(), reasons.map(|(path, _)| path));
    for (path, reason) in reasons {
        assert!(ignored[path].contains(reason), "{path}: {}", ignored[path]);
    }
}

/// `rota` as a user who is not root, if this is root: nothing is closed to root. `place` is for a copy that this user can
/// reach wherever the repository lies.
fn unprivileged(place: &Path) -> Command {
    let program = binary();
    if !rustix::process::geteuid().is_root() {
        return program;
    }
    fs::set_permissions(place, Permissions::from_mode(0o755)).expect(IO);
    let copy = place.join("rota");
    fs::hard_link(program.get_program(), &copy)
        .or_else(|_| fs::copy(program.get_program(), &copy).map(drop))
        .expect(IO);
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(copy);
    command
}

#[test]
fn what_cannot_be_read_is_an_error_of_its_place_and_stops_nothing_else() {
    let (dir, other) = everything();
    fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).expect(IO);
    for path in ["closed", "secret.yaml"] {
        fs::set_permissions(dir.path().join(path), Permissions::from_mode(0o000)).expect(IO);
    }
    let (told, _) = by_the_command(unprivileged(other.path()), dir.path());
    for path in ["closed", "secret.yaml"] {
        let error = told.iter().find(|(at, ..)| at == path).unwrap_or_else(|| panic!("{path}: {told:?}"));
        assert!(error.3.contains("cannot be read: Permission denied"), "{error:?}");
        fs::set_permissions(dir.path().join(path), Permissions::from_mode(0o755)).expect(IO);
    }
    assert!(told.iter().any(|(at, ..)| at == "sub/c.yaml"), "{told:?}");
}

#[test]
fn a_directory_with_too_many_files_is_refused_as_a_whole() {
    let dir = tempfile::tempdir().expect(IO);
    for no in 0..=rota_scheduler::walk::FILES_MAX {
        fs::write(dir.path().join(format!("{no}.yaml")), "").expect(IO);
    }
    let end = rota().args(["dag", "validate"]).arg(dir.path()).finish();
    let refused = DagDirectory::new(dir.path().to_owned()).scan().expect_err("too many");
    assert!(end.code == 2 && end.stderr.contains(&refused.to_string()), "{refused}: {end:?}");
}

#[test]
fn a_running_server_says_once_what_it_passes_over() {
    let server = Server::start(&[("good.yaml", "tasks: {a: {noop: true}}\n")]);
    symlink("/etc/passwd", server.dags().join("outside.yaml")).expect(IO);
    fs::write(server.dags().join("other.yaml"), "tasks: {a: {noop: true}}\n").expect(IO);
    wait_for("another DAG", || server.rota(&["dag", "list"]).finish().stdout.contains("other"));
    fs::remove_file(server.dags().join("other.yaml")).expect(IO);
    wait_for("its end", || server.rota(&["dag", "list"]).finish().stdout.contains("its file is gone"));
    let end = server.stop();
    assert_eq!(end.stderr.matches("outside.yaml in the DAG directory is ignored").count(), 1, "{end:?}");
}

#[test]
fn a_named_pipe_and_a_process_substitution_do_not_hang_a_command() {
    let dir = tempfile::tempdir().expect(IO);
    let pipe = dir.path().join("pipe.yaml");
    mknodat(CWD, &pipe, FileType::Fifo, Mode::from_raw_mode(0o644), 0).expect(IO);
    for command in ["validate", "test"] {
        let end = rota().args(["dag", command]).arg(&pipe).finish();
        assert_eq!(end.code, 1, "{end:?}");
    }
    let line = "\"$ROTA\" dag validate <(echo 'dag: piped'; sleep 0.2; echo 'tasks: {a: {noop: true}}')";
    let mut bash = Command::new("bash");
    bash.args(["-c", line]).env("ROTA", binary().get_program());
    let end = crate::support::Rota::from(bash).finish();
    assert_eq!(end.code, 0, "{end:?}");
}
