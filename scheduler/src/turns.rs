//! Whether this replica does its part: when its planner last completed a turn, when the store last took a beat of it, and
//! what keeps either from the next. Kept in memory and by a clock that nobody sets, so that a process knows it of itself where
//! the store cannot be written, and while its planner hangs.

use std::fmt::Display;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use rota_core::sync::lock;
use tokio::time::Instant;

/// What fails for so long is in trouble. What is over sooner is nobody's business.
const FAILING_MAX: Duration = Duration::from_secs(3);
/// A planner without a turn for so long is in trouble whether it knows why or not: it turns once a second at least.
const TURN_MAX: Duration = Duration::from_secs(10);

/// See the module's text. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Turns(Arc<Mutex<TurnsSeen>>);

#[derive(Debug, Default)]
struct TurnsSeen {
    /// `None` while it stands by.
    planner: Option<RepeatedWork>,
    beats: Option<RepeatedWork>,
}

/// Something that is done again and again.
#[derive(Debug)]
struct RepeatedWork {
    /// When it was last done, or begun.
    done: Instant,
    /// Why it was not done since.
    failed: Option<String>,
}

impl Turns {
    /// How long ago the planner completed its last turn, or began its term; `None` on a replica that stands by.
    pub fn turned_ago(&self) -> Option<Duration> {
        self.seen().planner.as_ref().map(|planner| planner.done.elapsed())
    }

    /// What keeps this replica from doing its part, in words; `None`: nothing does.
    pub fn trouble(&self) -> Option<String> {
        self.seen().trouble(Instant::now())
    }

    /// The same of its planner alone: a beat that the store takes is no sign that it takes none.
    pub(crate) fn planner_trouble(&self) -> Option<String> {
        self.seen().planner_trouble(Instant::now())
    }

    /// It leads, or goes on after a term that failed: then it is still in the same trouble.
    pub(crate) fn leads(&self) {
        self.seen().planner.get_or_insert_with(|| RepeatedWork::begun(Instant::now()));
    }

    /// Nothing is expected of its planner.
    pub(crate) fn stands_by(&self) {
        self.seen().planner = None;
    }

    /// The planner completed a turn: everything that there was to do is done and committed.
    pub(crate) fn turned(&self) {
        self.seen().planner = Some(RepeatedWork::begun(Instant::now()));
    }

    /// A turn was broken off.
    pub(crate) fn failed(&self, why: &impl Display) {
        self.seen().planner.get_or_insert_with(|| RepeatedWork::begun(Instant::now())).failed =
            Some(why.to_string());
    }

    /// The store took a beat, or why it did not.
    pub(crate) fn beat(&self, outcome: Result<&(), &impl Display>) {
        let mut seen = self.seen();
        let begun = || RepeatedWork::begun(Instant::now());
        match outcome {
            Ok(&()) => seen.beats = Some(begun()),
            Err(why) => seen.beats.get_or_insert_with(begun).failed = Some(why.to_string()),
        }
    }

    fn seen(&self) -> MutexGuard<'_, TurnsSeen> {
        lock(&self.0)
    }
}

impl TurnsSeen {
    fn trouble(&self, now: Instant) -> Option<String> {
        let beats =
            || self.beats.as_ref()?.trouble("the store has taken no beat of this scheduler", None, now);
        self.planner_trouble(now).or_else(beats)
    }

    fn planner_trouble(&self, now: Instant) -> Option<String> {
        self.planner.as_ref()?.trouble("the planner has not completed a turn", Some(TURN_MAX), now)
    }
}

impl RepeatedWork {
    fn begun(now: Instant) -> Self {
        Self { done: now, failed: None }
    }

    /// `silent_max`: how long it may go without being done or failing.
    fn trouble(&self, what: &str, silent_max: Option<Duration>, now: Instant) -> Option<String> {
        let since = now - self.done;
        match &self.failed {
            Some(why) if since >= FAILING_MAX => Some(format!("{what} for {} s: {why}", since.as_secs())),
            _ if silent_max.is_some_and(|max| since >= max) => {
                Some(format!("{what} for {} s", since.as_secs()))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said so many seconds from now.
    fn after(turns: &Turns, seconds: u64) -> Option<String> {
        turns.seen().trouble(Instant::now() + Duration::from_secs(seconds))
    }

    #[test]
    fn a_planner_that_fails_is_in_trouble_until_it_turns() {
        let turns = Turns::default();
        turns.leads();
        turns.failed(&"the disk is full");
        assert_eq!(after(&turns, 1), None, "it may pass");
        let said = "the planner has not completed a turn for 4 s: the disk is full";
        assert_eq!(after(&turns, 4).as_deref(), Some(said));
        turns.leads();
        assert_eq!(after(&turns, 4).as_deref(), Some(said), "another term alone is no turn");
        turns.turned();
        assert_eq!(after(&turns, 4), None);
    }

    #[test]
    fn a_planner_that_hangs_says_nothing_and_is_in_trouble_all_the_same() {
        let turns = Turns::default();
        turns.turned();
        assert_eq!(after(&turns, 8), None);
        assert_eq!(after(&turns, 11).as_deref(), Some("the planner has not completed a turn for 11 s"));
        assert!(turns.turned_ago().is_some());
    }

    #[test]
    fn of_a_standby_only_beats_are_expected() {
        let turns = Turns::default();
        turns.failed(&"lost");
        turns.stands_by();
        turns.beat(Ok::<&(), &String>(&()));
        assert_eq!((after(&turns, 60), turns.turned_ago()), (None, None));
        turns.beat(Err(&"the disk is full"));
        assert!(after(&turns, 60).is_some_and(|said| said.ends_with("for 60 s: the disk is full")));
        turns.beat(Ok::<&(), &String>(&()));
        assert_eq!(after(&turns, 60), None);
    }
}
