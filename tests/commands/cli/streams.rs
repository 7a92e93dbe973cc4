//! What becomes of exit codes when nobody takes what a command prints: every command that there is, with every way in which
//! stdout and stderr can be out of order.

use std::fs::{self, OpenOptions};
use std::process::Stdio;

use rota_tests::lab::binary;

use crate::support::{Rota, Server, commands, rota, wait_for, write_dag};

/// Where a stream leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// To this test.
    Read,
    /// Into a pipe whose reader has gone.
    Gone,
    /// Onto a full disk.
    Full,
}

impl End {
    fn stdio(self) -> Stdio {
        match self {
            Self::Read => Stdio::piped(),
            Self::Gone => std::io::pipe().expect("a pipe").1.into(),
            Self::Full => OpenOptions::new().write(true).open("/dev/full").expect("/dev/full").into(),
        }
    }
}

/// Stdout and stderr.
const ENDS: &[(End, End)] =
    &[(End::Gone, End::Gone), (End::Full, End::Full), (End::Read, End::Full), (End::Read, End::Gone)];

/// Command lines with their exit codes, at least one for every command. Where a word in braces stands, see [`Lab::words`].
const LINES: &[(&str, i32)] = &[
    ("standalone --dags /nowhere/at/all", 2),
    ("dag validate {dir}/good.yaml", 0),
    ("dag validate {dir} -o json", 1),
    ("dag test {dir}/good.yaml", 0),
    ("dag test {dir}/fails.yaml -o json", 1),
    ("dag show {dir}/good.yaml", 0),
    ("dag show {dir}/broken.yaml", 1),
    ("dag show good {server}", 0),
    ("dag schema", 0),
    ("dag list {server}", 0),
    ("dag list --url http://127.0.0.1:1", 1),
    ("dag trigger good {server}", 0),
    ("dag trigger fails --wait {server}", 1),
    ("dag trigger godo {server}", 1),
    ("dag pause good {server}", 0),
    ("dag unpause good {server}", 0),
    ("dag unpause godo {server}", 1),
    ("run list {server}", 0),
    ("run list --dag long --state failed {server}", 0),
    ("run show 1 -o json {server}", 0),
    ("run show 4711 {server}", 1),
    ("run logs 1 a {server}", 0),
    ("run logs 1 --tail 1 {server}", 0),
    ("run logs 1 --failed {server}", 1),
    ("run logs 1 b {server}", 1),
    ("run cancel {running} {server}", 0),
    ("run cancel 1 {server}", 1),
    ("run retry {failed} --failed {server}", 0),
    ("run retry 1 --failed {server}", 1),
    ("run retry {running} --task a {server}", 1),
    ("file list {server}", 0),
    ("file list --broken -o json {server}", 0),
    ("schedule next 0 6 * * 1-5", 0),
    ("schedule next @daily", 0),
    ("schedule next @dayly", 2),
    ("start scheduler --check", 0),
    ("start worker --check", 0),
    ("start web --check", 0),
    ("start web --listen nowhere", 2),
    ("migrate", 1),
    ("leader {server}", 0),
    ("ledger {server}", 0),
    ("ledger --dag godo {server}", 1),
    ("ledger --outcome fried {server}", 2),
    ("worker list {server}", 0),
    ("worker drain standalon {server}", 1),
    ("worker drain standalone {server}", 0),
];

/// A server on which the first run has ended well.
struct Lab(Server);

impl Lab {
    fn new() -> Self {
        let server = Server::start(&[
            ("good.yaml", "tasks: {a: {run: echo hello}}\n"),
            ("fails.yaml", "tasks: {a: {run: exit 3}}\n"),
            ("long.yaml", "max_active_runs: 100\ntasks: {a: {run: sleep 600, grace: 1s}}\n"),
            ("broken.yaml", "tasks: {a: {}}\n"),
        ]);
        let lab = Self(server);
        assert_eq!(lab.run_of(&["good", "--wait"], 0), "1");
        wait_for("a leader", || lab.0.rota(&["leader"]).finish().code == 0);
        lab
    }

