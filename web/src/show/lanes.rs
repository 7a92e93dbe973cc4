//! Scheduler replicas, each with its lane in time: when it led, when it stood by, when nobody led.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use rota_core::id::ReplicaId;
use rota_core::port::{ReplicaRow, ReplicaState, TermRow};

use super::axis::{AxisShape, Drawing, Pct, TimeStretch, mark_text, marks, scale};
use super::look::{FAILED, GONE, LEADS, STANDS_BY, StateStyle, WARN};
use super::time::{LocalClock, Stamp, count, span};
use crate::lead::{LeadershipState, ended_at, is_silent};

/// Replicas that are listed. Names that change with each start (as containers' do) gather within a day.
const LANES_MAX: usize = 30;
/// The longest and the shortest stretch that is drawn.
const DRAWN_MAX: TimeDelta = TimeDelta::days(1);
const DRAWN_MIN: TimeDelta = TimeDelta::minutes(10);
/// A term gets its number when it is at least so wide, in per cent; on a phone it needs to be wider.
const NUMBERED_FROM: f64 = 12.0;
const NUMBERED_ON_PHONES_FROM: f64 = 20.0;
/// Terms that are told one by one to who cannot see the lane.
const TOLD_MAX: usize = 3;

/// What the store says of schedulers.
pub(crate) struct LeadershipFacts {
    pub(crate) replicas: Vec<ReplicaRow>,
    /// Newest first.
    pub(crate) terms: Vec<TermRow>,
    pub(crate) lead: LeadershipState,
}

/// A replica.
pub(crate) struct LeaderTimeline {
    pub(crate) id: String,
    pub(crate) look: StateStyle,
    pub(crate) role: String,
    /// More about its role; empty: nothing.
    pub(crate) why: String,
    pub(crate) leads: bool,
    pub(crate) track: Drawing,
    pub(crate) host: String,
    pub(crate) pid: u32,
    pub(crate) dags_dir: String,
    pub(crate) version: String,
    /// The version of its time zone data.
    pub(crate) zones: String,
    pub(crate) started: Stamp,
    /// How long ago it was seen.
    pub(crate) seen: String,
    pub(crate) is_silent: bool,
    pub(crate) is_gone: bool,
}

/// The table.
pub(crate) struct LeaderTimelines {
    pub(crate) axis: Drawing,
    pub(crate) said: String,
    pub(crate) rows: Vec<LeaderTimeline>,
    pub(crate) more: usize,
}

/// What all lanes share.
struct TimelineSheet<'a> {
    moment: &'a LocalClock,
    known: &'a LeadershipFacts,
    stretch: TimeStretch,
    ticks: Vec<Pct>,
    hand: Pct,
    /// When nobody led.
    vacant: Vec<(DateTime<Utc>, DateTime<Utc>)>,
}

impl LeadershipFacts {
    /// The holder of the newest term, while somebody leads.
    pub(crate) fn leader(&self) -> Option<&TermRow> {
        self.terms.first().filter(|_| self.lead.is_held())
    }

    /// The versions of time zone data among those that are up, each once.
    pub(crate) fn zones(&self, now: DateTime<Utc>) -> BTreeSet<&str> {
        let up = |replica: &&ReplicaRow| replica.state != ReplicaState::Gone && !is_silent(replica, now);
        let zones = self.replicas.iter().filter(up).map(|replica| replica.zones.as_str());
        zones.filter(|zones| !zones.is_empty()).collect()
    }

    /// Whether this replica leads.
    pub(crate) fn leads(&self, replica: &ReplicaId) -> bool {
        self.leader().is_some_and(|term| term.holder == *replica)
    }

    /// Each term with its end, as far as it is known; `None` while it goes on. Newest first.
    fn ended(&self) -> impl Iterator<Item = (&TermRow, Option<DateTime<Utc>>)> {
        self.terms.iter().enumerate().map(|(place, term)| {
            let next = place.checked_sub(1).map(|place| &self.terms[place]);
            let last = || (!self.lead.is_held()).then(|| term.ended_at.unwrap_or(term.seen_at));
            (term, next.map_or_else(last, |next| Some(ended_at(term, next))))
        })
    }
}

/// The table: replicas that are there by name, then those that have gone.
pub(crate) fn lanes(moment: &LocalClock, known: &LeadershipFacts) -> LeaderTimelines {
    let stretch = stretch(moment.now, known);
    let words: Vec<(Pct, String)> = marks(moment, stretch, 8)
        .into_iter()
        .map(|at| (stretch.at(at), mark_text(moment, at)))
        .filter(|(x, _)| x.0 < 95.0)
        .collect();
    let sheet = TimelineSheet {
        moment,
        known,
        stretch,
        ticks: words.iter().map(|(x, _)| *x).collect(),
        hand: stretch.at(moment.now),
        vacant: vacant(moment.now, known),
    };
    let mut replicas: Vec<&ReplicaRow> = known.replicas.iter().collect();
    replicas.sort_by_key(|replica| replica.state == ReplicaState::Gone);
    let more = replicas.len().saturating_sub(LANES_MAX);
    LeaderTimelines {
        axis: scale(&words, Some(sheet.hand)),
        said: format!("Time, from {} to now", moment.event(stretch.from).text),
        rows: replicas.into_iter().take(LANES_MAX).map(|replica| lane(&sheet, replica)).collect(),
        more,
    }
}

