//! DAG files through the public API: what is read, what is refused and with which words, what templates make of it.
#![allow(missing_docs, reason = "a test binary has no readers of documentation")]

mod support;
mod templates;
