//! Seeded chance: the same seed makes the same choices. (What the machine does in between is its own.)

use rota_tests::witness::record::Micros;
use rustix::time::{ClockId, clock_gettime};

/// A splitmix64 generator.
pub(crate) struct Rng(u64);

impl Rng {
    /// From `FAULT_SEED`, or from the clock. Prints the seed, so that a failure can be replayed.
    pub(crate) fn from_environment(test: &str) -> Self {
        let chosen = std::env::var("FAULT_SEED").ok();
        let seed = chosen.map_or_else(|| now().unsigned_abs() % 1_000_000_007, |text| text.parse().unwrap());
        println!("{test}: FAULT_SEED={seed}");
        Self(seed)
    }

    /// Another generator, for another thread.
    pub(crate) fn split(&mut self) -> Self {
        Self(self.next())
    }

    /// A number from `from` up to `to`, both inclusive.
    pub(crate) fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.next() % (to - from + 1)
    }

    /// True in so many of a hundred cases.
    pub(crate) fn percent(&mut self, share: u64) -> bool {
        self.next() % 100 < share
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
pub(crate) fn now() -> Micros {
    let now = clock_gettime(ClockId::Realtime);
    now.tv_sec * 1_000_000 + now.tv_nsec / 1000
}
