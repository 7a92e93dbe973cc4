//! Escape sequences as terminals read them (ECMA-48, xterm): where each one ends, and which ones only colour text.

/// A part of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EscapedPiece<'t> {
    /// A character that belongs to no sequence.
    Char(char),
    /// A sequence that does nothing but colour, or make bold, what follows.
    Colour(&'t str),
    /// Any other sequence, whole or cut off.
    Sequence,
}

/// The parts of a text, in order.
pub(super) fn pieces(text: &str) -> impl Iterator<Item = EscapedPiece<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let Some(bytes) = sequence_bytes(rest) else {
            rest = &rest[first.len_utf8()..];
            return Some(EscapedPiece::Char(first));
        };
        let (sequence, after) = rest.split_at(bytes);
        rest = after;
        Some(if is_colour(sequence) { EscapedPiece::Colour(sequence) } else { EscapedPiece::Sequence })
    })
}

/// How long the sequence is that `text` begins with; `None` if it begins with none.
fn sequence_bytes(text: &str) -> Option<usize> {
    let mut chars = text.chars();
    let opener = match chars.next()? {
        '\u{1b}' => chars.next(),
        // The same as one character.
        '\u{9b}' => Some('['),
        '\u{9d}' => Some(']'),
        '\u{90}' => Some('P'),
        '\u{98}' => Some('X'),
        '\u{9e}' => Some('^'),
        '\u{9f}' => Some('_'),
        _ => return None,
    };
    let rest = chars.as_str();
    let opened = text.len() - rest.len();
    Some(match opener {
        Some('[') => opened + control_bytes(rest),
        Some(']' | 'P' | 'X' | '^' | '_') => opened + string_bytes(rest),
        Some(' '..='/') => opened + intermediate_bytes(rest),
        Some('0'..='~') => opened,
        // A lone escape; what follows stands for itself.
        Some(_) | None => 1,
    })
}

/// The rest of a control sequence: parameters, intermediates, one final character.
fn control_bytes(rest: &str) -> usize {
    let parameters = rest.bytes().take_while(|byte| (0x30..=0x3f).contains(byte)).count();
    parameters + intermediate_bytes(&rest[parameters..])
}

/// Intermediates and one final character, which is missing where the sequence is cut off.
fn intermediate_bytes(rest: &str) -> usize {
    let intermediates = rest.bytes().take_while(|byte| (0x20..=0x2f).contains(byte)).count();
    let has_final = rest.as_bytes().get(intermediates).is_some_and(|byte| (0x30..=0x7e).contains(byte));
    intermediates + usize::from(has_final)
}

/// The rest of a string (a title, a clipboard), up to its end. One without an end goes as far as its line.
fn string_bytes(rest: &str) -> usize {
    for (place, c) in rest.char_indices() {
        match c {
            '\u{7}' | '\u{9c}' => return place + c.len_utf8(),
            '\u{1b}' if rest[place + 1..].starts_with('\\') => return place + 2,
            '\u{1b}' | '\n' => return place,
            _ => {}
        }
    }
    rest.len()
}

/// Whether a sequence selects colours, weight or underlining. Blinking and hidden text is none of that.
fn is_colour(sequence: &str) -> bool {
    let Some(parameters) = sequence.strip_prefix("\u{1b}[").and_then(|rest| rest.strip_suffix('m')) else {
        return false;
    };
    let mut codes =
        parameters.split([';', ':']).map(|code| if code.is_empty() { Some(0) } else { code.parse().ok() });
    while let Some(code) = codes.next() {
        let arguments = match code {
            Some(38 | 48 | 58) => match codes.next().flatten() {
                Some(5) => 1,
                Some(2) => 3,
                _ => return false,
            },
            Some(0..=4 | 7 | 9 | 21..=24 | 27 | 29..=37 | 39..=47 | 49 | 59 | 90..=97 | 100..=107) => 0,
            _ => return false,
        };
        for _ in 0..arguments {
            if codes.next().flatten().is_none() {
                return false;
            }
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> String {
        pieces(text)
            .filter_map(|piece| if let EscapedPiece::Char(c) = piece { Some(c) } else { None })
            .collect()
    }

    #[test]
    fn every_kind_of_sequence_ends_where_a_terminal_ends_it() {
        let sequences = [
            "\u{1b}[31m",
            "\u{1b}[?25l",
            "\u{1b}[1;2H",
            "\u{1b}[!p",
            "\u{1b}[0 q",
            "\u{1b}]0;title\u{7}",
            "\u{1b}]52;c;ZXZpbA==\u{1b}\\",
            "\u{1b}]8;;http://x\u{9c}",
            "\u{1b}P1$r0m\u{1b}\\",
            "\u{1b}_apc\u{1b}\\",
            "\u{1b}^pm\u{1b}\\",
            "\u{1b}Xsos\u{1b}\\",
            "\u{1b}(B",
            "\u{1b}#8",
            "\u{1b}c",
            "\u{1b}7",
            "\u{1b}=",
            "\u{9b}2J",
            "\u{9d}0;t\u{9c}",
            "\u{90}q\u{9c}",
            "\u{9e}p\u{7}",
            "\u{9f}a\u{7}",
            "\u{98}s\u{7}",
        ];
        for sequence in sequences {
            assert_eq!(plain(&format!("a{sequence}b")), "ab", "{sequence:?}");
            assert_eq!(pieces(&format!("a{sequence}b")).count(), 3, "{sequence:?}");
        }
    }

    #[test]
    fn what_is_cut_off_takes_no_line_with_it() {
        for cut in ["\u{1b}", "\u{1b}[", "\u{1b}[3", "\u{1b}]0;t", "\u{1b}P", "\u{9b}", "\u{1b}("] {
            assert_eq!(plain(&format!("a{cut}\nb")), "a\nb", "{cut:?}");
            assert_eq!(plain(&format!("a{cut}")), "a", "{cut:?}");
        }
        assert_eq!(plain("\u{1b}größe"), "röße", "a letter behind the escape belongs to it");
        assert_eq!(plain("\u{1b}[31größe"), "röße", "the first letter ends the sequence");
    }

    #[test]
    fn only_what_colours_is_a_colour() {
        for yes in ["", "0", "1;31", "38;5;196", "38;2;1;2;3", "48:5:7", "4", "7;97;100"] {
            assert!(is_colour(&format!("\u{1b}[{yes}m")), "{yes}");
        }
        for no in ["8", "5", "1;8", "38", "38;5", "38;2;1;2", "?1", ">4;2", "31 ", "999", "38;3;1"] {
            assert!(!is_colour(&format!("\u{1b}[{no}m")), "{no}");
        }
        for no in ["\u{1b}[2J", "\u{1b}]0;m", "\u{9b}31m", "\u{1b}[31"] {
            assert!(!is_colour(no), "{no:?}");
        }
    }
}
