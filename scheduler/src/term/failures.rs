//! How often a term is taken up again after trouble, and when it is given up.

use std::time::Duration;

use rota_core::port::StoreError;
use tokio::time::Instant;

use crate::replica::turns::Turns;

/// The first pause while the store is away; doubles up to the longest.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_millis(500);
/// A store that answered for so long was not merely away for a moment in between.
const CALM: Duration = Duration::from_secs(1);
/// This many troubles of another kind in a row end a term: what is decided and what the store has do not go together.
const STRANGE_MAX: u32 = 6;
/// After so long without one of them they are counted anew.
const STRANGE_FORGOTTEN: Duration = Duration::from_secs(60);

/// The troubles of one term.
pub(crate) struct Troubles {
    patience: Duration,
    /// When the store last did what it was asked.
    answered: Instant,
    /// Since when it has done so without trouble.
    calm_since: Option<Instant>,
    /// Troubles of this outage.
    outage: u32,
    strange: u32,
    last_strange: Instant,
    turns: Turns,
}

impl Troubles {
    /// None so far. A store that is away for longer than `patience` ends the term.
    pub(crate) fn new(patience: Duration, turns: Turns, now: Instant) -> Self {
        Self { patience, answered: now, calm_since: None, outage: 0, strange: 0, last_strange: now, turns }
    }

    /// A turn is complete.
    pub(crate) fn turned(&self) {
        self.turns.turned();
    }

    /// All is well at the moment.
    pub(crate) fn over(&mut self, now: Instant) {
        self.answered = now;
        let calm = now - *self.calm_since.get_or_insert(now);
        if self.outage > 0 && calm >= CALM {
            tracing::info!("the store answers again");
            self.outage = 0;
        }
    }

    /// How long to wait before the next go; `None` gives the term up.
    pub(crate) fn pause(&mut self, trouble: &StoreError, now: Instant) -> Option<Duration> {
        self.turns.failed(trouble);
        self.calm_since = None;
        if !matches!(trouble, StoreError::Unavailable(_)) {
            return self.pause_strange(trouble, now);
        }
        if now - self.answered >= self.patience {
            return None;
        }
        if self.outage == 0 {
            tracing::warn!("the store is away, going on as soon as it answers: {trouble}");
        }
        let pause = PAUSE_MIN * 2_u32.pow(self.outage.min(8));
        self.outage += 1;
        Some(pause.min(PAUSE_MAX))
    }

    fn pause_strange(&mut self, trouble: &StoreError, now: Instant) -> Option<Duration> {
        let is_old = now - self.last_strange > STRANGE_FORGOTTEN;
        self.strange = if is_old { 1 } else { self.strange + 1 };
        self.last_strange = now;
        if self.strange > STRANGE_MAX {
            return None;
        }
        tracing::warn!("loading all active runs anew: {trouble}");
        Some(PAUSE_MIN * 2_u32.pow(self.strange))
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
        let mut troubles = Troubles::new(Duration::from_secs(5), Turns::default(), now);
        while let Some(pause) = troubles.pause(&away(), now) {
            assert!(pause <= PAUSE_MAX);
            now += pause;
        }
        let waited = now - began;
        assert!(waited >= Duration::from_secs(5) && waited < Duration::from_secs(6), "{waited:?}");
    }

    #[test]
    fn a_store_that_answers_now_and_then_is_not_away() {
        let mut now = Instant::now();
        let mut troubles = Troubles::new(Duration::from_secs(5), Turns::default(), now);
        for _ in 0..100 {
            now += troubles.pause(&away(), now).expect("it answered a moment ago");
            troubles.over(now);
        }
    }

    #[test]
    fn troubles_of_another_kind_are_bounded() {
        let now = Instant::now();
        let mut troubles = Troubles::new(Duration::from_secs(5), Turns::default(), now);
        let strange = StoreError::Conflict("strange".to_owned());
        let pauses = std::iter::from_fn(|| troubles.pause(&strange, now)).count();
        assert_eq!(pauses, STRANGE_MAX as usize);
        assert!(troubles.pause(&strange, now + STRANGE_FORGOTTEN * 2).is_some(), "long ago is forgotten");
    }
}
