//! The JSON Schema of DAG files, for editors. What the parser checks beyond it (names, cycles, templates, crontab
//! lines) no schema can say; a test keeps the keys of both the same.

use serde_json::{Map, Value, json};

use super::action::NOT_YET;
use super::file::{ACTIVE_RUNS_MAX, TASKS_MAX};
use super::model::TriggerRule;
use super::task::RETRIES_MAX;

/// The file format as JSON Schema, draft 2020-12.
pub fn json_schema() -> Value {
    let mut top = top();
    top.extend(entries(json!({
        "schedule": schedule(),
        "params": {
            "description": "Typed parameters, checked when a run is triggered.",
            "type": "object",
            "additionalProperties": {"$ref": "#/$defs/param"},
        },
        "defaults": {
            "description": "Fields for every task that does not set them itself.",
            "type": "object",
            "properties": fields(),
            "additionalProperties": false,
        },
        "tasks": {
            "description": "The tasks by name.",
            "type": "object",
            "minProperties": 1,
            "maxProperties": TASKS_MAX,
            "propertyNames": {"pattern": NAME},
            "additionalProperties": {"$ref": "#/$defs/task"},
        },
    })));
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "rota DAG file",
        "description": "One workflow: when it is due and which tasks it runs in which order.",
        "type": "object",
        "required": ["tasks"],
        "properties": top,
        "additionalProperties": false,
        "$defs": {
            "duration": {
                "description": "Whole numbers with units, longest first: 90s, 15m, 1h30m, 2d. Units: w d h m s ms.",
                "type": "string",
                "pattern": "^([0-9]+(w|d|h|m|s|ms))+$",
            },
            "text": {"type": ["string", "number", "boolean"]},
            "texts": {"type": "array", "items": {"$ref": "#/$defs/text"}},
            "env": {
                "description": "Environment variables; the values are templates.",
                "type": "object",
                "propertyNames": {"pattern": "^[A-Za-z_][A-Za-z0-9_]*$"},
                "additionalProperties": {"$ref": "#/$defs/text"},
            },
            "param": param(),
            "task": task(),
            "hooks": {
                "description": format!("Actions to take: each an object with one of run, http, trigger or celery. {NOT_YET}"),
                "type": "array",
                "items": {"type": "object", "minProperties": 1, "maxProperties": 1},
            },
        },
    })
}

const NAME: &str = "^[a-z0-9][a-z0-9_.-]{0,127}$";