    /// The number of a new run.
    fn run_of(&self, wish: &[&str], code: i32) -> String {
        let end = self.0.rota(&[&["dag", "trigger", "-o", "json"], wish].concat()).finish();
        assert_eq!(end.code, code, "{wish:?}: {end:?}");
        let run: serde_json::Value = serde_json::from_str(&end.stdout).expect("a run");
        run["id"].to_string()
    }

    fn running(&self) -> String {
        let run = self.run_of(&["long"], 0);
        wait_for("a running task", || {
            self.0.rota(&["run", "show", &run, "-o", "json"]).finish().stdout.contains("\"started_at\": \"20")
        });
        run
    }

    /// The words of a command line: `{dir}` is a directory of DAG files, `{server}` names the server, `{running}` and
    /// `{failed}` are new runs.
    fn words(&self, line: &str) -> Vec<String> {
        let data = self.0.data();
        let word = |word: &str| match word {
            "{server}" => vec!["--data".to_owned(), data.display().to_string()],
            "{running}" => vec![self.running()],
            "{failed}" => vec![self.run_of(&["fails", "--wait"], 1)],
            word => vec![word.replace("{dir}", &self.0.dags().display().to_string())],
        };
        line.split(' ').flat_map(word).collect()
    }
}

/// With settings for `rota start` and `rota migrate`, whose services are away.
fn with_settings(command: Rota) -> Rota {
    command
        .env("ROTA_DATABASE_URL", "postgres://rota@127.0.0.1:1/rota")
        .env("ROTA_BROKER_URL", "amqp://127.0.0.1:2/%2f")
        .env("ROTA_ETCD_ENDPOINTS", "http://127.0.0.1:3")
        .env("ROTA_ADMIN_TOKEN", "0123456789-0123456789")
}

#[test]
fn exit_codes_do_not_depend_on_who_takes_the_words() {
    let lab = Lab::new();
    for (line, code) in LINES {
        let read = with_settings(rota()).args(lab.words(line)).finish();
        assert_eq!(read.code, *code, "{line}: {read:?}");
        for &(out, err) in ENDS {
            let command = with_settings(rota()).args(lab.words(line));
            let end = command.start_on(out.stdio(), err.stdio()).finish();
            let is_lost = out == End::Full && !read.stdout.is_empty();
            let expected = if is_lost { 1 } else { *code };
            assert_eq!(end.code, expected, "{line}, stdout {out:?}, stderr {err:?}: {end:?}");
        }
        let closed = with_settings(rota()).args(lab.words(line)).with_closed_streams().finish();
        assert_eq!(closed.code, *code, "{line}, closed: {closed:?}");
    }
}

#[test]
fn every_command_has_a_line_above() {
    let all = commands();
    let is_group = |command: &[String]| {
        all.iter().any(|other| other.len() > command.len() && other.starts_with(command))
    };
    let leaves: Vec<&Vec<String>> =
        all.iter().filter(|command| !command.is_empty() && !is_group(command)).collect();
    assert!(leaves.len() >= 20, "the helps were not understood: {leaves:?}");
    for leaf in leaves {
        let start = leaf.join(" ");
        let is_tried = LINES.iter().any(|(line, _)| *line == start || line.starts_with(&format!("{start} ")));
        assert!(is_tried, "`rota {start}` is not tried");
    }
}

#[test]
fn a_help_that_is_lost_is_no_success_and_one_that_nobody_reads_is() {
    let version = vec!["--version".to_owned()];
    let helps = commands().into_iter().map(|command| [command, vec!["--help".to_owned()]].concat());
    for line in helps.chain([version]) {
        for (out, code) in [(End::Full, 1), (End::Gone, 0)] {
            for err in [End::Read, End::Full] {
                let end = rota().args(&line).start_on(out.stdio(), err.stdio()).finish();
                assert_eq!(end.code, code, "{line:?}, stdout {out:?}, stderr {err:?}: {end:?}");
            }
        }
    }
}

#[test]
fn wrong_usage_stays_wrong_usage_when_nobody_can_be_told() {
    for line in [&["dag", "frobnicate"][..], &["run", "show", "seven"], &["__warden"], &[]] {
        for &(out, err) in ENDS {
            let end = rota().args(line).start_on(out.stdio(), err.stdio()).finish();
            assert_eq!(end.code, 2, "{line:?}, stdout {out:?}, stderr {err:?}: {end:?}");
        }
    }
}

