//! Words of other schedulers (Airflow, Celery, Dagu, Kestra, Argo, GitHub Actions, cron) and what rota says for them. Only
//! asked about a word that has no meaning where it stands, so a word may be in here and mean something elsewhere.

/// What to write for a key. Words are compared without regard to case, `-` and `_`.
const KEYS: [(&[&str], &str); 43] = [
    (
        &[
            "schedule_interval",
            "timetable",
            "cron",
            "crontab",
            "cron_schedule",
            "cron_expression",
            "triggers",
            "on",
        ],
        "rota's word is `schedule`, at the top of the file, as in `schedule: \"0 6 * * *\"`",
    ),
    (
        &["start_date"],
        "rota's word is `start`, in `schedule`, as in `schedule: {cron: \"0 6 * * *\", start: 2026-01-31}`",
    ),
    (
        &["end_date"],
        "rota's word is `end`, in `schedule`, as in `schedule: {cron: \"0 6 * * *\", end: 2026-12-31}`",
    ),
    (
        &["tz", "time_zone", "cron_tz"],
        "rota's word is `timezone`, in `schedule`, as in `schedule: {cron: \"0 6 * * *\", timezone: Europe/Berlin}`",
    ),
    (&["dag_id", "workflow_id", "flow_id"], "rota's word is `dag`, at the top of the file"),
    (
        &["task_id", "job_id", "step_id"],
        "a task's name is its key in `tasks`, as in `tasks: {load: {run: ./load.sh}}`",
    ),
    (&["id", "name"], "a DAG's name is `dag` at the top of the file, a task's name is its key in `tasks`"),
    (&["default_args", "task_defaults"], "rota's word is `defaults`"),
    (
        &["steps", "jobs", "stages", "nodes", "templates"],
        "rota's word is `tasks`: a mapping from a task's name to what it does",
    ),
    (
        &[
            "depends_on",
            "depends",
            "dependencies",
            "upstream",
            "upstream_tasks",
            "requires",
            "after",
            "previous",
            "run_after",
        ],
        "rota's word is `needs`, in a task, as in `needs: [extract]`",
    ),
    (
        &["downstream", "downstream_tasks", "before", "next"],
        "tasks say what they come after: write `needs` in the later task",
    ),
    (
        &[
            "bash_command",
            "command",
            "commands",
            "cmd",
            "script",
            "sh",
            "shell_command",
            "bash",
            "exec",
            "program",
        ],
        "rota's word is `run`, as in `run: ./script.sh` or `run: [python3, load.py]`",
    ),
    (
        &["python_callable", "op_args", "op_kwargs", "python", "python_command", "function", "callable"],
        "rota runs commands: write `run: [python3, script.py]`",
    ),
    (
        &["uses", "with", "image", "container", "docker", "executor_config"],
        "rota runs commands: call a container by `run: docker run --rm IMAGE ...`",
    ),
    (&["args", "arguments", "kwargs", "argv"], "arguments stand in `run`, as in `run: [program, argument]`"),
    (
        &[
            "execution_timeout",
            "dagrun_timeout",
            "timeout_sec",
            "timeout_seconds",
            "timeout_minutes",
            "time_limit",
            "soft_time_limit",
            "max_run_duration",
            "active_deadline_seconds",
            "task_timeout",
        ],
        "rota's word is `timeout`, as in `timeout: 10m`",
    ),
    (
        &[
            "retry",
            "max_retries",
            "max_attempts",
            "retry_policy",
            "retry_strategy",
            "retry_limit",
            "autoretry_for",
        ],
        "rota's words are `retries` and `retry_delay`, as in `retries: 3` and `retry_delay: 1m`",
    ),
    (
        &["retry_exponential_backoff", "exponential_backoff", "backoff"],
        "rota's word is `retry_backoff`, as in `retry_backoff: exponential`",
    ),
    (
        &["max_retry_delay", "retry_backoff_max", "max_interval_sec"],
        "rota's word is `retry_max_delay`, as in `retry_max_delay: 1h`",
    ),
    (
        &["retry_interval", "interval_sec", "default_retry_delay", "countdown"],
        "rota's word is `retry_delay`, as in `retry_delay: 1m`",
    ),
    (
        &["environment", "env_vars", "envs", "variables", "append_env"],
        "rota's word is `env`: a mapping from names to values",
    ),
    (
        &["env_file", "dotenv"],
        "write the variables in `env`, or read the file in the script: `set -a; . ./.env`",
    ),
    (&["working_dir", "working_directory", "workdir", "dir", "chdir"], "rota's word is `cwd`"),
    (
        &["inputs", "parameters", "conf", "config", "render_template_as_native_obj"],
        "rota's word is `params`, at the top of the file",
    ),
    (
        &["if", "condition", "conditions", "preconditions", "run_if", "skip_if", "only_if"],
        "rota's word is `when`, in a task, as in `when: params.region == 'eu'`",
    ),
    (
        &["trigger_rules", "join", "join_type"],
        "rota's word is `trigger_rule`, in a task, as in `trigger_rule: all_done`",
    ),
    (
        &[
            "continue_on",
            "continue_on_error",
            "continue_on_failure",
            "allow_failure",
            "ignore_errors",
            "ignore_failure",
        ],
        "the task after it decides: write `trigger_rule: all_done` there",
    ),
    (
        &[
            "on_failure_callback",
            "on_success_callback",
            "on_retry_callback",
            "handler_on",
            "errors",
            "finally",
            "on_error",
            "email",
            "email_on_failure",
            "email_on_retry",
            "mail_on",
            "mailto",
            "notify",
            "notifications",
            "error_mail",
        ],
        "write a task that tells: `mail: {run: ./mail.sh, needs: [load], trigger_rule: one_failed}`",
    ),
    (
        &["sla", "sla_miss_callback", "late"],
        "rota does not watch for lateness yet; `timeout` ends what takes too long",
    ),
    (&["pool_slot", "priority_weight", "weight"], "rota's word is `priority`: higher first within a queue"),
    (
        &[
            "runs_on",
            "agent",
            "worker_group",
            "worker_selector",
            "node_selector",
            "routing_key",
            "exchange",
            "partition",
        ],
        "rota's word is `queue`: workers serve queues by name",
    ),
    (
        &[
            "max_active_tasks",
            "concurrency",
            "parallelism",
            "max_active_tis_per_dag",
            "max_active_steps",
            "dag_concurrency",
        ],
        "rota's word for runs is `max_active_runs`; tasks at a time are the slots of workers (`--slots`)",
    ),
    (
        &["overlap_policy", "concurrency_policy", "skip_if_running", "coalesce"],
        "rota's word is `overlap`, as in `overlap: skip` with `max_active_runs: 1`",
    ),
    (&["misfire_grace_time", "starting_deadline_seconds"], "rota's word is `deadline`, in `schedule`"),
    (
        &["catch_up", "backfill", "catchup_window"],
        "rota's word is `catchup`, in `schedule`, as in `catchup: latest`",
    ),
    (
        &[
            "matrix",
            "strategy",
            "foreach",
            "for_each_item",
            "with_items",
            "expand",
            "parallel",
            "repeat_policy",
        ],
        "rota cannot make tasks from a list yet: write each task, or a loop in `run`",
    ),
    (
        &["xcom", "do_xcom_push", "output", "result", "returns", "register"],
        "rota's word is `outputs`: the keys that a task writes to `$ROTA_OUTPUT`",
    ),
    (
        &["sensor", "poke_interval", "sensors", "mode"],
        "rota cannot wait by itself yet: write a loop in `run` and a `timeout`",
    ),
    (
        &["doc_md", "doc", "documentation", "help", "comment", "summary", "title", "display_name"],
        "rota's word is `description`, at the top of the file",
    ),
    (&["owners", "author", "maintainer"], "rota's word is `owner`, at the top of the file"),
    (
        &["paused", "disabled", "enabled", "suspend", "suspended", "is_paused_upon_creation"],
        "a schedule is held by `rota dag pause` and released by `rota dag unpause`",
    ),
    (
        &["user", "run_as_user", "run_as", "impersonate"],
        "tasks run as the worker's user: start a worker as that user with a `queue` of its own",
    ),
    (
        &[
            "kill_after",
            "signal_on_stop",
            "max_clean_up_time_sec",
            "grace_period",
            "termination_grace_period_seconds",
        ],
        "rota's word is `grace`, as in `grace: 30s`",
    ),
];

