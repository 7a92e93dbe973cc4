//! What templates and commands can name: the names of templates and their values, and the `ROTA_` variables.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};

use super::expr::{FoundName, Names};
use super::model::{Dag, Task};
use super::params::plain_text;
use super::scope::Scope;
use crate::schedule::Zone;

/// The names that stand for one value.
pub(super) const PLAIN_NAMES: [&str; 11] = [
    "ds",
    "ds_nodash",
    "ds_local",
    "ts",
    "ts_nodash",
    "ts_local",
    "logical_date",
    "data_interval_start",
    "data_interval_end",
    "attempt",
    "index",
];

/// The names that have parts, and these parts.
pub(super) const OBJECTS: [(&str, &[&str]); 3] =
    [("run", &["id", "state"]), ("dag", &["id"]), ("task", &["id"])];

/// The functions of templates.
pub(super) const FUNCTIONS: [&str; 2] = ["range", "dict"];

/// The values of all names for one attempt.
pub(super) struct AttemptNames<'a> {
    /// The names that stand for one value, and the objects.
    own: Map<String, Value>,
    params: &'a Map<String, Value>,
    /// Of the tasks that may be named; none if there are no outputs (yet).
    outputs: BTreeMap<&'a str, Option<&'a Value>>,
}

/// The outputs of a task that was skipped or has none: it is known, so that `| default(..)` can be used.
static NO_OUTPUTS: LazyLock<Value> = LazyLock::new(|| json!({}));

impl<'a> AttemptNames<'a> {
    pub(super) fn new(dag: &'a Dag, task: &'a Task, scope: &Scope<'a>) -> Self {
        let reads = task.reads_outputs_of.iter().chain(&task.when_reads_outputs_of);
        let mut outputs: BTreeMap<&str, Option<&Value>> =
            reads.map(|no| (dag.task(*no).name.as_str(), None)).collect();
        outputs.extend(scope.outputs.iter().map(|(name, outputs)| (name.as_str(), Some(outputs))));
        Self { own: own_names(dag, task, scope), params: scope.params, outputs }
    }
}

impl Names for AttemptNames<'_> {
    fn find(&self, parts: &[String]) -> Option<FoundName<'_>> {
        let (head, rest) = parts.split_first()?;
        match (head.as_str(), rest) {
            ("params", []) => Some(FoundName::Object(self.params)),
            ("params", [name, rest @ ..]) => walk(self.params.get(name)?, rest),
            ("tasks", [task, part, rest @ ..]) if part == "outputs" => {
                walk(self.outputs.get(task.as_str())?.unwrap_or(&NO_OUTPUTS), rest)
            }
            (head, rest) => walk(self.own.get(head)?, rest),
        }
    }
}

fn walk<'v>(value: &'v Value, parts: &[String]) -> Option<FoundName<'v>> {
    parts.iter().try_fold(value, |at, part| at.get(part.as_str())).map(FoundName::Value)
}

fn own_names(dag: &Dag, task: &Task, scope: &Scope<'_>) -> Map<String, Value> {
    let logical = logical_date(scope);
    let end = scope.slot.unwrap_or(scope.created_at);
    let start = scope.interval_start.unwrap_or(end);
    let zone = dag.schedule.as_ref().map_or(Zone::UTC, |schedule| schedule.spec().timezone);
    let local = logical.with_timezone(&zone);
    let names = [
        ("ds", json!(logical.format("%Y-%m-%d").to_string())),
        ("ds_nodash", json!(logical.format("%Y%m%d").to_string())),
        ("ds_local", json!(local.format("%Y-%m-%d").to_string())),
        ("ts", json!(instant(logical))),
        ("ts_nodash", json!(logical.format("%Y%m%dT%H%M%S").to_string())),
        ("ts_local", json!(local.to_rfc3339_opts(SecondsFormat::AutoSi, true))),
        ("logical_date", json!(instant(logical))),
        ("data_interval_start", json!(instant(start))),
        ("data_interval_end", json!(instant(end))),
        ("run", json!({"id": scope.run.0, "state": scope.run_state.as_str()})),
        ("dag", json!({"id": dag.id.as_str()})),
        ("task", json!({"id": task.name.as_str()})),
        ("attempt", json!(scope.attempt)),
        ("index", json!(scope.index)),
    ];
    names.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The `ROTA_` variables that do not depend on the worker.
pub(super) fn variables(dag: &Dag, task: &Task, scope: &Scope<'_>) -> Vec<(String, String)> {
    let key = format!("{}/{}/{}/{}", dag.id, scope.run, task.name, scope.index);
    let fixed = [
        ("ROTA_DAG_ID", dag.id.to_string()),
        ("ROTA_RUN_ID", scope.run.to_string()),
        ("ROTA_TASK_ID", task.name.to_string()),
        ("ROTA_TASK_INDEX", scope.index.to_string()),
        ("ROTA_ATTEMPT", scope.attempt.to_string()),
        ("ROTA_SLOT", scope.slot.map(instant).unwrap_or_default()),
        ("ROTA_DS", logical_date(scope).format("%Y-%m-%d").to_string()),
        ("ROTA_IDEMPOTENCY_KEY", key),
    ];
    let params = scope.params.iter();
    let params =
        params.map(|(name, value)| (format!("ROTA_PARAM_{}", name.to_ascii_uppercase()), plain_text(value)));
    fixed.into_iter().map(|(name, value)| (name.to_owned(), value)).chain(params).collect()
}

/// The slot; for a manual run, when it was created.
fn logical_date(scope: &Scope<'_>) -> DateTime<Utc> {
    scope.slot.unwrap_or(scope.created_at)
}

fn instant(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}
