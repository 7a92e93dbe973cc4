//! Places values into a shell script so that they are data there, whatever they hold and wherever they stand.
//!
//! The script arrives with each value between two NUL characters. The text around the values is read as a shell
//! reads it, far enough to know what quotes are open; a value is then written as that place needs it. Where no
//! quoting is safe (in backquotes, in `${ }`, after a backslash, in arithmetic unless it is a number), or where
//! this reader loses track, the value is refused: a wrong guess would let a value become code.

/// Stands before and after each value in a script.
pub(super) const MARK: char = '\0';

/// Why a value cannot be placed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refused {
    /// Which value of the script, from 0.
    pub(super) value: usize,
    /// Where it stands and what to do instead.
    pub(super) reason: &'static str,
}

/// The script with every value in its place.
pub(super) fn place(marked: &str) -> Result<String, Refused> {
    if !marked.contains(MARK) {
        return Ok(marked.to_owned());
    }
    let mut reader = Reader { out: String::with_capacity(marked.len() + 64), ..Reader::default() };
    let mut parts = marked.split(MARK).peekable();
    let mut value = 0_usize;
    while let Some(literal) = parts.next() {
        reader.literal(literal);
        if let Some(reason) = reader.fault {
            return Err(Refused { value: value.saturating_sub(1), reason });
        }
        if let Some(text) = parts.next() {
            let next = parts.peek().and_then(|literal| literal.chars().next());
            reader.value(text, next).map_err(|reason| Refused { value, reason })?;
            value += 1;
        }
    }
    Ok(reader.out)
}

/// One word for a POSIX shell: as it is when nothing in it is special, else in single quotes.
pub(super) fn quote(text: &str) -> String {
    let is_plain = |b: u8| {
        b.is_ascii_alphanumeric() || matches!(b, b'_' | b'@' | b'%' | b'+' | b':' | b'.' | b'/' | b'-')
    };
    if !text.is_empty() && text.bytes().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

const IN_BACKQUOTES: &str = "a value inside backquotes cannot be quoted safely; use $( ) instead";
const IN_BRACES: &str = "a value inside ${ } cannot be quoted safely; assign it to a variable first";
const IN_ANSI: &str = "a value inside $' ' cannot be quoted safely; end the quotes before it";
const IN_ARITHMETIC: &str =
    "only a whole number is safe inside (( )); assign the value to a variable and check it";
const AFTER_BACKSLASH: &str = "a value right after a backslash cannot be quoted safely";
const AFTER_DOLLAR: &str = "a value right after `$` would become part of a name or of $' '; separate them";
const AS_DELIMITER: &str = "a value cannot be the delimiter of a here-document";
const ENDS_DOCUMENT: &str = "the value would end the here-document it stands in";
const JOINED_LINES: &str =
    "after a line of a here-document that ends in a backslash the quoting is not certain";
const SUBSTITUTION_IN_DOCUMENT: &str = "a value after a substitution inside a here-document cannot be quoted safely; assign it to a variable first";
const DOCUMENT_IN_SUBSTITUTION: &str =
    "a value in a here-document inside $( ) or ( ) cannot be quoted safely; assign it to a variable first";
const CASE_IN_SUBSTITUTION: &str =
    "after `case` inside $( ) or ( ) the quoting is not certain; assign the value to a variable before it";
const QUOTES_IN_BRACES: &str =
    "after quotes inside \"${ }\" the quoting is not certain; assign the value to a variable before it";
const ESCAPE_IN_ANSI: &str =
    "after \\' inside $' ' the quoting is not certain; assign the value to a variable before it";
const ODD_ARITHMETIC: &str = "after `((` that is not arithmetic the quoting is not certain; write `( (`";
const OLD_ARITHMETIC: &str = "after `$[` the quoting is not certain; write $(( ))";
const ODD_DELIMITER: &str =
    "after a here-document with such a delimiter the quoting is not certain; use a plain word";

/// What is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Frame {
    /// `( )` and `$( )`.
    Paren,
    Single,
    Double,
    /// `$' '`.
    Ansi,
    Backquote,
    /// `${ }`.
    Brace,
    /// `(( ))` and `$(( ))`, with the parentheses open inside it.
    Arithmetic(u32),
    Comment,
    Document,
}

#[derive(Debug, Default, Clone)]
struct Document {
    delimiter: String,
    /// Its body is literal.
    is_quoted: bool,
    /// `<<-`.
    strips_tabs: bool,
}

/// What the last character makes of the next one.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Last {
    /// A new word may start.
    #[default]
    Separator,
    Word,
    Dollar,
    Backslash,
}

