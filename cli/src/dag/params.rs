//! `--param name=value`.

use serde_json::{Map, Value};

use crate::failure::Failure;

/// The pairs as they were given.
///
/// # Errors
/// What is no pair, and a name that is given twice.
pub(super) fn texts(pairs: &[String]) -> anyhow::Result<Vec<(String, String)>> {
    let mut texts: Vec<(String, String)> = Vec::new();
    for pair in pairs {
        let (name, value) = pair.split_once('=').ok_or_else(|| {
            Failure::usage(format!("`{pair}` is not a parameter"))
                .at("--param")
                .expected("name=value, for example --param region=eu")
        })?;
        if texts.iter().any(|(known, _)| known == name) {
            return Err(Failure::usage(format!("the parameter `{name}` is given twice"))
                .at("--param")
                .into());
        }
        texts.push((name.to_owned(), value.to_owned()));
    }
    Ok(texts)
}

/// The values by the types that a server's DAG declares (`{name: {type, ..}}`). A text that does not fit stays a text:
/// the server says what it expects.
pub(super) fn typed(declared: &Map<String, Value>, texts: Vec<(String, String)>) -> Map<String, Value> {
    let value = |name: &str, text: String| {
        let kind = declared.get(name).and_then(|param| param.get("type")).and_then(Value::as_str);
        match kind {
            Some("integer" | "number" | "object") => {
                serde_json::from_str(&text).unwrap_or(Value::String(text))
            }
            Some("boolean") => match text.to_ascii_lowercase().as_str() {
                "true" | "on" | "yes" | "1" => Value::Bool(true),
                "false" | "off" | "no" | "0" => Value::Bool(false),
                _ => Value::String(text),
            },
            Some("array") => serde_json::from_str(&text)
                .ok()
                .filter(Value::is_array)
                .unwrap_or_else(|| text.split(',').map(|item| Value::from(item.trim())).collect()),
            _ => Value::String(text),
        }
    };
    texts.into_iter().map(|(name, text)| (name.clone(), value(&name, text))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_take_the_declared_types() {
        let declared = json!({"n": {"type": "integer"}, "s": {"type": "string"}, "b": {"type": "boolean"},
            "l": {"type": "array"}});
        let pairs = ["n=5", "s=5", "b=yes", "l=a, b", "x=5"].map(str::to_owned);
        let values = typed(declared.as_object().unwrap(), texts(&pairs).unwrap());
        assert_eq!(Value::Object(values), json!({"n": 5, "s": "5", "b": true, "l": ["a", "b"], "x": "5"}));
    }

    #[test]
    fn what_is_no_pair_and_what_is_given_twice_are_refused() {
        assert!(texts(&["a".to_owned()]).is_err());
        assert!(texts(&["a=1".to_owned(), "a=2".to_owned()]).is_err());
        assert_eq!(texts(&["a=b=c".to_owned()]).unwrap(), [("a".to_owned(), "b=c".to_owned())]);
    }
}