fn entries(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

/// The plain keys of the top.
fn top() -> Map<String, Value> {
    entries(json!({
        "dag": {"description": "The DAG's name. Default: the file's name without its ending.", "type": "string", "pattern": NAME},
        "description": {"description": "What it is for.", "$ref": "#/$defs/text"},
        "owner": {"description": "Who looks after it.", "$ref": "#/$defs/text"},
        "tags": {"description": "Words to find it by.", "$ref": "#/$defs/texts"},
        "max_active_runs": {
            "description": "Most runs at a time. Default 16.",
            "type": "integer", "minimum": 1, "maximum": ACTIVE_RUNS_MAX,
        },
        "overlap": {
            "description": "What becomes of a slot that is due while max_active_runs are active. Default queue.",
            "enum": ["queue", "skip", "cancel_previous"],
        },
        "timeout": {"description": "Time limit of a run, from its start.", "$ref": "#/$defs/duration"},
        "env": {"$ref": "#/$defs/env"},
        "on_success": {"$ref": "#/$defs/hooks"},
        "on_failure": {"$ref": "#/$defs/hooks"},
        "on_missed": {"$ref": "#/$defs/hooks"},
    }))
}

fn schedule() -> Value {
    let moment =
        json!({"type": "string", "description": "A date, or a date and time, in the schedule's time zone."});
    json!({
        "description": "When it is due. Without it, or with @manual: only when triggered.",
        "anyOf": [
            {"type": "string", "description": "A crontab line, @daily and its sisters, `every 15m` or @manual."},
            {
                "type": "object",
                "additionalProperties": false,
                "properties": {
                    "cron": {
                        "description": "A crontab line of 5 fields (6 with leading seconds), or a list of them.",
                        "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}],
                    },
                    "every": {"description": "An interval, counted from start.", "$ref": "#/$defs/duration"},
                    "at": {"description": "Fixed times.", "type": "array", "items": moment},
                    "timezone": {"description": "An IANA name. Default UTC.", "type": "string"},
                    "start": moment,
                    "end": moment,
                    "jitter": {"description": "Due later by a constant part of this. Default 0s.", "$ref": "#/$defs/duration"},
                    "dst": {
                        "description": "What a change of the clock does. Default: as Debian's cron.",
                        "type": "object",
                        "additionalProperties": false,
                        "properties": {
                            "gap": {"enum": ["after", "skip"]},
                            "overlap": {"enum": ["first", "second", "both"]},
                        },
                    },
                    "days": {
                        "description": "Day of month with day of week when both are restricted. Default or.",
                        "enum": ["or", "and"],
                    },
                    "deadline": {
                        "description": "Every slot at most this late still fires. Default 1m.",
                        "$ref": "#/$defs/duration",
                    },
                    "catchup": {
                        "description": "What becomes of older slots. Default latest.",
                        "enum": ["none", "latest", "all"],
                    },
                },
            },
        ],
    })
}

fn param() -> Value {
    json!({
        "description": "A declaration, or just a default value.",
        "anyOf": [
            {"type": ["string", "number", "boolean", "array"]},
            {
                "type": "object",
                "additionalProperties": false,
                "properties": {
                    "type": {"enum": ["string", "integer", "number", "boolean", "array", "object"]},
                    "default": {"description": "Without it the parameter is required."},
                    "enum": {"description": "The only values allowed.", "type": "array", "minItems": 1},
                    "description": {"type": "string"},
                    "min": {"description": "Smallest number, or shortest text or list.", "type": "number"},
                    "max": {"description": "Largest number, or longest text or list.", "type": "number"},
                },
            },
        ],
    })
}

fn task() -> Value {
    let mut properties = super::action::schemas();
    properties.extend(entries(json!({
        "needs": {
            "description": "The tasks that must end before this one starts.",
            "anyOf": [{"type": "string"}, {"type": "array", "items": {"$ref": "#/$defs/text"}, "uniqueItems": true}],
        },
    })));
    properties.extend(fields());
    let one = super::action::ACTIONS.map(|action| json!({"required": [action]}));
    json!({
        "description": "Exactly one action and how it is run.",
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
        "oneOf": one,
    })
}

/// The fields that tasks and `defaults` share.
fn fields() -> Map<String, Value> {
    let duration = |what: &str| json!({"description": what, "$ref": "#/$defs/duration"});
    // The parser refuses this one in files, and reads it in stored versions only.
    let offered = TriggerRule::ALL.iter().filter(|rule| **rule != TriggerRule::AllDoneSetupSuccess);
    let rules: Vec<&str> = offered.map(|rule| rule.as_str()).collect();
    let mut fields = entries(json!({
        "when": {"description": "An expression; a false one skips the task.", "type": ["string", "boolean"]},
        "trigger_rule": {"description": "Which upstream states start it. Default all_success.", "enum": rules},
        "retries": {
            "description": "Attempts after a failed one. Default 0.",
            "type": "integer", "minimum": 0, "maximum": RETRIES_MAX,
        },
        "retry_delay": duration("How long a retry waits. Default 30s."),
        "retry_backoff": {
            "description": "exponential doubles the delay each time and draws from 0 to it. Default fixed.",
            "enum": ["fixed", "exponential"],
        },
        "retry_max_delay": duration("No delay is longer. Default 1h."),
        "timeout": duration("Time limit of one attempt. Default none."),
        "grace": duration("From TERM to KILL. Default 10s."),
        "queue": {"description": "The queue it is published to. Default default.", "type": "string", "pattern": NAME},
        "priority": {"description": "Higher first. Default 0.", "type": "integer"},
        "env": {"$ref": "#/$defs/env"},
        "cwd": {"description": "Working directory, from the file's folder. A template.", "type": "string"},
        "shell": {
            "description": "What runs scripts: bash, sh, or a program that takes the script as its last argument.",
            "anyOf": [{"type": "string"}, {"$ref": "#/$defs/texts"}],
        },
        "on_lost": {
            "description": "What becomes of an attempt whose worker is gone. Default retry.",
            "enum": ["retry", "fail"],
        },
        "outputs": {"description": "Keys it promises to write to $ROTA_OUTPUT.", "$ref": "#/$defs/texts"},
    }));
    for (key, what) in [
        ("labels", "Labels that a worker must carry."),
        ("pool", "The pool it takes slots of."),
        ("pool_slots", "How many slots of the pool."),
        ("for_each", "A list, or a template that gives one: an instance per item."),
        ("max_parallel", "Most instances at a time."),
        ("depends_on_past", "Waits for itself in the run before."),
    ] {
        fields.insert(key.to_owned(), json!({"description": format!("{what} {NOT_YET}")}));
    }
    fields
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::super::action::ACTIONS;
    use super::super::error::Sink;
    use super::super::{file, params, read, task, timing, yaml};
    use super::*;

    fn keys(schema: &Value) -> BTreeSet<&str> {
        schema["properties"].as_object().expect("an object's schema").keys().map(String::as_str).collect()
    }

    fn as_json(source: &str) -> Value {
        let mut sink = Sink::new("f.yaml");
        yaml::load(source, &mut sink).map(|node| read::json(&node)).unwrap_or_default()
    }

    /// The first place where `value` is not what `schema` says, by the keywords that this schema uses.
    fn fault(root: &Value, schema: &Value, value: &Value, at: &str) -> Option<String> {
        let none_of = |list: &Value| {
            let faults = list.as_array()?.iter().map(|schema| fault(root, schema, value, at));
            let faults: Vec<Option<String>> = faults.collect();
            faults.iter().all(Option::is_some).then(|| format!("{at}: {faults:?}"))
        };
        if let Some(target) = schema["$ref"].as_str() {
            return fault(root, root.pointer(&target[1..]).expect("the target is there"), value, at);
        }
        let types = match &schema["type"] {
            Value::Array(types) => types.clone(),
            Value::Null => Vec::new(),
            one => vec![one.clone()],
        };
        if !types.is_empty()
            && !types.iter().any(|kind| is_a(value, kind.as_str().expect("a type is a word")))
        {
            return Some(format!("{at}: {value} is not {}", schema["type"]));
        }
        if schema["enum"].as_array().is_some_and(|list| !list.contains(value)) {
            return Some(format!("{at}: {value} is not one of {}", schema["enum"]));
        }
        let required = schema["required"].as_array().into_iter().flatten();
        if let Some(key) = required.filter_map(Value::as_str).find(|key| value.get(key).is_none()) {
            return Some(format!("{at}: no {key}"));
        }
        let items =
            value.as_array().into_iter().flatten().map(|item| (&schema["items"], item, at.to_owned()));
        let members = value.as_object().into_iter().flatten().map(|(key, member)| {
            let rest = if schema["properties"].is_object() || schema["additionalProperties"].is_object() {
                &schema["additionalProperties"]
            } else {
                &Value::Null
            };
            (schema["properties"].get(key).unwrap_or(rest), member, format!("{at}/{key}"))
        });
        let inside = items.chain(members).find_map(|(schema, value, at)| match schema {
            Value::Bool(false) => Some(format!("{at}: not allowed")),
            schema => fault(root, schema, value, &at),
        });
        inside.or_else(|| none_of(&schema["anyOf"])).or_else(|| none_of(&schema["oneOf"]))
    }

    fn is_a(value: &Value, kind: &str) -> bool {
        match kind {
            "object" => value.is_object(),
            "array" => value.is_array(),
            "string" => value.is_string(),
            "boolean" => value.is_boolean(),
            "integer" => value.is_i64() || value.is_u64(),
            "number" => value.is_number(),
            "null" => value.is_null(),
            other => panic!("unknown type {other}"),
        }
    }

    #[test]
    fn the_schema_and_the_parser_know_the_same_keys() {
        let schema = json_schema();
        let set = |keys: &[&'static str]| keys.iter().copied().collect::<BTreeSet<_>>();
        assert_eq!(keys(&schema), set(&file::KEYS));
        assert_eq!(keys(&schema["properties"]["defaults"]), set(&task::FIELDS));
        let all: Vec<&str> = task::FIELDS.into_iter().chain(ACTIONS).chain(["needs"]).collect();
        assert_eq!(keys(&schema["$defs"]["task"]), set(&all));
        assert_eq!(keys(&schema["properties"]["schedule"]["anyOf"][1]), set(&timing::KEYS));
        assert_eq!(keys(&schema["$defs"]["param"]["anyOf"][1]), set(&params::KEYS));
    }

    #[test]
    fn valid_files_agree_with_the_schema() {
        let schema = json_schema();
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let examples = std::fs::read_dir(root.join("../dags")).into_iter().flatten().flatten();
        let paths = examples.map(|entry| entry.path()).chain([root.join("tests/dag_files/full.yaml")]);
        for path in
            paths.filter(|path| path.extension().is_some_and(|ending| ending == "yaml" || ending == "yml"))
        {
            let source = std::fs::read_to_string(&path).expect("the file is readable");
            let name = path.display().to_string();
            super::super::parse(&name, &source).unwrap_or_else(|errors| panic!("{errors}"));
            assert_eq!(fault(&schema, &schema, &as_json(&source), &name), None);
        }
    }

    #[test]
    fn broken_files_disagree_with_the_schema() {
        let schema = json_schema();
        for source in [
            "x: 1",
            "tasks: {a: {rum: x}}",
            "tasks: {a: {}}",
            "tasks: {a: {run: x, retries: many}}",
            "tasks: {a: {run: x, trigger_rule: some}}",
            "schedule: {crn: x}\ntasks: {a: {run: x}}",
            "params: {p: {type: text}}\ntasks: {a: {run: x}}",
        ] {
            assert!(super::super::parse("f.yaml", source).is_err(), "{source}");
            assert!(fault(&schema, &schema, &as_json(source), "").is_some(), "{source}");
        }
    }
}
