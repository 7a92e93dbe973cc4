//! Leaders that die, stop, leave, or never were.

use std::time::{Duration, Instant};

use rota_backend::EtcdOptions;
use rota_core::port::Leadership;
use rota_tests::conformance::within;
use rota_tests::services::etcd::Etcd;

use super::lab::{Stray, TTL, is_over, lead, options, peer, replica};

/// Kills a leader with or without the fast path and measures until the standby leads.
async fn succession(etcd: &Etcd, prefix: &str, has_peers: HasPeers) -> Duration {
    let peers = matches!(has_peers, HasPeers::Yes).then(|| [peer(), peer()]);
    let mut leader = Stray::start(etcd, "killed", peers.as_ref().map(|peers| &peers[0]));
    leader.says("leads").await;
    let standby = options(etcd, prefix);
    let standby = replica(EtcdOptions { peer: peers.map(|[_, peer]| peer), ..standby });
    let campaign = lead(&standby);
    tokio::pin!(campaign);
    // Long enough for the standby to have found the leader; the seat is taken all the while.
    assert!(tokio::time::timeout(TTL, &mut campaign).await.is_err(), "two lead");
    let killed = Instant::now();
    leader.kill();
    let term = campaign.await;
    let took = killed.elapsed();
    assert!(term.is_trusted());
    term.resign().await;
    took
}

enum HasPeers {
    Yes,
    No,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_leader_is_followed_sooner_over_the_fast_path() {
    let etcd = Etcd::start_cluster(1);
    let slow = succession(&etcd, "slow", HasPeers::No).await;
    let fast = succession(&etcd, "fast", HasPeers::Yes).await;
    println!("a killed leader was followed after {slow:?} by its lease and after {fast:?} by the fast path");
    assert!(fast < slow);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_leader_is_followed_and_learns_of_it_when_it_goes_on() {
    let etcd = Etcd::start_cluster(1);
    let peers = [peer(), peer()];
    let leader = Stray::start(&etcd, "stopped", Some(&peers[0]));
    leader.says("leads").await;
    let [_, own] = peers;
    let standby = replica(EtcdOptions { peer: Some(own), ..options(&etcd, "standby") });
    let stopped = Instant::now();
    leader.pause();
    let term = lead(&standby).await;
    let took = stopped.elapsed();
    // Its length is the fault itself.
    tokio::time::sleep((TTL * 3).saturating_sub(stopped.elapsed())).await;
    let resumed = Instant::now();
    leader.resume();
    leader.says("ended").await;
    println!(
        "a stopped leader was followed after {took:?}, and knew {:?} after it went on",
        resumed.elapsed()
    );
    assert!(term.is_trusted());
    assert!(!is_over(&*term).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_three_that_start_at_once_one_leads() {
    let etcd = Etcd::start_cluster(1);
    for round in 0..10 {
        let prefix = format!("/round{round}/");
        let start = |name| {
            replica(EtcdOptions { prefix: prefix.clone(), peer: Some(peer()), ..options(&etcd, name) })
        };
        let replicas = ["a", "b", "c"].map(start);
        let mut campaigns: Vec<_> = replicas.iter().map(|replica| Box::pin(lead(replica))).collect();
        while !campaigns.is_empty() {
            let term = first_won(&mut campaigns).await;
            let another = tokio::time::timeout(Duration::from_millis(100), first_won(&mut campaigns)).await;
            assert!(another.is_err(), "round {round}: two lead");
            term.resign().await;
        }
    }
}

/// The first campaign to be won is taken from the list.
async fn first_won<F: Future + Unpin>(campaigns: &mut Vec<F>) -> F::Output {
    std::future::poll_fn(|context| {
        for i in 0..campaigns.len() {
            if let std::task::Poll::Ready(term) = std::pin::Pin::new(&mut campaigns[i]).poll(context) {
                drop(campaigns.swap_remove(i));
                return std::task::Poll::Ready(term);
            }
        }
        std::task::Poll::Pending
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn campaigns_that_are_given_up_leave_the_seat_free() {
    let etcd = Etcd::start_cluster(1);
    let (one, other) = (replica(options(&etcd, "one")), replica(options(&etcd, "other")));
    for patience_ms in 0..40 {
        // Some of these win in the very moment in which they are given up.
        let won = tokio::time::timeout(Duration::from_millis(patience_ms), one.campaign()).await;
        drop(won);
    }
    let began = Instant::now();
    let term = lead(&other).await;
    println!("the seat was had {:?} after the last of the given up campaigns", began.elapsed());
    assert!(term.is_trusted());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_who_take_part_are_listed_with_the_leader_first() {
    let etcd = Etcd::start_cluster(1);
    let replicas = ["a", "b", "c"].map(|name| replica(options(&etcd, name)));
    let [a, b, c] = &replicas;
    let term = lead(b).await;
    let waiting =
        [a.clone(), c.clone()].map(|replica| tokio::spawn(async move { replica.campaign().await.is_ok() }));
    let listed = rota_tests::conformance::until("three listed", async || {
        let listed = within("the list", a.participants()).await.unwrap();
        (listed.len() == 3).then_some(listed)
    })
    .await;
    assert_eq!(listed.iter().map(|replica| replica.as_str()).collect::<Vec<_>>(), ["b", "a", "c"]);
    term.resign().await;
    rota_tests::conformance::until("the one who left is not listed", async || {
        let listed = within("the list", a.participants()).await.unwrap();
        (!listed.iter().any(|replica| replica.as_str() == "b")).then_some(())
    })
    .await;
    for waiting in waiting {
        waiting.abort();
    }
}
