//! What commands tell of a running server: logs, and files that cannot be used.

use std::process::Command;

use serde_json::Value;

use crate::support::{Rota, Server, wait_for};

const NOISY: &str = r#"
tasks:
  fine: {run: 'echo all well'}
  loud:
    run: |
      for no in $(seq 1 3000); do echo "line $no of many"; done
      printf '\033[1;31mred\033[0m \033[2J\033]52;c;ZXZpbA==\007end\n'
      exit 3
  after: {needs: [loud], run: echo}
"#;

const PLAIN: &str = "tasks: {only: {run: 'echo alone'}}\n";

fn ended(server: &Server, dag: &str) -> String {
    let end = server.rota(&["dag", "trigger", dag, "--wait", "-o", "json"]).finish();
    let run: Value = serde_json::from_str(&end.stdout).unwrap_or_else(|error| panic!("{error}: {end:?}"));
    run["id"].to_string()
}

#[test]
fn a_log_is_found_without_a_task_where_it_is_clear_and_its_end_is_enough() {
    let server = Server::start(&[("noisy.yaml", NOISY), ("plain.yaml", PLAIN)]);
    let (noisy, plain) = (ended(&server, "noisy"), ended(&server, "plain"));
    let told = |args: &[&str], code: i32| {
        let end = server.rota(&[&["run", "logs"], args].concat()).finish();
        assert_eq!(end.code, code, "{args:?}: {end:?}");
        end
    };
    let end = told(&[&plain], 0);
    assert!(end.stdout.ends_with(" out alone\n") && end.stderr.contains("task only, success"), "{end:?}");

    let whole = told(&[&noisy], 0);
    assert!(whole.stderr.contains("task loud, failed"), "{whole:?}");
    assert_eq!(whole.stdout.matches(" out line ").count(), 3000);
    assert!(whole.stdout.contains(" out red end\n"), "no part of a sequence is left: {whole:?}");
    let lines: Vec<&str> = whole.stdout.lines().collect();
    for tail in [1, 2, 700, 2999, 100_000] {
        let end = told(&[&noisy, "loud", "--tail", &tail.to_string()], 0);
        let expected = &lines[lines.len().saturating_sub(tail)..];
        assert_eq!(end.stdout.lines().collect::<Vec<_>>(), expected, "--tail {tail}");
        let followed = told(&[&noisy, "loud", "--follow", "--tail", &tail.to_string()], 0);
        assert_eq!(followed.stdout, end.stdout, "--follow --tail {tail}");
    }

    let failed = told(&[&noisy, "--failed", "--tail", "1"], 0);
    assert!(failed.stdout.starts_with("== loud, attempt 1 ==\n"), "{failed:?}");
    assert_eq!(failed.stdout.lines().count(), 2, "{failed:?}");
    assert!(told(&[&plain, "--failed"], 1).stderr.contains("no task of run"));
    assert!(told(&["4711"], 1).stderr.contains("4711"));
}

#[test]
fn several_tasks_that_may_be_meant_are_named() {
    let text = "tasks: {a: {run: echo}, b: {run: echo}}\n";
    let server = Server::start(&[("two.yaml", text)]);
    let run = ended(&server, "two");
    let end = server.rota(&["run", "logs", &run]).finish();
    assert_eq!(end.code, 2, "{end:?}");
    assert!(end.stderr.contains("one of a, b") && end.stderr.contains("--failed"), "{end:?}");
}

/// What a command prints on a terminal.
fn on_a_terminal(server: &Server, args: &str) -> String {
    let line =
        format!("{} {args} --data {}", rota_tests::lab::beside("rota").display(), server.data().display());
    let mut script = Command::new("script");
    script.args(["-qec", &line, "/dev/null"]).env_remove("NO_COLOR");
    let end = Rota::from(script).finish();
    assert_eq!(end.code, 0, "{end:?}");
    end.stdout
}

