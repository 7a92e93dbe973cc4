//! What an admin token must be that somebody chose, wherever a dashboard runs.

/// Fewest characters of one.
pub(crate) const TOKEN_CHARS_MIN: usize = 20;

/// Whether it is long enough and can be sent in a header.
pub(crate) fn is_usable(token: &str) -> bool {
    token.len() >= TOKEN_CHARS_MIN && token.bytes().all(|byte| byte.is_ascii_graphic())
}

/// The same in words.
pub(crate) fn expected() -> String {
    format!("at least {TOKEN_CHARS_MIN} printable ASCII characters without spaces")
}
