//! What the fault tests share: the `rota` under test, DAGs of witnessed tasks, a client that survives the server's
//! absence, seeded chance, and the way to bring everything to rest. Judges nothing: that is the witness's part.

pub mod api;
pub mod burial;
pub mod calm;
pub mod dag;
pub mod descriptors;
pub mod rng;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

/// Nothing that is waited for takes longer on a machine that is not hopelessly busy.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Whether the long forms of timed tests are asked for.
#[must_use]
pub fn is_full() -> bool {
    std::env::var_os("ROTA_TESTS_FULL").is_some()
}

/// The `rota` that was built beside this test, without any of its settings in the environment.
#[must_use]
pub fn binary() -> Command {
    program("rota")
}

/// A program that was built beside this test, without any of rota's settings in the environment.
///
/// # Panics
/// If it is not there.
#[must_use]
pub fn program(name: &str) -> Command {
    let program = beside(name);
    assert!(program.is_file(), "{} is missing: run `cargo build` first", program.display());
    without_settings(&program)
}

/// Any program, without any of rota's settings in the environment.
#[must_use]
pub fn without_settings(program: &Path) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("ROTA_") || name == "RUST_LOG" {
            command.env_remove(name);
        }
    }
    command
}

/// Where a program beside this test is, or would be.
///
/// # Panics
/// If the test does not know where it is itself.
#[must_use]
pub fn beside(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let dir = test.parent().and_then(Path::parent).expect("tests are built into target/PROFILE/deps");
    dir.join(name)
}

/// Polls until `done`, with a deadline.
///
/// # Panics
/// When the time is over, with `what`.
pub fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    assert!(wait_within(PATIENCE, &mut done), "waited {PATIENCE:?} for {what}");
}

/// Polls until `done` or until the time is over: whether it was done.
pub fn wait_within(limit: Duration, mut done: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + limit;
    while !done() {
        if Instant::now() >= deadline {
            return false;
        }
        thread::sleep(Duration::from_millis(20));
    }
    true
}
