//! Nothing that a template says takes more memory, time or stack than a template may.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, RngExt, SeedableRng};
use rota_core::dag::{self, eval_when};
use serde_json::json;

use super::support::{Given, busy, command, errors, object, on_a_small_stack, parse};

/// Most memory that this whole process may ever have had, in KiB. One template that is not bounded takes more by itself.
const PEAK_MAX: u64 = 512 << 10;

/// Most processor time that it may take in a debug build on a slow machine.
const BUSY_MAX: Duration = Duration::from_secs(5);

/// The most memory that this process has had, in KiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux says how a process is");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// Params that a person may send with a run.
fn params() -> serde_json::Value {
    json!({
        "parts": 999_999_999_999_i64, "files": (0..1_000).collect::<Vec<_>>(), "text": "ab ".repeat(10_000),
        "deep": [[[[[[[1]]]]]]], "rows": (0..500).map(|n| json!({"n": n, "s": format!("x{n}")})).collect::<Vec<_>>(),
        "half": 0.5, "yes": true,
    })
}

/// Reads and evaluates an expression as `when`, as an argument, in a script and in a statement; what it said each time.
fn evaluated(expression: &str) -> Vec<String> {
    let mut said = Vec::new();
    let quoted = |text: String| serde_json::to_string(&text).expect("a text is JSON");
    let params = params();
    let given = Given::params(params.clone());
    let texts = [
        format!("when: {}, noop: true", quoted(expression.to_owned())),
        format!("run: [a, {}]", quoted(format!("{{{{ {expression} }}}}"))),
        format!("run: {}", quoted(format!("echo {{% for x in [{expression}] %}}{{{{ x }}}}{{% endfor %}}"))),
        format!("run: [a, {}]", quoted(format!("{{% if {expression} %}}y{{% endif %}}"))),
        format!(
            "noop: true, run: x, env: {{A: {}}}",
            quoted(format!("{{% set y = {expression} %}}{{{{ y }}}}"))
        ),
    ];
    for text in texts {
        let text = text.replace("noop: true, run: x", "run: x");
        let file = format!("params: {params}\ntasks:\n  t: {{{text}}}\n");
        let start = busy();
        match dag::parse("f.yaml", &file) {
            Err(errors) => said.push(errors.to_string()),
            Ok(dag) => {
                let checked = object(params.clone());
                let holds = eval_when(&dag, &dag.tasks[0], &given.scope(&checked)).holds;
                let made = command(&dag, &given);
                let error = holds.err().map(|e| e.message).or_else(|| made.err().map(|e| e.message));
                said.push(error.unwrap_or_else(|| "ok".to_owned()));
            }
        }
        let shown: String = expression.chars().take(200).collect();
        assert!(peak() < PEAK_MAX, "{} KiB: {shown}", peak());
        assert!(busy() - start < BUSY_MAX, "slow: {shown}");
    }
    said
}

#[test]
fn what_would_take_all_memory_or_time_fails_its_task_with_that_reason() {
    let bombs = [
        "('a'*100000)|replace('a','b'*100000)|length > 0",
        "params.files | slice(params.parts) | length > 0",
        "params.files | batch(params.parts, 0) | length > 0",
        "'a' * params.parts",
        "[0] * 100000000",
        "(attempt in ([0]*100000000))",
        "range(params.parts) | list",
        "range(0, params.parts, 1) | sum",
        "(params.text * 1000) | upper",
        "(params.text * 50) | replace('', params.text)",
        "params.text | replace('a', params.text) | replace('b', params.text)",
        "(params.text * 50) ~ (params.text * 50) ~ (params.text * 50)",
        "([params.files] * 1000) | map('join', params.text) | list",
        "(params.files * 100) | join(params.text)",
        "(params.files * 60) | map('string') | sort | unique | list",
        "(params.files * 150) | sort(reverse=true)",
        "(params.files * 100) | unique",
        "(params.files * 100) == (params.files * 100 + [1]) or (params.files * 100) < (params.files * 100)",
        "(params.rows * 200) | groupby('n')",
        "(params.rows * 200) | tojson",
        "(params.text * 90) | list",
        "(params.text * 90) | split('b')",
        "(params.text * 90)[::-1][::-1][::-1]",
        "ds | strftime('%c' * 1000000)",
        "(params.text * 80) is lower",
        "(params.text * 40) in (params.text * 41)",
        "([params.text * 40] * 9000) | select('in', {'a': 1}) | list",
        "(params.files * 9) | map('string') | map('replace', params.text * 40, '') | list",
        "(params.files * 9) | map('string') | map('split', params.text * 40) | list",
        "([{'a': 1}] * 9000) | map(attribute=params.text * 40, default=1) | list",
        "([ts] * 9000) | map('strftime', '%Y', params.text * 40) | list",
        "([params.text * 40] * 9000) | map('string') | select('eq', params.text * 41) | list",
        "range(60000) | zip(range(60000), range(60000), range(60000))",
    ];
    on_a_small_stack(move || {
        for bomb in bombs {
            for said in evaluated(bomb) {
                let is_refused =
                    ["too many steps", "larger than", "unknown", "must be", "is not", "function"];
                assert!(is_refused.iter().any(|words| said.contains(words)), "{bomb}: {said}");
            }
        }
        // What takes as many steps as may be, many times over, fails for that as well.
        let joined = vec!["(attempt in ([0]*90000))"; 100].join(" or ");
        assert!(evaluated(&joined).iter().all(|said| said.contains("too many steps")));
    });
}

