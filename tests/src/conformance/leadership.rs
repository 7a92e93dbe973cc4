//! What every election must do.

#![expect(missing_docs, reason = "a claim says all in its name")]

use std::sync::Arc;
use std::time::Duration;

use rota_core::port::Leadership;

use super::within;

/// How long a claim watches that something does not happen.
const QUIET: Duration = Duration::from_millis(200);

/// Two replicas in one election. (The embedded one has a single replica, which then campaigns twice.)
pub struct Contenders {
    /// A replica.
    pub one: Box<dyn Leadership>,
    /// Another.
    pub other: Box<dyn Leadership>,
}

/// One test per claim; `open` returns `Opened<Contenders>`.
#[macro_export]
macro_rules! leadership_suite {
    ($open:path) => {
        $crate::claims!($open, leadership: [
            a_new_term_is_trusted_and_goes_on,
            one_leads_at_a_time_and_resigning_lets_the_other_lead,
            a_term_that_is_dropped_can_be_had_again,
            those_who_take_part_are_named,
        ]);
    };
}

pub async fn a_new_term_is_trusted_and_goes_on(contenders: Arc<Contenders>) {
    let term = within("a free seat", contenders.one.campaign()).await.unwrap();
    assert!(term.is_trusted());
    assert!(tokio::time::timeout(QUIET, term.ended()).await.is_err(), "a term must not end by itself");
    assert!(term.is_trusted());
    term.resign().await;
}

pub async fn one_leads_at_a_time_and_resigning_lets_the_other_lead(contenders: Arc<Contenders>) {
    let term = within("a free seat", contenders.one.campaign()).await.unwrap();
    let second = tokio::time::timeout(QUIET, contenders.other.campaign()).await;
    assert!(second.is_err(), "two must not lead at a time");
    let (second, ()) = tokio::join!(within("the seat given up", contenders.other.campaign()), term.resign());
    assert!(second.unwrap().is_trusted());
}

pub async fn a_term_that_is_dropped_can_be_had_again(contenders: Arc<Contenders>) {
    let term = within("a free seat", contenders.one.campaign()).await.unwrap();
    drop(term);
    let second = within("the seat of one that is gone", contenders.other.campaign()).await.unwrap();
    assert!(second.is_trusted());
}

pub async fn those_who_take_part_are_named(contenders: Arc<Contenders>) {
    let term = within("a free seat", contenders.one.campaign()).await.unwrap();
    let named = within("the list", contenders.other.participants()).await.unwrap();
    assert!(!named.is_empty());
    term.resign().await;
}
