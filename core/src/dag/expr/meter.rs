//! What one evaluation may cost. Every step, every item that is made or looked at and every 16 bytes that are made or
//! read are charged **before** they happen, so that neither time nor memory depends on what a template says. No clock is
//! read: the same template with the same values costs the same everywhere.

/// Most steps of all templates of one task together: some 30 ms, and at most 16 MiB of values.
pub(in crate::dag) const STEPS_MAX: u64 = 200_000;

/// Bytes that are made, compared or searched for one step.
const BYTES_PER_STEP: usize = 16;

/// Steps that were taken, never more than [`STEPS_MAX`].
#[derive(Debug, Default)]
pub(in crate::dag) struct Meter {
    steps: u64,
}

impl Meter {
    /// How many steps were taken.
    pub(in crate::dag) fn steps(&self) -> u64 {
        self.steps
    }

    /// Charges for that many steps or items.
    pub(super) fn charge(&mut self, count: usize) -> Result<(), String> {
        let steps = self.steps.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
        if steps > STEPS_MAX {
            self.steps = STEPS_MAX;
            return Err(format!(
                "the template takes too many steps: at most {STEPS_MAX}, one for each item and each {BYTES_PER_STEP} bytes"
            ));
        }
        self.steps = steps;
        Ok(())
    }

    /// Charges for bytes that are made, compared or searched.
    pub(super) fn bytes(&mut self, count: usize) -> Result<(), String> {
        self.charge(count / BYTES_PER_STEP + 1)
    }
}
