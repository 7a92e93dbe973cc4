//! Where names, filters and statements stand in a template's text. minijinja decides what a template means; this
//! only finds places for errors, and names written as `tasks["load-x"]`, which minijinja does not report.

use std::ops::Range;

/// One `{{ }}` or `{% %}` of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Block<'t> {
    pub(super) kind: BlockKind,
    /// In the template, with its braces.
    pub(super) whole: Range<usize>,
    /// Without its braces and white-space signs.
    pub(super) body: &'t str,
    /// Where the body starts in the template.
    pub(super) at: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BlockKind {
    Value,
    Statement,
}

/// A name with its attributes: `params.region`, `tasks["load-x"].outputs.rows`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Path {
    /// Where it starts in the template, in bytes.
    pub(super) at: usize,
    pub(super) parts: Vec<String>,
    /// Whether an index that is no literal follows.
    pub(super) computed: bool,
}

/// What a block's body uses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Uses {
    pub(super) paths: Vec<Path>,
    /// The names after `|`, with their places.
    pub(super) filters: Vec<(usize, String)>,
    /// The names after `is`, with their places.
    pub(super) tests: Vec<(usize, String)>,
}

/// Whether the text holds any template syntax at all.
pub(super) fn is_template(text: &str) -> bool {
    text.contains("{{") || text.contains("{%")
}

/// The blocks of a template in order; what stands in `{% raw %}` is text.
pub(super) fn blocks(text: &str) -> Vec<Block<'_>> {
    let mut blocks = Vec::new();
    let mut from = 0;
    while let Some((start, kind)) = next_open(text, from) {
        let (inner_end, end) = close(text, start + 2, kind);
        let inner = &text[start + 2..inner_end];
        // One sign at each end is about white space; more are operators, and must be counted.
        let trimmed = without_sign(inner);
        let at = start + 2 + (inner.len() - trimmed.len());
        let body = trimmed.strip_suffix(['-', '+']).unwrap_or(trimmed);
        let is_raw = kind == BlockKind::Statement && body.trim() == "raw";
        blocks.push(Block { kind, whole: start..end, body, at });
        from = if is_raw { end_of_raw(text, end) } else { end };
    }
    blocks
}

fn next_open(text: &str, from: usize) -> Option<(usize, BlockKind)> {
    let bytes = text.as_bytes();
    (from..bytes.len().saturating_sub(1)).find_map(|at| match (bytes[at], bytes[at + 1]) {
        (b'{', b'{') => Some((at, BlockKind::Value)),
        (b'{', b'%') => Some((at, BlockKind::Statement)),
        _ => None,
    })
}

/// The end of a block, before and behind its braces; the text's end if it is open.
fn close(text: &str, from: usize, kind: BlockKind) -> (usize, usize) {
    let bytes = text.as_bytes();
    let first = match kind {
        BlockKind::Value => b'}',
        BlockKind::Statement => b'%',
    };
    let mut at = from;
    let mut depth = 0_usize;
    while at < bytes.len() {
        match bytes[at] {
            b'"' | b'\'' => at = end_of_quote(bytes, at),
            b'{' => depth += 1,
            b'}' if depth > 0 => depth -= 1,
            byte if byte == first && bytes.get(at + 1) == Some(&b'}') => return (at, at + 2),
            _ => {}
        }
        at += 1;
    }
    (bytes.len(), bytes.len())
}

/// The place of the closing quote of the one at `at`.
fn end_of_quote(bytes: &[u8], at: usize) -> usize {
    let mut end = at + 1;
    while end < bytes.len() && bytes[end] != bytes[at] {
        end += if bytes[end] == b'\\' { 2 } else { 1 };
    }
    end.min(bytes.len())
}

fn end_of_raw(text: &str, from: usize) -> usize {
    let mut at = from;
    while let Some(found) = text[at..].find("{%") {
        let start = at + found;
        if ends_raw(&text[start + 2..]) {
            return start;
        }
        at = start + 2;
    }
    text.len()
}

/// Whether a statement's text behind `{%` is `endraw`, exactly as minijinja has it: whatever it takes for raw text must not be
/// read as blocks here, or a quote in it would hide the blocks that follow.
fn ends_raw(statement: &str) -> bool {
    let name = without_sign(statement).trim_ascii_start();
    let rest = name.strip_prefix("endraw").map(str::trim_ascii_start);
    rest.is_some_and(|rest| without_sign(rest).starts_with("%}"))
}

