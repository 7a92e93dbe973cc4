//! Logs by line: where each line is, windows of lines, and search. The store keeps a log as chunks of text; it counts the
//! line ends in them, and only the chunks that are wanted are ever read. What one request does is bounded, however long
//! the log is.

mod ansi;
mod index;
mod line;
mod needle;
mod reader;
mod search;
mod window;

pub(crate) use ansi::{LineSpan, ansi};
pub(crate) use index::{LineIndex, LogBook};
pub(crate) use line::{LineWriter, parts, plain};
pub(crate) use needle::Needle;
pub(crate) use reader::StoredLine;
pub(crate) use search::{SearchDirection, SearchHit};
pub(crate) use window::{WINDOW_LINES, window};

use std::sync::Arc;

use rota_core::id::AttemptKey;

use crate::app::WebStore;

/// An attempt's log as it is known at one moment.
#[derive(Clone)]
pub(crate) struct Log {
    pub(crate) store: Arc<dyn WebStore>,
    pub(crate) key: AttemptKey,
    pub(crate) index: Arc<LineIndex>,
}
