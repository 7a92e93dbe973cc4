//! The server's problem documents (RFC 9457) as failures of a command.

use reqwest::StatusCode;
use serde::Deserialize;

use crate::failure::Failure;

/// The members that commands show. `hint` says what to do next, `expected` what would have been right.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Problem {
    title: Option<String>,
    detail: Option<String>,
    expected: Option<String>,
    hint: Option<String>,
}

/// What a person is told about an answer with this status and body.
pub(super) fn failure(status: StatusCode, body: &str) -> Failure {
    let problem: Problem = serde_json::from_str(body).unwrap_or_default();
    let what = problem.detail.or(problem.title).unwrap_or_else(|| format!("the server answered {status}"));
    let mut failure = Failure::failed(what);
    if status == StatusCode::NOT_FOUND {
        failure = failure.missing();
    }
    if let Some(expected) = problem.expected {
        failure = failure.expected(expected);
    }
    if let Some(hint) = problem.hint {
        failure = failure.help(hint);
    }
    failure
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_document_is_told_with_its_hint() {
        let body =
            r#"{"type":"about:blank","title":"Not found","detail":"no DAG `a`","hint":"did you mean `b`?"}"#;
        let told = failure(StatusCode::NOT_FOUND, body).to_string();
        assert_eq!(told, "no DAG `a`\n  help: did you mean `b`?");
    }

    #[test]
    fn any_other_body_is_told_by_its_status() {
        let told = failure(StatusCode::BAD_GATEWAY, "<html>").to_string();
        assert_eq!(told, "the server answered 502 Bad Gateway");
    }
}
