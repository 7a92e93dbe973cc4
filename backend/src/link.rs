//! Whether something outside answers, for health pages and logs.

use std::fmt;

/// The state of a connection to a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Link {
    /// It answers.
    Up,
    /// It does not, and why, in words.
    Down(String),
}

impl Link {
    /// Whether it answers.
    pub const fn is_up(&self) -> bool {
        matches!(self, Self::Up)
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Up => f.write_str("up"),
            Self::Down(why) => f.write_str(why),
        }
    }
}
