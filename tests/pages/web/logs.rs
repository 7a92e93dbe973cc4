//! Logs by line: whatever the chunks and lines are like, every line is reached by its number, both ways, and found.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::http::StatusCode;
use rota_backend::SqliteStore;
use rota_core::id::{AttemptKey, RunId, TaskKey, TaskNo};
use rota_core::port::{LogChunk, LogFacts};
use rota_tests::demo::Demo;
use rota_tests::lab::rng::Rng;
use serde_json::{Value, json};

use super::{Answer, Fixture};

/// A task of the demonstration whose newest attempt's log can be added to.
struct Attempt<'a> {
    fixture: &'a Fixture,
    store: Arc<SqliteStore>,
    key: AttemptKey,
    /// `/runs/17/tasks/beat`.
    path: String,
    /// All of its log.
    text: String,
    next_seq: u32,
}

async fn demo() -> (Fixture, Arc<SqliteStore>) {
    let folder = tempfile::tempdir().expect("a folder");
    let demo = Demo::new(&folder.path().join("demo.db")).await;
    (Fixture::over(demo.store.clone(), demo.clock, folder), demo.store)
}

impl<'a> Attempt<'a> {
    /// The first task of one of the runs of a DAG, with the log that it has.
    async fn of(fixture: &'a Fixture, store: &Arc<SqliteStore>, dag: &str, place: usize) -> Self {
        let runs =
            fixture.api("GET", &format!("/api/v1/runs?dag={dag}&state=success"), &Value::Null).await.json();
        let run = runs["items"][place]["id"].as_i64().expect("a run");
        let tasks = fixture.api("GET", &format!("/api/v1/runs/{run}/tasks"), &Value::Null).await.json();
        let task = tasks["items"][0]["task"].as_str().expect("a task").to_owned();
        let path = format!("/runs/{run}/tasks/{task}");
        let text = fixture.get(&format!("/api/v1{path}/logs")).await.body;
        let key = TaskKey { run: RunId(run), task: TaskNo(0), index: 0 }.attempt(1);
        Self { fixture, store: Arc::clone(store), key, path, text, next_seq: 1 }
    }

    async fn append(&mut self, chunks: &[&str]) {
        for piece in chunks.chunks(64) {
            let chunk = |text: &&str| {
                self.next_seq += 1;
                LogChunk { key: self.key, seq: self.next_seq - 1, text: (*text).to_owned() }
            };
            let chunks: Vec<LogChunk> = piece.iter().map(chunk).collect();
            self.store.log_append(&chunks).await.expect("appended");
        }
        self.text.push_str(&chunks.concat());
    }

    /// Appends a text in chunks of random sizes, which end within lines as well.
    async fn append_cut(&mut self, text: &str, rng: &mut Rng) {
        let mut chunks = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let most = *rng.pick(&[1, 7, 300, 5_000, 65_536]);
            let size = rng.between(1, most) as usize;
            let (chunk, more) = rest.split_at(rest.ceil_char_boundary(size.min(rest.len())));
            chunks.push(chunk);
            rest = more;
        }
        self.append(&chunks).await;
    }

    async fn log(&self, query: &str) -> Answer {
        self.fixture.get(&format!("/api/v1{}/logs?{query}", self.path)).await
    }

    /// Numbers of all lines that the API finds, over as many pages as it takes.
    async fn found(&self, query: &str) -> Vec<u64> {
        let mut lines = Vec::new();
        let mut cursor = String::new();
        loop {
            let path = format!("/api/v1{}/logs/search?{query}{cursor}", self.path);
            let page = self.fixture.get(&path).await;
            assert_eq!(page.status, StatusCode::OK, "{path}: {}", page.body);
            let page = page.json();
            lines.extend(
                page["items"].as_array().expect("items").iter().filter_map(|hit| hit["line"].as_u64()),
            );
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return lines,
            }
        }
    }

    /// The page that a path leads to, over its redirects.
    async fn page(&self, query: &str) -> (String, String) {
        let mut path = format!("{}{query}", self.path);
        for _ in 0..3 {
            let page = self.fixture.get(path.split('#').next().unwrap_or_default()).await;
            if page.status == StatusCode::OK {
                return (path, page.body);
            }
            assert_eq!(page.status, StatusCode::SEE_OTHER, "{path}: {}", page.body);
            path = page.header("location").to_owned();
        }
        panic!("{path}: redirects without an end");
    }
}

/// The numbers of the lines on a page.
fn numbers(page: &str) -> Vec<u64> {
    let ids = page.split(" id=\"L").skip(1).filter_map(|rest| rest.split('"').next());
    ids.map(|id| id.parse().expect("a number")).collect()
}

/// Where a link with this text, or this relation, leads.
fn link(page: &str, words: &str) -> Option<String> {
    let tag = page.split("<a ").find(|tag| {
        tag.contains(&format!("rel=\"{words}\""))
            || tag.split("</a>").next().is_some_and(|tag| tag.ends_with(&format!(">{words}")))
    })?;
    Some(tag.split("href=\"").nth(1)?.split('"').next()?.replace("&amp;", "&").replace("&#38;", "&"))
}

