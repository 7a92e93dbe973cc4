//! The `rota` binary as people use it: started as a process, judged by what it prints and how it exits.

mod bombs;
mod files;
mod flood;
mod reads;
mod start;
mod starved;
mod streams;
mod tls;
mod trouble;
mod zones;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use crate::support::{self, Finished, Server, commands, dags_of_this_repository, rota, wait_for, write_dag};

#[test]
fn the_help_of_every_command_has_an_example_that_names_it() {
    for command in commands() {
        let help = rota().args(&command).arg("--help").finish();
        assert_eq!(help.code, 0, "{command:?}: {help:?}");
        let (_, examples) =
            help.stdout.split_once("Examples:\n").unwrap_or_else(|| panic!("{command:?}: {help:?}"));
        let words = ["rota".to_owned()].iter().chain(&command).cloned().collect::<Vec<_>>().join(" ");
        assert!(examples.contains(&words), "{command:?} has no example with `{words}`: {examples}");
    }
    let help = rota().arg("--help").finish();
    assert!(!help.stdout.contains("warden"), "the warden is nobody's command: {}", help.stdout);
}

#[test]
fn every_help_fits_a_terminal_of_80_columns() {
    for command in commands() {
        let help = rota().args(&command).arg("--help").env("COLUMNS", "80").finish();
        let wide = help.stdout.lines().find(|line| line.chars().count() > 80);
        assert_eq!(wide, None, "{command:?}");
    }
}

#[test]
fn wrong_usage_exits_2_and_says_what_to_do() {
    let wrong: &[(&[&str], &str)] = &[
        (&["dag", "frobnicate"], "unrecognized subcommand"),
        (&["run", "retry", "7"], "--failed"),
        (&["run", "list", "--state", "done"], "queued, running, success, failed, cancelled"),
        (&["run", "show", "seven"], "invalid digit"),
        (&["schedule", "next", "61 * * * *"], "0-59"),
        (&["schedule", "next", "* * * * *", "--timezone", "berlin"], "Europe/Berlin"),
        (&["dag", "validate", "/nowhere/at/all"], "/nowhere/at/all"),
        (&["dag", "trigger", "Not A Name"], "lower-case"),
        (&["run", "list", "--data", "/nowhere/at/all"], "rota standalone"),
        (&["standalone", "--dags", "/nowhere/at/all"], "--dags"),
        (&["start"], "scheduler"),
        (&["start", "leader"], "unrecognized subcommand"),
        (&["worker", "drain"], "<WORKER>"),
        (&["leader", "--data", "/nowhere/at/all"], "rota standalone"),
    ];
    for (args, told) in wrong {
        let end = rota().args(*args).finish();
        assert_eq!(end.code, 2, "{args:?}: {end:?}");
        assert!(end.stderr.contains(told), "{args:?} should say `{told}`: {}", end.stderr);
        assert_eq!(end.stdout, "", "{args:?}");
    }
}

#[test]
fn a_version_is_printed() {
    let end = rota().arg("--version").finish();
    assert!(end.code == 0 && end.stdout.starts_with("rota "), "{end:?}");
}

