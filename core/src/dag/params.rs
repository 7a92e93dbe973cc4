//! Parameters: how a file declares them and how given values are checked when a run is triggered.

use std::fmt;

use indexmap::IndexMap;
use serde_json::{Map, Value};

use super::error::{cut, nearest_hint};
use super::model::{Dag, Param, ParamKind};
use super::read::{Reader, is_env_name, json, name_hint, number, too_wide};
use super::yaml::{Kind, Node};

/// Most bytes of a run's parameters as JSON: they travel in the environment of each command.
pub const PARAMS_BYTES_MAX: usize = 64 << 10;

/// Deepest nesting of a parameter's value.
pub const PARAM_DEPTH_MAX: usize = 16;

const KINDS: [(&str, ParamKind); 6] = [
    ("string", ParamKind::String),
    ("integer", ParamKind::Integer),
    ("number", ParamKind::Number),
    ("boolean", ParamKind::Boolean),
    ("array", ParamKind::Array),
    ("object", ParamKind::Object),
];

pub(super) const KEYS: [&str; 6] = ["type", "default", "enum", "description", "min", "max"];

/// A given parameter that does not fit its declaration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("parameter `{name}`: {message}")]
pub struct ParamError {
    /// The parameter's name as given.
    pub name: String,
    /// What is wrong and what was expected.
    pub message: String,
}

/// All parameters that do not fit; never empty. Displayed one per line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParamErrors(pub Vec<ParamError>);

impl fmt::Display for ParamErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for ParamErrors {}

/// The parameters of a run: those given, checked by type, `enum`, `min` and `max`, and the defaults of the others,
/// in the order of the file.
///
/// # Errors
/// Names that the DAG does not declare, values that do not fit, and parameters without a default that are missing.
pub fn parse_params(dag: &Dag, given: &Map<String, Value>) -> Result<Map<String, Value>, ParamErrors> {
    let mut errors = Vec::new();
    let mut values = Map::new();
    for name in given.keys().filter(|name| !dag.params.contains_key(*name)) {
        errors.push(unknown(dag, name));
    }
    for (name, param) in &dag.params {
        let value = given.get(name).or(param.default.as_ref());
        let checked = value.map_or_else(|| Err("is required".to_owned()), |value| fits(param, value));
        match (checked, value) {
            (Ok(()), Some(value)) => _ = values.insert(name.clone(), value.clone()),
            (Ok(()), None) => {}
            (Err(message), _) => errors.push(ParamError { name: name.clone(), message }),
        }
    }
    let bytes = if errors.is_empty() { Value::Object(values.clone()).to_string().len() } else { 0 };
    if bytes > PARAMS_BYTES_MAX {
        let name = values.keys().next().cloned().unwrap_or_default();
        let message =
            format!("all parameters together have {bytes} bytes, at most {PARAMS_BYTES_MAX} are taken");
        errors.push(ParamError { name, message });
    }
    if errors.is_empty() { Ok(values) } else { Err(ParamErrors(errors)) }
}

/// A parameter's value from the text of a form field or of `--param name=text`, by its declared type: numbers in
/// decimal, `true` or `false` (also `on`, `yes`, `1` and their opposites), JSON for arrays and objects, and a comma
/// list for an array of texts.
///
/// # Errors
/// A name that the DAG does not declare, or a text that does not fit.
pub fn parse_param_text(dag: &Dag, name: &str, text: &str) -> Result<Value, ParamError> {
    let param = dag.params.get(name).ok_or_else(|| unknown(dag, name))?;
    let value = match param.kind {
        ParamKind::String => Some(Value::String(text.to_owned())),
        ParamKind::Integer => number(text.trim()).filter(is_whole),
        ParamKind::Number => number(text.trim()),
        ParamKind::Boolean => boolean(text.trim()).map(Value::Bool),
        ParamKind::Array => array(text),
        ParamKind::Object => serde_json::from_str(text).ok().filter(Value::is_object),
    };
    let is_json = matches!(param.kind, ParamKind::Array | ParamKind::Object);
    let checked = match (&value, too_wide(text).filter(|_| is_json)) {
        (Some(_), Some(message)) => Err(message),
        (Some(value), None) => fits(param, value),
        (None, _) => Err(format!("expected {}, got `{}`", kind_words(param.kind), cut(text))),
    };
    checked.map_err(|message| ParamError { name: name.to_owned(), message })?;
    Ok(value.unwrap_or_default())
}

