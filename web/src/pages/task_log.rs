//! The log on a task's page: a window of lines, the ways to all others, and search with its next and previous line.

use rota_core::port::TaskRow;
use rota_core::state::TaskState;
use serde::Deserialize;

use crate::app::Ctx;
use crate::error::Outcome;
use crate::log::{Log, Needle, SearchDirection, WINDOW_LINES, window};
use crate::show::attempts::attempt_state;
use crate::show::log::{LogLine, log_line};
use crate::show::log_none::{NoLines, nothing};
use crate::show::time::{count, grouped};
use crate::tasks::TaskNow;

/// Lines shown above one that was found.
const LINES_ABOVE: u64 = 20;

/// `?line=&find=&hit=&after=&before=`: the first line to show; what was searched for and the line where it was found; or
/// the line after or before which it is to be searched.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct LogQuery {
    line: Option<u64>,
    #[serde(default)]
    pub(crate) find: String,
    hit: Option<u64>,
    after: Option<u64>,
    before: Option<u64>,
}

/// A link with its words.
pub(crate) struct LineLink {
    pub(crate) href: String,
    pub(crate) text: String,
}

/// The log's part of the page.
#[derive(Default)]
pub(crate) struct LogView {
    pub(crate) lines: Vec<LogLine>,
    /// First line shown; and the first one that a running log may still add to.
    pub(crate) first: u64,
    pub(crate) next: u64,
    /// `lines 501 to 1,000 of 1,403,013`.
    pub(crate) range: String,
    /// What the links to other lines begin with.
    pub(crate) base: String,
    pub(crate) to_start: Vec<LineLink>,
    pub(crate) to_end: Vec<LineLink>,
    pub(crate) find: String,
    pub(crate) previous: String,
    pub(crate) following: String,
    /// What came of a search, and where it goes on.
    pub(crate) found: String,
    pub(crate) search_on: Option<LineLink>,
    /// Why there are no lines.
    pub(crate) nothing: Option<NoLines>,
    /// Whether lines may still come at the end that is shown.
    pub(crate) follows: bool,
}

/// What a request leads to: a line that was found, or the page.
pub(crate) enum LogAnswer {
    /// The query and fragment of the page that shows the line.
    Hit(String),
    Page(Box<LogView>),
}

/// The attempt whose log is shown.
pub(crate) struct ChosenAttempt<'a> {
    pub(crate) task: &'a TaskNow,
    pub(crate) row: Option<&'a TaskRow>,
    /// Whether the run goes on, so that an attempt may still come.
    pub(crate) run_goes_on: bool,
    pub(crate) index: u32,
}

/// What a search came to, if it did not find anything.
struct FruitlessSearch {
    found: String,
    search_on: Option<LineLink>,
    hit: Option<u64>,
}

/// What is to be seen.
struct WantedLines<'a> {
    /// What links to other parts begin with.
    base: String,
    needle: Option<&'a Needle>,
    /// The first line; the end without one.
    first: Option<u64>,
}

/// The part of the log that the query asks for.
pub(crate) async fn show(
    ctx: &Ctx,
    log: &Log,
    chosen: &ChosenAttempt<'_>,
    query: &LogQuery,
) -> Outcome<LogAnswer> {
    let base = base(chosen);
    let Some(needle) = Needle::new(&query.find) else {
        let wanted = WantedLines { base, needle: None, first: query.line };
        return Ok(LogAnswer::Page(Box::new(view(ctx, log, chosen, wanted).await?)));
    };
    let base = format!("{base}&find={}", encoded(&query.find));
    let is_new = query.line.is_none() && query.hit.is_none();
    let missed = match (query.after, query.before) {
        (None, None) if !is_new => None,
        asked => match search(log, &needle, asked, &base).await? {
            Ok(line) => return Ok(LogAnswer::Hit(format!("{base}&hit={line}#L{line}"))),
            Err(missed) => Some(missed),
        },
    };
    let hit = query.hit.or(missed.as_ref().and_then(|missed| missed.hit));
    let first = query.line.or(hit.map(|hit| hit.saturating_sub(LINES_ABOVE)));
    let mut view = view(ctx, log, chosen, WantedLines { base, needle: Some(&needle), first }).await?;
    view.find.clone_from(&query.find);
    view.previous = format!("{}&before={}", view.base, hit.unwrap_or(view.first));
    view.following = format!("{}&after={}", view.base, hit.unwrap_or(view.first.saturating_sub(1)));
    view.found = hit.map(|hit| format!("line {}", grouped(hit))).unwrap_or_default();
    if let Some(missed) = missed {
        view.found = missed.found;
        view.search_on = missed.search_on;
    }
    Ok(LogAnswer::Page(Box::new(view)))
}