#[test]
fn slots_are_told_in_local_time_and_utc_with_what_the_clock_does() {
    let told = |args: &str| {
        let end = rota().args(["schedule", "next"]).args(args.split(' ')).finish();
        assert_eq!(end.code, 0, "{args}: {end:?}");
        end.stdout
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect::<Vec<_>>()
    };
    let spring = "--timezone Europe/Berlin --from 2026-03-28 --count 3";
    let expected = [
        "LOCAL UTC CLOCK",
        "Sat 2026-03-28 02:30:00 +01:00 2026-03-28T01:30:00Z -",
        "Sun 2026-03-29 03:00:00 +02:00 2026-03-29T01:00:00Z the clock skips 02:00 to 03:00",
        "Mon 2026-03-30 02:30:00 +02:00 2026-03-30T00:30:00Z -",
    ];
    assert_eq!(told(&format!("30 2 * * * {spring}")), expected);
    let quoted = rota().args(["schedule", "next", "30 2 * * *"]).args(spring.split(' ')).finish();
    assert_eq!(quoted.stdout.lines().count(), expected.len(), "quoted or bare, it is the same: {quoted:?}");
    let autumn = "--timezone Europe/Berlin --from 2026-10-25T01:59 --count 4";
    assert_eq!(
        told(&format!("*/30 * * * * {autumn}"))[1..],
        [
            "Sun 2026-10-25 02:00:00 +02:00 2026-10-25T00:00:00Z the first 02:00",
            "Sun 2026-10-25 02:30:00 +02:00 2026-10-25T00:30:00Z the first 02:30",
            "Sun 2026-10-25 02:00:00 +01:00 2026-10-25T01:00:00Z the clock repeats 02:00 to 03:00; the second 02:00",
            "Sun 2026-10-25 02:30:00 +01:00 2026-10-25T01:30:00Z the second 02:30",
        ]
    );
    assert_eq!(told("every 1h --from 2026-01-01 --count 1"), ["UTC", "2026-01-01T01:00:00Z"]);
    let json = rota().args(["schedule", "next", "-o", "json", "30 2 * * *"]).args(spring.split(' ')).finish();
    let slots: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(slots[1]["slot"], "2026-03-29T01:00:00Z");
    assert_eq!(slots[1]["local"], "2026-03-29T03:00:00+02:00");
    assert_eq!(
        (&slots[0]["note"], &slots[1]["note"]),
        (&Value::Null, &"the clock skips 02:00 to 03:00".into())
    );
    let never = rota().args(["schedule", "next", "@manual"]).finish();
    assert_eq!((never.code, never.stdout.as_str()), (1, ""), "{never:?}");
}

#[test]
fn errors_of_files_are_printed_with_their_places() {
    let dir = tempfile::tempdir().unwrap();
    write_dag(dir.path(), "good.yaml", "tasks:\n  a: {run: echo hello}\n");
    write_dag(dir.path(), "bad.yaml", "tasks:\n  a: {run: echo hello}\n  b: {run: echo, need: [a]}\n");
    let end = rota().args(["dag", "validate"]).arg(dir.path()).finish();
    assert_eq!(end.code, 1, "{end:?}");
    let place = format!("{}:3:", dir.path().join("bad.yaml").display());
    assert!(end.stdout.starts_with(&place) && end.stdout.contains("needs"), "{end:?}");
    assert_eq!(end.stdout.lines().count(), 1, "{end:?}");

    let json = rota().args(["dag", "validate", "-o", "json"]).arg(dir.path()).finish();
    let errors: Vec<Value> = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(json.code, 1);
    assert_eq!(errors[0]["line"], 3, "{errors:?}");
    for member in ["path", "line", "col", "message", "hint"] {
        assert!(errors[0].get(member).is_some(), "{member} is missing: {errors:?}");
    }
}

#[test]
fn remarks_are_printed_and_no_errors() {
    let dir = tempfile::tempdir().unwrap();
    let text = "tasks:\n  a: {run: \"false\"}\n  b: {run: \"true\", needs: [a], trigger_rule: all_done}\n";
    write_dag(dir.path(), "quiet.yaml", text);
    let end = rota().args(["dag", "validate"]).arg(dir.path()).finish();
    let line = format!(
        "{}:3:3: remark: a run can succeed although `a` failed",
        dir.path().join("quiet.yaml").display()
    );
    assert!(end.code == 0 && end.stdout.starts_with(&line), "{end:?}");
    assert!(end.stderr.contains("1 file checked, no errors, 1 remark"), "{end:?}");

    let json = rota().args(["dag", "validate", "-o", "json"]).arg(dir.path()).finish();
    let found: Vec<Value> = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(
        (found.len(), &found[0]["kind"], &found[0]["line"]),
        (1, &"remark".into(), &3.into()),
        "{found:?}"
    );

    let test = rota().args(["dag", "test"]).arg(dir.path().join("quiet.yaml")).finish();
    assert!(test.code == 0 && test.stderr.contains(":3:3: remark: a run can succeed"), "{test:?}");
}

