//! The signs of an expression, and the flat look at them that comes before anything recursive: how many operators there
//! are and how deep brackets are nested.

use super::ExprFault;

/// Most operators, filters, tests, attributes, indices and calls of one expression.
pub(in crate::dag) const OPERATORS_MAX: usize = 1_000;

/// Deepest nesting of brackets, of prefix operators and of `if else` in an expression.
pub(in crate::dag) const DEPTH_MAX: usize = 32;

/// One sign or word.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token<'t> {
    Word(&'t str),
    Text(String),
    Int(i128),
    Float(f64),
    Sign(&'static str),
}

impl Token<'_> {
    /// How it is called in messages.
    pub(super) fn words(&self) -> String {
        match self {
            Self::Word(_) => "identifier".to_owned(),
            Self::Text(_) => "string".to_owned(),
            Self::Int(_) => "integer".to_owned(),
            Self::Float(_) => "float".to_owned(),
            Self::Sign(sign) => format!("`{sign}`"),
        }
    }
}

/// What ends an expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Close {
    /// `}}`
    Value,
    /// `%}`
    Statement,
    /// The end of the text.
    End,
}

/// The tokens of one block.
#[derive(Debug)]
pub(super) struct Tokens<'t> {
    /// Each with its place in the text.
    pub(super) all: Vec<(usize, Token<'t>)>,
    /// Where the expression ends, before the closing sign.
    pub(super) body_end: usize,
    /// Behind the closing sign.
    pub(super) end: usize,
    /// Whether white space behind the block goes (`-}}`).
    pub(super) trims: bool,
    /// Why reading stopped before the block's end.
    pub(super) fault: Option<ExprFault>,
}

const SIGNS: [&str; 26] = [
    "**", "//", "==", "!=", "<=", ">=", "+", "-", "*", "/", "%", "~", "<", ">", "=", "|", ".", ",", ":", "(",
    ")", "[", "]", "{", "}", "!",
];

/// Reads the block whose body starts at `from`.
pub(super) fn read(text: &str, from: usize, close: Close) -> Tokens<'_> {
    let mut tokens =
        Tokens { all: Vec::new(), body_end: text.len(), end: text.len(), trims: false, fault: None };
    let mut at = from;
    let mut open = 0_usize;
    loop {
        at += text[at..].len() - text[at..].trim_start().len();
        let rest = &text[at..];
        if rest.is_empty() {
            tokens.fault = (close != Close::End).then(|| unclosed(&tokens, from, close));
            return tokens;
        }
        if open == 0
            && let Some((length, trims)) = closing(rest, close)
        {
            (tokens.body_end, tokens.end, tokens.trims) = (at, at + length, trims);
            return tokens;
        }
        match one(rest) {
            Ok((token, length)) => {
                match token {
                    Token::Sign("(" | "[" | "{") => open += 1,
                    Token::Sign(")" | "]" | "}") => open = open.saturating_sub(1),
                    _ => {}
                }
                tokens.all.push((at, token));
                at += length;
            }
            Err(message) => {
                tokens.fault = Some(ExprFault { at, message });
                return tokens;
            }
        }
    }
}

