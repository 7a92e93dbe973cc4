//! Texts of others on a person's terminal: names, reasons and log lines must not be able to move the cursor, change
//! colours, set the window title or reorder what is read.

use std::borrow::Cow;

/// `text` without control characters; line ends and tabs become spaces. For names and reasons.
pub(crate) fn clean(text: &str) -> Cow<'_, str> {
    replaced(text, |c| if matches!(c, '\n' | '\t') { Some(' ') } else { None })
}

/// `text` without control characters but for line ends and tabs. For log lines.
pub(crate) fn clean_block(text: &str) -> Cow<'_, str> {
    replaced(text, |c| if matches!(c, '\n' | '\t') { Some(c) } else { None })
}

/// Whether a terminal would act on `c`, or a reader would be misled by it.
fn is_unsafe(c: char) -> bool {
    let reorders = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || reorders
}

fn replaced(text: &str, keep: impl Fn(char) -> Option<char>) -> Cow<'_, str> {
    if !text.chars().any(is_unsafe) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().filter_map(|c| if is_unsafe(c) { keep(c) } else { Some(c) }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_lose_their_escape() {
        assert_eq!(clean("a\u{1b}[31mb\u{9b}c\u{7f}\r\nd\te"), "a[31mbc d e");
        assert_eq!(clean_block("a\u{1b}]0;title\u{7}b\r\n\tc"), "a]0;titleb\n\tc");
    }

    #[test]
    fn texts_that_reorder_are_flattened_and_other_scripts_stay() {
        assert_eq!(clean("a\u{202e}b"), "ab");
        assert_eq!(clean("größe 日本"), "größe 日本");
    }
}
