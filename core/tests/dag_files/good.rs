//! What valid files say.

use std::fmt::Write;
use std::time::Duration;

use rota_core::dag::{
    Action, BackoffKind, OnLost, Overlap, ParamKind, TriggerRule, layers, parse_outputs, render_graph,
};
use rota_core::id::{QueueName, TaskNo};
use rota_core::schedule::Catchup;
use serde_json::json;

use super::support::{busy, object, parse};

/// Every field that this version executes.
pub(crate) const FULL: &str = include_str!("full.yaml");

#[test]
fn every_field_is_read() {
    let dag = parse(FULL);
    assert_eq!((dag.id.as_str(), dag.owner.as_deref()), ("daily_sales", Some("data-platform")));
    assert_eq!(dag.tags, ["sales", "2026"]);
    assert_eq!((dag.max_active_runs, dag.overlap), (1, Overlap::CancelPrevious));
    assert_eq!(dag.timeout, Some(Duration::from_secs(7200)));
    let spec = dag.schedule.as_ref().unwrap().spec();
    assert_eq!((spec.rules.len(), spec.timezone.name(), spec.catchup), (4, "Europe/Berlin", Catchup::All));
    assert_eq!(spec.start.unwrap().to_rfc3339(), "2025-12-31T23:00:00+00:00");
    assert_eq!(spec.end.unwrap().to_rfc3339(), "2026-12-31T22:59:59+00:00");
    assert_eq!((spec.jitter, spec.deadline), (Duration::from_secs(30), Duration::from_secs(120)));
    let kinds: Vec<ParamKind> = dag.params.values().map(|param| param.kind).collect();
    use ParamKind::{Array, Boolean, Integer, Number, Object, String};
    assert_eq!(kinds, [String, Integer, Number, Boolean, Array, Object]);
    assert_eq!(dag.params["extra"].default, Some(json!({"k": [1, null]})));
    assert_eq!(dag.env["PORT"], "8080");
}

#[test]
fn tasks_override_defaults_field_by_field() {
    let dag = parse(FULL);
    let [extract, load, join] = dag.tasks.as_slice() else { panic!("three tasks") };
    assert_eq!((extract.retries, extract.backoff.kind, extract.line), (2, BackoffKind::Exponential, 30));
    assert_eq!(
        (extract.backoff.delay, extract.backoff.delay_max),
        (Duration::from_secs(60), Duration::from_secs(3600))
    );
    assert_eq!((extract.queue.as_str(), extract.on_lost), ("etl", OnLost::Retry));
    assert_eq!(extract.outputs, ["rows"]);
    assert!(matches!(&extract.action, Action::Script(script) if script.ends_with("{{ params.region }}\n")));
    assert_eq!((load.retries, load.backoff.kind, load.grace), (0, BackoffKind::Fixed, Duration::ZERO));
    assert_eq!((load.timeout, load.priority), (Some(Duration::from_secs(5400)), -5));
    assert_eq!(
        (load.queue.as_str(), load.trigger_rule, load.on_lost),
        ("big", TriggerRule::NoneFailed, OnLost::Fail)
    );
    assert_eq!((load.env["A"].as_str(), load.env["B"].as_str()), ("x", "z"));
    assert_eq!(load.shell.as_deref(), Some(["sh", "-eu", "-c"].map(str::to_owned).as_slice()));
    assert_eq!(load.reads_outputs_of, [TaskNo(0)]);
    assert_eq!((&join.action, join.queue.as_str()), (&Action::Noop, QueueName::NOOP));
}

#[test]
fn what_is_left_out_has_its_default() {
    let dag = parse("tasks: {a: {run: x}, b: {noop: }, c: {noop: {}, queue: q}}");
    let a = &dag.tasks[0];
    assert_eq!((dag.id.as_str(), dag.max_active_runs, dag.overlap), ("test", 16, Overlap::Queue));
    assert!(dag.schedule.is_none() && dag.timeout.is_none() && a.timeout.is_none());
    assert_eq!((a.retries, a.priority, a.trigger_rule), (0, 0, TriggerRule::AllSuccess));
    assert_eq!((a.backoff.delay, a.grace), (Duration::from_secs(30), Duration::from_secs(10)));
    let queues: Vec<&str> = dag.tasks.iter().map(|task| task.queue.as_str()).collect();
    assert_eq!(queues, ["default", "noop", "q"]);
    assert!(parse("schedule: '@manual'\ntasks: {a: {run: x}}").schedule.is_none());
}

