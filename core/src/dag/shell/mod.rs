//! Places values into a shell script so that they are data there, whatever they hold and wherever they stand.
//!
//! The script arrives with each value between two NUL characters. `reader` reads the text around the values as a shell
//! does, far enough to know what quotes are open, and writes each value as its place needs it; `language`, `quotes` and
//! `document` are its parts. `words` knows the commands that calculate with a word or take it for a variable's name, and `programs`
//! those that read one as code. Where no quoting is safe (in backquotes, in `${ }`, after a backslash, as a variable's name,
//! in arithmetic unless it is a number), or where the reader loses track, the value is refused: a wrong guess would let a
//! value become code.
//!
//! What a variable holds, and what a command prints, is not seen: `n={{ value }}` is data, `$((n + 1))` after it is not.

mod document;
mod language;
mod programs;
mod quotes;
mod reader;
mod reasons;
mod words;

use self::programs::Program;
use self::reader::ShellReader;

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

/// A value that a program reads as code, though no shell does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ReadAsCode {
    /// Which value of the script or of the list, from 0.
    pub(super) value: usize,
    /// The program's name.
    pub(super) program: &'static str,
}

/// The script with every value in its place.
pub(super) fn place(marked: &str) -> Result<String, Refused> {
    if !marked.contains(MARK) {
        return Ok(marked.to_owned());
    }
    read(marked).map(|reader| reader.finish().0)
}

/// The values of a script that programs read as code.
pub(super) fn read_as_code(marked: &str) -> Result<Vec<ReadAsCode>, Refused> {
    read(marked).map(|reader| reader.finish().1)
}

/// The same of the arguments of one program.
pub(super) fn arguments_read_as_code(marked: &[String]) -> Vec<ReadAsCode> {
    let mut program = Program::default();
    let mut found = Vec::new();
    let mut value = 0;
    for argument in marked {
        let mut word = String::new();
        for (no, part) in argument.split(MARK).enumerate() {
            if no % 2 == 1 {
                let program = program.reads_as_code(&word);
                found.extend(program.map(|program| ReadAsCode { value, program }));
                value += 1;
            }
            word.push_str(part);
        }
        program.word(&word);
    }
    found
}

fn read(marked: &str) -> Result<ShellReader, Refused> {
    let mut reader = ShellReader::new(marked.len());
    let mut parts = marked.split(MARK).peekable();
    let mut value = 0_usize;
    while let Some(literal) = parts.next() {
        reader.literal(literal)?;
        if let Some(text) = parts.next() {
            let next = parts.peek().and_then(|literal| literal.chars().next());
            reader.value(value, text, next).map_err(|reason| Refused { value, reason })?;
            value += 1;
        }
    }
    reader.end()?;
    Ok(reader)
}

/// Words with a meaning of their own where a command begins.
const RESERVED: [&str; 19] = [
    "if", "then", "else", "elif", "fi", "do", "done", "case", "esac", "while", "until", "for", "in",
    "function", "select", "time", "coproc", "repeat", "foreach",
];

/// One word for a POSIX shell: as it is when nothing in it is special, else in single quotes.
pub(super) fn quote(text: &str) -> String {
    let is_plain = |b: u8| {
        b.is_ascii_alphanumeric() || matches!(b, b'_' | b'@' | b'%' | b'+' | b':' | b'.' | b'/' | b'-')
    };
    if !text.is_empty() && text.bytes().all(is_plain) {
        return text.to_owned();
    }
    in_quotes(text)
}

/// In single quotes, whatever it is.
fn in_quotes(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// A whole number in the digits that a shell takes for it; blanks around it are left out.
fn whole_number(text: &str) -> Option<String> {
    text.trim_matches([' ', '\t', '\n']).parse::<i64>().ok().map(|number| number.to_string())
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
