//! Time zone files: whose word counts, and what a bad one does to whom.

use std::fs;
use std::path::Path;

use rota_tests::lab::PATIENCE;
use tempfile::TempDir;

use crate::support::{Finished, rota, write_dag};

/// A zone file (TZif version 2) of a zone that is always so many hours east of Greenwich.
fn zone_file(hours: i32) -> Vec<u8> {
    let mut part = b"TZif2".to_vec();
    part.resize(20, 0);
    for count in [0, 0, 0, 0, 1, 4_u32] {
        part.extend(count.to_be_bytes());
    }
    part.extend((hours * 3600).to_be_bytes());
    part.extend(b"\0\0ODD\0");
    let rule = format!("\n<ODD>{}\n", -hours);
    [part.as_slice(), part.as_slice(), rule.as_bytes()].concat()
}

/// A directory of zone files that says no version.
fn zone_dir() -> TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    fs::create_dir(dir.path().join("Europe")).expect("a directory");
    fs::write(dir.path().join("Europe/Berlin"), zone_file(9)).expect("a file");
    dir
}

fn next(tzdir: &Path, line: &str, zone: &str, from: &str) -> Finished {
    let args = ["schedule", "next", line, "--timezone", zone, "--from", from, "--count", "1"];
    rota().args(args).env("TZDIR", &tzdir.display().to_string()).finish()
}

#[test]
fn zone_files_that_a_person_names_decide_when_things_are_due() {
    let dir = zone_dir();
    let noon = next(dir.path(), "0 12 * * *", "Europe/Berlin", "2026-11-20");
    assert!(noon.code == 0 && noon.stdout.contains("2026-11-20T03:00:00Z"), "{noon:?}");
    let version = rota().arg("--version").env("TZDIR", &dir.path().display().to_string()).finish();
    let place = format!(" from {} (TZDIR)", dir.path().display());
    assert!(
        version.stdout.contains("\ntime zones: unknown-") && version.stdout.contains(&place),
        "{version:?}"
    );
    fs::write(dir.path().join("+VERSION"), "2026a\n").expect("a file");
    let version = rota().arg("--version").env("TZDIR", &dir.path().display().to_string()).finish();
    assert!(version.stdout.contains(&format!("\ntime zones: 2026a{place}")), "{version:?}");
}

#[test]
fn without_zone_files_the_built_in_data_knows_what_2026_has_brought() {
    let empty = tempfile::tempdir().expect("a directory");
    let slot = next(empty.path(), "17 12 * * *", "America/Vancouver", "2026-12-24");
    assert!(slot.code == 0 && slot.stdout.contains("2026-12-24T19:17:00Z"), "{slot:?}");
}

#[test]
fn a_zone_file_that_cannot_be_used_is_an_error_of_the_dags_that_name_it_alone() {
    let zones = zone_dir();
    fs::write(zones.path().join("Europe/Rome"), &zone_file(1)[..60]).expect("a file");
    let pipe = zones.path().join("Europe/Paris");
    rustix::fs::mkfifoat(rustix::fs::CWD, pipe, rustix::fs::Mode::RUSR).expect("a pipe");
    let dags = tempfile::tempdir().expect("a directory");
    for (name, zone) in [
        ("berlin", "Europe/Berlin"),
        ("paris", "Europe/Paris"),
        ("rome", "Europe/Rome"),
        ("tokyo", "Asia/Tokyo"),
    ] {
        let text = format!("schedule: {{cron: '@daily', timezone: {zone}}}\ntasks: {{a: {{run: echo}}}}\n");
        write_dag(dags.path(), &format!("{name}.yaml"), &text);
    }
    let since = std::time::Instant::now();
    let tzdir = zones.path().display().to_string();
    let end = rota().args(["dag", "validate"]).arg(dags.path()).env("TZDIR", &tzdir).finish();
    assert!(since.elapsed() < PATIENCE, "a pipe was waited for");
    let errors: Vec<&str> = end.stdout.lines().filter(|line| line.contains(".yaml:")).collect();
    assert!(end.code == 1 && errors.len() == 2, "{end:?}");
    let words = |zone: &str| format!("the file of time zone `{zone}` in {tzdir} cannot be used: it is ");
    assert!(errors[0].contains(&(words("Europe/Paris") + "no regular file")), "{end:?}");
    assert!(errors[1].contains(&(words("Europe/Rome") + "cut short")), "{end:?}");
    fs::remove_file(zones.path().join("Europe/Berlin")).expect("it is there");
    fs::remove_file(zones.path().join("Europe/Paris")).expect("it is there");
    let gone = next(zones.path(), "0 12 * * *", "Europe/Berlin", "2026-11-20");
    assert!(gone.stdout.contains("2026-11-20T11:00:00Z"), "what is not there is built in: {gone:?}");
}