#[test]
fn one_name_in_two_files_is_an_error_of_the_second() {
    let dir = tempfile::tempdir().unwrap();
    write_dag(dir.path(), "a.yaml", "dag: twin\ntasks: {a: {run: echo}}\n");
    write_dag(dir.path(), "b.yaml", "# a remark\ndag: twin\ntasks: {a: {run: echo}}\n");
    let end = rota().args(["dag", "validate"]).arg(dir.path()).finish();
    assert_eq!(end.code, 1, "{end:?}");
    assert!(end.stdout.contains("b.yaml:2:1:") && end.stdout.contains("a.yaml"), "{end:?}");
}

#[test]
fn a_thousand_files_are_checked() {
    let dir = tempfile::tempdir().unwrap();
    for no in 0..1000 {
        let text =
            "schedule: '*/5 * * * *'\ntasks:\n  a: {run: echo}\n  b: {needs: [a], run: 'echo {{ ds }}'}\n";
        write_dag(dir.path(), &format!("dag_{no}.yaml"), text);
    }
    let end = rota().args(["dag", "validate"]).arg(dir.path()).finish();
    assert_eq!(end.code, 0, "{end:?}");
    assert!(end.stderr.contains("1000 files checked, no errors"), "{end:?}");
}

#[test]
fn a_far_look_back_is_remarked_upon_with_its_count_and_is_no_error() {
    let dir = tempfile::tempdir().unwrap();
    let text =
        "dag: far\nschedule: {cron: '* * * * *', start: 2020-01-01, catchup: all}\ntasks: {a: {run: echo}}\n";
    write_dag(dir.path(), "far.yaml", text);
    write_dag(dir.path(), "near.yaml", &text.replace("dag: far", "dag: near").replace("all", "latest"));
    let end = rota().args(["dag", "validate"]).arg(dir.path()).finish();
    assert_eq!(end.code, 0, "{end:?}");
    let remarks: Vec<&str> = end.stdout.lines().filter(|line| line.contains(": remark: ")).collect();
    assert!(
        remarks.len() == 1 && remarks[0].contains("far.yaml:2:1: remark: `catchup: all` fires "),
        "{end:?}"
    );
}

#[test]
fn the_examples_are_valid() {
    let end = rota().args(["dag", "validate"]).arg(dags_of_this_repository()).finish();
    assert_eq!((end.code, end.stdout.as_str()), (0, ""), "{end:?}");
}

#[test]
fn a_graph_is_drawn_as_text() {
    let drawn = rota().args(["dag", "show"]).arg(dags_of_this_repository().join("packages.yaml")).finish();
    assert!(drawn.code == 0 && drawn.stdout.contains("report"), "{drawn:?}");
}

#[test]
fn the_schema_is_json_and_knows_the_keys_of_a_file() {
    let schema = rota().args(["dag", "schema"]).finish();
    let schema: Value =
        serde_json::from_str(&schema.stdout).unwrap_or_else(|error| panic!("{error}: {schema:?}"));
    assert!(schema["properties"]["tasks"].is_object(), "{schema}");
}