#[test]
fn a_server_whose_words_nobody_takes_serves_and_stops_in_good_order() {
    for &(out, err) in ENDS {
        let dir = tempfile::tempdir().unwrap();
        let (dags, data) = (dir.path().join("dags"), dir.path().join("data"));
        fs::create_dir(&dags).unwrap();
        write_dag(&dags, "good.yaml", "tasks: {a: {run: echo hello}}\n");
        write_dag(&dags, "broken.yaml", "tasks: {a: {}}\n");
        let command = rota().args(["standalone", "--listen", "127.0.0.1:0", "--log", "debug", "--dags"]);
        let server = command.arg(&dags).arg("--data").arg(&data).start_on(out.stdio(), err.stdio());
        let client = |args: &[&str]| rota().args(args).arg("--data").arg(&data).finish();
        wait_for("the server's answer", || {
            data.join("server.json").exists() && client(&["dag", "list"]).stdout.contains("good")
        });
        let end = client(&["dag", "trigger", "good", "--wait"]);
        assert_eq!(end.code, 0, "stdout {out:?}, stderr {err:?}: {end:?}");
        let end = server.terminated();
        assert_eq!(end.code, 0, "stdout {out:?}, stderr {err:?}: {end:?}");
    }
}

#[test]
fn what_was_so_already_is_said_and_what_cannot_be_done_is_refused() {
    let lab = Lab::new();
    let told = |args: &[&str]| {
        let end = lab.0.rota(args).finish();
        (end.code, format!("{}{}", end.stdout, end.stderr))
    };
    let cases: &[(&[&str], i32, &str)] = &[
        (&["dag", "unpause", "good"], 0, "good was not paused"),
        (&["dag", "pause", "good"], 0, "good is paused:"),
        (&["dag", "pause", "good"], 0, "good is paused already"),
        (&["dag", "unpause", "good"], 0, "good is no longer paused"),
        (&["run", "cancel", "1"], 1, "nothing to cancel"),
        (&["run", "retry", "1", "--failed"], 1, "nothing to run again"),
    ];
    for (args, code, words) in cases {
        let (ended, said) = told(args);
        assert!(ended == *code && said.contains(words), "{args:?} should say `{words}`: {ended} {said}");
    }
    let running = lab.running();
    let (code, said) = told(&["run", "retry", &running, "--task", "a"]);
    assert!(code == 1 && said.contains("a has not ended yet"), "{code} {said}");
    assert_eq!(told(&["run", "cancel", &running]).0, 0);
    for words in ["drains:", "drains already"] {
        let (code, said) = told(&["worker", "drain", "standalone"]);
        assert!(code == 0 && said.contains(words), "it should say `{words}`: {code} {said}");
    }
}

/// Runs a shell line in which `$ROTA` is the binary; its exit code, by bash with `pipefail` off unless the line sets it.
fn shell(line: &str, dir: &std::path::Path) -> Option<i32> {
    let status = std::process::Command::new("bash")
        .args(["-c", line])
        .env("ROTA", binary().get_program())
        .current_dir(dir)
        .stderr(Stdio::null())
        .status();
    status.expect("bash starts").code()
}

#[test]
fn exit_codes_survive_a_reader_that_goes_away_in_the_middle() {
    let dir = tempfile::tempdir().unwrap();
    // More errors than a pipe holds.
    let errors: String =
        (0..90).map(|no| format!("  t{no}: {{noop: true, {}: 1}}\n", "x".repeat(40 + no))).collect();
    for no in 0..40 {
        write_dag(dir.path(), &format!("bad{no}.yaml"), &format!("tasks:\n{errors}"));
    }
    let cases = [
        ("dag validate .", 1),
        ("dag validate . -o json", 1),
        ("dag schema", 0),
        ("schedule next '* * * * *' --count 1000", 0),
    ];
    for (command, code) in cases {
        for reader in ["true", "head -c 1 > /dev/null", "exec <&-"] {
            let line = format!("\"$ROTA\" {command} | {reader}; exit ${{PIPESTATUS[0]}}");
            assert_eq!(shell(&line, dir.path()), Some(code), "{line}");
        }
    }
}