/// The same for the keys of a parameter.
const PARAMETER_KEYS: [(&[&str], &str); 4] = [
    (&["choices", "values", "options", "allowed", "one_of"], "rota's word is `enum`, as in `enum: [eu, us]`"),
    (&["minimum", "min_length", "ge", "gt"], "rota's word is `min`"),
    (&["maximum", "max_length", "le", "lt"], "rota's word is `max`"),
    (&["required", "mandatory", "optional", "nullable"], "a parameter without a `default` is required"),
];

/// Rota's own keys, for those that stand in the wrong place.
const OF_FILE: [&str; 7] = ["schedule", "max_active_runs", "overlap", "params", "tasks", "defaults", "tags"];
const OF_SCHEDULE: [&str; 10] =
    ["every", "at", "timezone", "start", "end", "jitter", "dst", "days", "deadline", "catchup"];
const OF_TASK: [&str; 14] = [
    "when",
    "trigger_rule",
    "retries",
    "retry_delay",
    "retry_backoff",
    "retry_max_delay",
    "grace",
    "queue",
    "priority",
    "cwd",
    "shell",
    "on_lost",
    "outputs",
    "timeout",
];
const OF_EACH_TASK: [&str; 3] = ["run", "noop", "needs"];

/// What to write for a key that has no meaning in `place`.
pub(super) fn key(place: &str, given: &str) -> Option<String> {
    let plain = plain(given);
    let find = |rows: &[(&[&str], &'static str)]| {
        rows.iter()
            .find(|(words, _)| words.iter().any(|word| self::plain(word) == plain))
            .map(|(_, hint)| *hint)
    };
    let foreign = match place {
        "a parameter" => find(&PARAMETER_KEYS),
        "`schedule`" if plain.contains("cron") => {
            Some("rota's word is `cron` here, as in `cron: \"0 6 * * *\"`")
        }
        _ => find(&KEYS),
    };
    elsewhere(place, given).or_else(|| foreign.map(str::to_owned))
}

/// A key of rota's own that stands in the wrong place.
fn elsewhere(place: &str, given: &str) -> Option<String> {
    let (in_file, in_task, in_schedule) = (place == "a DAG file", place == "a task", place == "`schedule`");
    if in_file && OF_EACH_TASK.contains(&given) {
        return Some(format!("`{given}` belongs in a task, below `tasks` and the task's name"));
    }
    if (in_file || in_schedule) && OF_TASK.contains(&given) {
        return Some(format!("`{given}` belongs in a task, or in `defaults` for all tasks"));
    }
    if (in_file || in_task) && OF_SCHEDULE.contains(&given) {
        let example = match given {
            "every" => "`schedule: {every: 15m}`".to_owned(),
            "at" => "`schedule: {at: [2026-12-24T18:00]}`".to_owned(),
            _ => format!("`schedule: {{cron: \"0 6 * * *\", {given}: ...}}`"),
        };
        return Some(format!("`{given}` belongs in `schedule`, as in {example}"));
    }
    ((in_task || in_schedule) && OF_FILE.contains(&given))
        .then(|| format!("`{given}` belongs at the top of the file"))
}

/// Whether a key means what a task does.
pub(super) fn is_action(given: &str) -> bool {
    key("a task", given).is_some_and(|hint| hint.contains("`run"))
}

/// What to write for a name in an expression. The longest name that a path begins with counts.
const NAMES: [(&[&str], &str); 27] = [
    (&["dag_run.conf"], "write `params.x`"),
    (
        &["dag_run.run_id", "run_id", "execution.id", "github.run_id", "workflow.uid", "DAG_RUN_ID"],
        "write `run.id`",
    ),
    (&["dag_run", "execution"], "write `run.id` or `run.state`; what a trigger gave is in `params`"),
    (
        &[
            "execution_date",
            "next_execution_date",
            "trigger.date",
            "schedule_date",
            "execution.startDate",
            "schedule",
        ],
        "write `logical_date` for when the run is due, `data_interval_start` for the slot before (Airflow's execution date)",
    ),
    (
        &["prev_execution_date", "prev_ds", "prev_ds_nodash", "prev_data_interval_start_success"],
        "write `data_interval_start` for the slot before this one",
    ),
    (
        &["next_ds", "next_ds_nodash"],
        "write `ds`: in rota the date of a run is when it is due, which Airflow calls the next one",
    ),
    (
        &["yesterday_ds", "yesterday_ds_nodash", "tomorrow_ds", "tomorrow_ds_nodash", "macros"],
        "calculate with dates in the command: `date -d \"$ROTA_DS -1 day\" +%F`",
    ),
    (
        &["ti.xcom_pull", "task_instance.xcom_pull", "outputs", "steps", "needs", "xcom_pull"],
        "write `tasks.<name>.outputs.<key>`",
    ),
    (
        &["ti.try_number", "task_instance.try_number", "try_number", "taskrun.attemptsCount"],
        "write `attempt`",
    ),
    (&["ti.xcom_push"], "a task writes its outputs to `$ROTA_OUTPUT`"),
    (&["ti", "task_instance", "taskrun"], "write `task.id`, `attempt` or `tasks.<name>.outputs.<key>`"),
    (
        &["dag_id", "flow.id", "flow", "workflow.name", "github.workflow", "workflow", "DAG_NAME"],
        "write `dag.id`",
    ),
    (&["task_id", "github.job", "job", "step"], "write `task.id`"),
    (&["task_instance_key_str"], "`$ROTA_IDEMPOTENCY_KEY` is the same for all attempts of a task in a run"),
    (&["map_index", "loop_index"], "write `index`"),
    (&["ts_nodash_with_tz"], "write `ts_nodash`, or `logical_date | strftime(\"%Y%m%dT%H%M%S%z\")`"),
    (
        &["now", "utcnow", "today", "datetime", "pendulum", "time", "timestamp", "date"],
        "templates have no clock: write `ts` or `ds` for when the run is due, or `$(date)` in the script",
    ),
    (
        &["var", "variables", "Variable", "variable"],
        "rota has no variables yet: write `params.x` for what a trigger may change, `env` for the rest",
    ),
    (
        &["conn", "connection", "connections", "BaseHook"],
        "rota has no connections yet: let the command read its own settings, or write them in `env`",
    ),
    (
        &["secret"],
        "rota has no secrets yet: let the command read a file that only the worker's user can read",
    ),
    (
        &["inputs", "parameters", "inputs.parameters", "args", "kwargs", "conf", "config", "param"],
        "write `params.x`",
    ),
    (&["env", "environ", "os", "ENV"], "write `$NAME` in the script: the shell reads its environment"),
    (
        &["github", "gitlab", "runner"],
        "rota knows no commit: hand it over as a parameter, `rota dag trigger ID --param sha=...`, and write `params.sha`",
    ),
    (
        &["matrix", "strategy", "items", "each"],
        "rota cannot make tasks from a list yet: write each task, or a loop in `run`",
    ),
    (&["run_as_user", "user"], "write `$USER` in the script"),
    (
        &["self", "context", "templates_dict", "inlets", "outlets", "test_mode"],
        "templates know the names in the list of docs/dag-files.md, as `ds`, `params.x` and `run.id`",
    ),
    (&["host", "hostname"], "write `$(hostname)` in the script"),
];

/// What to write for a name in an expression that templates do not have: the hint for the longest part of `path` known.
pub(super) fn name(path: &[String]) -> Option<&'static str> {
    (1..=path.len().min(3)).rev().find_map(|length| {
        let start = path.get(..length)?.join(".");
        NAMES.iter().find(|(names, _)| names.contains(&start.as_str())).map(|(_, hint)| *hint)
    })
}