/// Reads `params:`.
pub(super) fn read<'s>(reader: &mut Reader<'s>, node: &Node<'s>) -> IndexMap<String, Param> {
    let mut params = IndexMap::new();
    for entry in reader.map(node, "params").unwrap_or_default() {
        if !is_env_name(&entry.key) {
            let message = format!("`{}` is not a name for a parameter", cut(&entry.key));
            reader.sink.push_hint(entry.key_pos, message, name_hint(&entry.key));
        } else if let Some(twin) = params.keys().find(|name: &&String| name.eq_ignore_ascii_case(&entry.key))
        {
            let message = format!("parameter `{}` differs from `{twin}` only in case", entry.key);
            reader.sink.push_hint(entry.key_pos, message, "both would be the same `ROTA_PARAM_` variable");
        } else if let Some(param) = param(reader, &entry.key, &entry.value) {
            params.insert(entry.key.clone().into_owned(), param);
        }
    }
    params
}

fn param<'s>(reader: &mut Reader<'s>, name: &str, node: &Node<'s>) -> Option<Param> {
    let (default, kind) = match &node.kind {
        Kind::Map(_) => return declared(reader, name, node),
        Kind::Scalar(_) | Kind::List(_) => (json(node), kind_of(&json(node))),
    };
    let Some(kind) = kind else {
        reader.expected(node, name, "a mapping such as `{type: string, default: eu}`, or a default value");
        return None;
    };
    Some(Param { kind, default: Some(default), choices: Vec::new(), description: None, min: None, max: None })
}

/// The long form: a mapping with `type` and more.
fn declared<'s>(reader: &mut Reader<'s>, name: &str, node: &Node<'s>) -> Option<Param> {
    let entries = reader.map(node, name)?;
    let mut param = Param {
        kind: ParamKind::String,
        default: None,
        choices: Vec::new(),
        description: None,
        min: None,
        max: None,
    };
    let get = |key: &str| entries.iter().find(|entry| entry.key == key).map(|entry| &entry.value);
    for entry in entries {
        reader.known(entry, "a parameter", &KEYS);
    }
    param.kind = match (get("type"), get("default")) {
        (Some(node), _) => reader.word(node, "type", &KINDS)?,
        (None, Some(default)) => kind_of(&json(default)).unwrap_or(ParamKind::String),
        (None, None) => ParamKind::String,
    };
    param.description = get("description").and_then(|node| reader.text(node, "description"));
    for (key, bound) in [("min", &mut param.min), ("max", &mut param.max)] {
        *bound = get(key).and_then(|node| bound_of(reader, key, param.kind, node));
    }
    if let (Some(min), Some(max), Some(node)) = (param.min, param.max, get("max"))
        && min > max
    {
        reader.sink.push(node.pos, "`max` is smaller than `min`");
    }
    if let Some(node) = get("enum") {
        param.choices = choices(reader, &param, node);
    }
    if let Some(node) = get("default") {
        let value = json(node);
        if let Err(message) = fits(&param, &value) {
            reader.sink.push(node.pos, format!("`default` of `{name}`: {message}"));
        }
        param.default = Some(value);
    }
    Some(param)
}

fn choices<'s>(reader: &mut Reader<'s>, param: &Param, node: &Node<'s>) -> Vec<Value> {
    let Kind::List(list) = &node.kind else {
        reader.expected(node, "enum", "a list of values");
        return Vec::new();
    };
    if list.is_empty() {
        reader.expected(node, "enum", "a list of at least one value");
    }
    let mut choices = Vec::new();
    for item in list {
        let value = json(item);
        match fits(param, &value) {
            Ok(()) => choices.push(value),
            Err(message) => reader.sink.push(item.pos, format!("`enum`: {message}")),
        }
    }
    choices
}

fn bound_of<'s>(reader: &mut Reader<'s>, key: &str, kind: ParamKind, node: &Node<'s>) -> Option<f64> {
    let bound = json(node).as_f64();
    if matches!(kind, ParamKind::Boolean | ParamKind::Object) {
        reader.sink.push(node.pos, format!("`{key}` says nothing about {}", kind_words(kind)));
    } else if bound.is_none() {
        reader.expected(node, key, "a number");
    }
    bound
}

