//! What goes wrong in a term: how often it is taken up again, and when it is given up.

use std::time::Duration;

use rota_core::port::StoreError;
use rota_core::state::IllegalTransition;
use rota_kit::pause::DoublingPause;
use tokio::time::Instant;

use crate::turns::Turns;

/// The first pause while the store is away; doubles up to the longest.
const AWAY_PAUSE_MIN: Duration = Duration::from_millis(50);
const AWAY_PAUSE_MAX: Duration = Duration::from_millis(500);
/// A store that answered for so long was not merely away for a moment in between.
const CALM: Duration = Duration::from_secs(1);
/// The first pause after a failure of another kind; doubles as well.
const STRANGE_PAUSE_MIN: Duration = Duration::from_millis(100);
const STRANGE_PAUSE_MAX: Duration = Duration::from_secs(4);
/// This many failures of another kind in a row end a term: what is decided and what the store has do not go together.
const STRANGE_MAX: u32 = 6;
/// After so long without one of them they are counted anew.
const STRANGE_FORGOTTEN: Duration = Duration::from_secs(60);

/// Why a term ended.
#[derive(Debug)]
pub(crate) enum EndOfTerm {
    /// This process stops.
    Shutdown,
    /// Another replica leads.
    Lost,
    /// The store failed for too long.
    Failed(StoreError),
}

/// What interrupts the fold.
#[derive(Debug)]
pub(crate) enum TermError {
    /// The store refused, conflicted or did not answer.
    Store(StoreError),
    /// The planner met a state that cannot be.
    Planner(IllegalTransition),
}

impl From<StoreError> for TermError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<IllegalTransition> for TermError {
    fn from(error: IllegalTransition) -> Self {
        Self::Planner(error)
    }
}

impl From<TermError> for StoreError {
    fn from(error: TermError) -> Self {
        match error {
            TermError::Store(error) => error,
            TermError::Planner(error) => Self::Conflict(error.to_string()),
        }
    }
}

/// Counts the failures of one term, and says what to do about the next.
pub(crate) struct FailurePolicy {
    patience: Duration,
    /// When the store last did what it was asked.
    answered: Instant,
    /// Since when it has done so without a failure.
    calm_since: Option<Instant>,
    /// Failures of this outage.
    outage: DoublingPause,
    strange: DoublingPause,
    last_strange: Instant,
    turns: Turns,
}

impl FailurePolicy {
    /// None so far. A store that is away for longer than `patience` ends the term.
    pub(crate) fn new(patience: Duration, turns: Turns, now: Instant) -> Self {
        Self {
            patience,
            answered: now,
            calm_since: None,
            outage: DoublingPause::new(AWAY_PAUSE_MIN, AWAY_PAUSE_MAX),
            strange: DoublingPause::new(STRANGE_PAUSE_MIN, STRANGE_PAUSE_MAX),
            last_strange: now,
            turns,
        }
    }

    /// A turn is complete.
    pub(crate) fn turned(&self) {
        self.turns.turned();
    }

    /// All is well at the moment.
    pub(crate) fn over(&mut self, now: Instant) {
        self.answered = now;
        let calm = now - *self.calm_since.get_or_insert(now);
        if self.outage.failures() > 0 && calm >= CALM {
            tracing::info!("the store answers again");
            self.outage.reset();
        }
    }

    /// How long to wait before the next go; `None` gives the term up.
    pub(crate) fn pause(&mut self, failure: &StoreError, now: Instant) -> Option<Duration> {
        self.turns.failed(failure);
        self.calm_since = None;
        if !matches!(failure, StoreError::Unavailable(_)) {
            return self.pause_strange(failure, now);
        }
        if now - self.answered >= self.patience {
            return None;
        }
        if self.outage.failures() == 0 {
            tracing::warn!("the store is away, going on as soon as it answers: {failure}");
        }
        Some(self.outage.after_failure())
    }

    fn pause_strange(&mut self, failure: &StoreError, now: Instant) -> Option<Duration> {
        if now - self.last_strange > STRANGE_FORGOTTEN {
            self.strange.reset();
        }
        self.last_strange = now;
        if self.strange.failures() >= STRANGE_MAX {
            return None;
        }
        tracing::warn!("loading all active runs anew: {failure}");
        Some(self.strange.after_failure())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn away() -> StoreError {
        StoreError::Unavailable("away".to_owned())
    }

    #[test]
    fn a_store_that_is_away_is_asked_again_soon_until_patience_is_over() {
        let began = Instant::now();
        let mut now = began;
        let mut failures = FailurePolicy::new(Duration::from_secs(5), Turns::default(), now);
        while let Some(pause) = failures.pause(&away(), now) {
            assert!(pause <= AWAY_PAUSE_MAX);
            now += pause;
        }
        let waited = now - began;
        assert!(waited >= Duration::from_secs(5) && waited < Duration::from_secs(6), "{waited:?}");
    }

    #[test]
    fn a_store_that_answers_now_and_then_is_not_away() {
        let mut now = Instant::now();
        let mut failures = FailurePolicy::new(Duration::from_secs(5), Turns::default(), now);
        for _ in 0..100 {
            now += failures.pause(&away(), now).expect("it answered a moment ago");
            failures.over(now);
        }
    }

    #[test]
    fn failures_of_another_kind_are_bounded() {
        let now = Instant::now();
        let mut failures = FailurePolicy::new(Duration::from_secs(5), Turns::default(), now);
        let strange = StoreError::Conflict("strange".to_owned());
        let pauses = std::iter::from_fn(|| failures.pause(&strange, now)).count();
        assert_eq!(pauses, STRANGE_MAX as usize);
        assert!(failures.pause(&strange, now + STRANGE_FORGOTTEN * 2).is_some(), "long ago is forgotten");
    }
}
