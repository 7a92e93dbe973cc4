//! The production files of the workspace, read once: what is code, what is comment, what are tests.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::{read, root, rust_files};

/// One production file. Its masked texts have the lines of the file.
pub(crate) struct Source {
    /// From the repository's root.
    pub(crate) path: String,
    /// As it is.
    pub(crate) text: String,
    /// Without comments and tests.
    pub(crate) words: String,
    /// Without comments, tests, and what stands between quotes.
    pub(crate) code: String,
    /// Lines of comments that are no documentation.
    pub(crate) plain_comments: usize,
}

/// A word or a single character of code.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Token<'a> {
    pub(crate) text: &'a str,
    /// Counted from 0.
    pub(crate) line: usize,
}

impl Source {
    /// All production files of a crate.
    pub(crate) fn of_crate(krate: &str) -> Vec<Self> {
        let mut files = Vec::new();
        rust_files(&root().join(krate).join("src"), &mut files);
        files.sort();
        let tests: BTreeSet<PathBuf> = files.iter().flat_map(|path| test_files(path)).collect();
        files.iter().filter(|path| !tests.contains(*path)).map(|path| Self::read(path)).collect()
    }

    fn read(path: &Path) -> Self {
        let text = read(path);
        let mut masks = Masks::of(&text);
        masks.blank_tests();
        let path =
            path.strip_prefix(root()).expect("a file of the repository").to_string_lossy().into_owned();
        let [code, words] =
            [masks.code, masks.words].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let plain_comments = masks.plain_comments;
        Self { path, text, words, code, plain_comments }
    }

    /// The words and characters of its code.
    pub(crate) fn tokens(&self) -> Vec<Token<'_>> {
        let mut tokens = Vec::new();
        for (line, text) in self.code.lines().enumerate() {
            let mut rest = text.trim_start();
            while let Some(first) = rest.chars().next() {
                let word = rest.find(|c: char| !is_of_word(c)).unwrap_or(rest.len());
                let (token, after) = rest.split_at(if word > 0 { word } else { first.len_utf8() });
                tokens.push(Token { text: token, line });
                rest = after.trim_start();
            }
        }
        tokens
    }

    /// How many lines are neither empty nor of tests.
    pub(crate) fn line_count(&self) -> usize {
        let tests_begin = self.text.find("#[cfg(test)]").unwrap_or(self.text.len());
        self.text[..tests_begin].lines().filter(|line| !line.trim().is_empty()).count()
    }
}

pub(crate) fn is_of_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The files that a file declares to be tests: `#[cfg(test)] mod name;`, perhaps with a path.
fn test_files(path: &Path) -> Vec<PathBuf> {
    let text = read(path);
    let mut files = Vec::new();
    for after in text.split("#[cfg(test)]").skip(1) {
        let mut lines = after.lines().map(str::trim).filter(|line| !line.is_empty());
        let (first, second) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
        let dir = path.parent().expect("a file lies in a directory");
        if let Some(named) = first.strip_prefix("#[path = \"").and_then(|rest| rest.strip_suffix("\"]")) {
            files.push(dir.join(named));
        } else if let Some(name) = first.strip_prefix("mod ").and_then(|rest| rest.strip_suffix(';')) {
            let is_root = ["mod.rs", "lib.rs", "main.rs"].iter().any(|root| path.ends_with(root));
            let dir = if is_root { dir.to_owned() } else { path.with_extension("") };
            files.push(dir.join(format!("{name}.rs")));
        }
        debug_assert!(
            !second.is_empty() || !first.starts_with("#[path"),
            "an attribute is followed by its item"
        );
    }
    files
}

/// What kind of text the reader is in.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Code,
    Quoted,
    Comment,
}

/// A text's bytes, with blanks for what is not asked for.
struct Masks {
    code: Vec<u8>,
    words: Vec<u8>,
    plain_comments: usize,
}

impl Masks {
    fn of(text: &str) -> Self {
        let mut masks = Self { code: Vec::new(), words: Vec::new(), plain_comments: 0 };
        let mut rest = text;
        while !rest.is_empty() {
            let (kind, len) = piece(rest);
            let (taken, after) = rest.split_at(len);
            let is_doc = ["///", "//!", "/**", "/*!"].iter().any(|mark| taken.starts_with(mark));
            if kind == Kind::Comment && !is_doc {
                masks.plain_comments += taken.lines().count();
            }
            masks.push(taken, kind);
            rest = after;
        }
        masks
    }

