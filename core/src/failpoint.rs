//! Faults that the tests sow, to prove that their checker finds them. A program that was built to be used (with optimisations) has
//! none, and its compiler drops the places where they would be.

/// Whether this fault is sown: the one that `ROTA_FAILPOINT` names.
#[cfg(debug_assertions)]
#[must_use]
pub fn is_on(name: &str) -> bool {
    static SOWN: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    SOWN.get_or_init(|| std::env::var("ROTA_FAILPOINT").unwrap_or_default()) == name
}

/// Whether this fault is sown: none is.
#[cfg(not(debug_assertions))]
#[must_use]
pub const fn is_on(_name: &str) -> bool {
    false
}
