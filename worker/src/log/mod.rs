//! What a task prints, on its way to the store: split into lines, stamped, capped, cut into chunks.
//!
//! Nothing is stored and almost nothing allocated for a task that prints nothing.

mod attempt;
mod buffer;
mod lines;
mod stamp;
mod tail;
mod writer;

pub(crate) use attempt::AttemptLog;
pub(crate) use lines::Splitter;
pub use lines::{LINE_BYTES_MAX, LineSink, Stream, lines_of};
pub(crate) use writer::{LogWriter, LogWriterHandle};
