//! `/openapi.json`: the API described, made from the route table so that no route can be forgotten.

use serde_json::{Map, Value, json};

/// A path and the methods that it takes.
pub(crate) type Address = (&'static str, &'static [&'static str]);

/// What one operation does, takes and answers: method, path, summary, body schema, answer schema, query parameters.
struct Operation {
    summary: &'static str,
    body: Option<Value>,
    answer: Value,
    query: &'static [(&'static str, &'static str)],
}

const PAGED: &[(&str, &str)] = &[("limit", "integer"), ("cursor", "string")];
const RUNS: &[(&str, &str)] =
    &[("dag", "string"), ("state", "string"), ("limit", "integer"), ("cursor", "string")];
const FILES: &[(&str, &str)] = &[("state", "string"), ("limit", "integer"), ("cursor", "string")];
const SLOTS: &[(&str, &str)] = &[
    ("dag", "string"),
    ("outcome", "string"),
    ("since", "string"),
    ("until", "string"),
    ("limit", "integer"),
    ("cursor", "string"),
];
const RUNS_OF_DAG: &[(&str, &str)] = &[("state", "string"), ("limit", "integer"), ("cursor", "string")];
const LOGS: &[(&str, &str)] = &[
    ("index", "integer"),
    ("attempt", "integer"),
    ("follow", "boolean"),
    ("line", "integer"),
    ("limit", "integer"),
];
const LOGS_SEARCH: &[(&str, &str)] = &[
    ("index", "integer"),
    ("attempt", "integer"),
    ("find", "string"),
    ("line", "integer"),
    ("back", "boolean"),
    ("limit", "integer"),
    ("cursor", "string"),
];

/// The document of these routes; those that are no part of the API are left out.
pub(crate) fn document(routes: &[Address]) -> Value {
    let mut paths = Map::new();
    for (path, methods) in routes.iter().filter(|(path, _)| path.starts_with("/api/")) {
        paths.insert((*path).to_owned(), path_item(path, methods));
    }
    json!({
        "openapi": "3.1.0",
        "info": {"title": "rota", "version": env!("CARGO_PKG_VERSION")},
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": schemas(),
        },
    })
}

fn path_item(path: &str, methods: &[&str]) -> Value {
    let mut item = Map::new();
    for method in methods {
        if let Some(operation) = operation(method, path) {
            item.insert(method.to_lowercase(), describe(path, &operation));
        }
    }
    Value::Object(item)
}

fn describe(path: &str, operation: &Operation) -> Value {
    let named = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let in_path =
        named.map(|name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}}));
    let in_query = operation
        .query
        .iter()
        .map(|(name, kind)| json!({"name": name, "in": "query", "schema": {"type": kind}}));
    let mut out = json!({
        "summary": operation.summary,
        "parameters": in_path.chain(in_query).collect::<Vec<_>>(),
        "responses": {
            "2XX": {"description": "done", "content": operation.answer},
            "default": {"description": "refused", "content": {"application/problem+json": {"schema": refer("problem")}}},
        },
    });
    if let Some(body) = &operation.body {
        out["requestBody"] = json!({"content": {"application/json": {"schema": body}}});
    }
    out
}

fn operation(method: &str, path: &str) -> Option<Operation> {
    let of = |summary, answer, query| Some(Operation { summary, body: None, answer, query });
    let write = |summary, body, answer| Some(Operation { summary, body: Some(body), answer, query: &[] });
    match (method, path.strip_prefix("/api/v1")?) {
        ("GET", "/dags") => of("All DAGs, by id", list("dag"), PAGED),
        ("GET", "/dags/{dag}") => of("One DAG", one("dag"), &[]),
        ("PATCH", "/dags/{dag}") => {
            write("Hold or release its schedule", object(&[("paused", "boolean")]), switched("dag"))
        }
        ("GET", "/dags/{dag}/source") => of("Its file's text, as of its current version", one("source"), &[]),
        ("GET", "/dags/{dag}/runs") => of("Its runs, newest first", list("run"), RUNS_OF_DAG),
        ("POST", "/dags/{dag}/runs") => write(
            "Trigger a run: 201, or 200 when the idempotency key was used before",
            object(&[("params", "object"), ("idempotency_key", "string")]),
            one("run"),
        ),
        ("GET", "/files") => {
            of("DAG files, by path, with the errors of those that are broken", list("file"), FILES)
        }
        ("GET", "/runs") => of("Runs, newest first", list("run"), RUNS),
        ("GET", "/runs/{run}") => of("One run", one("run"), &[]),
        ("POST", "/runs/{run}/cancel") => of("End a run: 202", one("run"), &[]),
        ("POST", "/runs/{run}/retry") => write(
            "Run tasks again, with everything downstream: 202",
            object(&[("tasks", "array"), ("failed_only", "boolean")]),
            one("run"),
        ),
        ("GET", "/runs/{run}/tasks") => of("Its tasks, in file order", list("task"), &[]),
        ("GET", "/runs/{run}/tasks/{task}/logs") => {
            of("An attempt's log, from a line on (-1: the last one), so many lines", text("text/plain"), LOGS)
        }
        ("GET", "/runs/{run}/tasks/{task}/logs/search") => {
            of("Lines of an attempt's log that have a text, forward or back", list("hit"), LOGS_SEARCH)
        }
        ("GET", "/schedulers") => of("Scheduler replicas of the last day, by id", list("scheduler"), &[]),
        ("GET", "/terms") => of("Terms of leadership, newest first", list("term"), &[("limit", "integer")]),
        ("GET", "/workers") => of("Workers of the last day", list("worker"), &[]),
        ("POST", "/workers/{worker}/drain") => {
            of("Let it finish what it has and take nothing more", switched("worker"), &[])
        }
        ("GET", "/slots") => {
            of("The ledger: what became of every slot that was due, newest first", list("slot"), SLOTS)
        }
        ("GET", "/audit") => of("Who did what, newest first", list("audit"), PAGED),
        ("GET", "/events") => of("Server-sent `change` events", text("text/event-stream"), &[]),
        ("GET", "/openapi.json") => of("This document", json!({"application/json": {}}), &[]),
        _ => None,
    }
}