/// Counts operators and depth, token by token.
///
/// # Errors
/// The first token that is one too many.
pub(super) fn measure(tokens: &[(usize, Token<'_>)]) -> Result<(), ExprFault> {
    let (mut operators, mut open, mut prefixes) = (0_usize, 0_usize, 0_usize);
    for (at, token) in tokens {
        let is_prefix = matches!(token, Token::Word("not") | Token::Sign("-"));
        prefixes = if is_prefix { prefixes + 1 } else { 0 };
        match token {
            Token::Sign("(" | "[" | "{") => (open, operators) = (open + 1, operators + 1),
            Token::Sign(")" | "]" | "}") => open = open.saturating_sub(1),
            Token::Sign("," | ":" | "=") => {}
            Token::Sign(_) | Token::Word("and" | "or" | "not" | "in" | "is" | "if") => operators += 1,
            _ => {}
        }
        let message = if operators > OPERATORS_MAX {
            format!("more than {OPERATORS_MAX} operators in one expression")
        } else if open > DEPTH_MAX || prefixes > DEPTH_MAX {
            too_deep()
        } else {
            continue;
        };
        return Err(ExprFault { at: *at, message });
    }
    Ok(())
}

/// What is said of an expression that is nested too deep.
pub(super) fn too_deep() -> String {
    format!("the expression is nested more than {DEPTH_MAX} levels deep")
}

fn unclosed(tokens: &Tokens<'_>, from: usize, close: Close) -> ExprFault {
    let what = if close == Close::Value { "variable" } else { "statement" };
    let at = tokens.all.last().map_or(from, |(at, _)| *at);
    ExprFault { at, message: format!("unexpected end of input, expected end of {what} block") }
}

fn closing(rest: &str, close: Close) -> Option<(usize, bool)> {
    let sign = match close {
        Close::Value => "}}",
        Close::Statement => "%}",
        Close::End => return None,
    };
    let bare = rest.strip_prefix(['-', '+']).unwrap_or(rest);
    bare.starts_with(sign).then(|| (rest.len() - bare.len() + sign.len(), rest.starts_with('-')))
}

fn one(rest: &str) -> Result<(Token<'_>, usize), String> {
    let first = rest.chars().next().unwrap_or_default();
    if first.is_ascii_alphabetic() || first == '_' {
        let length = rest.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count();
        return Ok((Token::Word(&rest[..length]), length));
    }
    if first.is_ascii_digit() {
        return number(rest);
    }
    if matches!(first, '"' | '\'') {
        return quoted(rest, first);
    }
    let sign = SIGNS.iter().find(|sign| rest.starts_with(**sign) && **sign != "!");
    sign.map(|sign| (Token::Sign(sign), sign.len()))
        .ok_or_else(|| format!("unexpected character `{}`", super::super::error::cut(&first.to_string())))
}

fn number(rest: &str) -> Result<(Token<'_>, usize), String> {
    let bytes = rest.as_bytes();
    let digits = |from: usize| bytes[from..].iter().take_while(|b| b.is_ascii_digit() || **b == b'_').count();
    let mut length = digits(0);
    let mut is_whole = true;
    if bytes.get(length) == Some(&b'.') && bytes.get(length + 1).is_some_and(u8::is_ascii_digit) {
        length += 1 + digits(length + 1);
        is_whole = false;
    }
    if matches!(bytes.get(length), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(length + 1), Some(b'+' | b'-')));
        if bytes.get(length + 1 + sign).is_some_and(u8::is_ascii_digit) {
            length += 1 + sign + digits(length + 1 + sign);
            is_whole = false;
        }
    }
    if bytes.get(length).is_some_and(|b| b.is_ascii_alphanumeric()) {
        return Err("unexpected character in a number".to_owned());
    }
    let text = rest[..length].replace('_', "");
    if is_whole {
        let number: u64 = text.parse().map_err(|_| "a whole number has more than 64 bits".to_owned())?;
        return Ok((Token::Int(number.into()), length));
    }
    let number = text.parse().ok().filter(|number: &f64| number.is_finite());
    number.map(|number| (Token::Float(number), length)).ok_or_else(|| "a number is too large".to_owned())
}

fn quoted(rest: &str, quote: char) -> Result<(Token<'_>, usize), String> {
    let mut text = String::new();
    let mut signs = rest.char_indices().skip(1);
    while let Some((at, sign)) = signs.next() {
        match sign {
            sign if sign == quote => return Ok((Token::Text(text), at + 1)),
            '\\' => text.push(escaped(&mut signs)?),
            sign => text.push(sign),
        }
    }
    Err("unexpected end of string".to_owned())
}

/// The sign that an escape stands for; the backslash is read.
fn escaped(signs: &mut impl Iterator<Item = (usize, char)>) -> Result<char, String> {
    let (_, sign) = signs.next().ok_or_else(|| "unexpected end of string".to_owned())?;
    let digits = match sign {
        'n' => return Ok('\n'),
        't' => return Ok('\t'),
        'r' => return Ok('\r'),
        'b' => return Ok('\u{8}'),
        'f' => return Ok('\u{c}'),
        'x' => 2,
        'u' => 4,
        other => return Ok(other),
    };
    let hex: String = signs.take(digits).map(|(_, sign)| sign).collect();
    let code = if hex.len() == digits { u32::from_str_radix(&hex, 16).ok() } else { None };
    code.and_then(char::from_u32).ok_or_else(|| "invalid escape in a string".to_owned())
}