#[test]
fn all_texts_of_a_task_have_one_bound_together() {
    let one = "{{ (range(30000) | sum) > 0 }}";
    let env: Vec<String> = (0..40).map(|no| format!("E{no}: \"{one}\"")).collect();
    let of = |count: usize| {
        let dag = parse(&format!("tasks:\n  t: {{run: x, env: {{{}}}}}\n", env[..count].join(", ")));
        command(&dag, &Given::default()).map(|made| made.env.len())
    };
    assert!(of(1).is_ok());
    assert!(of(40).unwrap_err().message.contains("too many steps"));
}

#[test]
fn a_bomb_is_read_without_being_set_off() {
    let sum = vec!["(2 ** 62)"; 300].join(" * ");
    let start = busy();
    parse(&format!("tasks:\n  t: {{run: [a, \"{{{{ ['a' * 100000000, {sum}] }}}}\"]}}\n"));
    assert!(peak() < PEAK_MAX && busy() - start < BUSY_MAX);
    let said = errors("tasks:\n  t: {when: \"1 in 2 in\", noop: true}\n");
    assert!(said.contains("expected expression"), "{said}");
}

/// Writes random expressions; now and then one part thousands of times.
struct Grammar {
    rng: StdRng,
}

const NAMES: [&str; 11] = [
    "params.files",
    "params.text",
    "params.rows",
    "params.parts",
    "params.half",
    "params.yes",
    "params.deep",
    "ds",
    "attempt",
    "run.id",
    "params",
];

const FILTERS: [&str; 44] = [
    "abs",
    "batch(3)",
    "bool",
    "capitalize",
    "count",
    "default(1)",
    "dictsort",
    "first",
    "float",
    "groupby('n')",
    "int",
    "items",
    "join(',')",
    "last",
    "lines",
    "list",
    "lower",
    "map('string')",
    "map(attribute='n')",
    "max",
    "min",
    "reject('odd')",
    "rejectattr('n')",
    "replace('a','bb')",
    "replace('', 'x')",
    "reverse",
    "round(2)",
    "select",
    "selectattr('n', 'gt', 3)",
    "slice(5)",
    "sort",
    "sort(attribute='n')",
    "split",
    "split('a')",
    "strftime('%Y')",
    "string",
    "sum",
    "title",
    "tojson",
    "trim",
    "unique",
    "upper",
    "zip([1])",
    "map('map', 'string')",
];

impl Grammar {
    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of.choose(&mut self.rng).copied().unwrap_or_default()
    }

    fn times(&mut self) -> usize {
        if self.rng.random_ratio(1, 12) {
            self.rng.random_range(100..5_000)
        } else {
            self.rng.random_range(1..4)
        }
    }

    fn expression(&mut self, depth: usize) -> String {
        if depth == 0 {
            return self.atom();
        }
        let inner = self.expression(depth - 1);
        match self.rng.random_range(0..12) {
            0 => {
                let operator = self.one(&[
                    " + ", " - ", " * ", " ~ ", " and ", " or ", " == ", " < ", " in ", " // ", " ** ", " % ",
                ]);
                vec![inner; self.times()].join(operator)
            }
            1 => format!("{inner}{}", format!(" | {}", self.one(&FILTERS)).repeat(self.times())),
            2 => format!("{}{inner}", self.one(&["-", "not ", "- ", "("]).repeat(self.times())),
            3 => format!(
                "({inner}){}",
                self.one(&["[0]", "[::2]", "[-1]", ".n", "['s']", "[1:]", "[::-1]"]).repeat(self.times())
            ),
            4 => format!("[{}]", vec![inner; self.times()].join(", ")),
            5 => format!("{{'k': {inner}, 'l': {}}}", self.atom()),
            6 => format!(
                "({inner}) is {}",
                self.one(&["odd", "defined", "string", "in [1]", "divisibleby 3", "mapping"])
            ),
            7 => format!("({inner}) if {} else ({})", self.atom(), self.expression(depth - 1)),
            8 => format!("{}{inner}{}", "(".repeat(8), ")".repeat(8)),
            9 => format!("range({inner}) | list"),
            10 => format!("({inner}) * {}", self.one(&["2", "1000", "100000", "params.parts", "-1", "0.5"])),
            _ => format!(
                "({inner}) {} ({})",
                self.one(&["+", "~", "==", "in", "<", "*", "%"]),
                self.expression(depth - 1)
            ),
        }
    }

    fn atom(&mut self) -> String {
        match self.rng.random_range(0..6) {
            0 => self.rng.next_u64().to_string(),
            1 => self
                .one(&[
                    "'a'",
                    "\"b c\"",
                    "''",
                    "'é\\u00df'",
                    "0",
                    "-1",
                    "1e308",
                    "true",
                    "none",
                    "[]",
                    "{}",
                    "1.5",
                ])
                .to_owned(),
            _ => self.one(&NAMES).to_owned(),
        }
    }
}

#[test]
fn expressions_of_a_grammar_stay_within_the_bounds() {
    let full = std::env::var_os("ROTA_TESTS_FULL").is_some();
    let count = if full { 20_000 } else { 150 };
    on_a_small_stack(move || {
        let mut valid = 0;
        for seed in 0..count {
            let mut grammar = Grammar { rng: StdRng::seed_from_u64(seed) };
            let depth = grammar.rng.random_range(1..6);
            let expression = grammar.expression(depth);
            // A failure names its expression; its seed is enough to meet it again.
            let said = evaluated(&expression[..expression.floor_char_boundary(60_000)]);
            valid += said.iter().filter(|said| *said == "ok").count() as u64;
        }
        assert!(valid > count / 4, "{valid} of {count}");
    });
}