/// From the first thing that is known, within bounds, to a little past now.
fn stretch(now: DateTime<Utc>, known: &LeadershipFacts) -> TimeStretch {
    let begins = known.terms.iter().map(|term| term.began_at);
    let first = begins.chain(known.replicas.iter().map(|replica| replica.started_at)).min().unwrap_or(now);
    let from = first.clamp(now - DRAWN_MAX, now - DRAWN_MIN);
    TimeStretch { from, to: now + (now - from) / 36 }
}

fn vacant(now: DateTime<Utc>, known: &LeadershipFacts) -> Vec<(DateTime<Utc>, DateTime<Utc>)> {
    let between = known.terms.windows(2).map(|pair| (ended_at(&pair[1], &pair[0]), pair[0].began_at));
    let open = match &known.lead {
        LeadershipState::Vacant { since } => Some((*since, now)),
        LeadershipState::Never | LeadershipState::Held | LeadershipState::Stuck { .. } => None,
    };
    between.chain(open).filter(|(from, to)| from < to).collect()
}

fn lane(sheet: &TimelineSheet<'_>, replica: &ReplicaRow) -> LeaderTimeline {
    let (moment, known) = (sheet.moment, sheet.known);
    let is_silent = is_silent(replica, moment.now);
    let leads = known.leads(&replica.id);
    let is_gone = replica.state == ReplicaState::Gone;
    let trouble = replica.trouble.as_deref();
    let (look, role, why) = match replica.state {
        ReplicaState::Gone => (GONE, "gone", "It ended in good order."),
        ReplicaState::Standby | ReplicaState::Leader if is_silent => (FAILED, "silent", "Killed or cut off."),
        _ if leads => (if trouble.is_some() { FAILED } else { LEADS }, "leads", trouble.unwrap_or("")),
        ReplicaState::Leader if known.lead.is_held() => {
            (WARN, "led", "Its writes are refused: it steps down.")
        }
        ReplicaState::Leader | ReplicaState::Standby => (STANDS_BY, "stands by", trouble.unwrap_or("")),
    };
    LeaderTimeline {
        id: replica.id.to_string(),
        look,
        role: role.to_owned(),
        why: if why.is_empty() { other_zones(known, replica).unwrap_or_default() } else { why.to_owned() },
        leads: leads && !is_silent && !is_gone,
        track: track(sheet, replica),
        host: replica.host.clone(),
        pid: replica.pid,
        dags_dir: replica.dags_dir.clone().unwrap_or_default(),
        version: replica.version.clone(),
        zones: replica.zones.clone(),
        started: moment.event(replica.started_at).without_seconds(),
        seen: span((moment.now - replica.seen_at).max(TimeDelta::zero())),
        is_silent,
        is_gone,
    }
}

/// What it means that a replica would find other slots than the leader.
fn other_zones(known: &LeadershipFacts, replica: &ReplicaRow) -> Option<String> {
    let leader = known.replicas.iter().find(|other| known.leads(&other.id))?;
    let differs = leader.zones != replica.zones && !leader.zones.is_empty() && !replica.zones.is_empty();
    differs.then(|| {
        let (own, led) = (&replica.zones, &leader.zones);
        format!("Its time zones are of {own}, the leader's of {led}: slots may move when it leads.")
    })
}

fn track(sheet: &TimelineSheet<'_>, replica: &ReplicaRow) -> Drawing {
    let TimelineSheet { moment, stretch, .. } = *sheet;
    let mut shapes: Vec<AxisShape> =
        sheet.ticks.iter().map(|x| AxisShape::Through { class: "track-grid", x: *x }).collect();
    let alive_to = if is_silent(replica, moment.now) || replica.state == ReplicaState::Gone {
        replica.seen_at
    } else {
        moment.now
    };
    if alive_to > stretch.from {
        let (x, width) = stretch.between(replica.started_at, alive_to);
        shapes.push(AxisShape::Box { class: "lane-up", x, width, y: 16.0, height: 2.0 });
    }
    let mut told = Vec::new();
    for (term, end) in sheet.known.ended().filter(|(term, _)| term.holder == replica.id) {
        let to = end.unwrap_or(moment.now);
        if to > stretch.from {
            term_shapes(&mut shapes, stretch, term, end.unwrap_or(moment.now), end.is_none());
            told.push(tell(moment, term, end));
        }
    }
    for (from, to) in sheet.vacant.iter().filter(|(_, to)| *to > stretch.from) {
        let (x, width) = stretch.between(*from, *to);
        shapes.push(AxisShape::Band { class: "lane-none", x, width });
    }
    shapes.push(AxisShape::Through { class: "rail-hand", x: sheet.hand });
    Drawing { class: "track lane", height: 0, label: label(replica, &told), shapes }
}