fn is_whole(value: &Value) -> bool {
    value.is_i64() || value.is_u64()
}

/// Whether `value` is one that the parameter takes; if not, why.
fn fits(param: &Param, value: &Value) -> Result<(), String> {
    let typed = match param.kind {
        ParamKind::String => value.is_string(),
        ParamKind::Integer => is_whole(value),
        ParamKind::Number => value.is_number(),
        ParamKind::Boolean => value.is_boolean(),
        ParamKind::Array => value.is_array(),
        ParamKind::Object => value.is_object(),
    };
    if !typed {
        return Err(format!("expected {}, got `{}`", kind_words(param.kind), cut(&value.to_string())));
    }
    if !is_storable(value, PARAM_DEPTH_MAX) {
        return Err(format!("holds a NUL character, or is nested deeper than {PARAM_DEPTH_MAX} levels"));
    }
    if !param.choices.is_empty() && !param.choices.contains(value) {
        let choices: Vec<String> =
            param.choices.iter().take(12).map(|c| format!("`{}`", plain_text(c))).collect();
        return Err(format!("expected one of {}, got `{}`", choices.join(", "), cut(&plain_text(value))));
    }
    in_bounds(param, value)
}

fn in_bounds(param: &Param, value: &Value) -> Result<(), String> {
    let (size, unit) = match value {
        Value::String(text) => (text.chars().count() as f64, " characters"),
        Value::Array(list) => (list.len() as f64, " values"),
        Value::Number(number) => (number.as_f64().unwrap_or(f64::NAN), ""),
        Value::Null | Value::Bool(_) | Value::Object(_) => return Ok(()),
    };
    match (param.min, param.max) {
        (Some(min), _) if size < min => Err(format!("expected at least {min}{unit}, got {size}")),
        (_, Some(max)) if size > max => Err(format!("expected at most {max}{unit}, got {size}")),
        _ => Ok(()),
    }
}

/// The value as a command sees it in its environment: texts as they are, everything else as JSON.
pub(super) fn plain_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

/// Whether no text in `value` holds a NUL (no argument or variable can) and no nesting is deeper than `depth`.
pub(super) fn is_storable(value: &Value, depth: usize) -> bool {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => true,
        Value::String(text) => !text.contains('\0'),
        Value::Array(list) => depth > 0 && list.iter().all(|item| is_storable(item, depth - 1)),
        Value::Object(map) => {
            depth > 0 && map.iter().all(|(key, item)| !key.contains('\0') && is_storable(item, depth - 1))
        }
    }
}

fn unknown(dag: &Dag, name: &str) -> ParamError {
    let hint = nearest_hint(name, dag.params.keys().map(String::as_str));
    let hint = hint.unwrap_or_else(|| "it declares none".to_owned());
    ParamError { name: cut(name), message: format!("is not a parameter of DAG `{}`; {hint}", dag.id) }
}

fn kind_of(value: &Value) -> Option<ParamKind> {
    match value {
        Value::Null => None,
        Value::Bool(_) => Some(ParamKind::Boolean),
        Value::Number(number) if number.is_f64() => Some(ParamKind::Number),
        Value::Number(_) => Some(ParamKind::Integer),
        Value::String(_) => Some(ParamKind::String),
        Value::Array(_) => Some(ParamKind::Array),
        Value::Object(_) => Some(ParamKind::Object),
    }
}

fn kind_words(kind: ParamKind) -> &'static str {
    match kind {
        ParamKind::String => "text",
        ParamKind::Integer => "a whole number",
        ParamKind::Number => "a number",
        ParamKind::Boolean => "`true` or `false`",
        ParamKind::Array => "a list",
        ParamKind::Object => "an object",
    }
}

fn boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "on" | "yes" | "1" => Some(true),
        "false" | "off" | "no" | "0" | "" => Some(false),
        _ => None,
    }
}

fn array(text: &str) -> Option<Value> {
    if text.trim_start().starts_with('[') {
        return serde_json::from_str(text).ok().filter(Value::is_array);
    }
    let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
    Some(Value::Array(items.map(|item| Value::String(item.to_owned())).collect()))
}
