//! Random DAG files.

use std::fmt::Write as _;

use rand::RngExt;
use rand::rngs::StdRng;

const RULES: &[&str] = &[
    "all_success",
    "all_success",
    "all_success",
    "all_failed",
    "all_done",
    "all_done_min_one_success",
    "all_done_setup_success",
    "one_success",
    "one_failed",
    "one_done",
    "none_failed",
    "none_failed_min_one_success",
    "none_skipped",
    "all_skipped",
    "always",
];

/// A DAG of up to 12 tasks with random edges, rules, retries and policies.
pub(crate) fn random(rng: &mut StdRng) -> String {
    let mut text = String::from("dag: sim\n");
    let catchup = pick(rng, &["none", "latest", "all"]);
    let every = pick(rng, &["30s", "1m", "2m"]);
    writeln!(text, "schedule: {{every: {every}, catchup: {catchup}, deadline: 45s}}").expect("to a string");
    writeln!(text, "max_active_runs: {}", rng.random_range(1..4)).expect("to a string");
    writeln!(text, "overlap: {}", pick(rng, &["queue", "skip", "cancel_previous"])).expect("to a string");
    if rng.random_bool(0.3) {
        text.push_str("timeout: 5m\n");
    }
    text.push_str("tasks:\n");
    let tasks = rng.random_range(1..12);
    for task in 0..tasks {
        let needs: Vec<String> =
            (0..task).filter(|_| rng.random_bool(0.3)).map(|up: i32| format!("t{up}")).collect();
        writeln!(text, "  t{task}:\n    run: \"true\"").expect("to a string");
        if !needs.is_empty() {
            writeln!(text, "    needs: [{}]", needs.join(", ")).expect("to a string");
            writeln!(text, "    trigger_rule: {}", pick(rng, RULES)).expect("to a string");
        }
        if rng.random_bool(0.15) {
            // The second one cannot be evaluated: the task fails without an attempt.
            let when = pick(rng, &["1 == 2", "1 == 2", "[][0].x == 1"]);
            writeln!(text, "    when: \"{when}\"").expect("to a string");
        }
        if rng.random_bool(0.5) {
            let backoff = pick(rng, &["fixed", "exponential"]);
            let retries = rng.random_range(1..4);
            writeln!(text, "    retries: {retries}\n    retry_backoff: {backoff}").expect("to a string");
        }
        if rng.random_bool(0.3) {
            text.push_str("    on_lost: fail\n");
        }
        writeln!(text, "    priority: {}", rng.random_range(-2..3)).expect("to a string");
    }
    text
}

fn pick<'a>(rng: &mut StdRng, choices: &[&'a str]) -> &'a str {
    choices[rng.random_range(0..choices.len())]
}