#[test]
fn the_order_is_topological_and_that_of_the_file_among_equals() {
    let dag = parse(
        "tasks:\n  d: {noop: true, needs: [b, c]}\n  c: {noop: true, needs: [a]}\n  b: {noop: true}\n  a: {noop: true}\n",
    );
    let names = |tasks: &[TaskNo]| tasks.iter().map(|no| dag.task(*no).name.to_string()).collect::<Vec<_>>();
    assert_eq!(names(&dag.graph.order), ["b", "a", "c", "d"]);
    assert_eq!(names(&dag.graph.up[0]), ["c", "b"]);
    assert_eq!(names(&dag.graph.down[3]), ["c"]);
    let layers: Vec<Vec<String>> = layers(&dag).iter().map(|layer| names(layer)).collect();
    assert_eq!(layers, [vec!["b", "a"], vec!["c"], vec!["d"]]);
}

#[test]
fn the_graph_is_drawn_as_text() {
    let text = render_graph(&parse(FULL));
    let expected = "daily_sales: 3 tasks, 3 layers\n  \
                    o extract  script\n  |\n  \
                    o load     command  <- extract  (none_failed)  when params.region == 'eu'\n  |\n  \
                    o join     noop     <- load\n";
    assert_eq!(text, expected);
}

#[test]
fn large_files_are_read_fast() {
    let mut chain = String::from("tasks:\n  t0: {noop: true}\n");
    for no in 1..10_000 {
        _ = writeln!(chain, "  t{no}: {{run: 'echo {{{{ tasks.t{0}.outputs.x }}}}', needs: [t{0}]}}", no - 1);
    }
    let fan: Vec<String> = (0..40_000).map(|no| format!("  t{no}: {{noop: }}")).collect();
    let edges: Vec<String> = (0..40_000).map(|no| format!("t{no}")).collect();
    let fan = format!("tasks:\n{}\n  end: {{noop: , needs: [{}]}}\n", fan.join("\n"), edges.join(","));
    for (source, tasks) in [(chain, 10_000), (fan, 40_001)] {
        let start = busy();
        let dag = parse(&source);
        let took = busy() - start;
        assert_eq!(
            (dag.tasks.len(), dag.graph.order.len(), layers(&dag).iter().flatten().count()),
            (tasks, tasks, tasks)
        );
        assert!(took < Duration::from_secs(4), "{took:?}");
        println!("{tasks} tasks, {} bytes: {took:?}", source.len());
        assert!(render_graph(&dag).lines().count() >= tasks);
    }
}

#[test]
fn outputs_are_lines_or_one_object() {
    let read = |text: &str| parse_outputs(text.as_bytes(), &[]).map_err(|error| error.to_string());
    assert_eq!(read("a=1\n\nb = x=y \r\na=2\n"), Ok(object(json!({"a": "2", "b": " x=y "}))));
    assert_eq!(read("  {\"a\": [1, {\"b\": null}]}\n"), Ok(object(json!({"a": [1, {"b": null}]}))));
    assert_eq!(read(""), Ok(object(json!({}))));
    let deep = format!("{{\"a\": {}{}}}", "[".repeat(60), "]".repeat(60));
    let very_deep = format!("{{\"a\": {}", "[".repeat(30_000));
    let cases = [
        ("a=1\nrows 5", "line 2 of the outputs, `rows 5`: expected `key=value`"),
        ("{\"a\": 1", "the outputs are not one JSON object: "),
        ("{\"a\": 1} x", "the outputs are not one JSON object: "),
        ("a-b=1", "output key `a-b`: expected a letter or `_`"),
        ("{\"\": 1}", "output key ``"),
        (&deep, "nested deeper than 16 levels"),
        (&very_deep, "the outputs are not one JSON object: "),
        ("a=\0", "holds a NUL character"),
        (&"a=1\n".repeat(20_000), "the outputs have 80000 bytes, at most 65536 are taken"),
    ];
    for (text, expected) in cases {
        let error = read(text).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
    assert_eq!(
        parse_outputs(b"a=\xff", &[]).unwrap_err().to_string(),
        "the outputs are not UTF-8 text (byte 2)"
    );
}

#[test]
fn promised_outputs_must_be_there() {
    let promised = ["rows".to_owned()];
    assert!(parse_outputs(b"rows=1\nmore=2", &promised).is_ok());
    let error = parse_outputs(b"row=1", &promised).unwrap_err().to_string();
    assert_eq!(error, "the task promised the output `rows` and did not write it; did you mean `row`?");
}

#[test]
fn the_example_of_the_guide_is_valid() {
    let guide = include_str!("../../../docs/dag-files.md");
    let example = guide.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    assert_eq!(parse(example).tasks.len(), 2);
}
