//! Conditions that would take all time and memory, against a real server.

use crate::support::Server;

/// Each once was enough to stop every DAG, or to end the process.
const BOMBS: [&str; 4] = [
    "('a'*100000)|replace('a','b'*100000)|length > 0",
    "params.files | slice(params.parts) | length > 0",
    "(attempt in ([0]*100000000)) or (attempt in ([0]*100000000))",
    "(params.text * 100000) | list | sort | unique | length > 1",
];

#[test]
fn a_condition_that_takes_too_much_fails_its_task_and_stops_nobody() {
    let params = "params: {files: [1, 2], parts: 999999999999, text: abc}";
    let bomb = |no: usize, when: &str| {
        let tasks: Vec<String> =
            (0..10).map(|task| format!("  t{task}: {{noop: true, when: {when:?}}}\n")).collect();
        (format!("bomb{no}.yaml"), format!("schedule: {{every: 5s}}\n{params}\ntasks:\n{}", tasks.concat()))
    };
    let mut files: Vec<(String, String)> =
        BOMBS.iter().enumerate().map(|(no, when)| bomb(no, when)).collect();
    files.push(("good.yaml".to_owned(), "tasks:\n  t: {run: 'exit 0', when: \"ds != ''\"}\n".to_owned()));
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let mut server = Server::start(&files);
    for round in ["first", "after a crash"] {
        for no in 0..BOMBS.len() {
            let dag = format!("bomb{no}");
            let end = server.rota(&["dag", "trigger", &dag, "--wait"]).finish();
            assert_eq!(end.code, 1, "{round}: {dag}: {end:?}");
            let runs = server.rota(&["run", "list", "--dag", &dag, "-o", "json"]).finish().stdout;
            assert!(runs.contains("`when` cannot be evaluated") && runs.contains("too many steps"), "{runs}");
        }
        let end = server.rota(&["dag", "trigger", "good", "--wait"]).finish();
        assert_eq!(end.code, 0, "{round}: {end:?}");
        server.kill();
        server.restart();
    }
}
