//! Seeded chance: the same seed makes the same choices. (What the machine does in between is its own.)

use crate::witness::record::Micros;
use rustix::time::{ClockId, clock_gettime};

/// A splitmix64 generator.
pub struct Rng(u64);

impl Rng {
    /// From a seed that is known already.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// From `FAULT_SEED`, or from the clock. Prints the seed, so that a failure can be replayed.
    ///
    /// # Panics
    /// `FAULT_SEED` is no number.
    #[must_use]
    pub fn from_environment(test: &str) -> Self {
        let chosen = std::env::var("FAULT_SEED").ok();
        let seed = chosen.map_or_else(|| now().unsigned_abs() % 1_000_000_007, |text| text.parse().unwrap());
        println!("{test}: FAULT_SEED={seed}");
        Self(seed)
    }

    /// Another generator, for another thread.
    #[must_use]
    pub fn split(&mut self) -> Self {
        Self(self.next())
    }

    /// A number from `from` up to `to`, both inclusive.
    pub fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.next() % (to - from + 1)
    }

    /// True in so many of a hundred cases.
    pub fn percent(&mut self, share: u64) -> bool {
        self.next() % 100 < share
    }

    /// Waits between so many milliseconds.
    pub fn pause(&mut self, from_ms: u64, to_ms: u64) {
        std::thread::sleep(std::time::Duration::from_millis(self.between(from_ms, to_ms)));
    }

    /// Waits until so many milliseconds after a full second, when slots come due.
    pub fn pause_into_second(&mut self, from_ms: u64, to_ms: u64) {
        let point = self.between(from_ms * 1000, to_ms * 1000);
        let wait = (1_000_000 + point - now().unsigned_abs() % 1_000_000) % 1_000_000;
        std::thread::sleep(std::time::Duration::from_micros(wait));
    }

    /// One of these.
    ///
    /// # Panics
    /// There are none.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.between(0, items.len() as u64 - 1) as usize]
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

/// The wall clock, which the tasks' witness reads as well.
#[must_use]
pub fn now() -> Micros {
    let now = clock_gettime(ClockId::Realtime);
    now.tv_sec * 1_000_000 + now.tv_nsec / 1000
}
