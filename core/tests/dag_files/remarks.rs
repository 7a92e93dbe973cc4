//! Remarks: what is valid and may not mean what its writer meant.

use std::collections::BTreeMap;
use std::fmt::Write;

use proptest::collection::vec;
use proptest::prelude::any;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};
use rota_core::dag::{self, Dag, REMARKS_MAX, TriggerRule};
use rota_core::plan::{Tally, Verdict, verdict};
use rota_core::state::TaskState;

use super::support::{errors, parse};

fn remarks(source: &str) -> Vec<String> {
    parse(source).remarks.iter().map(ToString::to_string).collect()
}

#[test]
fn a_clean_up_leaf_that_hides_a_failure_gets_a_remark() {
    let source = "tasks:\n  load: {run: x}\n  clean: {run: y, needs: [load], trigger_rule: all_done}\n";
    assert_eq!(
        remarks(source),
        [
            "3:3: a run can succeed although `load` failed: `clean` ends such a run without passing the failure on \
          (`trigger_rule: all_done`); if it should fail, add a last task that needs it: \
          `outcome: {noop: true, needs: [load]}`"
        ]
    );
    let mended = format!("{source}  outcome: {{noop: true, needs: [load]}}\n");
    assert_eq!(remarks(&mended), Vec::<String>::new());
}

#[test]
fn a_stored_version_with_the_rule_of_teardowns_goes_on_and_a_file_is_refused() {
    let source = "tasks:\n  a: {run: x}\n  b: {run: y, needs: [a], trigger_rule: all_done_setup_success}\n";
    let said = errors(source);
    assert!(said.contains("f.yaml:3:41: `all_done_setup_success` is meant for teardowns"), "{said}");
    let id = "f".parse().expect("a valid name");
    let stored = dag::parse_version(&id, source).expect("what was stored is read");
    assert_eq!(stored.tasks[1].trigger_rule, TriggerRule::AllDoneSetupSuccess);
    let defaults = "defaults: {trigger_rule: all_done_setup_success}\ntasks:\n  a: {run: x}\n";
    assert!(errors(defaults).contains("teardowns"));
    assert!(dag::parse_version(&id, defaults).is_ok());
}

#[test]
fn values_that_programs_read_as_code_get_a_remark() {
    let said = |run: &str| {
        let run =
            if run.starts_with('[') { run.to_owned() } else { serde_json::to_string(run).expect("JSON") };
        remarks(&format!("params: {{x: ''}}\ntasks:\n  t: {{run: {run}}}\n")).join("\n")
    };
    for (run, program) in [
        ("eval {{ params.x }}", "eval"),
        ("eval \"echo {{ params.x }}\"", "eval"),
        ("trap {{ params.x }} EXIT", "trap"),
        ("bash -c {{ params.x }}", "bash"),
        ("sudo -u app sh -euc 'echo {{ params.x }}'", "sh"),
        ("ssh -p 22 host ls {{ params.x }}", "ssh"),
        ("su app -c \"ls {{ params.x }}\"", "su"),
        ("ls | xargs -n 1 {{ params.x }}", "xargs"),
        ("find . -exec sh -c 'echo {{ params.x }}' sh {} +", "sh"),
        ("x=$(python3 -c 'print({{ params.x }})')", "python3"),
        ("bash <<E\necho {{ params.x }}\nE\n", "bash"),
        ("bash -s <<< {{ params.x }}", "bash"),
        ("source <(echo {{ params.x }})", "source"),
        ("ssh host <<'E'\necho {{ params.x }}\nE\n", "ssh"),
        ("[bash, -c, 'echo {{ params.x }}']", "bash"),
        ("[ssh, host, ls, '{{ params.x }}']", "ssh"),
        ("[sudo, sh, -euc, '{{ params.x | upper }}', sh]", "sh"),
    ] {
        let words = format!("`{program}` reads this value as code");
        assert!(said(run).contains(&words), "{run}: {}", said(run));
    }
    for run in [
        "bash -c 'ls \"$1\"' sh {{ params.x }}",
        "bash ./script.sh {{ params.x }}",
        "echo eval {{ params.x }}",
        "ssh {{ params.x }} uptime",
        "cat <<E\n{{ params.x }}\nE\n",
        "[bash, -c, 'ls \"$1\"', sh, '{{ params.x }}']",
        "[echo, '{{ params.x }}']",
    ] {
        assert_eq!(said(run), "", "{run}");
    }
}

