//! No bytes make the parser panic or dawdle, nor do templates and outputs.

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::any;
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, TestRunner};
use rota_core::dag::{self, decode, parse_outputs, render_graph};

use super::good::FULL;
use super::support::{Given, busy, command, script};

fn runner(cases: u32) -> TestRunner {
    let cases = std::env::var("ROTA_FUZZ_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(cases);
    TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() })
}

/// Reads the bytes as a file; a valid one is also drawn and rendered.
fn read(bytes: &[u8]) {
    let start = busy();
    if let Ok(source) = decode("f.yaml", bytes)
        && let Ok(dag) = dag::parse("f.yaml", source)
    {
        render_graph(&dag);
        if dag.params.values().all(|param| param.default.is_some()) {
            _ = command(&dag, &Given::default());
        }
    }
    assert!((busy() - start) < Duration::from_secs(2), "slow: {:?}", String::from_utf8_lossy(bytes));
}

#[test]
fn random_bytes_never_panic() {
    runner(2_000)
        .run(&vec(any::<u8>(), 0..200), |bytes| {
            read(&bytes);
            Ok(())
        })
        .unwrap();
}

#[test]
fn random_yaml_signs_never_panic() {
    let signs = select(
        &[
            "a", "tasks:", "run:", " ", "\n", "\n  ", ":", ": ", "- ", "[", "]", "{", "}", ",", "'", "\"",
            "|", ">", "#", "&a", "*a", "!t", "%", "@", "`", "?", "? ", "---", "...", "\t", "\r\n", "\\", "~",
            "<<", "é", "\u{85}", "\u{2028}", "\u{feff}", "\0", "1", "{{ ds }}", "{% if", "%}", "{{", "}}",
        ][..],
    );
    runner(4_000)
        .run(&vec(signs, 0..40), |parts| {
            read(parts.concat().as_bytes());
            Ok(())
        })
        .unwrap();
}

#[test]
fn mutated_files_never_panic() {
    let cut = vec(
        (
            any::<Index>(),
            any::<Index>(),
            select(&["", "\n", ":", "{", "}", "[", "'", "\"", "- ", "{{", "|", "é", "\0"][..]),
        ),
        1..5,
    );
    runner(1_000)
        .run(&cut, |edits| {
            let mut bytes = FULL.as_bytes().to_vec();
            for (at, length, text) in edits {
                let at = at.index(bytes.len() + 1);
                let end = (at + length.index(20)).min(bytes.len());
                bytes.splice(at..end, text.bytes());
            }
            read(&bytes);
            Ok(())
        })
        .unwrap();
}

#[test]
fn random_templates_never_panic() {
    let parts = select(
        &[
            "{{ ",
            " }}",
            "{% ",
            " %}",
            "{# ",
            " #}",
            "ds",
            "params.x",
            "tasks",
            ".outputs",
            "['a']",
            "|",
            "raw",
            "upper",
            "join(",
            ")",
            "if ",
            "for i in ",
            "endif",
            "endfor",
            "set y = ",
            "'",
            "\"",
            "[",
            "]",
            "(",
            "-",
            "~",
            "1",
            " ",
            "raw %}",
            "endraw",
            "\\",
            "é",
            "is ",
            "not ",
        ][..],
    );
    runner(3_000)
        .run(&vec(parts, 0..16), |parts| {
            let quoted = serde_json::to_string(&parts.concat()).unwrap();
            read(
                format!("params: {{x: ''}}\ntasks:\n  t: {{run: {quoted}, cwd: {quoted}, when: {quoted}}}\n")
                    .as_bytes(),
            );
            read(format!("params: {{x: ''}}\ntasks:\n  t: {{run: {quoted}}}\n").as_bytes());
            Ok(())
        })
        .unwrap();
}

#[test]
fn random_outputs_never_panic() {
    runner(2_000)
        .run(&vec(any::<u8>(), 0..64), |bytes| {
            _ = parse_outputs(&bytes, &[]);
            Ok(())
        })
        .unwrap();
    runner(2_000)
        .run(&"[{}\\[\\]\":,a=\n1\\\\]{0,24}", |text| {
            _ = parse_outputs(text.as_bytes(), &[]);
            Ok(())
        })
        .unwrap();
}

#[test]
fn random_values_render_in_scripts() {
    runner(500)
        .run(&"\\PC{0,20}", |value| {
            assert!(script("echo {{ params.x }} \"{{ params.x }}\" '{{ params.x }}'", &value).is_ok());
            Ok(())
        })
        .unwrap();
}
