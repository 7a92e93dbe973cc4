//! DAGs whose names are as long as names may be, and as wide: nothing on a page may break because of them.

use super::dags::{DemoDag, QUIET};

/// As many letters as a name may have, with no place to break at, of the widest one.
fn widest(end: char) -> String {
    format!("{}{end}", "w".repeat(127))
}

fn kept(text: String) -> &'static str {
    // The demonstration's DAGs are constants everywhere else.
    Box::leak(text.into_boxed_str())
}

/// Two DAGs with names of 128 letters, one of which fails while the other runs and misses slots, and one of 41.
pub(super) fn dags() -> Vec<DemoDag> {
    let (dag, first, last) = (widest('a'), widest('b'), widest('c'));
    let source = |dag: &str, paused: bool| {
        let description = format!("What {dag} does, {}", "and what it does then ".repeat(12));
        kept(format!(
            "dag: {dag}\ndescription: {description}\nowner: {dag}\ntags: [{dag}, {last}]\n\
             schedule: {{cron: \"*/20 * * * *\", timezone: America/Argentina/ComodRivadavia}}\n\
             params: {{long: {{type: string, default: {dag}}}, paused: {{type: boolean, default: {paused}}}}}\n\
             tasks:\n  {first}:\n    queue: {last}\n    outputs: [rows]\n    run: echo {dag} {{{{ params.long }}}}\n  \
             {last}:\n    needs: [{first}]\n    run: echo {{{{ tasks.{first}.outputs.rows }}}}\n"
        ))
    };
    let words: &'static str = kept(format!("exit code 1: {}", widest('d').repeat(3)));
    let (first, last): (&'static str, &'static str) = (kept(first.clone()), kept(last.clone()));
    let failures: &'static [(usize, &'static str, &'static str)] =
        Box::leak(Box::new([(0, last, words), (3, first, words)]));
    let missed: &'static [(usize, &'static str)] = Box::leak(Box::new([(2, words)]));
    let path = |name: &str| kept(format!("{name}/{name}.yaml"));
    let other = widest('e');
    let usual = "warehouse_nightly_orders_and_customers_eu";
    vec![
        DemoDag { path: path(&dag), source: source(&dag, false), failures, ..QUIET },
        DemoDag { path: path(&other), source: source(&other, false), running: Some(first), missed, ..QUIET },
        DemoDag { path: path(usual), source: source(usual, true), paused: true, ..QUIET },
    ]
}

/// A file that cannot be read, at a long path.
pub(super) fn broken() -> (&'static str, &'static str) {
    let name = widest('f');
    (kept(format!("{name}/{name}.yaml")), kept(format!("dag: {name}\ntasks: {{{name}: {{{name}: 1}}}}\n")))
}
