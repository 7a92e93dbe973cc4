//! What templates and commands can name: the template engine's names, filters and tests, and the `ROTA_` variables.

use std::collections::BTreeMap;
use std::fmt::Write;

use chrono::{DateTime, SecondsFormat, Utc};
use chrono_tz::Tz;
use minijinja::value::{Kwargs, Serde, Value as Cell};
use minijinja::{Environment, Error, ErrorKind, filters, functions, tests};
use serde_json::json;

use super::model::{Dag, Task};
use super::params::plain_text;
use super::template::{Scope, text_of};

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

macro_rules! register_all {
    ($names:ident, $register:ident, $method:ident, $($name:literal => $function:expr),+ $(,)?) => {
        pub(super) const $names: &[&str] = &[$($name),+];

        fn $register(engine: &mut Environment<'static>) {
            $(engine.$method($name, $function);)+
        }
    };
}

register_all! { FILTERS, register_filters, add_filter,
    "abs" => filters::abs, "batch" => filters::batch, "bool" => filters::bool, "capitalize" => filters::capitalize,
    "count" => filters::length, "d" => filters::default, "default" => filters::default,
    "dictsort" => filters::dictsort, "first" => filters::first, "float" => filters::float,
    "groupby" => filters::groupby, "int" => filters::int, "items" => filters::items, "join" => join,
    "last" => filters::last, "length" => filters::length, "lines" => filters::lines, "list" => filters::list,
    "lower" => filters::lower, "map" => filters::map, "max" => filters::max, "min" => filters::min,
    "raw" => raw, "reject" => filters::reject, "rejectattr" => filters::rejectattr,
    "replace" => filters::replace, "reverse" => filters::reverse, "round" => filters::round,
    "select" => filters::select, "selectattr" => filters::selectattr, "slice" => filters::slice,
    "sort" => filters::sort, "split" => filters::split, "strftime" => strftime, "string" => string,
    "sum" => filters::sum, "title" => filters::title, "tojson" => tojson, "trim" => filters::trim,
    "unique" => filters::unique, "upper" => filters::upper, "zip" => filters::zip,
}

register_all! { TESTS, register_tests, add_test,
    "boolean" => tests::is_boolean, "defined" => tests::is_defined, "divisibleby" => tests::is_divisibleby,
    "endingwith" => tests::is_endingwith, "eq" => tests::is_eq, "even" => tests::is_even, "false" => tests::is_false,
    "float" => tests::is_float, "ge" => tests::is_ge, "gt" => tests::is_gt, "in" => tests::is_in,
    "integer" => tests::is_integer, "iterable" => tests::is_iterable, "le" => tests::is_le,
    "lower" => tests::is_lower, "lt" => tests::is_lt, "mapping" => tests::is_mapping, "ne" => tests::is_ne,
    "none" => tests::is_none, "number" => tests::is_number, "odd" => tests::is_odd,
    "sequence" => tests::is_sequence, "startingwith" => tests::is_startingwith, "string" => tests::is_string,
    "true" => tests::is_true, "undefined" => tests::is_undefined, "upper" => tests::is_upper,
}

/// Adds all filters, tests and functions.
pub(super) fn register(engine: &mut Environment<'static>) {
    register_filters(engine);
    register_tests(engine);
    engine.add_function("range", functions::range);
    engine.add_function("dict", functions::dict);
}

