//! What is at hand, and what is read again.

use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

const TEXT: &str = "tasks:\n  a:\n    run: \"true\"\n";

/// A store that counts how often it is asked.
#[derive(Default)]
struct Source {
    asked: AtomicUsize,
}

impl Source {
    async fn read(&self, text: &str) -> Result<String, Infallible> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        tokio::task::yield_now().await;
        Ok(text.to_owned())
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

fn id(name: &str) -> DagId {
    DagId::trusted(name)
}

async fn get(versions: &DagVersions, source: &Source, version: i64) -> Arc<Dag> {
    let got = versions.get(&id("d"), DagVersion(version), source.read(TEXT)).await;
    got.expect("it always answers").expect("it can be read")
}

#[tokio::test]
async fn those_who_want_the_same_version_read_it_once() {
    let (versions, source) = (DagVersions::new(8), Source::default());
    let (one, other) = tokio::join!(get(&versions, &source, 1), get(&versions, &source, 1));
    assert!(Arc::ptr_eq(&one, &other));
    assert_eq!(source.asked(), 1);
}

#[tokio::test]
async fn what_somebody_holds_is_at_hand_however_long_ago_it_was_used() {
    let (versions, source) = (DagVersions::new(2), Source::default());
    let held = get(&versions, &source, 1).await;
    for version in 2..200 {
        get(&versions, &source, version).await;
    }
    assert!(versions.at_hand(&id("d"), DagVersion(1)).is_some_and(|dag| Arc::ptr_eq(&dag, &held)));
    assert_eq!(source.asked(), 199);
}

#[tokio::test]
async fn of_what_nobody_holds_the_last_used_are_at_hand() {
    let (versions, source) = (DagVersions::new(2), Source::default());
    for version in [1, 2, 1, 3] {
        get(&versions, &source, version).await;
    }
    let is_there = |version| versions.at_hand(&id("d"), DagVersion(version)).is_some();
    assert_eq!([1, 3].map(is_there), [true, true]);
    assert!(!is_there(2), "it was not used for longest");
}

#[tokio::test]
async fn a_version_that_cannot_be_read_is_parsed_once_and_an_error_of_the_store_is_asked_again() {
    let (versions, source) = (DagVersions::new(2), Source::default());
    for _ in 0..2 {
        let got = versions.get(&id("d"), DagVersion(1), source.read("tasks: 7")).await;
        assert!(got.expect("it always answers").is_err_and(|why| !why.to_string().is_empty()));
    }
    assert_eq!(source.asked(), 1);
    let away = versions.get(&id("d"), DagVersion(2), async { Err::<String, _>("away") }).await;
    assert_eq!(away.map(|_| ()), Err("away"));
    get(&versions, &source, 2).await;
}

#[tokio::test]
async fn a_long_text_is_read_like_a_short_one() {
    let (versions, source) = (DagVersions::new(2), Source::default());
    let long = format!("# {}\n{TEXT}", "-".repeat(2 * PARSED_HERE_MAX));
    let got = versions.get(&id("d"), DagVersion(1), source.read(&long)).await;
    assert!(got.expect("it always answers").is_ok());
}

#[tokio::test]
async fn what_was_parsed_elsewhere_takes_the_place_of_what_is_at_hand() {
    let (versions, source) = (DagVersions::new(2), Source::default());
    let first = get(&versions, &source, 1).await;
    let second = Arc::new(Dag::clone(&first));
    versions.put(&id("d"), DagVersion(1), &second);
    assert!(Arc::ptr_eq(&get(&versions, &source, 1).await, &second));
    assert_eq!(source.asked(), 1);
}