#[test]
fn values_that_may_not_fit_where_a_shell_calculates_get_a_remark_unless_they_are_whole_numbers() {
    let source = |run: &str| {
        let run = serde_json::to_string(run).expect("JSON");
        format!("params: {{x: '', n: 1}}\ntasks:\n  t: {{run: {run}}}\n")
    };
    let said = remarks(&source("[[ {{ params.x }} -gt 0 ]]")).join("\n");
    assert!(
        said.starts_with("3:16: the attempt fails if this value does not fit here: only a whole"),
        "{said}"
    );
    for run in [
        "[[ {{ params.n }} -gt 0 ]]",
        "[[ {{ params.x | int }} -gt 0 ]]",
        "a[{{ params.x | length }}]=1; echo $(( {{ attempt }} + {{ 1 }} ))",
        "[[ {{ params.x }} == a ]]",
    ] {
        assert_eq!(remarks(&source(run)), Vec::<String>::new(), "{run}");
    }
}

#[test]
fn remarks_are_bounded() {
    let mut source = String::from("tasks:\n  a: {run: x}\n");
    for no in 0..500 {
        writeln!(source, "  t{no}: {{run: x, needs: [a], trigger_rule: always}}").expect("to a string");
    }
    let remarks = remarks(&source);
    assert_eq!(remarks.len(), REMARKS_MAX + 1);
    assert!(remarks[REMARKS_MAX].ends_with("400 more remarks are not shown"), "{}", remarks[REMARKS_MAX]);
}

/// Whether a run ends well in which `broken` fails and every other task that runs succeeds.
fn succeeds_without(dag: &Dag, broken: usize) -> bool {
    let mut ends: BTreeMap<usize, TaskState> = BTreeMap::new();
    for no in dag.graph.order.iter().map(|task| task.0 as usize) {
        let mut tally = Tally { total: dag.graph.up[no].len() as u32, ..Tally::default() };
        dag.graph.up[no].iter().for_each(|up| tally.count(ends[&(up.0 as usize)]));
        let end = match verdict(dag.tasks[no].trigger_rule, &tally) {
            Verdict::Run if no == broken => TaskState::Failed,
            Verdict::Run => TaskState::Success,
            Verdict::Skip => TaskState::Skipped,
            Verdict::UpstreamFailed => TaskState::UpstreamFailed,
            Verdict::Wait => panic!("all tasks above have ended"),
        };
        ends.insert(no, end);
    }
    let leaves = (0..dag.tasks.len()).filter(|no| dag.graph.down[*no].is_empty());
    let mut ends_well = leaves.map(|no| matches!(ends[&no], TaskState::Success | TaskState::Skipped));
    ends[&broken] == TaskState::Failed && ends_well.all(|ended_well| ended_well)
}

/// A failure that no leaf shows is one that a remark speaks of. Where no rule asks for one success among several, each
/// remark is about such a failure.
#[test]
fn no_failure_that_leaves_a_run_green_goes_without_a_remark() {
    let rules: Vec<TriggerRule> =
        TriggerRule::ALL.iter().copied().filter(|rule| *rule != TriggerRule::AllDoneSetupSuccess).collect();
    let mut runner = TestRunner::new(Config { cases: 3_000, failure_persistence: None, ..Config::default() });
    let task = (select(rules), vec(any::<bool>(), 6));
    let result = runner.run(&vec(task, 1..6), |tasks| {
        let mut source = String::from("tasks:\n");
        for (no, (rule, edges)) in tasks.iter().enumerate() {
            let needs: Vec<String> = (0..no).filter(|up| edges[*up]).map(|up| format!("t{up}")).collect();
            let (needs, rule) = (needs.join(", "), rule.as_str());
            writeln!(source, "  t{no}: {{run: x, needs: [{needs}], trigger_rule: {rule}}}")
                .expect("to a string");
        }
        let dag = parse(&source);
        let green: Vec<usize> = (0..dag.tasks.len()).filter(|no| succeeds_without(&dag, *no)).collect();
        let said = dag.remarks.iter().map(|remark| remark.message.as_str()).collect::<Vec<_>>().join("\n");
        assert!(green.is_empty() || !said.is_empty(), "a failure of {green:?} is not spoken of:\n{source}");
        let has_doubt = source.contains("one_")
            || source.contains("all_skipped")
            || source.contains("none_skipped")
            || source.contains("all_failed");
        assert!(said.is_empty() || has_doubt || !green.is_empty(), "{said}\n{source}");
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
}
