//! House rules that a machine can check: who may import what, what files are called, what is never called.

mod circles;
mod figures;
mod names;
mod source;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the repository").to_owned()
}

fn read(path: impl AsRef<Path>) -> String {
    let path = path.as_ref();
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The names in a crate's `[dependencies]`.
fn dependencies(of: &str) -> BTreeSet<String> {
    let manifest = read(root().join(of).join("Cargo.toml"));
    let section = manifest.split("[dependencies]").nth(1).expect("a [dependencies] section");
    let section = section.split("\n[").next().unwrap_or_default();
    let names = section.lines().filter_map(|line| line.split(['.', ' ', '=']).next()).map(str::trim);
    names.filter(|name| !name.is_empty() && !name.starts_with('#')).map(str::to_owned).collect()
}

/// Those of them that are crates of this workspace.
fn rota_dependencies(of: &str) -> BTreeSet<String> {
    dependencies(of).into_iter().filter(|name| name.starts_with("rota-")).collect()
}

fn rust_files(dir: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display())) {
        let path = entry.expect("a readable entry").path();
        if path.is_dir() {
            rust_files(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

fn sources(crates: &[&str]) -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    for name in crates {
        rust_files(&root().join(name).join("src"), &mut files);
    }
    assert!(!files.is_empty());
    files.into_iter().map(|path| (path.clone(), read(&path))).collect()
}

const CRATES: &[&str] = &["core", "kit", "backend", "scheduler", "worker", "web", "cli"];

#[test]
fn core_knows_no_runtime_database_or_broker() {
    let outside = [
        "tokio",
        "tokio-util",
        "sqlx",
        "lapin",
        "etcd-client",
        "axum",
        "reqwest",
        "notify",
        "rustix",
        "rand",
    ];
    let found = dependencies("core");
    for name in outside {
        assert!(!found.contains(name), "core must not depend on {name}");
    }
    assert!(found.contains("serde"), "the manifest was not understood: {found:?}");
}

#[test]
fn imports_run_one_way() {
    for name in ["backend", "scheduler", "worker", "web"] {
        let mut rota = rota_dependencies(name);
        assert!(rota.remove("rota-core"), "the manifest of {name} was not understood");
        rota.remove("rota-kit");
        assert!(rota.is_empty(), "{name} may depend on rota-core and rota-kit alone, not on {rota:?}");
    }
    assert_eq!(rota_dependencies("kit"), BTreeSet::from(["rota-core".to_owned()]));
    assert_eq!(rota_dependencies("core"), BTreeSet::new());
}

#[test]
fn only_the_backend_names_a_database() {
    for name in ["core", "kit", "scheduler", "worker", "web", "cli"] {
        for driver in ["sqlx", "lapin", "etcd-client", "rusqlite"] {
            assert!(!dependencies(name).contains(driver), "{name} must not depend on {driver}");
        }
    }
}

/// The names of one database's migrations, in order.
fn migrations(of: &str) -> Vec<String> {
    let dir = root().join("migrations").join(of);
    let mut names: Vec<String> = std::fs::read_dir(&dir)
        .unwrap_or_else(|error| panic!("{}: {error}", dir.display()))
        .map(|entry| entry.expect("a readable entry").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn migrations_are_numbered_without_gaps_and_alike_for_both_databases() {
    let names = migrations("sqlite");
    assert!(!names.is_empty());
    for (place, name) in names.iter().enumerate() {
        let number = format!("{:04}_", place + 1);
        assert!(name.starts_with(&number) && name.ends_with(".sql"), "{name}: expected {number}<what>.sql");
    }
    assert_eq!(names, migrations("postgres"));
}

#[test]
fn every_module_opens_with_prose() {
    for (path, text) in sources(CRATES) {
        assert!(text.starts_with("//! "), "{} does not say what it does", path.display());
    }
}

#[test]
fn documentation_holds_no_examples_that_nobody_runs() {
    for (path, text) in sources(CRATES) {
        let fences = text.lines().filter(|line| line.trim_start().starts_with("//") && line.contains("```"));
        for fence in fences.step_by(2) {
            let is_text = fence.ends_with("```text");
            assert!(is_text, "{}: {fence}: `tests/run` runs no examples; make it a test", path.display());
        }
    }
}

#[test]
fn banned_calls_stay_away() {
    // Each with the reason that a person needs when this test fails.
    let banned = [
        ("SystemTime::now", "time comes in through the Clock port"),
        ("kill_on_drop", "it signals the direct child only; custody ends whole groups"),
        ("AssertSqlSafe", "SQL is constant text with binds"),
        (".unwrap()", "expect states the invariant"),
        ("todo!(", "nothing is left half done"),
        ("unimplemented!(", "nothing is left half done"),
        ("|safe", "templates escape everything"),
        ("print!(", "it panics when nobody takes the words; commands print through `output`"),
        ("println!(", "it panics when nobody takes the words; commands print through `output`"),
    ];
    for (path, text) in sources(CRATES) {
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        for (line_no, line) in
            code.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"))
        {
            for (call, why) in banned {
                assert!(!line.contains(call), "{}:{}: {call}: {why}", path.display(), line_no + 1);
            }
        }
    }
}

#[test]
fn templates_hold_no_inline_script_or_style() {
    let mut seen = 0;
    let dir = root().join("web/templates");
    let mut stack = vec![dir];
    while let Some(dir) = stack.pop() {
        for entry in std::fs::read_dir(&dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display())) {
            let path = entry.expect("a readable entry").path();
            if path.is_dir() {
                stack.push(path);
                continue;
            }
            seen += 1;
            let text = read(&path);
            for bad in [" style=\"", "javascript:", " onclick=", " onload=", "|safe"] {
                assert!(!text.contains(bad), "{}: the content security policy forbids {bad}", path.display());
            }
        }
    }
    assert!(seen > 5, "the templates were not found");
}

#[test]
fn the_changelog_says_what_is_unreleased() {
    assert!(read(root().join("CHANGELOG.md")).contains("## Unreleased"));
}
