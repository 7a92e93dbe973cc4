//! A DAG file's text, line by line: light colours for keys, comments and templates, and errors under their place.

use rota_core::dag::FileError;

/// Most lines of a file that are shown.
pub(crate) const LINES_MAX: usize = 2000;
/// Most characters of a line that are shown.
const LINE_CHARS_MAX: usize = 400;
/// Lines shown around an error.
const AROUND: usize = 4;

/// A piece of a line. `class` is one of the stylesheet's code colours, or empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CodePiece {
    pub(crate) class: &'static str,
    pub(crate) text: String,
}

/// A line.
#[derive(Debug, Clone)]
pub(crate) struct CodeLine {
    pub(crate) no: usize,
    pub(crate) pieces: Vec<CodePiece>,
    /// What is wrong in it; empty: nothing.
    pub(crate) wrong: Vec<String>,
}

/// The whole file.
pub(crate) fn lines(source: &str) -> Vec<CodeLine> {
    let one =
        |(place, text): (usize, &str)| CodeLine { no: place + 1, pieces: pieces(text), wrong: Vec::new() };
    source.lines().take(LINES_MAX).enumerate().map(one).collect()
}

/// The lines around errors; a gap between two of them is where numbers jump.
pub(crate) fn excerpt(source: &str, errors: &[FileError]) -> Vec<CodeLine> {
    let near = |no: usize| errors.iter().any(|error| (error.line as usize).abs_diff(no) <= AROUND);
    source
        .lines()
        .enumerate()
        .map(|(place, text)| (place + 1, text))
        .filter(|(no, _)| near(*no))
        .take(LINES_MAX)
        .map(|(no, text)| faulty(no, text, errors))
        .collect()
}

fn faulty(no: usize, text: &str, errors: &[FileError]) -> CodeLine {
    let here: Vec<&FileError> = errors.iter().filter(|error| error.line as usize == no).collect();
    let wrong = here.iter().map(|error| error.message.clone()).collect();
    let Some(col) = here.first().map(|error| error.col.max(1) as usize - 1) else {
        return CodeLine { no, pieces: pieces(text), wrong };
    };
    let shown: Vec<char> = text.chars().take(LINE_CHARS_MAX).collect();
    let start = col.min(shown.len());
    let end = shown[start..]
        .iter()
        .position(|c| c.is_whitespace() || ":,]}".contains(*c))
        .map_or(shown.len(), |length| start + length.max(1).min(shown.len() - start));
    let piece = |class, chars: &[char]| CodePiece { class, text: chars.iter().collect() };
    let pieces =
        vec![piece("", &shown[..start]), piece("wrong", &shown[start..end]), piece("", &shown[end..])];
    CodeLine { no, pieces, wrong }
}

/// The colours of one YAML line.
fn pieces(text: &str) -> Vec<CodePiece> {
    let shown: String = text.chars().take(LINE_CHARS_MAX).collect();
    let (code, comment) = split_comment(&shown);
    let mut out = Vec::new();
    match key_end(code) {
        Some((start, end)) => {
            push(&mut out, "", &code[..start]);
            push(&mut out, "k", &code[start..end]);
            values(&mut out, &code[end..]);
        }
        None => values(&mut out, code),
    }
    push(&mut out, "c", comment);
    out
}

fn push(out: &mut Vec<CodePiece>, class: &'static str, text: &str) {
    if !text.is_empty() {
        out.push(CodePiece { class, text: text.to_owned() });
    }
}

/// A `#` at the start or after a space, outside of quotes, begins a comment.
fn split_comment(line: &str) -> (&str, &str) {
    let mut quote = None;
    let mut before = ' ';
    for (at, c) in line.char_indices() {
        match (quote, c) {
            (None, '#') if before.is_whitespace() => return line.split_at(at),
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), _) if open == c => quote = None,
            _ => {}
        }
        before = c;
    }
    (line, "")
}

/// Where the key of a `key: value` line stands.
fn key_end(code: &str) -> Option<(usize, usize)> {
    let start = code.len() - code.trim_start_matches([' ', '-']).len();
    let colon = code[start..].find(':')? + start;
    let after = code[colon + 1..].chars().next();
    let plain = code[start..colon].chars().all(|c| c.is_alphanumeric() || "_.-\"'@ ".contains(c));
    (plain && colon > start && after.is_none_or(char::is_whitespace)).then_some((start, colon))
}

/// Templates and quoted texts within a value.
fn values(out: &mut Vec<CodePiece>, text: &str) {
    let mut rest = text;
    while let Some(open) = rest.find("{{") {
        let close = rest[open..].find("}}").map_or(rest.len(), |end| open + end + 2);
        push(out, "", &rest[..open]);
        push(out, "v", &rest[open..close]);
        rest = &rest[close..];
    }
    push(out, "", rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(line: &str) -> Vec<(&'static str, String)> {
        pieces(line).into_iter().map(|piece| (piece.class, piece.text)).collect()
    }

    #[test]
    fn keys_comments_and_templates_get_their_colour() {
        assert_eq!(
            said("  run: ./a.sh {{ ds }} # daily"),
            [
                ("", "  ".into()),
                ("k", "run".into()),
                ("", ": ./a.sh ".into()),
                ("v", "{{ ds }}".into()),
                ("", " ".into()),
                ("c", "# daily".into())
            ]
        );
        assert_eq!(said("cron: \"0 # 6\"").last().map(|piece| piece.0), Some(""));
    }

    #[test]
    fn no_line_breaks_the_colours() {
        for line in ["", ":", "- :", "{{", "a:b", "\"", "é: ü # ß", "   ", "'#': {{ }} }}", "\u{0}#"] {
            let text: String = pieces(line).into_iter().map(|piece| piece.text).collect();
            assert_eq!(text, line);
        }
    }

    #[test]
    fn an_error_marks_the_word_at_its_column() {
        let error = |line, col| FileError {
            path: "a.yaml".into(),
            line,
            col,
            message: "unknown key".into(),
            hint: None,
        };
        let lines = excerpt("a: 1\n    retires: 3\n", &[error(2, 5)]);
        assert_eq!(lines[1].pieces[1], CodePiece { class: "wrong", text: "retires".into() });
        for (line, col) in [(1, 0), (1, 99), (9, 9), (2, 1)] {
            excerpt("a: 1\n    retires: 3\n", &[error(line, col)]);
        }
    }
}
