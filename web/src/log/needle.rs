//! What is searched for: a text, not a pattern. ASCII letters of either case are the same.

use std::ops::Range;

/// A text to find.
#[derive(Debug, Clone)]
pub(crate) struct Needle {
    text: String,
}

impl Needle {
    /// Most bytes of it; what is longer is cut.
    const BYTES_MAX: usize = 1024;

    /// `None` for an empty text, which is everywhere.
    pub(crate) fn new(text: &str) -> Option<Self> {
        let text = &text[..text.floor_char_boundary(Self::BYTES_MAX)];
        (!text.is_empty()).then(|| Self { text: text.to_owned() })
    }

    /// Where it is in a text, without overlaps.
    pub(crate) fn hits(&self, text: &str) -> Vec<Range<usize>> {
        let mut hits = Vec::new();
        let mut from = 0;
        while let Some(at) = self.find(&text.as_bytes()[from..]) {
            let end = from + at + self.text.len();
            hits.push(from + at..end);
            from = end;
        }
        hits
    }

    /// Whether it is in a text.
    pub(crate) fn is_in(&self, text: &str) -> bool {
        self.find(text.as_bytes()).is_some()
    }

    /// A byte sequence that is UTF-8 is found in UTF-8 at borders of characters only.
    fn find(&self, text: &[u8]) -> Option<usize> {
        let needle = self.text.as_bytes();
        let first = needle.first().copied()?.to_ascii_lowercase();
        let last_place = text.len().checked_sub(needle.len())?;
        (0..=last_place).find(|at| {
            text[*at].to_ascii_lowercase() == first
                && text[*at..*at + needle.len()].eq_ignore_ascii_case(needle)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hits_do_not_depend_on_case_and_never_cut_a_character() {
        let needle = Needle::new("LOck").expect("not empty");
        assert_eq!(needle.hits("a lock on Locklock é"), [2..6, 10..14, 14..18]);
        assert_eq!(needle.hits("loc"), []);
        assert_eq!(Needle::new("ü").expect("not empty").hits("für Übung"), std::slice::from_ref(&(1..3)));
        assert!(Needle::new("").is_none());
        let long = Needle::new(&"ü".repeat(2000)).expect("not empty");
        assert!(long.is_in(&"ü".repeat(3000)));
    }
}
