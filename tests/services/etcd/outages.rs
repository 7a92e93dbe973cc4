//! Terms while etcd is away, empty or against them.

use std::time::{Duration, Instant};

use rota_core::port::Leadership;
use rota_tests::conformance::{until, within};
use rota_tests::services::etcd::Etcd;

use super::lab::{Player, TTL, doubtful, is_over, lead, one_trusted, options, replica, trusted};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_term_goes_on_in_doubt_while_etcd_is_down() {
    let mut etcd = Etcd::start_cluster(1);
    let (one, other) = (replica(options(&etcd, "one")), replica(options(&etcd, "other")));
    let term = lead(&one).await;
    let campaign = other.campaign();
    tokio::pin!(campaign);
    assert!(tokio::time::timeout(TTL / 4, &mut campaign).await.is_err());
    etcd.kill(0);
    doubtful(&*term).await;
    let down =
        within("the link", async { one.link().wait_for(|link| !link.is_up()).await.unwrap().to_string() })
            .await;
    assert!(down.starts_with("etcd at http://127.0.0.1:"), "{down}");
    assert!(tokio::time::timeout(TTL * 2, term.ended()).await.is_err(), "no answer is no end");
    assert!(tokio::time::timeout(Duration::ZERO, &mut campaign).await.is_err(), "nobody can campaign");
    let started = Instant::now();
    etcd.start(0);
    trusted(&*term).await;
    println!("trusted again {:?} after etcd was started", started.elapsed());
    within("the link", async { one.link().wait_for(rota_backend::Link::is_up).await.map(drop).unwrap() })
        .await;
    assert!(!is_over(&*term).await);
    assert!(tokio::time::timeout(TTL, &mut campaign).await.is_err(), "two lead");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_term_goes_on_when_etcd_was_wiped() {
    let mut etcd = Etcd::start_cluster(1);
    let (one, other) = (replica(options(&etcd, "one")), replica(options(&etcd, "other")));
    let term = lead(&one).await;
    let campaign = other.campaign();
    tokio::pin!(campaign);
    assert!(tokio::time::timeout(TTL / 4, &mut campaign).await.is_err());
    for _ in 0..2 {
        etcd.wipe();
        until("the seat on the new etcd", async || {
            (term.is_trusted() && etcd.etcdctl(&["get", "/rota/leader"]).contains("one")).then_some(())
        })
        .await;
        assert!(!is_over(&*term).await);
        assert!(tokio::time::timeout(TTL, &mut campaign).await.is_err(), "two lead");
    }
    term.resign().await;
    assert!(within("the seat", campaign).await.unwrap().is_trusted());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_whose_lease_is_revoked_retakes_the_seat_or_loses_it() {
    let etcd = Etcd::start_cluster(1);
    let players = ["one", "other"].map(|name| Player::start(replica(options(&etcd, name))));
    let mut both_max = Duration::ZERO;
    one_trusted(&players, &mut both_max).await;
    for _ in 0..5 {
        let holder = etcd.etcdctl(&["get", "/rota/leader", "--print-value-only"]);
        let holder: serde_json::Value =
            serde_json::from_str(holder.trim()).expect("JSON in the leader's key");
        etcd.etcdctl(&["lease", "revoke", holder["lease"].as_str().expect("a lease in the value")]);
        let revoked = Instant::now();
        // Watched for as long as an old leader's trust could last.
        while revoked.elapsed() < TTL {
            one_trusted(&players, &mut both_max).await;
        }
    }
    let terms: Vec<usize> = players.iter().map(Player::terms).collect();
    println!("terms after five revoked leases: {terms:?}; two were trusted at once for {both_max:?} at most");
    // Otherwise the old leader would only have learnt of it by its trust running out.
    assert!(both_max < TTL / 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_that_die_one_at_a_time_do_not_end_a_term() {
    let mut etcd = Etcd::start_cluster(3);
    let (one, other) = (replica(options(&etcd, "one")), replica(options(&etcd, "other")));
    let term = lead(&one).await;
    let campaign = other.campaign();
    tokio::pin!(campaign);
    for i in 0..3 {
        etcd.kill(i);
        // Longer than any member needs to notice, and than the lease lives.
        assert!(tokio::time::timeout(TTL + TTL / 2, &mut campaign).await.is_err(), "two lead");
        trusted(&*term).await;
        etcd.start(i);
        etcd.wait_ready();
    }
    assert!(!is_over(&*term).await);
    term.resign().await;
    assert!(within("the seat", campaign).await.unwrap().is_trusted());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_of_a_stopped_etcd_goes_on() {
    let etcd = Etcd::start_cluster(1);
    let one = replica(options(&etcd, "one"));
    let term = lead(&one).await;
    etcd.pause(0);
    doubtful(&*term).await;
    within("the link", async { one.link().wait_for(|link| !link.is_up()).await.map(drop).unwrap() }).await;
    assert!(within("an answer", one.participants()).await.is_err());
    etcd.resume(0);
    trusted(&*term).await;
    assert!(!is_over(&*term).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn resigning_and_campaigning_are_bounded_without_etcd() {
    let mut etcd = Etcd::start_cluster(1);
    let one = replica(options(&etcd, "one"));
    let term = lead(&one).await;
    etcd.kill(0);
    within("resigning", term.resign()).await;
    let campaign = one.campaign();
    tokio::pin!(campaign);
    assert!(tokio::time::timeout(TTL, &mut campaign).await.is_err(), "it waits for etcd");
    etcd.start(0);
    assert!(within("a term", campaign).await.unwrap().is_trusted());
}
