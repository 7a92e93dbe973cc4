//! What stands within quotes, braces, arithmetic and subscripts: where each ends and what begins in it.

use super::reader::{Arithmetic, Last, ShellFrame, ShellReader, Subscript};
use super::reasons::*;

impl ShellReader {
    /// All up to and with the closing quote.
    pub(super) fn single(&mut self, rest: &str) -> usize {
        let end = rest.find('\'');
        let text = &rest[..end.unwrap_or(rest.len())];
        if let Some(command) = self.commands.last_mut() {
            command.word.text.push_str(text);
        }
        if end.is_some() {
            self.pop();
        }
        text.len() + usize::from(end.is_some())
    }

    pub(super) fn comment(&mut self, c: char) -> usize {
        if c == '\n' {
            self.pop();
            self.separate();
            self.last = Last::Separator;
            self.start_documents();
        }
        c.len_utf8()
    }

    pub(super) fn ansi(&mut self, c: char) -> usize {
        match (self.last, c) {
            (Last::Backslash, '\'') => {
                self.lost = Some(ESCAPE_IN_ANSI);
                self.last = Last::Word;
            }
            (Last::Backslash, _) => self.last = Last::Word,
            (_, '\'') => self.pop(),
            (_, '\\') => self.last = Last::Backslash,
            _ => {
                self.in_word(c);
                self.last = Last::Word;
            }
        }
        c.len_utf8()
    }

    pub(super) fn backquote(&mut self, c: char) -> usize {
        match (self.last, c) {
            (Last::Backslash, _) => self.last = Last::Word,
            (_, '`') => self.pop(),
            (_, '\\') => self.last = Last::Backslash,
            _ => self.last = Last::Word,
        }
        c.len_utf8()
    }

    pub(super) fn double(&mut self, rest: &str, c: char) -> usize {
        if self.last == Last::Backslash {
            self.last = Last::Word;
            self.in_word(c);
            return c.len_utf8();
        }
        let dollar = self.last == Last::Dollar;
        match c {
            '"' => {
                self.pop();
                return 1;
            }
            '`' => self.push(ShellFrame::Backquote),
            '{' if dollar => self.push(ShellFrame::Brace),
            '[' if dollar => self.lost = Some(OLD_ARITHMETIC),
            '(' if dollar => return self.paren(rest),
            '\\' => {}
            _ => self.in_word(c),
        }
        self.last = self.after(c);
        c.len_utf8()
    }

    pub(super) fn brace(&mut self, rest: &str, c: char) -> usize {
        if self.last == Last::Backslash {
            self.last = Last::Word;
            return c.len_utf8();
        }
        let dollar = self.last == Last::Dollar;
        match c {
            '}' => {
                self.pop();
                return 1;
            }
            '\'' | '"' if self.frames.contains(&ShellFrame::Double) => self.lost = Some(QUOTES_IN_BRACES),
            '\'' if dollar => self.push(ShellFrame::Ansi),
            '\'' => self.push(ShellFrame::Single),
            '"' => self.push(ShellFrame::Double),
            '`' => self.push(ShellFrame::Backquote),
            '{' if dollar => self.push(ShellFrame::Brace),
            '(' if dollar => return self.paren(rest),
            _ => {}
        }
        self.last = self.after(c);
        c.len_utf8()
    }

    /// `$$` is a word of its own: what follows it is no `$( )`.
    pub(super) fn after(&self, c: char) -> Last {
        match c {
            '$' if self.last != Last::Dollar => Last::Dollar,
            '\\' => Last::Backslash,
            _ => Last::Word,
        }
    }

    pub(super) fn arithmetic(&mut self, rest: &str, c: char, arithmetic: Arithmetic) -> usize {
        let dollar = self.last == Last::Dollar;
        let depth = arithmetic.depth;
        match c {
            '(' if dollar => return self.paren(rest),
            '{' if dollar => self.push(ShellFrame::Brace),
            '(' => self.replace(ShellFrame::Arithmetic(Arithmetic { depth: depth + 1, ..arithmetic })),
            ')' if depth > 0 => {
                self.replace(ShellFrame::Arithmetic(Arithmetic { depth: depth - 1, ..arithmetic }))
            }
            ')' if rest.starts_with("))") => {
                self.pop();
                if !arithmetic.is_word {
                    self.last = Last::Separator;
                    if let Some(command) = self.commands.last_mut() {
                        command.close();
                    }
                }
                return 2;
            }
            ')' => self.lost = Some(ODD_ARITHMETIC),
            '"' => self.push(ShellFrame::Double),
            '\'' => self.push(ShellFrame::Single),
            '`' => self.push(ShellFrame::Backquote),
            _ => {}
        }
        self.last = if c == '$' && !dollar { Last::Dollar } else { Last::Word };
        c.len_utf8()
    }

    pub(super) fn subscript(&mut self, rest: &str, c: char, subscript: Subscript) -> usize {
        let dollar = self.last == Last::Dollar;
        let is_odd = subscript.has_blank
            && (matches!(c, '\'' | '"' | '`' | '#' | '\\' | '<' | '>' | ';' | '&' | '|' | '(' | ')' | '{'));
        if is_odd || matches!(c, '\n' | '\\') {
            self.lost = self.lost.or(Some(ODD_SUBSCRIPT));
        }
        let depth = subscript.depth;
        match c {
            ' ' | '\t' => self.replace(ShellFrame::Subscript(Subscript { has_blank: true, ..subscript })),
            '(' if dollar => return self.paren(rest),
            '{' if dollar => self.push(ShellFrame::Brace),
            '[' => self.replace(ShellFrame::Subscript(Subscript { depth: depth + 1, ..subscript })),
            ']' if depth > 0 => {
                self.replace(ShellFrame::Subscript(Subscript { depth: depth - 1, ..subscript }))
            }
            ']' => {
                self.pop();
                self.in_word(c);
                return 1;
            }
            '"' => self.push(ShellFrame::Double),
            '\'' => self.push(ShellFrame::Single),
            '`' => self.push(ShellFrame::Backquote),
            _ => {}
        }
        self.last = if c == '$' && !dollar { Last::Dollar } else { Last::Word };
        c.len_utf8()
    }

    pub(super) fn replace(&mut self, frame: ShellFrame) {
        if let Some(last) = self.frames.last_mut() {
            *last = frame;
        }
    }
}
