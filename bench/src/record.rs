//! One figure as one line of JSON.

use serde_json::{Map, Value, json};

use crate::stats::{Samples, rounded};

/// A figure with its context.
#[derive(Debug)]
pub(crate) struct Record(Map<String, Value>);

impl Record {
    /// A verified figure.
    pub(crate) fn new(figure: &str, value: f64, unit: &str) -> Self {
        let fields = [
            ("figure".to_owned(), json!(figure)),
            ("value".to_owned(), json!(rounded(value))),
            ("unit".to_owned(), json!(unit)),
            ("verified".to_owned(), json!(true)),
        ];
        Self(fields.into_iter().collect())
    }

    /// A figure that could not be had, and why.
    pub(crate) fn failed(figure: &str, error: &str) -> Self {
        let fields = [
            ("figure".to_owned(), json!(figure)),
            ("verified".to_owned(), json!(false)),
            ("error".to_owned(), json!(error)),
        ];
        Self(fields.into_iter().collect())
    }

    /// Adds context.
    pub(crate) fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.0.insert(key.to_owned(), value.into());
        self
    }

    /// Adds a number, rounded.
    pub(crate) fn number(self, key: &str, value: f64) -> Self {
        self.with(key, rounded(value))
    }

    /// Adds {n, min, p50, p99, max}.
    pub(crate) fn samples(mut self, samples: &Samples) -> Self {
        self.0.extend(samples.describe().into_iter().map(|(key, value)| (key.to_owned(), value)));
        self
    }

    /// Adds the machine's own limit, in the figure's unit, and the figure's part of it.
    pub(crate) fn limit(self, what: &str, limit: f64) -> Self {
        let value = self.0.get("value").and_then(Value::as_f64).unwrap_or_default();
        self.with("limit", rounded(limit)).with("limit_is", what).number("ratio", value / limit)
    }

    /// Adds what the figure ought to be.
    pub(crate) fn aim(self, aim: f64) -> Self {
        self.with("aim", aim)
    }

    /// Begins the figure's name with a word.
    pub(crate) fn prefixed(mut self, word: &str) -> Self {
        if let Some(Value::String(name)) = self.0.get_mut("figure") {
            name.insert_str(0, word);
        }
        self
    }

    /// Prints the line to stdout.
    pub(crate) fn print(self) {
        println!("{}", Value::Object(self.0));
    }
}