/// What to write for a filter that templates do not have.
const FILTERS: [(&[&str], &str); 6] = [
    (
        &["ds_add", "dateAdd", "days", "shift"],
        "calculate with dates in the command: `date -d \"$ROTA_DS -1 day\" +%F`",
    ),
    (
        &["ds_format", "date", "dateformat", "strptime", "format_date"],
        "write `strftime`, as in `logical_date | strftime(\"%Y-%m-%d\", \"Europe/Berlin\")`",
    ),
    (&["json", "to_json", "toJson", "toJSON"], "write `tojson`"),
    (
        &["e", "escape", "quote", "shell_quote", "shellquote", "safe"],
        "values in scripts are quoted for their place already; `raw` leaves that out",
    ),
    (&["len", "size"], "write `length`"),
    (&["to_int", "number", "integer"], "write `int`"),
];

/// The same for a filter.
pub(super) fn filter(given: &str) -> Option<&'static str> {
    FILTERS.iter().find(|(names, _)| names.contains(&given)).map(|(_, hint)| *hint)
}

/// A word without the signs in which the systems differ.
fn plain(word: &str) -> String {
    word.chars().filter(|c| !matches!(c, '_' | '-' | ' ')).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn each_word_is_in_one_row_and_none_is_rotas_own_key_for_the_same() {
        let mut seen = HashSet::new();
        for (words, _) in KEYS {
            for word in words {
                assert!(seen.insert(plain(word)), "{word} stands twice");
            }
        }
        let mut seen = HashSet::new();
        for (names, _) in NAMES {
            for name in names {
                assert!(seen.insert(*name), "{name} stands twice");
            }
        }
    }

    #[test]
    fn misplaced_keys_are_keys_of_that_place() {
        use super::super::{action, file, task, timing};
        assert!(OF_FILE.iter().all(|key| file::KEYS.contains(key)));
        assert!(OF_SCHEDULE.iter().all(|key| timing::KEYS.contains(key)));
        assert!(OF_TASK.iter().all(|key| task::FIELDS.contains(key)));
        assert!(OF_EACH_TASK.iter().all(|key| action::ACTIONS.contains(key) || *key == "needs"));
    }

    #[test]
    fn words_are_known_however_they_are_spelt() {
        for word in ["schedule_interval", "scheduleInterval", "schedule-interval"] {
            assert!(key("a DAG file", word).is_some_and(|hint| hint.contains("`schedule`")), "{word}");
        }
        assert!(key("a task", "timeout-minutes").is_some_and(|hint| hint.contains("`timeout`")));
        assert!(key("`schedule`", "crontab").is_some_and(|hint| hint.contains("`cron` here")));
        assert!(key("a parameter", "choices").is_some_and(|hint| hint.contains("`enum`")));
        assert_eq!(
            key("a DAG file", "retries").as_deref(),
            Some("`retries` belongs in a task, or in `defaults` for all tasks")
        );
        assert_eq!(key("a task", "schedule").as_deref(), Some("`schedule` belongs at the top of the file"));
        assert_eq!(key("a task", "rum"), None);
    }

    #[test]
    fn the_longest_known_part_of_a_name_counts() {
        let hint =
            |path: &str| name(&path.split('.').map(str::to_owned).collect::<Vec<_>>()).unwrap_or_default();
        assert!(hint("ti.try_number").contains("`attempt`"));
        assert!(hint("ti.task_id").contains("`task.id`"));
        assert!(hint("dag_run.conf.x").contains("params.x"));
        assert!(hint("steps.build.outputs.sha").contains("tasks.<name>.outputs"));
        assert_eq!(hint("dss"), "");
    }
}