fn term_shapes(
    shapes: &mut Vec<AxisShape>,
    stretch: TimeStretch,
    term: &TermRow,
    to: DateTime<Utc>,
    goes_on: bool,
) {
    let (x, width) = stretch.between(term.began_at, to);
    let class = if goes_on { "lane-led" } else { "lane-past" };
    shapes.push(AxisShape::Box { class, x, width, y: 9.0, height: 16.0 });
    if width.0 >= NUMBERED_FROM {
        let class = match (goes_on, width.0 >= NUMBERED_ON_PHONES_FROM) {
            (true, true) => "lane-now",
            (true, false) => "lane-now rail-minor",
            (false, true) => "lane-on",
            (false, false) => "lane-on rail-minor",
        };
        let text = format!("epoch {}", term.epoch);
        shapes.push(AxisShape::Text { class, x, dx: 6, y: 21, anchor: "start", text });
    }
}

fn tell(moment: &LocalClock, term: &TermRow, end: Option<DateTime<Utc>>) -> String {
    let (epoch, from) = (term.epoch, moment.event(term.began_at).text);
    match end {
        None => format!("leads epoch {epoch} since {from}"),
        Some(to) => format!("led epoch {epoch} from {from} to {}", moment.event(to).text),
    }
}

fn label(replica: &ReplicaRow, told: &[String]) -> String {
    if told.is_empty() {
        return format!("{} did not lead", replica.id);
    }
    let more = match told.len().saturating_sub(TOLD_MAX) {
        0 => String::new(),
        more => format!(", and {} more", count(more as u64, "term")),
    };
    let shown: Vec<&str> = told.iter().take(TOLD_MAX).map(String::as_str).collect();
    format!("{} {}{more}", replica.id, shown.join(", "))
}

#[cfg(test)]
mod tests {
    use rota_core::id::Epoch;

    use super::*;

    fn at(minute: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + minute * 60, 0).expect("a time")
    }

    fn replica(id: &str, state: ReplicaState, seen: i64) -> ReplicaRow {
        ReplicaRow {
            id: ReplicaId::trusted(id),
            host: "h".into(),
            pid: 7,
            version: "1".into(),
            zones: "2026f".into(),
            dags_dir: None,
            state,
            turned_at: None,
            trouble: None,
            started_at: at(0),
            seen_at: at(seen),
        }
    }

    fn term(epoch: i64, holder: &str, began: i64, ended: Option<i64>) -> TermRow {
        TermRow {
            epoch: Epoch(epoch),
            holder: ReplicaId::trusted(holder),
            began_at: at(began),
            seen_at: at(ended.unwrap_or(100)),
            ended_at: ended.map(at),
        }
    }

    #[test]
    fn the_holder_of_the_newest_term_leads_and_a_gap_crosses_every_lane() {
        let known = LeadershipFacts {
            replicas: vec![
                replica("a", ReplicaState::Gone, 40),
                replica("b", ReplicaState::Leader, 100),
                replica("c", ReplicaState::Leader, 100),
                replica("d", ReplicaState::Standby, 90),
            ],
            terms: vec![term(2, "b", 50, None), term(1, "a", 0, Some(40))],
            lead: LeadershipState::Held,
        };
        let moment = LocalClock { now: at(100), zone: rota_core::schedule::Zone::UTC };
        let lanes = lanes(&moment, &known);
        let roles: Vec<_> = lanes.rows.iter().map(|lane| (lane.id.as_str(), lane.role.as_str())).collect();
        assert_eq!(roles, [("b", "leads"), ("c", "led"), ("d", "silent"), ("a", "gone")]);
        for lane in &lanes.rows {
            let gaps = lane.track.shapes.iter().filter(|shape| matches!(shape, AxisShape::Band { .. }));
            assert_eq!(gaps.count(), 1, "{}", lane.id);
        }
        assert!(lanes.rows[0].track.label.starts_with("b leads epoch 2"), "{}", lanes.rows[0].track.label);
    }

    #[test]
    fn a_replica_whose_time_zones_are_not_the_leaders_says_so() {
        let other =
            |id, zones: &str| ReplicaRow { zones: zones.into(), ..replica(id, ReplicaState::Standby, 100) };
        let known = LeadershipFacts {
            replicas: vec![
                replica("a", ReplicaState::Leader, 100),
                other("b", "2025b"),
                other("c", "2026f"),
                other("d", ""),
            ],
            terms: vec![term(1, "a", 0, None)],
            lead: LeadershipState::Held,
        };
        let lanes = lanes(&LocalClock { now: at(100), zone: rota_core::schedule::Zone::UTC }, &known);
        let whys: Vec<_> = lanes.rows.iter().map(|lane| lane.why.as_str()).collect();
        assert_eq!(
            whys,
            ["", "Its time zones are of 2025b, the leader's of 2026f: slots may move when it leads.", "", ""]
        );
        assert_eq!(known.zones(at(100)), ["2025b", "2026f"].into());
    }
}
