//! Faults that the tests sow, to prove that their checker finds them. Without the feature `seeded-bugs`, which nothing but
//! the tests turns on, there are none and the compiler drops the places where they would be.

/// Whether this fault is sown: the one that `ROTA_SEEDED_BUG` names.
#[cfg(feature = "seeded-bugs")]
#[must_use]
pub fn bug(name: &str) -> bool {
    static SOWN: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    SOWN.get_or_init(|| std::env::var("ROTA_SEEDED_BUG").unwrap_or_default()) == name
}

/// Whether this fault is sown: none is.
#[cfg(not(feature = "seeded-bugs"))]
#[must_use]
pub const fn bug(_name: &str) -> bool {
    false
}
