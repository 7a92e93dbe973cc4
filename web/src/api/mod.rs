//! The REST API under `/api/v1`: JSON in, JSON out, problem documents when it goes wrong. Lists are
//! `{items, next_cursor}`; a client passes `next_cursor` back as `cursor` until it is null.

pub(crate) mod audit;
pub(crate) mod dags;
mod exact;
pub(crate) mod files;
pub(crate) mod logs;
pub(crate) mod openapi;
pub(crate) mod runs;
pub(crate) mod schedulers;
pub(crate) mod shapes;
pub(crate) mod slots;
pub(crate) mod tasks;
pub(crate) mod workers;

use rota_core::state::RunState;
use serde::Serialize;

use crate::error::{Error, Outcome};

/// Most items of a list, whatever is asked for.
pub(crate) const LIMIT_MAX: usize = 500;
/// Items of a list when nothing is asked for.
pub(crate) const LIMIT_DEFAULT: usize = 100;

/// A page of a list.
#[derive(Debug, Serialize)]
pub(crate) struct List<T> {
    pub(crate) items: Vec<T>,
    /// Where the next page begins; null on the last one.
    pub(crate) next_cursor: Option<String>,
}

impl<T> List<T> {
    /// A page of at most `limit` of the `limit + 1` items that were read; `cursor` names an item's place.
    pub(crate) fn cut(mut items: Vec<T>, limit: usize, cursor: impl Fn(&T) -> String) -> Self {
        let more = items.len() > limit;
        items.truncate(limit);
        let next_cursor = items.last().filter(|_| more).map(cursor);
        Self { items, next_cursor }
    }
}

/// The answer to a switch: the thing as it is now, and whether that is news.
#[derive(Debug, Serialize)]
pub(crate) struct Switched<T> {
    #[serde(flatten)]
    pub(crate) now: T,
    /// False: it was so already.
    pub(crate) changed: bool,
}

/// The limit asked for, within bounds.
pub(crate) fn limit(asked: Option<usize>) -> usize {
    asked.unwrap_or(LIMIT_DEFAULT).clamp(1, LIMIT_MAX)
}

/// `running,failed` as states.
pub(crate) fn run_states(text: Option<&str>) -> Outcome<Vec<RunState>> {
    let words = text.unwrap_or("").split(',').map(str::trim).filter(|word| !word.is_empty());
    words
        .map(|word| {
            let known = || RunState::ALL.iter().map(|state| state.as_str()).collect::<Vec<_>>().join(", ");
            RunState::parse(word).ok_or_else(|| {
                let word: String = word.chars().take(40).collect();
                Error::BadRequest(format!("`{word}` is no state of a run; expected some of {}", known()))
            })
        })
        .collect()
}
