//! Lines: where they end, how long they may be, and who takes them.

use std::borrow::Cow;
use std::future::Future;

use chrono::{DateTime, Utc};

/// A line that is longer is split.
pub const LINE_BYTES_MAX: usize = 16 * 1024;

/// Where a line comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stream {
    /// The task's standard output.
    Out,
    /// The task's standard error.
    Err,
    /// A remark by rota.
    Sys,
}

impl Stream {
    /// The word in stored logs: `out`, `err`, `sys`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Out => "out",
            Self::Err => "err",
            Self::Sys => "sys",
        }
    }
}

/// Takes the lines of one attempt.
pub trait LineSink: Send {
    /// Takes one or more whole lines, each ended by `\n` and at most [`LINE_BYTES_MAX`] long, in any encoding.
    /// [`lines_of`] cuts them apart. Must not block.
    fn take(&mut self, at: DateTime<Utc>, stream: Stream, block: &[u8]);

    /// Waits until the sink wants more. While it waits, the task blocks as soon as its pipes are full. May be dropped
    /// and called again.
    fn ready(&mut self) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }
}

/// The lines of a block without their ends, as text: what is no UTF-8 and NUL (which not every store takes) are
/// replaced.
pub fn lines_of(block: &[u8]) -> impl DoubleEndedIterator<Item = Cow<'_, str>> {
    let block = block.strip_suffix(b"\n").unwrap_or(block);
    block.split(|byte| *byte == b'\n').map(|line| {
        let text = String::from_utf8_lossy(line);
        if text.contains('\0') { Cow::Owned(text.replace('\0', "\u{fffd}")) } else { text }
    })
}

/// Cuts the bytes of one stream into lines. `\n`, `\r\n` and a lone `\r` (progress bars) each end a line.
pub(crate) struct Splitter {
    stream: Stream,
    /// The line that has no end yet; shorter than [`LINE_BYTES_MAX`].
    partial: Vec<u8>,
    /// The last byte was `\r`: a `\n` that follows belongs to it.
    is_after_cr: bool,
}

impl Splitter {
    pub(crate) fn new(stream: Stream) -> Self {
        Self { stream, partial: Vec::new(), is_after_cr: false }
    }

    /// Passes on the lines that `bytes` complete.
    pub(crate) fn feed(&mut self, bytes: &[u8], at: DateTime<Utc>, sink: &mut impl LineSink) {
        if self.is_after_cr || bytes.contains(&b'\r') {
            let plain = self.without_cr(bytes);
            self.feed_plain(&plain, at, sink);
        } else {
            self.feed_plain(bytes, at, sink);
        }
    }

    /// Whether a line waits for its end.
    pub(crate) fn has_partial(&self) -> bool {
        !self.partial.is_empty()
    }

    /// Passes on the last line although it has no end.
    pub(crate) fn finish(&mut self, at: DateTime<Utc>, sink: &mut impl LineSink) {
        if self.has_partial() {
            self.partial.push(b'\n');
            sink.take(at, self.stream, &std::mem::take(&mut self.partial));
        }
    }

    fn without_cr(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut plain = Vec::with_capacity(bytes.len());
        for byte in bytes {
            match byte {
                b'\r' => plain.push(b'\n'),
                b'\n' if self.is_after_cr => {}
                other => plain.push(*other),
            }
            self.is_after_cr = *byte == b'\r';
        }
        plain
    }

    fn feed_plain(&mut self, bytes: &[u8], at: DateTime<Utc>, sink: &mut impl LineSink) {
        let Some(last_end) = bytes.iter().rposition(|byte| *byte == b'\n') else {
            return self.grow(bytes, at, sink);
        };
        let (mut whole, rest) = bytes.split_at(last_end + 1);
        if self.has_partial() {
            let first_end = whole.iter().position(|byte| *byte == b'\n').unwrap_or(last_end);
            let (head, others) = whole.split_at(first_end);
            self.grow(head, at, sink);
            if self.has_partial() {
                self.finish(at, sink);
            }
            whole = &others[1..];
        }
        self.pass(whole, at, sink);
        self.grow(rest, at, sink);
    }

