//! The shell's own language: words, separators, redirections and parentheses.

use super::reader::{Arithmetic, Last, Paren, ShellFrame, ShellReader, Subscript};
use super::reasons::*;
use super::words::ShellCommand;

impl ShellReader {
    pub(super) fn in_word(&mut self, c: char) {
        if let Some(command) = self.commands.last_mut() {
            command.word.push(c);
        }
    }

    pub(super) fn end_word(&mut self) {
        let in_parens = self.commands.len() > 1;
        let Some(command) = self.commands.last_mut() else { return };
        if in_parens && command.word.text == "case" {
            self.lost = self.lost.or(Some(CASE_IN_SUBSTITUTION));
        }
        if let Err(fault) = command.end_word(&mut self.variables) {
            self.fault = self.fault.or(Some(fault));
        }
    }

    pub(super) fn separate(&mut self) {
        self.end_word();
        if let Some(command) = self.commands.last_mut() {
            command.separate();
        }
    }

    /// Text of the shell's own language.
    pub(super) fn command(&mut self, rest: &str, c: char) -> usize {
        if self.last == Last::Backslash {
            // A line that goes on below is one line: what starts a word after it starts one here.
            self.last = if c == '\n' { self.before_backslash } else { Last::Word };
            if c != '\n' {
                self.in_word(c);
            }
            return c.len_utf8();
        }
        self.before_backslash = self.last;
        match c {
            ' ' | '\t' => self.end_word(),
            '\n' => {
                self.separate();
                self.start_documents();
            }
            // Of `&>` and `&>>` the rest is a redirection.
            '&' if rest.starts_with("&>") => self.end_word(),
            ';' | '&' | '|' => self.separate(),
            '<' | '>' => return self.redirect(rest),
            '(' => return self.paren(rest),
            ')' => return self.close(rest),
            '#' if self.last == Last::Separator => self.push(ShellFrame::Comment),
            _ => self.sign(c),
        }
        self.last = match c {
            '\\' => Last::Backslash,
            '$' if self.last != Last::Dollar => Last::Dollar,
            ' ' | '\t' | '\n' | ';' | '&' | '|' => Last::Separator,
            _ => Last::Word,
        };
        c.len_utf8()
    }

    /// A sign of a word.
    pub(super) fn sign(&mut self, c: char) {
        let dollar = self.last == Last::Dollar;
        let Some(command) = self.commands.last_mut() else { return };
        match c {
            '\\' => {}
            '\'' | '"' | '`' => {
                command.word.begun = true;
                self.push(match c {
                    '\'' if dollar => ShellFrame::Ansi,
                    '\'' => ShellFrame::Single,
                    '"' => ShellFrame::Double,
                    _ => ShellFrame::Backquote,
                });
            }
            '{' if dollar => self.push(ShellFrame::Brace),
            '[' if dollar => self.lost = self.lost.or(Some(OLD_ARITHMETIC)),
            '[' | '=' if command.is_start() && command.word.value_in_name().is_some() => {
                let value = command.word.value_in_name();
                self.fault = self.fault.or(value.map(|value| (value, AS_NAME)));
            }
            '[' if command.is_start() && command.word.is_name() => {
                command.word.push(c);
                self.push(ShellFrame::Subscript(Subscript::default()));
            }
            _ => command.word.push(c),
        }
    }

    /// A redirection, or `<( )`.
    pub(super) fn redirect(&mut self, rest: &str) -> usize {
        if rest.starts_with("<(") || rest.starts_with(">(") {
            self.in_word('$');
            self.open_paren(Paren::Substitution);
            return 2;
        }
        let is_test = self.commands.last_mut().is_some_and(|command| command.test().is_some());
        if let Some(command) = self.commands.last_mut()
            && command.word.value.is_none()
            && command.word.text.bytes().all(|b| b.is_ascii_digit())
        {
            // The descriptor's number.
            command.word = Default::default();
        }
        self.end_word();
        self.last = Last::Separator;
        if is_test {
            return 1;
        }
        if rest.starts_with("<<") && !rest.starts_with("<<<") {
            return self.delimiter(rest);
        }
        let known = ["<<<", "<&", "<>", ">>", ">|", ">&", "<", ">"];
        let operator = known.iter().find(|operator| rest.starts_with(**operator)).unwrap_or(&">");
        if let Some(command) = self.commands.last_mut() {
            command.redirect(operator);
        }
        operator.len()
    }

    pub(super) fn paren(&mut self, rest: &str) -> usize {
        let dollar = self.last == Last::Dollar;
        let Some(command) = self.commands.last_mut() else { return 1 };
        if !dollar && let Some(depth) = command.test() {
            *depth += 1;
            self.end_word();
            self.last = Last::Separator;
            return 1;
        }
        if rest.starts_with("((") {
            if !dollar {
                self.end_word();
            }
            self.push(ShellFrame::Arithmetic(Arithmetic { depth: 0, is_word: dollar }));
            self.last = Last::Separator;
            return 2;
        }
        let kind = match command {
            _ if dollar => Paren::Substitution,
            command if command.assigns_list() => Paren::List,
            command if command.word.begun => Paren::Glued,
            _ => Paren::Group,
        };
        self.open_paren(kind);
        1
    }

    pub(super) fn open_paren(&mut self, kind: Paren) {
        if let Some(outer) = self.commands.last() {
            let inner = match kind {
                Paren::List => {
                    self.variables.is_list(&outer.word);
                    ShellCommand::list(outer, &self.variables)
                }
                Paren::Group | Paren::Glued | Paren::Substitution => {
                    ShellCommand::within(outer, &self.variables)
                }
            };
            self.commands.push(inner);
        }
        self.push(ShellFrame::Paren(kind));
        self.last = Last::Separator;
    }

    /// `)`: of whatever is open, or of a pattern of `case`.
    pub(super) fn close(&mut self, rest: &str) -> usize {
        self.end_word();
        self.last = Last::Separator;
        if let Some(depth) = self.commands.last_mut().and_then(ShellCommand::test)
            && *depth > 0
        {
            *depth -= 1;
            return 1;
        }
        let Some(ShellFrame::Paren(kind)) = self.frames.last().copied() else {
            if let Some(command) = self.commands.last_mut() {
                command.close();
                command.separate();
            }
            return 1;
        };
        self.pop();
        self.last = Last::Separator;
        let inner = self.commands.pop();
        let (Some(inner), Some(outer)) = (inner, self.commands.last_mut()) else { return 1 };
        outer.join(&inner);
        match kind {
            Paren::Group => {
                outer.word = Default::default();
                outer.close();
            }
            Paren::Glued => {
                if rest[1..].starts_with('#') {
                    self.lost = self.lost.or(Some(ODD_COMMENT));
                }
                if outer.is_start() {
                    // A function's name.
                    outer.word = Default::default();
                    outer.separate();
                } else {
                    // A pattern, which goes on.
                    self.last = Last::Word;
                }
            }
            Paren::Substitution | Paren::List => self.last = Last::Word,
        }
        1
    }
}
