//! Faults that the tests sow, to prove that their checker finds them. A program that was built to be used (with optimisations) has
//! none, and its compiler drops the places where they would be.

/// Whether this fault is sown: the one that `ROTA_SEEDED_BUG` names.
#[cfg(debug_assertions)]
#[must_use]
pub fn bug(name: &str) -> bool {
    static SOWN: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    SOWN.get_or_init(|| std::env::var("ROTA_SEEDED_BUG").unwrap_or_default()) == name
}

/// Whether this fault is sown: none is.
#[cfg(not(debug_assertions))]
#[must_use]
pub const fn bug(_name: &str) -> bool {
    false
}