fn refer(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

fn one(name: &str) -> Value {
    json!({"application/json": {"schema": refer(name)}})
}

/// The thing as it is now, and whether that is news.
fn switched(name: &str) -> Value {
    let schema = json!({"allOf": [refer(name), object(&[("changed", "boolean")])]});
    json!({"application/json": {"schema": schema}})
}

fn list(name: &str) -> Value {
    let cursor = json!({"type": ["string", "null"]});
    let properties = json!({"items": {"type": "array", "items": refer(name)}, "next_cursor": cursor});
    json!({"application/json": {"schema": {"type": "object", "properties": properties}}})
}

fn text(kind: &str) -> Value {
    json!({kind: {"schema": {"type": "string"}}})
}

/// Properties by name and type; `?` marks what may be null, `@` an RFC 3339 time.
fn object(properties: &[(&str, &str)]) -> Value {
    let shapes = properties.iter().map(|(name, kind)| {
        let bare = kind.trim_end_matches('?').trim_start_matches('@');
        let kinds = if kind.ends_with('?') { json!([bare, "null"]) } else { json!(bare) };
        let shape = if kind.starts_with('@') {
            json!({"type": kinds, "format": "date-time"})
        } else {
            json!({"type": kinds})
        };
        ((*name).to_owned(), shape)
    });
    json!({"type": "object", "properties": shapes.collect::<Map<_, _>>()})
}

fn schemas() -> Value {
    json!({
        "dag": object(&[
            ("dag", "string"), ("version", "integer"), ("path", "string"), ("hash", "string"), ("paused", "boolean"),
            ("present", "boolean"), ("description", "string?"), ("owner", "string?"), ("tags", "array"),
            ("schedule", "string?"), ("timezone", "string?"), ("next_slot", "@string?"), ("max_active_runs", "integer?"),
            ("tasks", "array"), ("params", "object"), ("remarks", "array"), ("updated_at", "@string"),
        ]),
        "source": object(&[
            ("dag", "string"), ("version", "integer"), ("path", "string"), ("source", "string"),
        ]),
        "file": object(&[
            ("path", "string"), ("state", "string"), ("dag", "string?"), ("version", "integer?"), ("since", "@string"),
            ("errors", "array"),
        ]),
        "run": object(&[
            ("id", "integer"), ("dag", "string"), ("version", "integer"), ("slot", "@string?"), ("trigger", "string"),
            ("state", "string"), ("params", "object"), ("created_at", "@string"), ("started_at", "@string?"),
            ("finished_at", "@string?"), ("reason", "string?"),
        ]),
        "task": object(&[
            ("task", "string"), ("index", "integer"), ("state", "string"), ("attempt", "integer"), ("worker", "string?"),
            ("queued_at", "@string?"), ("started_at", "@string?"), ("finished_at", "@string?"), ("exit_code", "integer?"),
            ("signal", "integer?"), ("error", "string?"), ("outputs", "object?"), ("why", "string?"),
        ]),
        "worker": object(&[
            ("id", "string"), ("host", "string"), ("pid", "integer"), ("version", "string"), ("queues", "array"),
            ("labels", "object"), ("slots", "integer"), ("running", "integer"), ("state", "string"),
            ("trouble", "string?"), ("heartbeat_at", "@string"), ("incarnation", "integer"), ("started_at", "@string"),
        ]),
        "scheduler": object(&[
            ("id", "string"), ("host", "string"), ("pid", "integer"), ("version", "string"), ("zones", "string"),
            ("dags_dir", "string?"),
            ("state", "string"), ("leader", "boolean"), ("epoch", "integer?"), ("since", "@string?"),
            ("turned_at", "@string?"), ("trouble", "string?"),
            ("started_at", "@string"), ("seen_at", "@string"),
        ]),
        "term": object(&[
            ("epoch", "integer"), ("holder", "string"), ("began_at", "@string"), ("seen_at", "@string"),
            ("ended_at", "@string?"), ("end", "string"), ("vacant_ms", "integer?"),
        ]),
        "slot": object(&[
            ("dag", "string"), ("slot", "@string"), ("to", "@string"), ("count", "integer"), ("outcome", "string"),
            ("reason", "string?"), ("run", "integer?"), ("decided_at", "@string"),
        ]),
        "audit": object(&[
            ("id", "integer"), ("at", "@string"), ("actor", "string"), ("origin", "string"), ("action", "string"), ("subject", "string"),
            ("outcome", "string?"),
        ]),
        "hit": object(&[("line", "integer"), ("text", "string")]),
        "problem": object(&[("type", "string"), ("title", "string"), ("status", "integer"), ("detail", "string")]),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_api_route_and_method_is_described() {
        for route in crate::routes::table().iter().filter(|route| route.path.starts_with("/api/")) {
            for method in route.methods {
                assert!(operation(method, route.path).is_some(), "{method} {}", route.path);
            }
        }
    }
}