const FLAKY: &str = "\
params: {who: {type: string, default: world}}
tasks:
  greet:
    retries: 1
    retry_delay: 10ms
    run: |
      echo hello {{ params.who }}
      [ \"$ROTA_ATTEMPT\" -eq 2 ]
      echo greeted={{ params.who }} >> \"$ROTA_OUTPUT\"
    outputs: [greeted]
  after:
    needs: [greet]
    run: echo {{ tasks.greet.outputs.greeted }} was greeted
";

fn test_json(file: &std::path::Path, args: &[&str]) -> (Finished, Value) {
    let end = rota().args(["dag", "test", "-o", "json"]).arg(file).args(args).finish();
    let json = serde_json::from_str(&end.stdout).unwrap_or_else(|error| panic!("{error}: {end:?}"));
    (end, json)
}

#[test]
fn a_dag_is_tested_without_a_server_and_told_as_one_json_object() {
    let dir = tempfile::tempdir().unwrap();
    let file = write_dag(dir.path(), "flaky.yaml", FLAKY);
    let (end, json) = test_json(&file, &["--param", "who=a b"]);
    assert_eq!(end.code, 0, "{end:?}");
    assert_eq!((&json["dag"], &json["state"]), (&"flaky".into(), &"success".into()));
    let greet = &json["tasks"][0];
    let expected: Value = serde_json::json!({"task": "greet", "index": 0, "state": "success", "attempt": 2,
        "exit_code": 0, "outputs": {"greeted": "a b"}});
    assert_eq!(greet, &expected);
    assert!(end.stderr.contains("after | a b was greeted"), "{end:?}");
}

#[test]
fn a_tested_dag_that_fails_exits_1_and_shows_its_lines() {
    let dir = tempfile::tempdir().unwrap();
    let text = "tasks:\n  a: {run: 'printf \"\\033[31mred\\n\" >&2; exit 3'}\n  b: {needs: [a], run: echo}\n";
    let file = write_dag(dir.path(), "fails.yaml", text);
    let end = rota().args(["dag", "test"]).arg(&file).finish();
    assert_eq!(end.code, 1, "{end:?}");
    assert!(end.stdout.contains("a | ") && end.stdout.contains("red"), "{end:?}");
    assert!(!end.stdout.contains('\u{1b}'), "control characters reach the terminal: {end:?}");
    assert!(end.stdout.contains("upstream_failed") && end.stdout.contains("fails: failed"), "{end:?}");
}

#[test]
fn one_task_is_tested_with_all_that_it_needs() {
    let dir = tempfile::tempdir().unwrap();
    let text = "tasks:\n  a: {run: echo}\n  b: {needs: [a], run: echo}\n  c: {needs: [b], run: exit 1}\n  d: {run: exit 1}\n";
    let file = write_dag(dir.path(), "some.yaml", text);
    let (end, json) = test_json(&file, &["--task", "b"]);
    assert_eq!((end.code, &json["state"]), (0, &"success".into()), "{end:?}");
    let names: Vec<&Value> = json["tasks"].as_array().unwrap().iter().map(|task| &task["task"]).collect();
    assert_eq!(names, ["a", "b"]);
}

#[test]
fn a_tested_slot_is_what_its_tasks_see() {
    let dir = tempfile::tempdir().unwrap();
    let text = "schedule: '@daily'\ntasks:\n  a:\n    run: echo \"slot=$ROTA_SLOT\" >> \"$ROTA_OUTPUT\"\n    outputs: [slot]\n";
    let file = write_dag(dir.path(), "slotted.yaml", text);
    let (_, json) = test_json(&file, &["--slot", "2026-11-20T00:00:00Z"]);
    assert_eq!(json["tasks"][0]["outputs"]["slot"], "2026-11-20T00:00:00Z", "{json}");
}

#[test]
fn a_test_is_cancelled_by_ctrl_c() {
    let dir = tempfile::tempdir().unwrap();
    let started = dir.path().join("started");
    let text = format!("tasks:\n  a: {{run: 'touch {}; sleep 600', grace: 1s}}\n", started.display());
    let file = write_dag(dir.path(), "long.yaml", &text);
    let child = rota().args(["dag", "test", "-o", "json"]).arg(&file).start();
    support::wait_for("the task's start", || started.exists());
    child.interrupt();
    let end = child.finish();
    let json: Value = serde_json::from_str(&end.stdout).unwrap_or_else(|error| panic!("{error}: {end:?}"));
    assert_eq!((end.code, &json["state"]), (1, &"cancelled".into()), "{end:?}");
}

const GREETER: &str = "\
params: {who: {type: string, default: world}, times: {type: integer, default: 1, min: 1}}
tasks:
  greet: {run: 'echo hello {{ params.who }}'}
";

#[test]
fn a_standalone_serves_the_commands_beside_its_data_directory() {
    let server = Server::start(&[("greeter.yaml", GREETER), ("broken.yaml", "tasks: {a: {}}\n")]);
    let list = server.rota(&["dag", "list", "-o", "json"]).finish();
    let dags: Value = serde_json::from_str(&list.stdout).unwrap_or_else(|error| panic!("{error}: {list:?}"));
    assert_eq!(dags[0]["dag"], "greeter", "{dags}");

    let triggered = server.rota(&["dag", "trigger", "greeter", "--param", "who=you", "--wait"]).finish();
    assert_eq!(triggered.code, 0, "{triggered:?}");
    assert!(triggered.stdout.contains("success"), "{triggered:?}");
    let logs = server.rota(&["run", "logs", "1", "greet", "--follow"]).finish();
    assert!(logs.stdout.contains(" out hello you\n"), "{logs:?}");
    let runs = server.rota(&["run", "list", "--dag", "greeter"]).finish();
    assert!(runs.stdout.contains("manual"), "{runs:?}");

    let drawn = server.rota(&["dag", "show", "greeter"]).finish();
    assert!(drawn.code == 0 && drawn.stdout.contains("greet"), "{drawn:?}");

    assert_eq!(server.rota(&["dag", "pause", "greeter"]).finish().code, 0);
    let paused = server.rota(&["dag", "list"]).finish();
    assert!(paused.stdout.contains("paused"), "{paused:?}");
    let banner = server.stop();
    assert_eq!(banner.code, 0, "{banner:?}");
    for part in ["1 DAG, 1 broken file", "broken.yaml", "/login?code=", "Ctrl-C"] {
        assert!(banner.stdout.contains(part), "the banner should say `{part}`: {banner:?}");
    }
    assert!(!banner.stdout.contains("hello you"), "a task's lines are not mixed into it: {banner:?}");
}

#[test]
fn a_server_that_refuses_is_told_with_the_nearest_name() {
    let server = Server::start(&[("greeter.yaml", GREETER)]);
    let cases: &[(&[&str], &str)] = &[
        (&["dag", "trigger", "greter"], "did you mean `greeter`?"),
        (&["dag", "trigger", "greeter", "--param", "times=none"], "whole number"),
        (&["dag", "pause", "greter"], "did you mean `greeter`?"),
        (&["run", "show", "4711"], "4711"),
        (&["worker", "drain", "standalon"], "did you mean `standalone`?"),
    ];
    for (args, told) in cases {
        let end = server.rota(args).finish();
        assert_eq!(end.code, 1, "{args:?}: {end:?}");
        assert!(end.stderr.contains(told), "{args:?} should say `{told}`: {end:?}");
    }
}

#[test]
fn a_server_tells_who_leads_and_who_works_and_drains_a_worker() {
    let server = Server::start(&[("greeter.yaml", GREETER)]);
    let told = |args: &[&str]| {
        let end = server.rota(args).finish();
        assert_eq!(end.code, 0, "{args:?}: {end:?}");
        end.stdout
    };
    let json = |args: &[&str]| serde_json::from_str::<Value>(&told(args)).unwrap();
    wait_for("a leader", || server.rota(&["leader"]).finish().code == 0);
    assert!(told(&["leader"]).starts_with("standalone leads since 20"), "{}", told(&["leader"]));
    let leader = json(&["leader", "-o", "json"]);
    assert_eq!(
        (&leader["leader"], &leader["epoch"]),
        (&Value::from("standalone"), &Value::from(1)),
        "{leader}"
    );
    assert_eq!(leader["participants"][0]["state"], "leader", "{leader}");
    let state = || json(&["worker", "list", "-o", "json"])[0]["state"].clone();
    assert_eq!(state(), "live");
    let table = told(&["worker", "list"]);
    for word in ["WORKER", "HEARTBEAT", "standalone", "0 of ", "default"] {
        assert!(table.contains(word), "{word}: {table}");
    }
    assert!(told(&["worker", "drain", "standalone"]).contains("drains"));
    wait_for("a draining worker", || state() == "draining");
}

#[test]
fn the_token_is_private_and_a_stranger_is_refused() {
    let server = Server::start(&[("greeter.yaml", GREETER)]);
    let mode = fs::metadata(server.data().join("admin-token")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let stranger = rota().args(["dag", "list", "--url", &server.url()]).args(["--data", "/nowhere"]).finish();
    assert_eq!(stranger.code, 1, "{stranger:?}");
    assert!(stranger.stderr.contains("ROTA_TOKEN"), "{stranger:?}");
}

#[test]
fn a_second_process_on_one_data_directory_is_refused_with_the_holder() {
    let server = Server::start(&[("greeter.yaml", GREETER)]);
    let second = server.standalone().finish();
    assert_eq!(second.code, 1, "{second:?}");
    assert!(second.stderr.contains(&server.pid().to_string()), "{second:?}");
}

#[test]
fn an_address_for_others_needs_a_chosen_token() {
    let dir = tempfile::tempdir().unwrap();
    let open = |token: Option<&str>| {
        let mut command = rota().args(["standalone", "--listen", "0.0.0.0:0", "--data"]);
        command = command.arg(dir.path().join("data")).arg("--dags").arg(dir.path());
        match token {
            Some(token) => command.env("ROTA_ADMIN_TOKEN", token).finish(),
            None => command.finish(),
        }
    };
    for token in [None, Some("short")] {
        let end = open(token);
        assert_eq!(end.code, 2, "{end:?}");
        assert!(end.stderr.contains("ROTA_ADMIN_TOKEN"), "{end:?}");
    }
}

#[test]
fn tasks_of_another_user_work_and_cannot_read_what_is_rotas() {
    let dir = tempfile::tempdir().unwrap();
    let (dags, data) = (dir.path().join("dags"), dir.path().join("data"));
    fs::create_dir(&dags).unwrap();
    for path in [dir.path(), &dags] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let script = format!(
        "id -un; for f in admin-token rota.db server.json lock; do ! cat {}/$f; done; ! ls {}",
        data.display(),
        data.display()
    );
    let text = format!("tasks: {{look: {{outputs: [n], run: '{script}; echo n=1 > $ROTA_OUTPUT'}}}}\n");
    fs::set_permissions(write_dag(&dags, "spy.yaml", &text), fs::Permissions::from_mode(0o644)).unwrap();
    let start = || {
        let start = rota().args(["standalone", "--listen", "127.0.0.1:0", "--user", "nobody", "--dags"]);
        start.arg(&dags).arg("--data").arg(&data)
    };
    if !rustix::process::geteuid().is_root() {
        let end = start().finish();
        assert_eq!(end.code, 2, "{end:?}");
        return assert!(end.stderr.contains("only root"), "{end:?}");
    }
    let running = start().start();
    let beside = |args: &[&str]| rota().args(args).arg("--data").arg(&data).finish();
    wait_for("the DAG", || beside(&["dag", "list"]).stdout.contains("spy"));
    let end = beside(&["dag", "trigger", "spy", "--wait"]);
    let log = beside(&["run", "logs", "1", "look"]).stdout;
    assert_eq!(end.code, 0, "{end:?} {log}");
    assert!(log.contains("nobody") && log.matches("Permission denied").count() == 5, "{log}");
    running.terminated();
}

#[test]
fn a_killed_standalone_goes_on_where_it_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let starts = dir.path().join("starts");
    let text = format!(
        "tasks:\n  first: {{run: 'echo x >> {0}.first'}}\n  long:\n    needs: [first]\n    run: |\n      \
         echo $$ >> {0}\n      [ \"$ROTA_ATTEMPT\" -gt 1 ] || sleep 600\n",
        starts.display()
    );
    let mut server = Server::start(&[("long.yaml", &text)]);
    let triggered = server.rota(&["dag", "trigger", "long"]).finish();
    assert_eq!(triggered.code, 0, "{triggered:?}");
    support::wait_for("the long task's start", || support::lines(&starts) == 1);
    server.kill();
    server.restart();
    support::wait_for("the end of the run", || {
        server.rota(&["run", "show", "1"]).finish().stdout.contains(": success")
    });
    assert_eq!(support::lines(&starts), 2, "the lost attempt was started again, once");
    assert_eq!(support::lines(&starts.with_extension("first")), 1, "what had ended was not run again");
    let pid = fs::read_to_string(&starts).unwrap().lines().next().unwrap().to_owned();
    assert!(!support::is_alive(&pid), "the lost attempt's process {pid} lives on");
}