/// The next line that has it, or what is to be said instead.
async fn search(
    log: &Log,
    needle: &Needle,
    (after, before): (Option<u64>, Option<u64>),
    base: &str,
) -> Outcome<Result<u64, FruitlessSearch>> {
    let (from, way) = match before {
        Some(before) => (before.saturating_sub(1), SearchDirection::Back),
        None => (after.unwrap_or(0).saturating_add(1), SearchDirection::Forward),
    };
    let search = log.search(needle, from, way, 1).await?;
    if let Some(hit) = search.hits.first() {
        return Ok(Ok(hit.line));
    }
    let to =
        |text: &str, query: String| Some(LineLink { href: format!("{base}&{query}"), text: text.to_owned() });
    let hit = before.or(after.filter(|after| *after > 0));
    let (found, search_on) = match (search.next, way, hit) {
        (Some(next), SearchDirection::Forward, _) => (
            format!("not found up to line {}", grouped(next - 1)),
            to("Search on", format!("after={}", next - 1)),
        ),
        (Some(next), SearchDirection::Back, _) => (
            format!("not found down to line {}", grouped(next + 1)),
            to("Search on", format!("before={}", next + 1)),
        ),
        (None, _, None) => (format!("not found in {}", count(log.index.lines(), "line")), None),
        (None, SearchDirection::Forward, Some(hit)) => (
            format!("not found after line {}", grouped(hit)),
            to("Search from the start", "after=0".to_owned()),
        ),
        (None, SearchDirection::Back, Some(hit)) => {
            let end = log.index.lines() + 1;
            (
                format!("not found before line {}", grouped(hit)),
                to("Search from the end", format!("before={end}")),
            )
        }
    };
    Ok(Err(FruitlessSearch { found, search_on, hit }))
}

/// The window that is wanted.
async fn view(ctx: &Ctx, log: &Log, chosen: &ChosenAttempt<'_>, wanted: WantedLines<'_>) -> Outcome<LogView> {
    let WantedLines { base, needle, first } = wanted;
    let window = window(log, first).await?;
    let (lines, first, end) = (log.index.lines(), window.first(), window.end());
    let is_end = end > lines;
    let way = |text: &str, query: String| LineLink { href: format!("{base}{query}"), text: text.to_owned() };
    let mut view = LogView { first, range: range(log, first, end), ..LogView::default() };
    if first > 1 {
        let earlier = first.saturating_sub(WINDOW_LINES).max(1);
        view.to_start =
            vec![way("From the start", "&line=1".into()), way("Earlier lines", format!("&line={earlier}"))];
    }
    if !is_end {
        view.to_end = vec![
            way("Later lines", format!("&line={end}")),
            way("To the end", format!("&line={}", lines + 1)),
        ];
    }
    view.lines = window.lines.iter().map(|line| log_line(&ctx.moment, line, needle)).collect();
    view.next = log.index.lines_ended() + 1;
    view.follows = is_end && may_grow(chosen);
    view.nothing = view.lines.is_empty().then(|| nothing(&ctx.moment, chosen.task, chosen.row));
    view.base = base;
    Ok(view)
}

/// Whether lines may still come.
fn may_grow(chosen: &ChosenAttempt<'_>) -> bool {
    match chosen.row.filter(|row| row.attempt > 0) {
        Some(row) => matches!(attempt_state(row), TaskState::Queued | TaskState::Running),
        None => chosen.run_goes_on && !chosen.task.state.is_terminal(),
    }
}

fn range(log: &Log, first: u64, end: u64) -> String {
    let lines = log.index.lines();
    let all = match lines {
        0 => return String::new(),
        _ if first == 1 && end > lines => format!("{}, {}", count(lines, "line"), size(log.index.bytes())),
        _ => {
            let size = size(log.index.bytes());
            format!("lines {} to {} of {}, {size}", grouped(first), grouped(end - 1), grouped(lines))
        }
    };
    if log.index.is_whole() { all } else { format!("{all} counted so far; reload to count on") }
}

fn size(bytes: u64) -> String {
    const KIB: u64 = 1024;
    match bytes {
        ..10_240 => count(bytes, "byte"),
        10_240..10_485_760 => format!("{}\u{a0}KiB", bytes / KIB),
        _ => format!("{}\u{a0}MiB", grouped(bytes / KIB / KIB)),
    }
}

fn base(chosen: &ChosenAttempt<'_>) -> String {
    let attempt = chosen.row.map_or(0, |row| row.attempt);
    match (attempt, chosen.index) {
        (0, index) => format!("?index={index}"),
        (attempt, 0) => format!("?attempt={attempt}"),
        (attempt, index) => format!("?attempt={attempt}&index={index}"),
    }
}

/// A text as a part of an address.
fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}
