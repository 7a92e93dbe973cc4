//! Who leads, how terms ended, and how long nobody led: one reading of the terms for pages and API. It decides nothing:
//! whose writes count is told by the store's fence alone.

use chrono::{DateTime, TimeDelta, Utc};
use rota_core::port::{ReplicaRow, ReplicaState, TermRow};

/// Replicas and leaders note once a second that they live; who was not seen for so long is silent.
pub(crate) const SILENT_AFTER: TimeDelta = TimeDelta::seconds(10);
/// How exactly the end of a lost term is known: its leader noted so often that it leads.
pub(crate) const NOTED_EVERY: TimeDelta = TimeDelta::seconds(1);
/// A term that was handed over is followed by the next one within moments; only after so long is it worth a word.
const HANDED_WITHIN: TimeDelta = TimeDelta::seconds(2);

/// Whether some scheduler leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LeadershipState {
    /// No term has begun.
    Never,
    /// The newest term goes on.
    Held,
    /// It goes on, but its leader does not do its part.
    Stuck {
        /// What keeps it from that.
        why: String,
    },
    /// It ended, or its leader is silent, and no other term has begun.
    Vacant {
        /// Since then.
        since: DateTime<Utc>,
    },
}

/// How a term ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TermEnd {
    /// It goes on.
    GoesOn,
    /// It should go on, but its leader is silent.
    Silent,
    /// Its leader gave it away in good order.
    HandedOver,
    /// Its leader was killed or cut off: it just was not seen any more.
    Lost,
    /// The next term began while its leader still thought that it leads.
    Replaced,
}

impl LeadershipState {
    /// What the newest term says.
    pub(crate) fn of(newest: Option<&TermRow>, replicas: &[ReplicaRow], now: DateTime<Utc>) -> Self {
        let Some(term) = newest else { return Self::Never };
        // A version that notes nothing leaves a term as it began, and no replica: its silence says nothing.
        let is_noted = term.seen_at > term.began_at || !replicas.is_empty();
        match term.ended_at {
            Some(since) if now - since > HANDED_WITHIN => Self::Vacant { since },
            None if is_noted && now - term.seen_at > SILENT_AFTER => Self::Vacant { since: term.seen_at },
            Some(_) | None => match trouble_of(term, replicas) {
                Some(why) => Self::Stuck { why: why.to_owned() },
                None => Self::Held,
            },
        }
    }

    /// Whether somebody leads, be it without doing its part.
    pub(crate) fn is_held(&self) -> bool {
        matches!(self, Self::Held | Self::Stuck { .. })
    }
}

/// What keeps the leader of an open term from doing its part, as it says itself.
fn trouble_of<'a>(term: &TermRow, replicas: &'a [ReplicaRow]) -> Option<&'a str> {
    let leader = replicas.iter().find(|replica| replica.id == term.holder && term.ended_at.is_none())?;
    leader.trouble.as_deref()
}

impl TermEnd {
    /// How `term` ended; `next`: the one after it.
    pub(crate) fn of(term: &TermRow, next: Option<&TermRow>, lead: &LeadershipState) -> Self {
        match (term.ended_at, next) {
            (Some(_), _) => Self::HandedOver,
            (None, Some(next)) if next.began_at < term.seen_at => Self::Replaced,
            (None, Some(_)) => Self::Lost,
            (None, None) if lead.is_held() => Self::GoesOn,
            (None, None) => Self::Silent,
        }
    }

    /// The word used in the API.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::GoesOn => "leads",
            Self::Silent => "silent",
            Self::HandedOver => "handed_over",
            Self::Lost => "lost",
            Self::Replaced => "replaced",
        }
    }
}

/// When a term ended as far as is known; never after the next one began.
pub(crate) fn ended_at(term: &TermRow, next: &TermRow) -> DateTime<Utc> {
    term.ended_at.unwrap_or(term.seen_at).min(next.began_at)
}

/// How long nobody led between two terms that followed each other.
pub(crate) fn vacancy(term: &TermRow, next: &TermRow) -> TimeDelta {
    next.began_at - ended_at(term, next)
}