/// A text without the one sign about white space that it may begin with.
fn without_sign(text: &str) -> &str {
    text.strip_prefix(['-', '+']).unwrap_or(text)
}

/// The names, filters and tests of a block.
pub(super) fn uses(block: &Block<'_>) -> Uses {
    let mut scanner = Scanner { body: block.body.as_bytes(), text: block.body, base: block.at, at: 0 };
    let mut uses = Uses::default();
    let mut before = Before::Nothing;
    while let Some(byte) = scanner.peek() {
        match byte {
            b'"' | b'\'' => {
                scanner.at = (end_of_quote(scanner.body, scanner.at) + 1).min(scanner.body.len());
                before = Before::Nothing;
            }
            b if is_name_start(b) => before = scanner.name(&before, &mut uses),
            b if b.is_ascii_digit() => scanner.number(),
            _ => {
                if !byte.is_ascii_whitespace() {
                    before = match byte {
                        b'.' => Before::Dot,
                        b'|' => Before::Pipe,
                        _ => Before::Nothing,
                    };
                }
                scanner.at += 1;
            }
        }
    }
    uses
}

/// Most operators, filters, attributes, calls and signs of one `{{ }}`, `{% %}` or `when`. Expressions nest as deep as these
/// are many: whatever reads, compiles or drops one takes a stack frame for each.
const OPERATORS_MAX: usize = 200;
/// Deepest brackets of one block.
const BRACKETS_MAX: usize = 40;
/// Most statements within statements; an `elif` is one within the `if` before it.
const STATEMENTS_MAX: usize = 40;

/// Finds a template too large to be read safely: where in the template, and what is too much. One flat pass that comes
/// before anything recursive meets the text.
pub(super) fn excess(blocks: &[Block<'_>]) -> Option<(usize, String)> {
    let mut open: Vec<usize> = Vec::new();
    for block in blocks {
        if let Some((at, what)) = excess_of_body(block.body) {
            return Some((block.at + at, what));
        }
        if block.kind == BlockKind::Value {
            continue;
        }
        let word: String = block.body.trim_start().chars().take_while(|c| c.is_ascii_alphabetic()).collect();
        match word.as_str() {
            "else" | "set" | "raw" | "endraw" | "endset" => {}
            "elif" => {
                if let Some(within) = open.last_mut() {
                    *within += 1;
                }
            }
            word if word.starts_with("end") => drop(open.pop()),
            _ => open.push(1),
        }
        if open.iter().sum::<usize>() > STATEMENTS_MAX {
            let what = format!("statements within statements, at most {STATEMENTS_MAX} are read");
            return Some((block.whole.start, what));
        }
    }
    None
}

fn excess_of_body(body: &str) -> Option<(usize, String)> {
    let bytes = body.as_bytes();
    let (mut at, mut operators, mut brackets) = (0, 0, 0_usize);
    while at < bytes.len() {
        let start = at;
        match bytes[at] {
            b'"' | b'\'' => at = end_of_quote(bytes, at),
            b if is_name_start(b) => {
                while bytes.get(at + 1).is_some_and(|b| is_name_start(*b) || b.is_ascii_digit()) {
                    at += 1;
                }
                let word = &body[start..=at];
                operators += usize::from(matches!(word, "and" | "or" | "not" | "in" | "is" | "if" | "else"));
            }
            b'(' | b'[' | b'{' => {
                brackets += 1;
                operators += 1;
            }
            b')' | b']' | b'}' => brackets = brackets.saturating_sub(1),
            b'+' | b'-' | b'*' | b'/' | b'%' | b'~' | b'|' | b'.' | b'<' | b'>' | b'=' | b'!' => {
                operators += 1
            }
            _ => {}
        }
        if operators > OPERATORS_MAX {
            return Some((start, format!("an expression with more than {OPERATORS_MAX} operators")));
        }
        if brackets > BRACKETS_MAX {
            return Some((start, format!("brackets within brackets, at most {BRACKETS_MAX} are read")));
        }
        at += 1;
    }
    None
}

/// What decides what a name is.
enum Before {
    Nothing,
    Dot,
    Pipe,
    Is,
}

struct Scanner<'t> {
    body: &'t [u8],
    text: &'t str,
    base: usize,
    at: usize,
}

const WORDS: [&str; 17] = [
    "and", "or", "not", "in", "if", "else", "elif", "endif", "for", "endfor", "set", "endset", "true",
    "false", "none", "raw", "endraw",
];

