//! Here-documents: where they begin and end, and how a value is written in one.

use super::escape;
use super::reader::{Document, Last, ShellFrame, ShellReader};
use super::reasons::*;

impl ShellReader {
    /// `<<`, `<<-` and the word that will end the here-document.
    pub(super) fn delimiter(&mut self, rest: &str) -> usize {
        let strips_tabs = rest.starts_with("<<-");
        let head = if strips_tabs { 3 } else { 2 };
        let word_at = rest.len() - rest[head..].trim_start_matches([' ', '\t']).len();
        let ends = |c: char| matches!(c, ' ' | '\t' | '\n' | ';' | '&' | '|' | '(' | ')' | '<' | '>');
        let word = rest[word_at..].split(ends).next().unwrap_or_default();
        self.expects_delimiter = word_at + word.len() == rest.len();
        let (delimiter, is_quoted) = unquoted(word);
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        if delimiter.is_empty() || !delimiter.chars().all(is_plain) {
            self.lost = self.lost.or(Some(ODD_DELIMITER));
        }
        let reader = self.input_reader();
        self.pending.push(Document { delimiter: delimiter.to_owned(), is_quoted, strips_tabs, reader });
        self.last = Last::Word;
        word_at + word.len()
    }

    pub(super) fn start_documents(&mut self) {
        if !self.pending.is_empty() {
            self.open = std::mem::take(&mut self.pending);
            self.push(ShellFrame::Document);
            self.line.clear();
            self.line_value = None;
        }
    }

    pub(super) fn in_document(&mut self, no: usize, text: &str) -> Result<String, &'static str> {
        if self.frames.len() > 1 {
            return Err(DOCUMENT_IN_SUBSTITUTION);
        }
        let document = self.open.first();
        let is_quoted = document.is_some_and(|document| document.is_quoted);
        match self.last {
            Last::Backslash if !is_quoted => return Err(AFTER_BACKSLASH),
            Last::Dollar if !is_quoted => return Err(AFTER_DOLLAR),
            Last::Backslash | Last::Dollar | Last::Separator | Last::Word => {}
        }
        if let Some(program) = document.and_then(|document| document.reader) {
            self.note_code(no, program);
        }
        let placed = if is_quoted { text.to_owned() } else { escape(text, &['\\', '$', '`']) };
        self.line_value = Some(no);
        for (part_no, part) in placed.split('\n').enumerate() {
            if part_no > 0 {
                if self.line_ends_document() {
                    return Err(ENDS_DOCUMENT);
                }
                self.line.clear();
            }
            self.line.push_str(part);
        }
        Ok(placed)
    }

    fn line_ends_document(&self) -> bool {
        self.open.first().is_some_and(|document| {
            let line = if document.strips_tabs { self.line.trim_start_matches('\t') } else { &self.line };
            line == document.delimiter
        })
    }

    pub(super) fn document(&mut self, rest: &str, c: char) -> usize {
        let is_quoted = self.open.first().is_some_and(|document| document.is_quoted);
        if c == '\n' {
            self.end_line(is_quoted);
            return 1;
        }
        self.line.push(c);
        let (escaped, dollar) = (self.last == Last::Backslash, self.last == Last::Dollar);
        self.last = Last::Word;
        if is_quoted || escaped {
            return c.len_utf8();
        }
        match c {
            '\\' => self.last = Last::Backslash,
            '$' if !dollar => self.last = Last::Dollar,
            '`' => self.lost = self.lost.or(Some(SUBSTITUTION_IN_DOCUMENT)),
            _ => {}
        }
        if rest.starts_with("$(")
            || rest.starts_with("$[")
            || rest.starts_with("${") && !is_simple_brace(rest)
        {
            self.lost = self.lost.or(Some(SUBSTITUTION_IN_DOCUMENT));
        }
        c.len_utf8()
    }

    fn end_line(&mut self, is_quoted: bool) {
        if self.last == Last::Backslash && !is_quoted {
            self.lost = self.lost.or(Some(JOINED_LINES));
        }
        if self.line_ends_document() {
            if let Some(value) = self.line_value {
                self.fault = self.fault.or(Some((value, ENDS_DOCUMENT)));
            }
            self.open.remove(0);
            if self.open.is_empty() {
                self.pop();
            }
        }
        self.line.clear();
        self.line_value = None;
        self.last = Last::Separator;
    }
}

/// A here-document's delimiter without its quotes, and whether it had any. Other ways to quote it stay as they are.
fn unquoted(word: &str) -> (&str, bool) {
    let inside = |quote: char| word.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    let quoted = inside('\'').or_else(|| inside('"')).or_else(|| word.strip_prefix('\\'));
    (quoted.unwrap_or(word), quoted.is_some())
}

/// `${NAME}`.
fn is_simple_brace(rest: &str) -> bool {
    rest[2..].split_once('}').is_some_and(|(name, _)| crate::dag::read::is_env_name(name))
}