    fn push(&mut self, taken: &str, kind: Kind) {
        let blank = |byte: u8| if byte == b'\n' { b'\n' } else { b' ' };
        let is_code = kind == Kind::Code;
        self.code.extend(taken.bytes().map(|byte| if is_code { byte } else { blank(byte) }));
        let is_word = kind != Kind::Comment;
        self.words.extend(taken.bytes().map(|byte| if is_word { byte } else { blank(byte) }));
    }

    /// Blanks what `#[cfg(test)]` stands before: an item up to its closing brace or semicolon.
    fn blank_tests(&mut self) {
        const MARK: &[u8] = b"#[cfg(test)]";
        while let Some(at) = self.code.windows(MARK.len()).position(|window| window == MARK) {
            let end = item_end(&self.code, at + MARK.len());
            for bytes in [&mut self.code, &mut self.words] {
                bytes[at..end].iter_mut().filter(|byte| **byte != b'\n').for_each(|byte| *byte = b' ');
            }
        }
    }
}

/// Where the item that begins here ends.
fn item_end(code: &[u8], from: usize) -> usize {
    let mut depth = 0_usize;
    for (at, byte) in code.iter().enumerate().skip(from) {
        match byte {
            b'{' | b'(' | b'[' => depth += 1,
            b'}' | b')' | b']' => {
                depth = depth.saturating_sub(1);
                if depth == 0 && *byte == b'}' {
                    return at + 1;
                }
            }
            b';' if depth == 0 => return at + 1,
            _ => {}
        }
    }
    code.len()
}

/// What the text begins with, and how long that is.
fn piece(text: &str) -> (Kind, usize) {
    if text.starts_with("//") {
        return (Kind::Comment, text.find('\n').unwrap_or(text.len()));
    }
    if text.starts_with("/*") {
        return (Kind::Comment, text.find("*/").map_or(text.len(), |end| end + 2));
    }
    if let Some(len) = quoted(text) {
        return (Kind::Quoted, len);
    }
    let word = text.find(|c: char| !is_of_word(c)).unwrap_or(text.len());
    let first = text.chars().next().map_or(0, char::len_utf8);
    (Kind::Code, if word > 0 { word } else { first })
}

/// How long the string or character is that the text begins with, if it does.
fn quoted(text: &str) -> Option<usize> {
    let after_prefix = text.trim_start_matches(['b', 'c', 'r']);
    let prefix = &text[..text.len() - after_prefix.len()];
    if prefix.contains('r') {
        let hashes = after_prefix.len() - after_prefix.trim_start_matches('#').len();
        let body = after_prefix[hashes..].strip_prefix('"')?;
        let close = format!("\"{}", "#".repeat(hashes));
        let begin = text.len() - body.len();
        return Some(body.find(&close).map_or(text.len(), |end| begin + end + close.len()));
    }
    if after_prefix.starts_with('"') && prefix.len() <= 1 {
        return Some(prefix.len() + closed_by('"', after_prefix));
    }
    let is_char = after_prefix.starts_with("'\\")
        || (after_prefix.starts_with('\'') && after_prefix.chars().nth(2) == Some('\''));
    (is_char && prefix.len() <= 1).then(|| prefix.len() + closed_by('\'', after_prefix))
}

/// How long the text is that begins with this quote, up to the one that closes it.
fn closed_by(quote: char, text: &str) -> usize {
    let mut is_escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        if c == quote && !is_escaped {
            return at + 1;
        }
        is_escaped = c == '\\' && !is_escaped;
    }
    text.len()
}

#[test]
fn comments_quotes_and_tests_are_told_from_code() {
    let text = "fn a() { // {\n  \"}\\\"\"; '{'; r#\"}\"#; &'a b }\n/// {\n#[cfg(test)]\nmod tests { fn b() {} }\nfn c() {}\n";
    let mut masks = Masks::of(text);
    masks.blank_tests();
    let code = String::from_utf8(masks.code).expect("ASCII stays ASCII");
    let words: Vec<&str> = code.split_whitespace().collect();
    assert_eq!(words.join(" "), "fn a() { ; ; ; &'a b } fn c() {}");
    assert_eq!((masks.plain_comments, code.lines().count()), (1, text.lines().count()));
}