const STAMP: &str = "2026-11-20T13:00:00.123456Z out ";

/// Lines of all kinds: empty, short, of many bytes per character, coloured, longer than a block; the last one without an end.
fn text(rng: &mut Rng, lines: u64) -> String {
    let mut text = String::new();
    for no in 0..lines {
        let line = match rng.between(0, 40) {
            0 => String::new(),
            1 => format!("{STAMP}{}", "ü€𝄞".repeat(rng.between(1, 2_000) as usize)),
            2 => format!("{STAMP}\u{1b}[31mNee\u{1b}[0mdle {no}"),
            3 => format!("{STAMP}{}", "x".repeat(rng.between(10_000, 16_000) as usize)),
            4 if rng.percent(10) => {
                format!("{STAMP}needle{}", "y".repeat(rng.between(60_000, 300_000) as usize))
            }
            _ => format!("{STAMP}line {no}"),
        };
        text.push_str(&line);
        text.push('\n');
    }
    if rng.percent(50) {
        text.push_str("no end");
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn any_part_of_a_log_is_read_and_found_by_line_however_its_chunks_are_cut() {
    let mut rng = Rng::from_environment("logs");
    let (fixture, store) = demo().await;
    for place in 0..8 {
        let mut attempt = Attempt::of(&fixture, &store, "heartbeat", place).await;
        let count = *rng.pick(&[0, 3, 40, 700, 3_000]);
        let text = text(&mut rng, count);
        // Half of it comes after the first half was counted.
        let (early, late) = text.split_at(text.ceil_char_boundary(text.len() / 2));
        for part in [early, late] {
            attempt.append_cut(part, &mut rng).await;
            let lines: Vec<&str> = attempt.text.split_inclusive('\n').collect();
            let all = lines.len() as u64;
            for _ in 0..12 {
                let (first, limit) = (rng.between(1, all + 2), rng.between(1, 900));
                let answer = attempt.log(&format!("line={first}&limit={limit}")).await;
                let wanted = lines.iter().skip(first as usize - 1).take(limit as usize);
                assert_eq!(answer.body, wanted.copied().collect::<String>(), "{first} {limit} of {all}");
                assert_eq!(answer.header("x-log-lines"), all.to_string());
            }
            assert_eq!(attempt.log("line=-1").await.body, lines[lines.len() - 1]);
            assert_eq!(attempt.log("limit=1").await.body, lines[0]);
            let wanted: Vec<u64> = (1..)
                .zip(&lines)
                .filter(|(_, line)| line.to_lowercase().replace("\u{1b}[0m", "").contains("needle"))
                .map(|(no, _)| no)
                .collect();
            let limit = rng.between(1, 20);
            assert_eq!(attempt.found(&format!("find=NEEDLE&limit={limit}")).await, wanted);
            let back: Vec<u64> = wanted.iter().rev().copied().collect();
            assert_eq!(attempt.found(&format!("find=needle&back=true&limit={limit}")).await, back);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_leads_to_every_line_both_ways() {
    let mut rng = Rng::from_environment("log_pages");
    let (fixture, store) = demo().await;
    let mut attempt = Attempt::of(&fixture, &store, "heartbeat", 0).await;
    let text = text(&mut rng, 4_000);
    attempt.append_cut(&text, &mut rng).await;
    let all: BTreeSet<u64> = (1..=attempt.text.split_inclusive('\n').count() as u64).collect();
    for (begin, onward) in [("", "Earlier lines"), ("?line=1", "Later lines")] {
        let (mut query, mut seen) = (begin.to_owned(), BTreeSet::new());
        loop {
            let page = attempt.page(&query).await.1;
            seen.extend(numbers(&page));
            let Some(next) = link(&page, onward) else { break };
            assert_ne!(next, query);
            query = next;
        }
        // A window that is cut short by its bytes goes on where it was cut.
        let missing: Vec<u64> = all.difference(&seen).copied().collect();
        for line in &missing {
            assert!(onward == "Earlier lines", "line {line} is never reached");
            assert_eq!(numbers(&attempt.page(&format!("?line={line}")).await.1)[0], *line);
        }
    }
    let (_, end) = attempt.page("").await;
    assert_eq!(numbers(&end).last(), all.last());
    let start = link(&end, "From the start").expect("a way to the start");
    let (_, start) = attempt.page(&start).await;
    assert_eq!(numbers(&start)[0], 1);
    let end = link(&start, "To the end").expect("a way to the end");
    assert_eq!(numbers(&attempt.page(&end).await.1).last(), all.last());
    assert!(start.contains("#L1\">1</a>"), "lines are links to themselves");
}

#[tokio::test(flavor = "multi_thread")]
async fn search_goes_through_the_whole_log_line_by_line() {
    let (fixture, store) = demo().await;
    let mut attempt = Attempt::of(&fixture, &store, "heartbeat", 0).await;
    let before = attempt.text.lines().count() as u64;
    let text: String = (1..=100_000u64)
        .map(|no| {
            format!(
                "{STAMP}{} {no}\n",
                if [5, 70_000, 99_999].contains(&no) { "odd <b> & end" } else { "line" }
            )
        })
        .collect();
    let chunks: Vec<&str> =
        text.as_bytes().chunks(65_536).map(|part| std::str::from_utf8(part).expect("ASCII")).collect();
    attempt.append(&chunks).await;
    let mut query = "?find=Odd+%3Cb%3E+%26".to_owned();
    for no in [5, 70_000, 99_999].map(|no| no + before) {
        let (path, page) = attempt.page(&query).await;
        assert!(path.ends_with(&format!("&hit={no}#L{no}")), "{path}");
        assert!(numbers(&page).contains(&no) && page.contains("<mark>odd &#60;b&#62; &#38;</mark>"));
        query = link(&page, "next").expect("a way to the next one");
    }
    let (_, page) = attempt.page(&query).await;
    assert!(page.contains(&format!("not found after line {}", rota_commas(99_999 + before))));
    assert!(numbers(&page).contains(&(99_999 + before)), "what was found stays in sight");
    let (path, _) = attempt.page(&link(&page, "Search from the start").expect("a way round")).await;
    assert!(path.ends_with(&format!("#L{}", 5 + before)), "{path}");
    let back = link(&page, "prev").expect("a way back");
    let (path, _) = attempt.page(&back).await;
    assert!(path.ends_with(&format!("#L{}", 70_000 + before)), "{path}");
    let (_, page) = attempt.page("?find=nowhere").await;
    assert!(page.contains(&format!("not found in {}\u{a0}lines", rota_commas(100_000 + before))));
}

/// Numbers as pages have them.
fn rota_commas(number: u64) -> String {
    format!("{},{:03}", number / 1000, number % 1000)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_request_reads_of_a_long_log_is_bounded_and_the_next_one_goes_on() {
    let (fixture, store) = demo().await;
    let mut attempt = Attempt::of(&fixture, &store, "heartbeat", 0).await;
    let line = format!("{STAMP}{}\n", "z".repeat(990));
    let chunk = line.repeat(63);
    attempt.append(&vec![chunk.as_str(); 600]).await;
    attempt.append(&["2026-11-20T13:00:00.123456Z err the end\n"]).await;
    let last = attempt.text.lines().count() as u64;
    let search = format!("/api/v1{}/logs/search?find=the+end", attempt.path);
    let first = fixture.get(&search).await.json();
    assert_eq!(first["items"], json!([]), "37 MiB are more than one request reads");
    assert!(first["next_cursor"].is_string());
    assert_eq!(attempt.found("find=the+end").await, [last]);
    let (_, page) = attempt.page("?find=the+end").await;
    let on = link(&page, "Search on").expect("a way on");
    assert!(attempt.page(&on).await.0.ends_with(&format!("#L{last}")));
    let (_, page) = attempt.page("?line=20000").await;
    assert_eq!(numbers(&page), (20_000..20_000 + numbers(&page).len() as u64).collect::<Vec<_>>());
    assert!(page.len() < 4 << 20, "a page of {} bytes", page.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_log_cannot_be_asked_is_refused_in_words() {
    let (fixture, store) = demo().await;
    let attempt = Attempt::of(&fixture, &store, "heartbeat", 0).await;
    for (query, words) in [
        ("logs?line=0", "counted from 1"),
        ("logs?line=x", "line"),
        ("logs/search?find=", "`find` is empty"),
        ("logs/search?find=a&cursor=x", "next_cursor"),
    ] {
        let answer = fixture.get(&format!("/api/v1{}/{query}", attempt.path)).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{query}");
        assert!(answer.body.contains(words), "{query}: {}", answer.body);
    }
    for query in [
        "?line=0",
        "?line=99999999999",
        "?hit=0&find=x",
        "?before=0&find=x",
        "?after=18446744073709551615&find=x",
        "?find=%00",
    ] {
        let (_, page) = attempt.page(query).await;
        assert!(!numbers(&page).is_empty(), "{query}: some lines are shown");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_log_says_why() {
    let (fixture, _) = demo().await;
    let runs =
        fixture.api("GET", "/api/v1/runs?dag=partner_feed_import&state=failed", &Value::Null).await.json();
    let run = &runs["items"][0]["id"];
    let tasks = fixture.api("GET", &format!("/api/v1/runs/{run}/tasks"), &Value::Null).await.json();
    let upstream =
        tasks["items"].as_array().expect("tasks").iter().find(|task| task["state"] == "upstream_failed");
    let task = upstream.expect("one that never began")["task"].as_str().expect("a name").to_owned();
    let page = fixture.get(&format!("/runs/{run}/tasks/{task}")).await.body;
    assert!(page.contains("<strong>Never started</strong>An upstream task failed."), "{page}");
}