#[derive(Default)]
struct Reader {
    out: String,
    /// Innermost last; empty at the top of the script.
    frames: Vec<Frame>,
    last: Last,
    /// Here-documents whose bodies start after this line.
    pending: Vec<Document>,
    /// The one that is open, and those after it.
    open: Vec<Document>,
    /// The line of the open here-document so far, and whether a value is part of it.
    line: String,
    line_has_value: bool,
    /// A value is part of a here-document's delimiter: reading `<<` reached the end of the literal.
    expects_delimiter: bool,
    /// Why the quoting is no longer certain: values after this are refused.
    lost: Option<&'static str>,
    /// What the last value turned out to do.
    fault: Option<&'static str>,
    /// What came before a backslash.
    before_backslash: Last,
}

impl Reader {
    fn literal(&mut self, text: &str) {
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            let taken = match self.frames.last() {
                Some(Frame::Single) => self.until(rest, '\''),
                Some(Frame::Comment) => self.comment(c),
                Some(Frame::Document) => self.document(rest, c),
                Some(Frame::Ansi) => self.ansi(c),
                Some(Frame::Backquote) => self.backquote(c),
                Some(Frame::Double) => self.double(rest, c),
                Some(Frame::Brace) => self.brace(rest, c),
                Some(Frame::Arithmetic(depth)) => self.arithmetic(rest, c, *depth),
                Some(Frame::Paren) | None => self.command(rest, c),
            };
            self.out.push_str(&rest[..taken]);
            rest = &rest[taken..];
        }
    }

    fn value(&mut self, text: &str, next: Option<char>) -> Result<(), &'static str> {
        if self.expects_delimiter {
            return Err(AS_DELIMITER);
        }
        if let Some(reason) = self.lost {
            return Err(reason);
        }
        let is_literal = matches!(self.frames.last(), Some(Frame::Single | Frame::Comment));
        match self.last {
            Last::Backslash if !is_literal => return Err(AFTER_BACKSLASH),
            Last::Dollar if !is_literal => return Err(AFTER_DOLLAR),
            Last::Backslash | Last::Dollar | Last::Separator | Last::Word => {}
        }
        let placed = match self.frames.last() {
            Some(Frame::Paren) | None => {
                let word = quote(text);
                let names_descriptor = matches!(next, Some('<' | '>')) && word == text;
                if names_descriptor { format!("'{word}'") } else { word }
            }
            Some(Frame::Single) => self.in_single(text)?,
            Some(Frame::Double) => self.in_double(text)?,
            Some(Frame::Comment) => quote(&text.replace(['\n', '\r'], " ")),
            Some(Frame::Document) => self.in_document(text)?,
            Some(Frame::Arithmetic(_)) => whole_number(text)?,
            Some(Frame::Ansi) => return Err(IN_ANSI),
            Some(Frame::Backquote) => return Err(IN_BACKQUOTES),
            Some(Frame::Brace) => return Err(IN_BRACES),
        };
        self.out.push_str(&placed);
        self.last = Last::Word;
        Ok(())
    }

    fn in_single(&self, text: &str) -> Result<String, &'static str> {
        match self.frames.iter().rev().nth(1) {
            Some(Frame::Arithmetic(_)) => Err(IN_ARITHMETIC),
            Some(Frame::Brace) => Err(IN_BRACES),
            _ => Ok(text.replace('\'', r"'\''")),
        }
    }

    fn in_double(&self, text: &str) -> Result<String, &'static str> {
        match self.frames.iter().rev().nth(1) {
            Some(Frame::Arithmetic(_)) => whole_number(text),
            Some(Frame::Brace) => Err(IN_BRACES),
            _ => Ok(escape(text, &['\\', '"', '$', '`'])),
        }
    }

    fn in_document(&mut self, text: &str) -> Result<String, &'static str> {
        if self.frames.len() > 1 {
            return Err(DOCUMENT_IN_SUBSTITUTION);
        }
        let is_quoted = self.open.first().is_some_and(|document| document.is_quoted);
        let placed = if is_quoted { text.to_owned() } else { escape(text, &['\\', '$', '`']) };
        self.line_has_value = true;
        for (no, part) in placed.split('\n').enumerate() {
            if no > 0 {
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

    /// Text of the shell's own language.
    fn command(&mut self, rest: &str, c: char) -> usize {
        if self.last == Last::Backslash {
            // A line that goes on below is one line: what starts a word after it starts one here.
            self.last = if c == '\n' { self.before_backslash } else { Last::Word };
            return c.len_utf8();
        }
        self.before_backslash = self.last;
        if self.last == Last::Separator && self.frames.contains(&Frame::Paren) && starts_case(rest) {
            self.lost = Some(CASE_IN_SUBSTITUTION);
        }
        let dollar = self.last == Last::Dollar;
        match c {
            '\'' if dollar => self.push(Frame::Ansi),
            '\'' => self.push(Frame::Single),
            '"' => self.push(Frame::Double),
            '`' => self.push(Frame::Backquote),
            '{' if dollar => self.push(Frame::Brace),
            '[' if dollar => self.lost = Some(OLD_ARITHMETIC),
            '#' if self.last == Last::Separator => self.push(Frame::Comment),
            '(' => return self.paren(rest),
            ')' if self.frames.last() == Some(&Frame::Paren) => {
                self.frames.pop();
                self.last = Last::Separator;
                return 1;
            }
            '<' if rest.starts_with("<<<") => {
                self.last = Last::Separator;
                return 3;
            }
            '<' if rest.starts_with("<<") => return self.delimiter(rest),
            '\n' => self.start_documents(),
            _ => {}
        }
        self.last = last_of(c);
        c.len_utf8()
    }

    fn paren(&mut self, rest: &str) -> usize {
        self.last = Last::Separator;
        if rest.starts_with("((") {
            self.frames.push(Frame::Arithmetic(0));
            return 2;
        }
        self.frames.push(Frame::Paren);
        1
    }

    fn push(&mut self, frame: Frame) {
        self.frames.push(frame);
    }

    fn pop(&mut self) {
        self.frames.pop();
        self.last = Last::Word;
    }

    /// All up to and with the first `end`.
    fn until(&mut self, rest: &str, end: char) -> usize {
        match rest.find(end) {
            Some(at) => {
                self.pop();
                at + end.len_utf8()
            }
            None => rest.len(),
        }
    }

    fn comment(&mut self, c: char) -> usize {
        if c == '\n' {
            self.pop();
            self.last = Last::Separator;
            self.start_documents();
        }
        c.len_utf8()
    }

    fn ansi(&mut self, c: char) -> usize {
        match (self.last, c) {
            (Last::Backslash, '\'') => {
                self.lost = Some(ESCAPE_IN_ANSI);
                self.last = Last::Word;
            }
            (Last::Backslash, _) => self.last = Last::Word,
            (_, '\'') => self.pop(),
            (_, '\\') => self.last = Last::Backslash,
            _ => self.last = Last::Word,
        }
        c.len_utf8()
    }

    fn backquote(&mut self, c: char) -> usize {
        match (self.last, c) {
            (Last::Backslash, _) => self.last = Last::Word,
            (_, '`') => self.pop(),
            (_, '\\') => self.last = Last::Backslash,
            _ => self.last = Last::Word,
        }
        c.len_utf8()
    }

    fn double(&mut self, rest: &str, c: char) -> usize {
        if self.last == Last::Backslash {
            self.last = Last::Word;
            return c.len_utf8();
        }
        let dollar = self.last == Last::Dollar;
        match c {
            '"' => {
                self.pop();
                return 1;
            }
            '`' => self.push(Frame::Backquote),
            '{' if dollar => self.push(Frame::Brace),
            '[' if dollar => self.lost = Some(OLD_ARITHMETIC),
            '(' if dollar => return self.paren(rest),
            _ => {}
        }
        self.last = match c {
            '$' => Last::Dollar,
            '\\' => Last::Backslash,
            _ => Last::Word,
        };
        c.len_utf8()
    }

    fn brace(&mut self, rest: &str, c: char) -> usize {
        if self.last == Last::Backslash {
            self.last = Last::Word;
            return c.len_utf8();
        }
        let dollar = self.last == Last::Dollar;
        let in_quotes = self.frames.contains(&Frame::Double);
        match c {
            '}' => {
                self.pop();
                return 1;
            }
            '\'' | '"' if in_quotes => self.lost = Some(QUOTES_IN_BRACES),
            '\'' if dollar => self.push(Frame::Ansi),
            '\'' => self.push(Frame::Single),
            '"' => self.push(Frame::Double),
            '`' => self.push(Frame::Backquote),
            '{' if dollar => self.push(Frame::Brace),
            '(' if dollar => return self.paren(rest),
            _ => {}
        }
        self.last = match c {
            '$' => Last::Dollar,
            '\\' => Last::Backslash,
            _ => Last::Word,
        };
        c.len_utf8()
    }

    fn arithmetic(&mut self, rest: &str, c: char, depth: u32) -> usize {
        let dollar = self.last == Last::Dollar;
        self.last = if c == '$' { Last::Dollar } else { Last::Word };
        match c {
            '(' if dollar => return self.paren(rest),
            '{' if dollar => self.push(Frame::Brace),
            '(' => self.set_depth(depth + 1),
            ')' if depth > 0 => self.set_depth(depth - 1),
            ')' if rest.starts_with("))") => {
                self.pop();
                return 2;
            }
            ')' => self.lost = Some(ODD_ARITHMETIC),
            '"' => self.push(Frame::Double),
            '\'' => self.push(Frame::Single),
            '`' => self.push(Frame::Backquote),
            _ => {}
        }
        c.len_utf8()
    }

    fn set_depth(&mut self, depth: u32) {
        if let Some(frame) = self.frames.last_mut() {
            *frame = Frame::Arithmetic(depth);
        }
    }

    /// `<<`, `<<-` and the word that will end the here-document.
    fn delimiter(&mut self, rest: &str) -> usize {
        let strips_tabs = rest.starts_with("<<-");
        let head = if strips_tabs { 3 } else { 2 };
        let word_at = rest.len() - rest[head..].trim_start_matches([' ', '\t']).len();
        let ends = |c: char| c.is_whitespace() || matches!(c, ';' | '&' | '|' | '(' | ')' | '<' | '>');
        let word = rest[word_at..].split(ends).next().unwrap_or_default();
        self.expects_delimiter = word_at + word.len() == rest.len();
        let (delimiter, is_quoted) = unquoted(word);
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        if delimiter.is_empty() || !delimiter.chars().all(is_plain) {
            self.lost = self.lost.or(Some(ODD_DELIMITER));
        }
        self.pending.push(Document { delimiter: delimiter.to_owned(), is_quoted, strips_tabs });
        self.last = Last::Word;
        word_at + word.len()
    }

    fn start_documents(&mut self) {
        if !self.pending.is_empty() {
            self.open = std::mem::take(&mut self.pending);
            self.frames.push(Frame::Document);
            self.line.clear();
            self.line_has_value = false;
        }
    }

    fn document(&mut self, rest: &str, c: char) -> usize {
        let is_quoted = self.open.first().is_some_and(|document| document.is_quoted);
        if c == '\n' {
            if self.last == Last::Backslash && !is_quoted {
                self.lost = self.lost.or(Some(JOINED_LINES));
            }
            if self.line_has_value && self.line_ends_document() {
                self.fault = Some(ENDS_DOCUMENT);
            }
            if self.line_ends_document() {
                self.open.remove(0);
                if self.open.is_empty() {
                    self.frames.pop();
                }
            }
            self.line.clear();
            self.line_has_value = false;
            self.last = Last::Separator;
            return 1;
        }
        self.line.push(c);
        let escaped = self.last == Last::Backslash;
        self.last = Last::Word;
        if is_quoted || escaped {
            return c.len_utf8();
        }
        match c {
            '\\' => self.last = Last::Backslash,
            '$' => self.last = Last::Dollar,
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
}

/// A here-document's delimiter without its quotes, and whether it had any. Other ways to quote it stay as they are.
fn unquoted(word: &str) -> (&str, bool) {
    let inside = |quote: char| word.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    let quoted = inside('\'').or_else(|| inside('"')).or_else(|| word.strip_prefix('\\'));
    (quoted.unwrap_or(word), quoted.is_some())
}

/// The characters of `special` with a backslash before each.
fn escape(text: &str, special: &[char]) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if special.contains(&c) {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

fn whole_number(text: &str) -> Result<String, &'static str> {
    match text.parse::<i64>() {
        Ok(number) => Ok(number.to_string()),
        Err(_) => Err(IN_ARITHMETIC),
    }
}

fn last_of(c: char) -> Last {
    match c {
        '\\' => Last::Backslash,
        '$' => Last::Dollar,
        ';' | '&' | '|' | '(' | ')' | '<' | '>' => Last::Separator,
        c if c.is_whitespace() => Last::Separator,
        _ => Last::Word,
    }
}

/// `case` and a blank.
fn starts_case(rest: &str) -> bool {
    rest.strip_prefix("case").is_some_and(|rest| rest.starts_with(char::is_whitespace))
}

/// `${NAME}`.
fn is_simple_brace(rest: &str) -> bool {
    rest[2..].split_once('}').is_some_and(|(name, _)| super::read::is_env_name(name))
}
