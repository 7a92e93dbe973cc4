//! Reads a script as a shell does, far enough to know what quotes are open and which word of which command a value is in.

use super::reasons::*;
use super::words::{PlacingFault, Role, ShellCommand, Variables};
use super::{RESERVED, ReadAsCode, Refused, escape, in_quotes, quote, whole_number};

/// What is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ShellFrame {
    Paren(Paren),
    Single,
    Double,
    /// `$' '`.
    Ansi,
    Backquote,
    /// `${ }`.
    Brace,
    /// `(( ))` and `$(( ))`.
    Arithmetic(Arithmetic),
    /// `a[ ]` before `=`.
    Subscript(Subscript),
    Comment,
    Document,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Paren {
    /// `( )`: commands.
    Group,
    /// `f( )`, `@( )`: behind other signs of a word.
    Glued,
    /// `$( )`, `<( )` and `>( )`: commands in a word.
    Substitution,
    /// `a=( )`: words in a word.
    List,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Arithmetic {
    /// The parentheses open inside it.
    pub(super) depth: u32,
    /// `$(( ))`, part of a word.
    pub(super) is_word: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Subscript {
    /// The brackets open inside it.
    pub(super) depth: u32,
    /// A shell without arrays would take what follows for other words.
    pub(super) has_blank: bool,
}

/// A here-document, see `document`.
#[derive(Debug, Default, Clone)]
pub(super) struct Document {
    pub(super) delimiter: String,
    /// Its body is literal.
    pub(super) is_quoted: bool,
    /// `<<-`.
    pub(super) strips_tabs: bool,
    /// Who reads it as code.
    pub(super) reader: Option<&'static str>,
}

/// What the last character makes of the next one.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Last {
    /// A new word may start.
    #[default]
    Separator,
    Word,
    Dollar,
    Backslash,
}

pub(super) struct ShellReader {
    out: String,
    /// Innermost last; empty at the top of the script.
    pub(super) frames: Vec<ShellFrame>,
    pub(super) last: Last,
    /// One per open parenthesis and one for the script.
    pub(super) commands: Vec<ShellCommand>,
    pub(super) variables: Variables,
    /// Here-documents whose bodies start after this line.
    pub(super) pending: Vec<Document>,
    /// The one that is open, and those after it.
    pub(super) open: Vec<Document>,
    /// The line of the open here-document so far, and the last value in it.
    pub(super) line: String,
    pub(super) line_value: Option<usize>,
    /// A value is part of a here-document's delimiter: reading `<<` reached the end of the literal.
    pub(super) expects_delimiter: bool,
    /// Why the quoting is no longer certain: values after this are refused.
    pub(super) lost: Option<&'static str>,
    /// What a value turned out to do.
    pub(super) fault: Option<PlacingFault>,
    /// What came before a backslash.
    pub(super) before_backslash: Last,
    /// How many of these are open: in each, at any depth, values are numbers or refused.
    calculating: usize,
    braces: usize,
    backquotes: usize,
    read_as_code: Vec<ReadAsCode>,
}

impl ShellReader {
    pub(super) fn new(bytes: usize) -> Self {
        Self {
            out: String::with_capacity(bytes + 64),
            frames: Vec::new(),
            last: Last::Separator,
            commands: vec![ShellCommand::default()],
            variables: Variables::default(),
            pending: Vec::new(),
            open: Vec::new(),
            line: String::new(),
            line_value: None,
            expects_delimiter: false,
            lost: None,
            fault: None,
            before_backslash: Last::Separator,
            calculating: 0,
            braces: 0,
            backquotes: 0,
            read_as_code: Vec::new(),
        }
    }

    /// The script, and the values that programs read as code.
    pub(super) fn finish(self) -> (String, Vec<ReadAsCode>) {
        (self.out, self.read_as_code)
    }

    pub(super) fn literal(&mut self, text: &str) -> Result<(), Refused> {
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            let taken = match self.frames.last().copied() {
                Some(ShellFrame::Single) => self.single(rest),
                Some(ShellFrame::Comment) => self.comment(c),
                Some(ShellFrame::Document) => self.document(rest, c),
                Some(ShellFrame::Ansi) => self.ansi(c),
                Some(ShellFrame::Backquote) => self.backquote(c),
                Some(ShellFrame::Double) => self.double(rest, c),
                Some(ShellFrame::Brace) => self.brace(rest, c),
                Some(ShellFrame::Arithmetic(arithmetic)) => self.arithmetic(rest, c, arithmetic),
                Some(ShellFrame::Subscript(subscript)) => self.subscript(rest, c, subscript),
                Some(ShellFrame::Paren(_)) | None => self.command(rest, c),
            };
            self.out.push_str(&rest[..taken]);
            rest = &rest[taken..];
        }
        self.faultless()
    }

    /// The script is over.
    pub(super) fn end(&mut self) -> Result<(), Refused> {
        while !self.commands.is_empty() {
            self.end_word();
            self.commands.pop();
        }
        self.faultless()
    }

    fn faultless(&self) -> Result<(), Refused> {
        self.fault.map_or(Ok(()), |(value, reason)| Err(Refused { value, reason }))
    }

    pub(super) fn value(&mut self, no: usize, text: &str, next: Option<char>) -> Result<(), &'static str> {
        if self.expects_delimiter {
            return Err(AS_DELIMITER);
        }
        if let Some(reason) = self.lost {
            return Err(reason);
        }
        let frame = self.frames.last().copied();
        let placed = match frame {
            Some(ShellFrame::Comment) => quote(&text.replace(['\n', '\r'], " ")),
            Some(ShellFrame::Document) => self.in_document(no, text)?,
            _ => self.in_command(no, text, next)?,
        };
        self.out.push_str(&placed);
        self.last = Last::Word;
        Ok(())
    }

    fn in_command(&mut self, no: usize, text: &str, next: Option<char>) -> Result<String, &'static str> {
        let frame = self.frames.last().copied();
        match self.last {
            Last::Backslash if frame != Some(ShellFrame::Single) => return Err(AFTER_BACKSLASH),
            Last::Dollar if frame != Some(ShellFrame::Single) => return Err(AFTER_DOLLAR),
            Last::Backslash | Last::Dollar | Last::Separator | Last::Word => {}
        }
        if self.backquotes > 0 {
            return Err(IN_BACKQUOTES);
        }
        if self.braces > 0 {
            return Err(IN_BRACES);
        }
        let number = whole_number(text);
        let text = match (self.needs_number(no)?, &number) {
            (None, _) => text,
            (Some(_), Some(number)) => number,
            (Some(reason), None) => return Err(reason),
        };
        let placed = match frame {
            Some(ShellFrame::Single) => text.replace('\'', r"'\''"),
            Some(ShellFrame::Double) => escape(text, &['\\', '"', '$', '`']),
            Some(ShellFrame::Ansi) => return Err(IN_ANSI),
            Some(ShellFrame::Arithmetic(_) | ShellFrame::Subscript(_)) => text.to_owned(),
            _ => self.as_word(text, next),
        };
        if let Some(command) = self.commands.last_mut() {
            command.push_value(no, text, number.is_some());
        }
        Ok(placed)
    }

    /// Why only a whole number passes here, if so.
    fn needs_number(&mut self, no: usize) -> Result<Option<&'static str>, &'static str> {
        let role = self.commands.last().map_or(Role::Text, |command| command.role(&self.variables));
        if self.calculating > 0 {
            let is_subscript =
                self.frames.iter().rev().take(8).any(|frame| matches!(frame, ShellFrame::Subscript(_)));
            return Ok(Some(if is_subscript { IN_SUBSCRIPT } else { IN_ARITHMETIC }));
        }
        match role {
            Role::Text => Ok(None),
            Role::Number(reason) => Ok(Some(reason)),
            Role::Nothing(reason) => Err(reason),
            Role::Code(program) => {
                self.read_as_code.push(ReadAsCode { value: no, program });
                Ok(None)
            }
        }
    }

    /// A value outside of quotes.
    fn as_word(&mut self, text: &str, next: Option<char>) -> String {
        let word = quote(text);
        let Some(command) = self.commands.last_mut() else { return word };
        let is_operator = command.test().is_some();
        // A word that is `case` here, or goes on to be it, must not become it.
        let so_far = &command.word.text;
        let is_last = matches!(next, Some(' ' | '\t' | '\n' | ';' | '&' | '|' | '<' | '>' | '(' | ')'));
        let is_reserved = RESERVED.iter().any(|reserved| match reserved.strip_prefix(so_far.as_str()) {
            Some(rest) if is_last => rest == text,
            Some(rest) => rest.starts_with(text),
            None => false,
        });
        let names_descriptor = matches!(next, Some('<' | '>'));
        if word == text && (is_reserved || names_descriptor || is_operator) { in_quotes(text) } else { word }
    }

    pub(super) fn push(&mut self, frame: ShellFrame) {
        if let Some(count) = self.counter(frame) {
            *count += 1;
        }
        self.frames.push(frame);
    }

    pub(super) fn pop(&mut self) {
        if let Some(count) = self.frames.pop().and_then(|frame| self.counter(frame)) {
            *count -= 1;
        }
        self.last = Last::Word;
    }

    fn counter(&mut self, frame: ShellFrame) -> Option<&mut usize> {
        match frame {
            ShellFrame::Arithmetic(_) | ShellFrame::Subscript(_) => Some(&mut self.calculating),
            ShellFrame::Brace => Some(&mut self.braces),
            ShellFrame::Backquote => Some(&mut self.backquotes),
            ShellFrame::Paren(_)
            | ShellFrame::Single
            | ShellFrame::Double
            | ShellFrame::Ansi
            | ShellFrame::Comment
            | ShellFrame::Document => None,
        }
    }

    /// The program that reads as code what the here-document of the command holds.
    pub(super) fn input_reader(&self) -> Option<&'static str> {
        self.commands.last().and_then(ShellCommand::reads_input)
    }

    pub(super) fn note_code(&mut self, value: usize, program: &'static str) {
        self.read_as_code.push(ReadAsCode { value, program });
    }
}
