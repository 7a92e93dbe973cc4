//! Broken files and the exact words they are refused with. `bad.txt` holds them: a file, `>>>`, its errors.

use std::fmt::Write;
use std::time::Duration;

use rota_core::dag::{self, ERRORS_MAX, FILE_BYTES_MAX, decode};

use super::support::{busy, errors};

#[test]
fn every_broken_file_is_refused_with_its_errors_in_order() {
    let mut wrong = String::new();
    for case in include_str!("bad.txt").split("\n=== ") {
        let (title, case) = case.split_once('\n').expect("a case has a title");
        let (source, expected) = case.split_once("\n>>>\n").expect("a case has its errors");
        let got = errors(&format!("{source}\n"));
        if got.trim_end() != expected.trim_end() {
            _ = writeln!(wrong, "{title}\n{source}\nexpected:\n{expected}\ngot:\n{got}\n");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn nothing_is_a_broken_file() {
    for source in ["", "\n\n", "# only a comment\n"] {
        assert!(errors(source).starts_with("f.yaml:1:1: the file is empty"), "{source:?}");
    }
    assert_eq!(errors("\u{feff}"), errors(""));
}

#[test]
fn errors_know_their_parts() {
    let all = dag::parse("dags/f.yaml", "tasks: {a: {rum: x, noop: true}}\n").unwrap_err().0;
    assert_eq!((all.len(), all[0].path.as_str(), all[0].line, all[0].col), (1, "dags/f.yaml", 1, 13));
    assert_eq!(all[0].hint.as_deref(), Some("did you mean `run`?"));
    let json = serde_json::to_value(&all[0]).unwrap();
    assert_eq!(json["message"], "unknown key `rum` in a task");
    assert_eq!(serde_json::from_value::<dag::FileError>(json).unwrap(), all[0]);
}

#[test]
fn bytes_that_are_no_text_are_refused_at_their_place() {
    assert_eq!(decode("f.yaml", "dag: ä".as_bytes()), Ok("dag: ä"));
    let error = decode("f.yaml", b"dag: a\nx: \xff\n").unwrap_err();
    assert_eq!(error.to_string(), "f.yaml:2:4: not UTF-8 text; save the file as UTF-8");
}

#[test]
fn a_name_that_cannot_be_an_id_needs_a_dag_key() {
    let error = dag::parse("dags/My File.yaml", "tasks: {a: {noop: true}}").unwrap_err().to_string();
    assert!(error.contains("name the DAG with `dag:`"), "{error}");
    assert_eq!(dag::parse("dags/a/b.yml", "tasks: {a: {noop: true}}").unwrap().id.as_str(), "b");
}

#[test]
fn errors_beyond_the_limit_are_counted() {
    let tasks: String = (0..500).map(|no| format!("  t{no}: {{noop: true, xx{no}: 1}}\n")).collect();
    let all = dag::parse("f.yaml", &format!("tasks:\n{tasks}")).unwrap_err().0;
    assert_eq!(all.len(), ERRORS_MAX + 1);
    assert_eq!(all[ERRORS_MAX].message, "400 more errors are not shown");
}

/// A chain whose every task reads the first one's outputs: the costliest question of "is it upstream?".
fn far_reads(count: usize) -> String {
    let first = "  t0: {run: x}\n".to_owned();
    let others = (1..count)
        .map(|no| format!("  t{no}: {{run: '{{{{ tasks.t0.outputs.x }}}}', needs: [t{}]}}\n", no - 1));
    std::iter::once(first).chain(others).collect()
}

/// A file that is wrong and whose many scripts hold `text` over and over, `bytes` in each.
fn in_run(text: &str, bytes: usize) -> String {
    let script = text.repeat(bytes / text.len());
    let tasks = (0..900_000 / bytes).map(|no| format!("  t{no}: {{run: '{script} {{{{ ds }}}}'}}\n"));
    format!("x: 1\ntasks:\n{}", tasks.collect::<String>())
}

/// Files made to take long; none may take a second, even in a debug build.
#[test]
fn hostile_files_are_refused_fast() {
    let many = |text: &str| text.repeat(FILE_BYTES_MAX / text.len());
    let needs: String = (0..60_000).map(|no| format!("n{no},")).collect();
    let tasks: String =
        (0..20_000).map(|no| format!("  task{no}: {{needs: [tusk{no}], noop: true}}\n")).collect();
    let deep_flow = format!("a: {}", "[".repeat(100_000));
    let bomb = "a: &a [x,x]\nb: &b [*a,*a]\nc: &c [*b,*b]\n".to_owned();
    let circle: String =
        (0..20_000).map(|no| format!("  t{no}: {{noop: true, needs: [t{}]}}\n", (no + 1) % 20_000)).collect();
    let files = [
        "x".repeat(FILE_BYTES_MAX + 1),
        many("["),
        many("- "),
        many("{a: "),
        many("? "),
        many("a,"),
        format!("tasks: [{}]", many("a,").split_off(64)),
        many("'"),
        many("\"\\"),
        many("!a "),
        many("&a "),
        many("#"),
        many("|\n"),
        many("a:\n"),
        many("%"),
        many("---\n"),
        deep_flow,
        bomb,
        format!("tasks:\n  a: {{noop: true, needs: [{needs}]}}\n"),
        format!("tasks:\n{tasks}"),
        format!("tasks:\n{circle}"),
        in_run("{{", 60_000),
        in_run("{{", 900_000),
        in_run("{{ (", 60_000),
        in_run("{{ x }} ", 60_000),
        in_run("{{ ds }} ", 60_000),
        in_run("{% if ds %}{% endif %}", 60_000),
        in_run("{% raw %} ", 60_000),
        in_run("<<E ", 60_000),
        in_run("{{ ds }}$(", 60_000),
        format!("x: 1\ntasks:\n{}", far_reads(8_000)),
    ];
    for file in files {
        let start = busy();
        let result = dag::parse("f.yaml", &file);
        let took = busy() - start;
        let head: String = file.chars().take(40).collect();
        assert!(result.is_err(), "{head}");
        assert!(took < Duration::from_secs(4), "{head}: {took:?}");
        println!("{took:?} {head:?}");
    }
}