#[test]
fn colours_reach_a_terminal_and_nothing_else_does() {
    let server = Server::start(&[("noisy.yaml", NOISY)]);
    let run = ended(&server, "noisy");
    let told = on_a_terminal(&server, &format!("run logs {run} loud --tail 2"));
    assert!(told.contains("\u{1b}[1;31mred\u{1b}[0m end"), "{told:?}");
    assert!(!told.contains("[2J") && !told.contains("52;c"), "{told:?}");
    let raw = server.rota(&["run", "logs", &run, "loud", "--raw", "--tail", "2"]).finish();
    assert!(raw.stdout.contains("\u{1b}[2J\u{1b}]52;c;ZXZpbA==\u{7}end"), "{raw:?}");
}

#[test]
fn broken_files_are_told_beside_the_dags_and_in_a_list_of_their_own() {
    let broken = "tasks:\n  a: {}\n";
    let server = Server::start(&[("plain.yaml", PLAIN), ("broken.yaml", broken), ("turned.yaml", PLAIN)]);
    wait_for("both DAGs", || server.rota(&["dag", "list"]).finish().stdout.contains("turned"));
    std::fs::write(server.dags().join("turned.yaml"), broken).expect("a DAG file");
    let list = |args: &[&str]| {
        let end = server.rota(args).finish();
        assert_eq!(end.code, 0, "{args:?}: {end:?}");
        end
    };
    wait_for("a file that turned bad", || list(&["file", "list"]).stdout.matches("broken").count() >= 3);
    let dags = list(&["dag", "list"]);
    let row = dags.stdout.lines().find(|line| line.starts_with("turned ")).expect("a row");
    assert!(row.contains("its file is broken, the last good version goes on"), "{dags:?}");
    assert!(
        !dags.stdout.contains("broken.yaml") && dags.stderr.contains("broken: broken.yaml:2:"),
        "{dags:?}"
    );

    let files: Value = serde_json::from_str(&list(&["file", "list", "-o", "json"]).stdout).expect("files");
    let told =
        |no: usize| (files[no]["path"].as_str(), files[no]["state"].as_str(), files[no]["dag"].as_str());
    assert_eq!(told(0), (Some("broken.yaml"), Some("broken"), None));
    assert_eq!(told(1), (Some("plain.yaml"), Some("good"), Some("plain")));
    assert_eq!(told(2), (Some("turned.yaml"), Some("broken"), Some("turned")));
    assert_eq!(files[0]["errors"][0]["line"], 2, "{files}");
    let only = list(&["file", "list", "--broken"]).stdout;
    assert!(only.contains("turned.yaml") && !only.contains("plain.yaml"), "{only}");
}

#[test]
fn the_ledger_is_told_by_dag_outcome_and_time_and_loses_no_slot_between_its_pages() {
    let start = "2020-01-01T00:00:00";
    let many = format!(
        "schedule: {{every: 1s, start: {start}, end: '2020-01-01T00:03:20', catchup: all}}\n\
         max_active_runs: 100\ntasks: {{a: {{noop: true}}}}\n"
    );
    // Each slot is one of both DAGs, so that pages end between two slots of one time.
    let server = Server::start(&[("one.yaml", &many), ("two.yaml", &many)]);
    let ledger = |args: &[&str]| -> Vec<Value> {
        let end = server.rota(&[&["ledger", "-o", "json", "--limit", "10000"], args].concat()).finish();
        assert_eq!(end.code, 0, "{args:?}: {end:?}");
        serde_json::from_str(&end.stdout).expect("slots")
    };
    wait_for("every slot", || ledger(&[]).len() >= 2 * 201);
    let all = ledger(&[]);
    let place = |slot: &Value| (slot["slot"].to_string(), slot["dag"].to_string());
    let places: std::collections::BTreeSet<_> = all.iter().map(place).collect();
    assert_eq!((all.len(), places.len()), (2 * 201, 2 * 201));
    assert!(ledger(&["--outcome", "fired"]).len() == all.len() && ledger(&["--state", "missed"]).is_empty());
    assert_eq!(ledger(&["--dag", "two"]).len(), 201);
    let window =
        ledger(&["--dag", "one", "--since", "2020-01-01T00:00:10Z", "--until", "2020-01-01T00:00:20Z"]);
    assert_eq!(window.len(), 10, "{window:?}");
    let table = server.rota(&["ledger", "--limit", "2"]).finish().stdout;
    assert!(table.starts_with("SLOT") && table.contains("2020-01-01T00:03:20Z  one  fired"), "{table}");
}
