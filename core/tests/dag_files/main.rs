//! DAG files through the public API: what is read, what is refused and with which words, what templates make of it.
#![expect(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

mod bad;
mod bombs;
mod contexts;
mod fuzz;
mod good;
mod inject;
mod params;
mod remarks;
mod support;
mod templates;
mod words;