    /// Passes on whole lines, cutting those that are too long.
    fn pass(&mut self, whole: &[u8], at: DateTime<Utc>, sink: &mut impl LineSink) {
        if whole.is_empty() {
            return;
        }
        let is_short = |line: &[u8]| line.len() <= LINE_BYTES_MAX;
        if whole.len() <= LINE_BYTES_MAX || whole.split_inclusive(|byte| *byte == b'\n').all(is_short) {
            return sink.take(at, self.stream, whole);
        }
        for line in whole.split_inclusive(|byte| *byte == b'\n') {
            if is_short(line) {
                sink.take(at, self.stream, line);
            } else {
                self.grow(&line[..line.len() - 1], at, sink);
                self.finish(at, sink);
            }
        }
    }

    /// Adds to the line without an end; passes on pieces of it that are as long as a line may be.
    fn grow(&mut self, bytes: &[u8], at: DateTime<Utc>, sink: &mut impl LineSink) {
        self.partial.extend_from_slice(bytes);
        while self.partial.len() >= LINE_BYTES_MAX {
            let cut = char_border(&self.partial, LINE_BYTES_MAX - 1);
            let rest = self.partial.split_off(cut);
            self.partial.push(b'\n');
            sink.take(at, self.stream, &std::mem::replace(&mut self.partial, rest));
        }
    }
}

/// The last place at or before `at` that does not cut a UTF-8 character in two.
fn char_border(bytes: &[u8], at: usize) -> usize {
    let is_border = |place: &usize| bytes.get(*place).is_none_or(|byte| byte & 0xc0 != 0x80);
    (at.saturating_sub(3)..=at).rev().find(is_border).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Lines(Vec<String>);

    impl LineSink for Lines {
        fn take(&mut self, _: DateTime<Utc>, _: Stream, block: &[u8]) {
            assert!(block.ends_with(b"\n"));
            self.0.extend(lines_of(block).map(Cow::into_owned));
        }
    }

    fn split(pieces: &[&[u8]]) -> Vec<String> {
        let (mut splitter, mut lines) = (Splitter::new(Stream::Out), Lines::default());
        for piece in pieces {
            splitter.feed(piece, DateTime::UNIX_EPOCH, &mut lines);
        }
        splitter.finish(DateTime::UNIX_EPOCH, &mut lines);
        lines.0
    }

    #[test]
    fn lines_do_not_depend_on_how_reads_cut_them() {
        let text = "one\n\ntwo\r\nthree\rfour\r\n\r\nfünf";
        let expected = ["one", "", "two", "three", "four", "", "fünf"];
        for size in 1..=text.len() {
            let pieces: Vec<&[u8]> = text.as_bytes().chunks(size).collect();
            assert_eq!(split(&pieces), expected, "pieces of {size} bytes");
        }
    }

    #[test]
    fn endless_lines_are_split_without_cutting_characters() {
        let text = "ä".repeat(40_000);
        for size in [1_000, 65_536, 80_000] {
            let pieces: Vec<&[u8]> = text.as_bytes().chunks(size).collect();
            let lines = split(&pieces);
            assert!(lines.iter().all(|line| line.len() < LINE_BYTES_MAX && !line.contains('\u{fffd}')));
            assert_eq!(lines.concat(), text);
        }
        let ended = format!("{text}\nshort\n");
        let lines = split(&[ended.as_bytes()]);
        assert_eq!(lines.concat(), format!("{text}short"));
        assert_eq!(lines.last().map(String::as_str), Some("short"));
    }

    #[test]
    fn bytes_that_are_no_text_are_replaced() {
        assert_eq!(split(&[b"a\xff\xfeb\n\0\n"]), ["a\u{fffd}\u{fffd}b", "\u{fffd}"]);
    }
}
