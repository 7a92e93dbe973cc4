//! A stored line in its parts: `2026-11-20T13:00:00.123456Z out text`.

use std::borrow::Cow;

use super::ansi::ansi;

/// Bytes of a stamp, up to the source.
const TIME_BYTES: usize = 27;

/// Who wrote a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LineWriter {
    /// The task, to its standard output.
    Out,
    /// The task, to its standard error.
    Err,
    /// rota.
    Rota,
}

/// When, by whom, and what. A line that is stored without a stamp is all text.
pub(crate) fn parts(line: &str) -> (Option<(&str, LineWriter)>, &str) {
    let stamped = || {
        let (time, rest) = line.split_at_checked(TIME_BYTES)?;
        let (word, text) = rest.strip_prefix(' ')?.split_once(' ')?;
        let source = match word {
            "out" => LineWriter::Out,
            "err" => LineWriter::Err,
            "sys" => LineWriter::Rota,
            _ => return None,
        };
        time.ends_with('Z').then_some((Some((time, source)), text))
    };
    stamped().unwrap_or((None, line))
}

/// The text as it is seen: without colour codes and other control characters.
pub(crate) fn plain(text: &str) -> Cow<'_, str> {
    // 0xc2 begins the control characters of ISO 8859, among others.
    let may_vanish = |byte: u8| (byte < b' ' && byte != b'\t') || byte == 0x7f || byte == 0xc2;
    if !text.bytes().any(may_vanish) {
        return Cow::Borrowed(text);
    }
    ansi(text).into_iter().map(|span| span.text).collect::<String>().into()
}
