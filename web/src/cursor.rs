//! Where the next page of a list begins, as text: a time, then what tells apart those of the same time.

use std::fmt::Display;

use chrono::{DateTime, SecondsFormat, Utc};
use rota_core::port::{AuditPlace, SlotPlace};

/// A place in the ledger.
pub(crate) fn slot_cursor(place: &SlotPlace) -> String {
    cursor(place.slot, &place.dag)
}

/// The place that a cursor names; `None`: it is none of ours.
pub(crate) fn slot_place(text: &str) -> Option<SlotPlace> {
    let (slot, dag) = parts(text)?;
    Some(SlotPlace { slot, dag: dag.parse().ok()? })
}

/// A place in the audit log.
pub(crate) fn audit_cursor(place: AuditPlace) -> String {
    cursor(place.at, place.id)
}

/// The place that a cursor names; `None`: it is none of ours.
pub(crate) fn audit_place(text: &str) -> Option<AuditPlace> {
    let (at, id) = parts(text)?;
    Some(AuditPlace { at, id: id.parse().ok()? })
}

fn cursor(at: DateTime<Utc>, key: impl Display) -> String {
    format!("{},{key}", at.to_rfc3339_opts(SecondsFormat::Micros, true))
}

fn parts(text: &str) -> Option<(DateTime<Utc>, &str)> {
    let (at, key) = text.split_once(',')?;
    Some((at.parse().ok()?, key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rota_core::id::{AuditId, DagId};

    #[test]
    fn a_cursor_names_its_place_and_other_texts_name_none() {
        let at = "2026-10-23T08:00:00.000123Z".parse().expect("valid");
        let slot = SlotPlace { slot: at, dag: DagId::trusted("a.b-c") };
        assert_eq!(slot_place(&slot_cursor(&slot)), Some(slot));
        let audit = AuditPlace { at, id: AuditId(42) };
        assert_eq!(audit_place(&audit_cursor(audit)), Some(audit));
        for text in [
            "",
            ",",
            "2026-10-23T08:00:00Z",
            "2026-10-23T08:00:00Z,",
            "yesterday,a",
            "2026-10-23T08:00:00Z,a/b",
        ] {
            assert_eq!((slot_place(text), audit_place(text)), (None, None), "{text}");
        }
    }
}
