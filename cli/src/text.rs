//! Texts of others on a person's terminal: names, reasons and log lines must not be able to move the cursor, set the window
//! title, fill the clipboard or reorder what is read. Escape sequences go as a whole; of a log, colours may stay.

mod escape;

use std::borrow::Cow;
use std::io::IsTerminal;

use self::escape::EscapedPiece;

/// What becomes of colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Colours {
    /// They stay: a person looks at a terminal.
    Stay,
    /// They go.
    Go,
}

impl Colours {
    /// They stay on a terminal, unless its owner wants none (`NO_COLOR`).
    pub(crate) fn on(stream: &impl IsTerminal) -> Self {
        let is_unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        if stream.is_terminal() && !is_unwanted { Self::Stay } else { Self::Go }
    }
}

/// `text` without control characters and escape sequences; line ends and tabs become spaces. For names and reasons.
pub(crate) fn clean(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let kept = escape::pieces(text).filter_map(|piece| match piece {
        EscapedPiece::Char('\n' | '\t') => Some(' '),
        EscapedPiece::Char(c) if !is_unsafe(c) => Some(c),
        EscapedPiece::Char(_) | EscapedPiece::Colour(_) | EscapedPiece::Sequence => None,
    });
    Cow::Owned(kept.collect())
}

/// The same with line ends and tabs as they are. For texts of several lines.
pub(crate) fn clean_block(text: &str) -> Cow<'_, str> {
    clean_log(text, Colours::Go)
}

/// The same for what a task printed. Colours that stay end with their line, so that they colour nothing else.
pub(crate) fn clean_log(text: &str, colours: Colours) -> Cow<'_, str> {
    if !text.chars().any(|c| is_unsafe(c) && !matches!(c, '\n' | '\t')) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut is_coloured = false;
    for piece in escape::pieces(text) {
        match piece {
            EscapedPiece::Colour(sequence) if colours == Colours::Stay => {
                out.push_str(sequence);
                is_coloured = true;
            }
            EscapedPiece::Char('\n') => {
                end_colour(&mut out, &mut is_coloured);
                out.push('\n');
            }
            EscapedPiece::Char(c) if c == '\t' || !is_unsafe(c) => out.push(c),
            EscapedPiece::Char(_) | EscapedPiece::Colour(_) | EscapedPiece::Sequence => {}
        }
    }
    end_colour(&mut out, &mut is_coloured);
    Cow::Owned(out)
}

fn end_colour(out: &mut String, is_coloured: &mut bool) {
    if std::mem::take(is_coloured) && !out.ends_with("\x1b[0m") && !out.ends_with("\x1b[m") {
        out.push_str("\x1b[0m");
    }
}

/// Whether a terminal would act on `c`, or a reader would be misled by it.
fn is_unsafe(c: char) -> bool {
    let reorders = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || reorders
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_sequences_go_with_what_belongs_to_them() {
        assert_eq!(clean("a\u{1b}[31mb\u{9b}31mc\u{7f}\r\nd\te"), "abc d e");
        assert_eq!(clean_block("a\u{1b}]0;title\u{7}b\r\n\tc"), "ab\n\tc");
        assert_eq!(clean_block("\u{1b}[1;31mred\u{1b}[0m\u{1b}[2J\u{1b}[H plain"), "red plain");
    }

    #[test]
    fn on_a_terminal_colours_stay_until_the_end_of_their_line_and_nothing_else_does() {
        let log = "\u{1b}[1;31mred\nplain\u{1b}[2K\u{1b}]52;c;ZXZpbA==\u{7}\n\u{1b}[32mok\u{1b}[0m\n";
        assert_eq!(clean_log(log, Colours::Stay), "\u{1b}[1;31mred\u{1b}[0m\nplain\n\u{1b}[32mok\u{1b}[0m\n");
        assert_eq!(clean_log(log, Colours::Go), "red\nplain\nok\n");
    }

    #[test]
    fn texts_that_reorder_are_flattened_and_other_scripts_stay() {
        assert_eq!(clean("a\u{202e}b"), "ab");
        assert_eq!(clean("größe 日本"), "größe 日本");
    }
}
