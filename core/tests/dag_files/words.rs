//! Words of other schedulers: each is answered with rota's word, and one cause gives one message.

use super::support::errors;

#[test]
fn keys_of_other_schedulers_are_answered_with_rotas_word() {
    let top = [
        ("schedule_interval: '@daily'", "`schedule`"),
        ("cron: '* * * * *'", "`schedule`"),
        ("crontab: '* * * * *'", "`schedule`"),
        ("on: {schedule: x}", "`schedule`"),
        ("dag_id: x", "`dag`"),
        ("default_args: {}", "`defaults`"),
        ("jobs: {}", "`tasks`"),
        ("steps: []", "`tasks`"),
        ("catchup: false", "`catchup` belongs in `schedule`"),
        ("timezone: UTC", "`timezone` belongs in `schedule`"),
        ("start_date: 2026-01-01", "`start`, in `schedule`"),
        ("retries: 3", "belongs in a task, or in `defaults`"),
        ("run: x", "belongs in a task"),
        ("concurrency: 1", "`max_active_runs`"),
        ("inputs: {}", "`params`"),
        ("handlerOn: {}", "trigger_rule: one_failed"),
    ];
    for (line, word) in top {
        let said = errors(&format!("{line}\ntasks: {{a: {{noop: true}}}}\n"));
        assert!(said.starts_with("f.yaml:1:1: unknown key") && said.contains(word), "{line}: {said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
    let task = [
        ("depends_on: [b]", "`needs`"),
        ("dependsOn: [b]", "`needs`"),
        ("execution_timeout: 10", "`timeout`"),
        ("timeout-minutes: 10", "`timeout`"),
        ("time_limit: 10", "`timeout`"),
        ("working-directory: x", "`cwd`"),
        ("environment: {}", "`env`"),
        ("if: true", "`when`"),
        ("priority_weight: 3", "`priority`"),
        ("retry_exponential_backoff: true", "`retry_backoff`"),
        ("continue_on_error: true", "trigger_rule: all_done"),
        ("on_failure_callback: x", "trigger_rule: one_failed"),
        ("runs-on: x", "`queue`"),
        ("schedule: x", "belongs at the top"),
    ];
    for (line, word) in task {
        let said = errors(&format!("tasks:\n  b: {{noop: true}}\n  a:\n    noop: true\n    {line}\n"));
        assert!(said.starts_with("f.yaml:5:5: unknown key") && said.contains(word), "{line}: {said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}

#[test]
fn a_foreign_or_misspelt_action_is_one_error() {
    for key in ["bash_command", "command", "script", "cmd", "python_callable", "uses", "rum", "nop"] {
        let said = errors(&format!("tasks: {{a: {{{key}: x}}}}\n"));
        assert!(said.lines().count() == 1 && said.contains(&format!("unknown key `{key}`")), "{said}");
    }
    let said = errors("tasks: {a: {retrys: 1}}\n");
    assert_eq!(said.lines().count(), 2, "two causes: {said}");
}

#[test]
fn names_of_other_schedulers_in_expressions_are_answered_with_rotas_name() {
    for (name, word) in [
        ("execution_date", "`logical_date`"),
        ("next_ds", "`ds`"),
        ("prev_ds", "`data_interval_start`"),
        ("ti.xcom_pull", "`tasks.<name>.outputs.<key>`"),
        ("ti.try_number", "`attempt`"),
        ("ti", "`attempt`"),
        ("dag_run.conf.day", "`params.x`"),
        ("var.value.x", "`params.x`"),
        ("macros.ds_add", "`date -d"),
        ("github.sha", "`params.sha`"),
        ("steps.build.outputs.x", "`tasks.<name>.outputs.<key>`"),
        ("inputs.x", "`params.x`"),
        ("env.HOME", "`$NAME`"),
        ("outputs.load.x", "`tasks.<name>.outputs.<key>`"),
        ("execution.id", "`run.id`"),
        ("dag_id", "`dag.id`"),
        ("now", "no clock"),
    ] {
        let said = errors(&format!("tasks:\n  a: {{run: \"echo {{{{ {name} }}}}\"}}\n"));
        let head = name.split('.').next().unwrap_or(name);
        assert!(said.contains(&format!("unknown name `{head}`; ")) && said.contains(word), "{name}: {said}");
    }
    let said = errors("tasks:\n  a: {run: \"echo {{ ds | ds_add(7) }}\"}\n");
    assert!(said.contains("unknown filter `ds_add`; calculate with dates in the command"), "{said}");
}

#[test]
fn refused_names_come_with_their_valid_form() {
    for (source, offer) in [
        ("dag: Daily Sales\ntasks: {a: {noop: true}}\n", "write `daily_sales`"),
        ("tasks: {Load Data: {noop: true}}\n", "write `load_data`"),
        ("tasks: {a: {noop: true, queue: Big}}\n", "write `big`"),
        ("env: {2-X: a}\ntasks: {a: {noop: true}}\n", "first: `_2_X`"),
        ("params: {my-day: a}\ntasks: {a: {noop: true}}\n", "first: `my_day`"),
        ("tasks: {a: {run: x, outputs: [row-count]}}\n", "`row_count`"),
    ] {
        assert!(errors(source).contains(offer), "{source}: {}", errors(source));
    }
}

#[test]
fn values_that_are_none_of_a_few_are_answered_with_all_of_them() {
    let said = errors("overlap: skp\ntasks: {a: {noop: true, trigger_rule: all_don}}\n");
    assert!(said.contains("did you mean `skip`? expected `queue`, `skip` or `cancel_previous`"), "{said}");
    assert!(said.contains("did you mean `all_done`? expected `all_success`,"), "{said}");
}