/// Whether a replica has not been heard of though it did not say that it ends.
pub(crate) fn is_silent(replica: &ReplicaRow, now: DateTime<Utc>) -> bool {
    replica.state != ReplicaState::Gone && now - replica.seen_at > SILENT_AFTER
}

#[cfg(test)]
mod tests {
    use rota_core::id::{Epoch, ReplicaId};

    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + seconds, 0).expect("a time")
    }

    fn term(epoch: i64, began: i64, seen: i64) -> TermRow {
        let holder = ReplicaId::trusted("sched-a");
        TermRow { epoch: Epoch(epoch), holder, began_at: at(began), seen_at: at(seen), ended_at: None }
    }

    #[test]
    fn a_leader_that_is_not_seen_for_ten_seconds_leads_no_more() {
        let lead = |now| LeadershipState::of(Some(&term(1, 0, 50)), &[], at(now));
        assert_eq!((lead(50), lead(60)), (LeadershipState::Held, LeadershipState::Held));
        assert_eq!(lead(61), LeadershipState::Vacant { since: at(50) });
        assert_eq!(LeadershipState::of(None, &[], at(0)), LeadershipState::Never);
    }

    #[test]
    fn the_silence_of_a_version_that_notes_nothing_says_nothing() {
        assert_eq!(LeadershipState::of(Some(&term(1, 0, 0)), &[], at(9_000)), LeadershipState::Held);
    }

    #[test]
    fn a_term_that_was_given_away_is_vacant_only_when_nobody_takes_it() {
        let given = TermRow { ended_at: Some(at(50)), ..term(1, 0, 50) };
        assert_eq!(LeadershipState::of(Some(&given), &[], at(51)), LeadershipState::Held);
        assert_eq!(LeadershipState::of(Some(&given), &[], at(53)), LeadershipState::Vacant { since: at(50) });
    }

    #[test]
    fn a_leader_that_says_that_it_is_in_trouble_is_stuck() {
        let replica = |id: &str, trouble: Option<&str>| ReplicaRow {
            id: ReplicaId::trusted(id),
            host: "h".into(),
            pid: 7,
            version: "1".into(),
            zones: String::new(),
            dags_dir: None,
            state: ReplicaState::Leader,
            turned_at: Some(at(40)),
            trouble: trouble.map(str::to_owned),
            started_at: at(0),
            seen_at: at(50),
        };
        let lead =
            |replicas: &[ReplicaRow], now| LeadershipState::of(Some(&term(1, 0, 50)), replicas, at(now));
        let stuck = [replica("sched-a", Some("the disk is full"))];
        assert_eq!(lead(&stuck, 51), LeadershipState::Stuck { why: "the disk is full".to_owned() });
        assert_eq!(
            lead(&stuck, 70),
            LeadershipState::Vacant { since: at(50) },
            "what it said long ago is no news"
        );
        assert_eq!(
            lead(&[replica("sched-a", None), replica("sched-b", Some("no"))], 51),
            LeadershipState::Held
        );
    }

    #[test]
    fn an_end_is_told_by_the_term_that_follows() {
        let next = term(2, 60, 60);
        let given = TermRow { ended_at: Some(at(59)), ..term(1, 0, 59) };
        assert_eq!(TermEnd::of(&given, Some(&next), &LeadershipState::Held), TermEnd::HandedOver);
        assert_eq!(TermEnd::of(&term(1, 0, 50), Some(&next), &LeadershipState::Held), TermEnd::Lost);
        assert_eq!(vacancy(&term(1, 0, 50), &next), TimeDelta::seconds(10));
        // A leader that stood still goes on noting its old term for a moment when it wakes.
        let frozen = term(1, 0, 70);
        assert_eq!(TermEnd::of(&frozen, Some(&next), &LeadershipState::Held), TermEnd::Replaced);
        assert_eq!(vacancy(&frozen, &next), TimeDelta::zero());
        assert_eq!(TermEnd::of(&next, None, &LeadershipState::Held), TermEnd::GoesOn);
        assert_eq!(TermEnd::of(&next, None, &LeadershipState::Vacant { since: at(60) }), TermEnd::Silent);
    }
}