/// The values of all names for one attempt.
pub(super) fn names(dag: &Dag, task: &Task, scope: &Scope<'_>) -> Cell {
    let logical = logical_date(scope);
    let end = scope.slot.unwrap_or(scope.created_at);
    let start = scope.interval_start.unwrap_or(end);
    let zone = dag.schedule.as_ref().map_or(Tz::UTC, |schedule| schedule.spec().timezone);
    let local = logical.with_timezone(&zone);
    let mut tasks = BTreeMap::new();
    for no in task.reads_outputs_of.iter().chain(&task.when_reads_outputs_of) {
        // A task that was skipped has no outputs: its name is known, so that `| default(..)` can be used.
        tasks.insert(dag.task(*no).name.as_str(), json!({"outputs": {}}));
    }
    for (name, outputs) in scope.outputs {
        tasks.insert(name, json!({"outputs": outputs}));
    }
    let names = json!({
        "ds": logical.format("%Y-%m-%d").to_string(),
        "ds_nodash": logical.format("%Y%m%d").to_string(),
        "ds_local": local.format("%Y-%m-%d").to_string(),
        "ts": instant(logical),
        "ts_nodash": logical.format("%Y%m%dT%H%M%S").to_string(),
        "ts_local": local.to_rfc3339_opts(SecondsFormat::AutoSi, true),
        "logical_date": instant(logical),
        "data_interval_start": instant(start),
        "data_interval_end": instant(end),
        "run": {"id": scope.run.0, "state": scope.run_state.as_str()},
        "dag": {"id": dag.id.as_str()},
        "task": {"id": task.name.as_str()},
        "attempt": scope.attempt,
        "index": scope.index,
        "params": scope.params,
        "tasks": tasks,
    });
    Cell::from(Serde(names))
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

/// `| raw`: the value goes into a script as it is.
fn raw(value: &Cell) -> Result<Cell, Error> {
    text_of(value).map(Cell::from_safe_string)
}

/// `| string`: the text that the value would be in a template.
fn string(value: &Cell) -> Result<Cell, Error> {
    if value.as_str().is_some() { Ok(value.clone()) } else { text_of(value).map(Cell::from) }
}

/// `| join(", ", attribute="name")`: the texts of the items, or of an attribute of each, in one. Of a text, its characters.
fn join(value: &Cell, joiner: Option<&str>, attribute: Option<&str>, named: Kwargs) -> Result<String, Error> {
    let joiner = joiner.map_or_else(|| named.get("d"), |joiner| Ok(Some(joiner)))?.unwrap_or_default();
    let attribute = attribute.map_or_else(|| named.get("attribute"), |name| Ok(Some(name)))?;
    named.assert_all_used()?;
    if let Some(text) = value.as_str() {
        let chars: Vec<String> = text.chars().map(String::from).collect();
        return Ok(chars.join(joiner));
    }
    let path = |item: Cell| -> Result<Cell, Error> {
        attribute.iter().flat_map(|name| name.split('.')).try_fold(item, |at, part| {
            match part.parse::<usize>() {
                Ok(index) => at.get_item_by_index(index),
                Err(_) => at.get_attr(part),
            }
        })
    };
    let texts = value.try_iter()?.map(|item| text_of(&path(item)?));
    Ok(texts.collect::<Result<Vec<String>, _>>()?.join(joiner))
}

/// `| tojson`.
fn tojson(value: &Cell) -> Result<String, Error> {
    serde_json::to_string(value).map_err(|error| Error::new(ErrorKind::BadSerialization, error.to_string()))
}

/// `| strftime("%Y/%m", "Europe/Berlin")`: a time as text, in UTC or the zone named.
fn strftime(time: &str, format: &str, zone: Option<&str>) -> Result<String, Error> {
    let fail = |message: String| Error::new(ErrorKind::InvalidOperation, message);
    let instant = DateTime::parse_from_rfc3339(time).map_err(|_| {
        fail(format!("`{}` is not a time such as 2026-01-31T06:00:00Z", super::error::cut(time)))
    })?;
    let zone: Tz = zone
        .map_or(Ok(Tz::UTC), str::parse)
        .map_err(|_| fail(format!("unknown time zone `{}`", super::error::cut(zone.unwrap_or_default()))))?;
    let mut text = String::new();
    write!(text, "{}", instant.with_timezone(&zone).format(format))
        .map_err(|_| fail(format!("`{}` is not a date format", super::error::cut(format))))?;
    Ok(text)
}
