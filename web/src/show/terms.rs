//! The changes of leader in words: how a term ended, how long nobody led, and what that did to slots.

use chrono::TimeDelta;
use rota_core::port::{SlotCounts, TermRow, TimeWindow};

use super::lanes::LeadershipFacts;
use super::look::{FAILED, MISSED, OK, StateStyle, WARN};
use super::time::{LocalClock, Stamp, count, span};
use crate::app::Ctx;
use crate::error::Outcome;
use crate::lead::{NOTED_EVERY, TermEnd, ended_at, vacancy};
use crate::slot_counts;

/// Changes that are listed.
pub(crate) const TERMS_SHOWN: usize = 8;

/// A term, and how it came about.
pub(crate) struct LeaderChange {
    pub(crate) epoch: i64,
    pub(crate) holder: String,
    pub(crate) from: Stamp,
    /// How long it lasted; for the one that goes on, in words.
    pub(crate) lasted: String,
    /// How long nobody had led when it began.
    pub(crate) gap: String,
    /// How bad that was; `None`: not worth a colour.
    pub(crate) gap_look: Option<StateStyle>,
    /// How the one before ended.
    pub(crate) why: String,
    pub(crate) slots: String,
    pub(crate) slots_look: Option<StateStyle>,
}

/// The newest changes of leader, newest first.
pub(crate) async fn rows(ctx: &Ctx, known: &LeadershipFacts) -> Outcome<Vec<LeaderChange>> {
    let mut rows = Vec::new();
    for (place, term) in known.terms.iter().take(TERMS_SHOWN).enumerate() {
        let before = known.terms.get(place + 1);
        let due = match before {
            Some(before) => {
                let window = TimeWindow { from: ended_at(before, term), until: term.began_at };
                Some(slot_counts::counts(ctx, None, window).await?.total)
            }
            None => None,
        };
        let next = place.checked_sub(1).map(|place| &known.terms[place]);
        rows.push(row(&ctx.moment, known, (before, term, next), due));
    }
    Ok(rows)
}

fn row(
    moment: &LocalClock,
    known: &LeadershipFacts,
    (before, term, next): (Option<&TermRow>, &TermRow, Option<&TermRow>),
    due: Option<SlotCounts>,
) -> LeaderChange {
    let lasted = match TermEnd::of(term, next, &known.lead) {
        TermEnd::GoesOn => format!("{} so far", moment.since(term.began_at)),
        TermEnd::Silent | TermEnd::HandedOver | TermEnd::Lost | TermEnd::Replaced => {
            let end = next.map_or(term.ended_at.unwrap_or(term.seen_at), |next| ended_at(term, next));
            span(end - term.began_at)
        }
    };
    let end =
        before.map(|before| (before, TermEnd::of(before, Some(term), &known.lead), vacancy(before, term)));
    let (slots, slots_look) = due.map(|due| says(&due)).unwrap_or_default();
    LeaderChange {
        epoch: term.epoch.0,
        holder: term.holder.to_string(),
        from: moment.event(term.began_at),
        lasted,
        gap: end.map(|(_, end, gap)| gap_says(end, gap)).unwrap_or_default(),
        gap_look: end.and_then(|(_, _, gap)| gap_look(gap)),
        why: end
            .map(|(before, end, _)| why(moment, before, term, end))
            .unwrap_or("the first term".to_owned()),
        slots,
        slots_look,
    }
}

/// A lost leader had noted that it leads at most a second before it ended, so it ended within a second of that.
fn gap_says(end: TermEnd, gap: TimeDelta) -> String {
    match end {
        TermEnd::HandedOver | TermEnd::Replaced | TermEnd::GoesOn | TermEnd::Silent => span(gap),
        TermEnd::Lost if gap <= NOTED_EVERY => format!("up to {}", span(gap)),
        TermEnd::Lost if gap < TimeDelta::minutes(1) => {
            let tenths = |gap: TimeDelta| gap.num_milliseconds() as f64 / 1000.0;
            format!("{:.1} to {:.1}\u{a0}s", tenths(gap - NOTED_EVERY), tenths(gap))
        }
        TermEnd::Lost => format!("about {}", span(gap)),
    }
}

fn gap_look(gap: TimeDelta) -> Option<StateStyle> {
    match gap.num_seconds() {
        0..10 => None,
        10..60 => Some(WARN),
        _ => Some(FAILED),
    }
}

fn why(moment: &LocalClock, before: &TermRow, term: &TermRow, end: TermEnd) -> String {
    let who = &before.holder;
    let seen = moment.event(before.seen_at).text;
    match end {
        TermEnd::HandedOver if before.holder == term.holder => {
            format!("{who} ended in good order, then came back")
        }
        TermEnd::HandedOver => format!("{who} handed over"),
        TermEnd::Replaced => format!("{who} stood still; when it went on, its writes were refused"),
        TermEnd::Lost if before.holder == term.holder => {
            format!("{who} was lost, last seen {seen}, then came back")
        }
        TermEnd::Lost | TermEnd::Silent | TermEnd::GoesOn => format!("{who} was lost, last seen {seen}"),
    }
}

/// What became of the slots that came due while nobody led.
fn says(due: &SlotCounts) -> (String, Option<StateStyle>) {
    let mut said = Vec::new();
    if due.missed > 0 {
        said.push(format!("{} missed", count(due.missed, "slot")));
    }
    if due.fired > 0 {
        let noun = if said.is_empty() { count(due.fired, "slot") } else { due.fired.to_string() };
        let late = TimeDelta::milliseconds(i64::try_from(due.late_max_ms).unwrap_or(i64::MAX));
        said.push(format!("{noun} fired, at most {} late", span(late)));
    }
    if due.skipped > 0 {
        let noun = if said.is_empty() { count(due.skipped, "slot") } else { due.skipped.to_string() };
        said.push(format!("{noun} skipped by policy"));
    }
    match (due.missed, said.is_empty()) {
        (_, true) => ("none due".to_owned(), None),
        (0, false) => (said.join(", "), Some(OK)),
        (_, false) => (said.join(", "), Some(MISSED)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> String {
        text.replace('\u{a0}', " ")
    }

    #[test]
    fn a_gap_after_a_lost_leader_is_told_as_exactly_as_it_is_known() {
        let gap = |end, ms| plain(&gap_says(end, TimeDelta::milliseconds(ms)));
        assert_eq!(gap(TermEnd::HandedOver, 180), "0.1 s");
        assert_eq!(gap(TermEnd::Lost, 700), "up to 0.7 s");
        assert_eq!(gap(TermEnd::Lost, 3_140), "2.1 to 3.1 s");
        assert_eq!(gap(TermEnd::Lost, 753_000), "about 12 m 33 s");
    }

    #[test]
    fn slots_of_a_gap_are_told_with_the_worst_first() {
        let due = SlotCounts { fired: 2, skipped: 0, missed: 1, late_max_ms: 1_900 };
        let (text, look) = says(&due);
        assert_eq!(plain(&text), "1 slot missed, 2 fired, at most 1.9 s late");
        assert_eq!(look, Some(MISSED));
        assert_eq!(says(&SlotCounts::default()), ("none due".to_owned(), None));
    }
}
