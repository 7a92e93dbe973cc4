//! The figures of the house: how long functions are, what types are called, how files hang together, what a change touches.
//! `cargo test -p rota-tests --test tidy figures -- --nocapture` prints them.

use std::collections::BTreeSet;

use super::source::{Source, is_of_word};
use super::{CRATES, circles, names};

/// Characters of a line, as rustfmt has it; it leaves comments and strings alone.
pub(crate) const LINE_MAX: usize = 110;

/// Lengths of a crate's functions, in lines from `fn` to the closing brace.
fn lengths(source: &Source) -> Vec<usize> {
    let tokens = source.tokens();
    let mut lengths = Vec::new();
    for (at, token) in tokens.iter().enumerate().filter(|(_, token)| token.text == "fn") {
        if tokens.get(at + 1).is_none_or(|next| !next.text.starts_with(is_of_word)) {
            continue;
        }
        let (mut depth, mut brackets) = (0_usize, 0_usize);
        for token_of_fn in &tokens[at..] {
            match token_of_fn.text {
                "(" | "[" => brackets += 1,
                ")" | "]" => brackets = brackets.saturating_sub(1),
                // A function of a trait without a body.
                ";" if depth == 0 && brackets == 0 => break,
                "{" => depth += 1,
                "}" => depth = depth.saturating_sub(1),
                _ => continue,
            }
            if depth == 0 && token_of_fn.text == "}" {
                lengths.push(token_of_fn.line - token.line + 1);
                break;
            }
        }
    }
    lengths
}

/// The value below which this share (in per cent) of sorted values lies.
fn percentile(sorted: &[usize], share: usize) -> usize {
    sorted.get(sorted.len().saturating_sub(1) * share / 100).copied().unwrap_or_default()
}

fn per_cent(part: usize, all: usize) -> f64 {
    let [part, all] = [part, all.max(1)].map(|count| u32::try_from(count).unwrap_or(u32::MAX));
    100.0 * f64::from(part) / f64::from(all)
}

/// One line of the table.
fn row(name: &str, sources: &[&Source], circles: usize) -> String {
    let mut lengths: Vec<usize> = sources.iter().flat_map(|source| lengths(source)).collect();
    lengths.sort_unstable();
    let types: Vec<&str> = sources.iter().flat_map(|source| names::types(source)).collect();
    let one_word = types.iter().filter(|name| names::is_one_word(name)).count();
    let lines: usize = sources.iter().map(|source| source.line_count()).sum();
    let comments: usize = sources.iter().map(|source| source.plain_comments).sum();
    let wide: usize = sources.iter().map(|source| wide_lines(source)).sum();
    format!(
        "| {name} | {} | {} | {}/{}/{} | {} | {:.0} % | {circles} | {:.1} % | {wide} |",
        sources.len(),
        lengths.len(),
        percentile(&lengths, 50),
        percentile(&lengths, 90),
        lengths.last().copied().unwrap_or_default(),
        types.len(),
        per_cent(one_word, types.len()),
        per_cent(comments, lines),
    )
}

fn wide_lines(source: &Source) -> usize {
    source.text.lines().filter(|line| line.chars().count() > LINE_MAX).count()
}

/// What stands for a kind of change: production files that name one of these have to be touched by a new one of its kind.
const CHANGES: &[(&str, &[&str])] = &[
    ("a column of task (exit_code)", &["exit_code"]),
    ("a key of a task (priority)", &["priority"]),
    ("an action (noop)", &["noop", "Noop", "NOOP", "noops", "Noops", "is_noop"]),
    ("a limit on what may run (max_active_runs)", &["max_active_runs"]),
    ("a verb of a port (view_attempts)", &["view_attempts"]),
    ("a page (ledger)", &["ledger::page", "LedgerPage", "ledger.html", "\"/ledger\"", "mod ledger"]),
    ("a field of the API (next_slot)", &["next_slot"]),
];

/// The files that name one of these words.
fn naming<'a>(sources: &'a [Source], words: &[&str]) -> BTreeSet<&'a str> {
    let names = |source: &&Source| words.iter().any(|word| has_word(&source.words, word));
    sources.iter().filter(names).map(|source| source.path.as_str()).collect()
}

fn has_word(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, _)| {
        let before = text[..at].chars().next_back().is_some_and(is_of_word);
        let after = text[at + word.len()..].chars().next().is_some_and(is_of_word);
        !before && !after
    })
}

/// Prints the figures; the rules that stop a build are in the tests beside.
#[test]
fn figures() {
    let all: Vec<Source> = CRATES.iter().flat_map(|krate| Source::of_crate(krate)).collect();
    println!("| | files | fn | lines med/p90/max | types | one word | circles | `//` | lines > {LINE_MAX} |");
    println!("|---|---|---|---|---|---|---|---|---|");
    let mut count = 0;
    for krate in CRATES {
        let own = Source::of_crate(krate);
        let circles = circles::circles(&own);
        count += circles.len();
        println!("{}", row(krate, &own.iter().collect::<Vec<_>>(), circles.len()));
    }
    println!("{}", row("all", &all.iter().collect::<Vec<_>>(), count));
    let owners = names::owners(&all);
    let of = |count: usize| owners.values().filter(|files| files.len() == count).count();
    println!("\nnames of types by owners: one {}, two {}", of(1), of(2));
    for (name, files) in owners.iter().filter(|(_, files)| files.len() > 1) {
        println!("  {} {name}: {}", files.len(), files.join(", "));
    }
    println!("\ncircles of files:");
    for circle in CRATES.iter().flat_map(|krate| circles::circles(&Source::of_crate(krate))) {
        println!("  {}", circle.join(", "));
    }
    println!("\nproduction files that name:");
    for (change, words) in CHANGES {
        let files = naming(&all, words);
        println!("  {change}: {}: {}", files.len(), files.into_iter().collect::<Vec<_>>().join(", "));
    }
    assert!(all.len() > 200, "the sources were not found");
}
