//! Numbers as Prometheus reads them: its text format, version 0.0.4.

use std::fmt::Display;

use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};

/// What is told so far.
#[derive(Debug, Default)]
pub(crate) struct Exposition {
    text: String,
}

impl Exposition {
    /// A number that goes up and down.
    pub(crate) fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.head(name, help, "gauge");
        self.text.push_str(&format!("{name} {value}\n"));
    }

    /// A number that only grows while the process lives.
    pub(crate) fn counter(&mut self, name: &str, help: &str, value: impl Display) {
        self.head(name, help, "counter");
        self.text.push_str(&format!("{name} {value}\n"));
    }

    /// A gauge per value of a label; nothing at all if there are none.
    pub(crate) fn gauges(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: impl IntoIterator<Item = (impl Display, impl Display)>,
    ) {
        let mut values = values.into_iter().peekable();
        if values.peek().is_some() {
            self.head(name, help, "gauge");
        }
        for (of, value) in values {
            self.text.push_str(&format!("{name}{{{label}=\"{of}\"}} {value}\n"));
        }
    }

    /// The text.
    #[cfg(test)]
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    fn head(&mut self, name: &str, help: &str, kind: &str) {
        self.text.push_str(&format!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    }
}

impl IntoResponse for Exposition {
    fn into_response(self) -> Response {
        ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], self.text).into_response()
    }
}