impl Scanner<'_> {
    fn peek(&self) -> Option<u8> {
        self.body.get(self.at).copied()
    }

    fn word(&mut self) -> String {
        let start = self.at;
        while self.peek().is_some_and(|b| is_name_start(b) || b.is_ascii_digit()) {
            self.at += 1;
        }
        self.text.get(start..self.at).unwrap_or_default().to_owned()
    }

    fn number(&mut self) {
        while self.peek().is_some_and(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_')) {
            self.at += 1;
        }
    }

    fn name(&mut self, before: &Before, uses: &mut Uses) -> Before {
        let start = self.base + self.at;
        let word = self.word();
        match before {
            Before::Dot => {}
            Before::Pipe => uses.filters.push((start, word)),
            Before::Is if word == "not" => return Before::Is,
            Before::Is => uses.tests.push((start, word)),
            Before::Nothing if word == "is" => return Before::Is,
            Before::Nothing if WORDS.contains(&word.to_lowercase().as_str()) => {}
            Before::Nothing if self.assigns() => {}
            Before::Nothing => uses.paths.push(self.path(start, word)),
        }
        Before::Nothing
    }

    /// Whether a single `=` follows: an argument's or a variable's name.
    fn assigns(&self) -> bool {
        let rest = self.text.get(self.at..).unwrap_or_default().trim_start();
        rest.starts_with('=') && !rest.starts_with("==")
    }

    fn path(&mut self, at: usize, head: String) -> Path {
        let mut path = Path { at, parts: vec![head], computed: false };
        loop {
            let rest = self.text.get(self.at..).unwrap_or_default();
            if rest.strip_prefix('.').is_some_and(|rest| rest.bytes().next().is_some_and(is_name_start)) {
                self.at += 1;
                let word = self.word();
                path.parts.push(word);
            } else if rest.starts_with('[') {
                let Some((key, length)) = literal_index(rest) else {
                    path.computed = true;
                    return path;
                };
                path.parts.push(key);
                self.at += length;
            } else {
                return path;
            }
        }
    }
}

/// `["key"]` at the start of `rest`: the key and the length of all of it.
fn literal_index(rest: &str) -> Option<(String, usize)> {
    let inner = rest[1..].trim_start();
    let quote = inner.bytes().next().filter(|b| matches!(b, b'"' | b'\''))?;
    let end = end_of_quote(inner.as_bytes(), 0);
    let key = inner.get(1..end)?;
    let after = inner.get(end + 1..)?.trim_start();
    let is_plain = !key.contains('\\') && inner.as_bytes().get(end) == Some(&quote);
    let length = rest.len() - after.strip_prefix(']')?.len();
    is_plain.then(|| (key.to_owned(), length))
}

fn is_name_start(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(text: &str) -> Vec<String> {
        let all = blocks(text).into_iter().flat_map(|block| uses(&block).paths);
        all.map(|path| {
            format!("{}{}@{}", path.parts.join("/"), if path.computed { "?" } else { "" }, path.at)
        })
        .collect()
    }

    #[test]
    fn names_are_found_with_their_places() {
        assert_eq!(paths("a {{ ds }} b"), ["ds@5"]);
        assert_eq!(paths("{{ params.x|default('ds }} y') }}"), ["params/x@3"]);
        assert_eq!(paths("{{ tasks['a-b'].outputs[\"k\"] }}"), ["tasks/a-b/outputs/k@3"]);
        assert_eq!(paths("{{ tasks[ds].outputs }}"), ["tasks?@3", "ds@9"]);
        assert_eq!(
            paths("{% for s in params.list if s is not string %}{{ s }}{% endfor %}"),
            ["s@7", "params/list@12", "s@27", "s@48"]
        );
        assert_eq!(paths("{% raw %}{{ ds }}{% endraw %}{{- ts -}}"), ["ts@33"]);
        assert_eq!(paths("${#a[@]} {# {{ ds }} #}"), ["ds@15"]);
        for still_raw in
            ["{%--endraw%}", "{% endrawx %}", "{% endraw x %}", "{%endraw--%}", "{%\u{a0}endraw%}"]
        {
            assert_eq!(
                paths(&format!("{{% raw %}}{still_raw}{{{{ ' {{%+ endraw -%}}{{{{ ds }}}}")).len(),
                1,
                "{still_raw}"
            );
        }
        assert_eq!(paths("{{ items|join(d=ds) }}{{ {'a': {'b': ts}} }}"), ["items@3", "ds@16", "ts@37"]);
        assert_eq!(paths("{{ ds"), ["ds@3"]);
        assert_eq!(paths("{{ 1.5e3 + index }}"), ["index@11"]);
    }
}
