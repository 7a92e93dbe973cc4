//! Broken connections to other replicas and to etcd, and an etcd that refuses.

use std::time::{Duration, Instant};

use rota_backend::{EtcdLeadership, EtcdOptions, EtcdTls, PeerOptions};
use rota_core::port::Leadership;
use rota_tests::conformance::{until, within};
use rota_tests::proxy::{Proxy, Way};
use rota_tests::services::etcd::Etcd;

use super::lab::{Player, TTL, is_over, lead, one_trusted, options, peer, replica, trusted};

/// A fast path whose connections go through a proxy.
fn proxied_peer() -> (PeerOptions, Proxy) {
    let direct = peer();
    let proxy = Proxy::start(direct.listen);
    (PeerOptions { advertise: proxy.address().to_string(), ..direct }, proxy)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrongly_suspected_leader_retakes_the_seat_or_loses_it() {
    let etcd = Etcd::start_cluster(1);
    let peers = [proxied_peer(), proxied_peer()];
    let (options, proxies): (Vec<_>, Vec<_>) = peers.into_iter().unzip();
    let mut options = options.into_iter().map(Some);
    let players = ["one", "other"].map(|name| {
        let peer = options.next().expect("one for each");
        Player::start(replica(EtcdOptions { peer, ..super::lab::options(&etcd, name) }))
    });
    let mut both_max = Duration::ZERO;
    let leases = || etcd.etcdctl(&["get", "/rota/leader", "--print-value-only"]);
    for _ in 0..5 {
        one_trusted(&players, &mut both_max).await;
        let before = leases();
        let is_another = async || (!leases().is_empty() && leases() != before).then_some(());
        until("a suspicion", async || {
            // One of them leads, and the other holds a connection to it.
            let lines = || proxies.iter().map(Proxy::connections).sum::<usize>();
            until("a standby on the line", async || (lines() == 1).then_some(())).await;
            proxies.iter().for_each(Proxy::refuse);
            proxies.iter().for_each(Proxy::reset);
            // A standby that was cut off before it was greeted suspects nobody, and is cut off again.
            let is_suspected = tokio::time::timeout(TTL, until("another lease", is_another)).await.is_ok();
            proxies.iter().for_each(Proxy::heal);
            is_suspected.then_some(())
        })
        .await;
    }
    one_trusted(&players, &mut both_max).await;
    let terms: Vec<usize> = players.iter().map(Player::terms).collect();
    println!(
        "terms after five wrong suspicions: {terms:?}; two were trusted at once for {both_max:?} at most"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_is_reset_alone_or_silent_is_no_suspicion() {
    let etcd = Etcd::start_cluster(1);
    let (peer_options, proxy) = proxied_peer();
    let leader = replica(EtcdOptions { peer: Some(peer_options), ..options(&etcd, "leader") });
    let standby = replica(EtcdOptions { peer: Some(peer()), ..options(&etcd, "standby") });
    let term = lead(&leader).await;
    let campaign = standby.campaign();
    tokio::pin!(campaign);
    let key = || etcd.etcdctl(&["get", "/rota/leader", "--print-value-only"]);
    let before = key();
    for fault in [Proxy::reset, |proxy: &Proxy| proxy.black_hole(Way::Down), Proxy::stop_accepting] {
        let settled = async { until("the line", async || (proxy.connections() == 1).then_some(())).await };
        tokio::select! {
            () = settled => {}
            _ = &mut campaign => panic!("two lead"),
        }
        fault(&proxy);
        assert!(tokio::time::timeout(TTL, &mut campaign).await.is_err(), "two lead");
        proxy.heal();
    }
    assert_eq!(key(), before, "the seat never changed hands");
    assert!(term.is_trusted());
    assert!(!is_over(&*term).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_cut_from_etcd_alone_is_followed_once() {
    let etcd = Etcd::start_cluster(1);
    let proxy = Proxy::start(([127, 0, 0, 1], etcd.client_port(0)).into());
    let endpoints = vec![format!("http://{}", proxy.address())];
    let cut = replica(EtcdOptions { endpoints, peer: Some(peer()), ..options(&etcd, "cut") });
    let standby = replica(EtcdOptions { peer: Some(peer()), ..options(&etcd, "standby") });
    let old = lead(&cut).await;
    let began = Instant::now();
    proxy.black_hole(Way::Up);
    proxy.black_hole(Way::Down);
    let new = lead(&standby).await;
    println!("a leader cut from etcd was followed after {:?}", began.elapsed());
    assert!(!old.is_trusted(), "its trust ends before its lease does");
    assert!(new.is_trusted());
    proxy.heal();
    within("the end of the old term", old.ended()).await;
    assert!(!is_over(&*new).await);
    old.resign().await;
    trusted(&*new).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_to_etcd_are_kept_however_long_the_ttl() {
    let etcd = Etcd::start_cluster(1);
    let proxy = Proxy::start(([127, 0, 0, 1], etcd.client_port(0)).into());
    let endpoints = vec![format!("http://{}", proxy.address())];
    let leader = replica(EtcdOptions { endpoints, ttl: TTL * 30, ..options(&etcd, "leader") });
    let term = lead(&leader).await;
    until("one for the lease, one for the rest", async || (proxy.accepted() == 2).then_some(())).await;
    // etcd hangs up on clients that only ping, at the fourth ping, one a second.
    assert!(tokio::time::timeout(Duration::from_secs(8), term.ended()).await.is_err());
    assert_eq!(proxy.accepted(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_without_etcd_revokes_nothing_and_campaigns_later() {
    let etcd = Etcd::start_cluster(1);
    let proxy = Proxy::start(([127, 0, 0, 1], etcd.client_port(0)).into());
    let leader = replica(EtcdOptions { peer: Some(peer()), ..options(&etcd, "leader") });
    let endpoints = vec![format!("http://{}", proxy.address())];
    let standby = replica(EtcdOptions { endpoints, peer: Some(peer()), ..options(&etcd, "standby") });
    let term = lead(&leader).await;
    let campaign = standby.campaign();
    tokio::pin!(campaign);
    assert!(tokio::time::timeout(TTL / 2, &mut campaign).await.is_err(), "two lead");
    proxy.refuse();
    proxy.reset();
    assert!(tokio::time::timeout(TTL, &mut campaign).await.is_err(), "two lead");
    assert!(!is_over(&*term).await);
    term.resign().await;
    assert!(tokio::time::timeout(TTL / 4, &mut campaign).await.is_err(), "it cannot know");
    proxy.heal();
    assert!(within("a term", campaign).await.unwrap().is_trusted());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_is_said_and_a_right_one_leads() {
    let mut etcd = Etcd::start_cluster(1);
    etcd.etcdctl(&["user", "add", "root:secret"]);
    etcd.etcdctl(&["user", "grant-role", "root", "root"]);
    etcd.etcdctl(&["auth", "enable"]);
    let with = |user: Option<(&str, &str)>| {
        let user = user.map(|(name, password)| (name.to_owned(), password.to_owned()));
        replica(EtcdOptions { user, ..options(&etcd, "one") })
    };
    for (wrong, why) in
        [(with(Some(("root", "wrong"))), "authentication failed"), (with(None), "user name is empty")]
    {
        let error = within("a refusal", wrong.campaign()).await.err().expect("a refusal").to_string();
        assert!(error.contains(why), "{error}");
        assert!(!error.contains("wrong"), "a password is never told: {error}");
        let error = within("a refusal", wrong.participants()).await.expect_err("a refusal").to_string();
        assert!(error.contains(why), "{error}");
    }
    let right = with(Some(("root", "secret")));
    let term = lead(&right).await;
    // etcd forgets its tokens with its process.
    etcd.kill(0);
    super::lab::doubtful(&*term).await;
    etcd.start(0);
    trusted(&*term).await;
    assert!(!is_over(&*term).await);
    term.resign().await;
    lead(&right).await.resign().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_are_shown_and_checked() {
    let etcd = Etcd::start_with_tls();
    let files = etcd.certificates().expect("made with certificates").clone();
    let with = |tls: Option<EtcdTls>| replica(EtcdOptions { tls, ..options(&etcd, "one") });
    let all = EtcdTls { ca: Some(files.ca.clone()), cert: Some((files.cert, files.key)), domain: None };
    lead(&with(Some(all.clone()))).await.resign().await;
    let unknown_authority = EtcdTls { ca: None, ..all.clone() };
    let no_certificate = EtcdTls { cert: None, ..all.clone() };
    let wrong_name = EtcdTls { domain: Some("elsewhere.example".to_owned()), ..all };
    for wrong in [Some(unknown_authority), Some(no_certificate), Some(wrong_name), None] {
        let error = within("a refusal", with(wrong.clone()).campaign()).await.err().expect("a refusal");
        assert!(error.to_string().contains("ertificate"), "{wrong:?}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn options_that_cannot_work_are_refused_at_once() {
    let good = EtcdOptions::new(vec!["127.0.0.1:1".to_owned()], rota_core::id::ReplicaId::trusted("one"));
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap();
    let missing = EtcdTls { ca: Some("/nowhere/ca.pem".into()), ..EtcdTls::default() };
    let empty = tempfile::NamedTempFile::new().unwrap();
    let no_pem = EtcdTls { ca: Some(empty.path().to_owned()), ..EtcdTls::default() };
    let wrong = [
        (EtcdOptions { endpoints: vec![], ..good.clone() }, "no etcd endpoint"),
        (
            EtcdOptions { endpoints: vec!["ftp://host".to_owned()], ..good.clone() },
            "expected http:// or https://",
        ),
        (EtcdOptions { prefix: "rota".to_owned(), ..good.clone() }, "prefix"),
        (EtcdOptions { tls: Some(missing), ..good.clone() }, "/nowhere/ca.pem"),
        (EtcdOptions { tls: Some(no_pem), ..good.clone() }, "is not a PEM file"),
        (
            EtcdOptions {
                endpoints: vec!["http://host:1".to_owned()],
                tls: Some(EtcdTls::default()),
                ..good.clone()
            },
            "not https",
        ),
        (
            EtcdOptions { peer: Some(PeerOptions { listen, advertise: listen.to_string() }), ..good.clone() },
            "cannot listen",
        ),
    ];
    for (options, why) in wrong {
        let error = EtcdLeadership::start(options).expect_err("options that cannot work").to_string();
        assert!(error.contains(why), "{error}");
    }
    // Without a scheme it is plain HTTP, and nobody there is no error.
    let away = EtcdLeadership::start(good).unwrap();
    let link = within("the link", async {
        let mut link = away.link();
        link.wait_for(|link| link.to_string().contains("127.0.0.1:1")).await.unwrap().to_string()
    })
    .await;
    assert!(link.starts_with("etcd at http://127.0.0.1:1: "), "{link}");
}
