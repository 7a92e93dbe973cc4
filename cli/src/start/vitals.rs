//! What a process waits for: looked at again and again, logged when it changes, told by the probes.

use std::time::Duration;

use rota_backend::{Link, PostgresStore};
use rota_core::port::StoreError;
use rota_web::Vitals;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Between two looks at a store that answers, and at one that does not.
const LOOK: Duration = Duration::from_secs(2);
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// The services of a process, as they are watched.
pub(super) struct Services {
    /// The database.
    pub(super) store: PostgresStore,
    /// The broker's connection.
    pub(super) broker: watch::Receiver<Link>,
    /// The election's, in a scheduler.
    pub(super) election: Option<watch::Receiver<Link>>,
    /// Told whether the store can be used.
    pub(super) store_is_up: watch::Sender<bool>,
}

/// What is known of one service.
#[derive(Debug, Clone)]
struct Known {
    name: &'static str,
    link: Link,
    /// What was logged of it.
    logged: Option<Link>,
}

impl Known {
    fn new(name: &'static str) -> Self {
        Self { name, link: Link::Down("not asked yet".to_owned()), logged: None }
    }

    fn learn(&mut self, link: Link) {
        self.link = link;
        let is_same = self.logged.as_ref().is_some_and(|logged| logged.is_up() == self.link.is_up());
        if is_same {
            return;
        }
        match &self.link {
            Link::Up if self.logged.is_some() => tracing::info!("{} is there", self.name),
            Link::Up => tracing::debug!("{} is there", self.name),
            Link::Down(why) => tracing::warn!("waits for {}: {why}", self.name),
        }
        self.logged = Some(self.link.clone());
    }

    fn line(&self, word: &str) -> Option<String> {
        match &self.link {
            Link::Up => None,
            Link::Down(why) => Some(format!("{word} {}: {why}", self.name)),
        }
    }
}

/// Watches until `shutdown`. Before everything was there once, whatever is missing is waited for; after that only the store
/// is, because work goes on without the others.
///
/// # Errors
/// The store refuses this rota: its schema is newer.
pub(super) async fn watch(
    mut services: Services,
    vitals: watch::Sender<Vitals>,
    shutdown: CancellationToken,
) -> Result<(), StoreError> {
    let mut postgres = Known::new("postgres");
    let mut rabbitmq = Known::new("rabbitmq");
    let mut etcd = services.election.is_some().then(|| Known::new("etcd"));
    let mut was_complete = false;
    loop {
        postgres.learn(match services.store.check().await {
            Ok(()) => Link::Up,
            Err(refused @ StoreError::Refused(_)) => return Err(refused),
            Err(StoreError::Unavailable(why)) => Link::Down(why),
            Err(error) => Link::Down(error.to_string()),
        });
        services
            .store_is_up
            .send_if_modified(|is_up| std::mem::replace(is_up, postgres.link.is_up()) != *is_up);
        rabbitmq.learn(services.broker.borrow_and_update().clone());
        if let (Some(etcd), Some(election)) = (&mut etcd, &mut services.election) {
            etcd.learn(election.borrow_and_update().clone());
        }
        let others = [Some(&rabbitmq), etcd.as_ref()];
        was_complete |= postgres.link.is_up() && others.iter().flatten().all(|known| known.link.is_up());
        let word = if was_complete { "degraded:" } else { "waits for" };
        let mut waits: Vec<String> = postgres.line("waits for").into_iter().collect();
        let without: Vec<String> = others.iter().flatten().filter_map(|known| known.line(word)).collect();
        let degraded = if was_complete {
            without
        } else {
            waits.extend(without);
            Vec::new()
        };
        vitals.send_modify(|vitals| (vitals.waits, vitals.degraded) = (waits, degraded));
        let pause = if postgres.link.is_up() { LOOK } else { LOOK_AGAIN };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = changed(&mut services.broker) => {}
            () = election_changed(&mut services.election) => {}
            () = shutdown.cancelled() => return Ok(()),
        }
    }
}

async fn election_changed(election: &mut Option<watch::Receiver<Link>>) {
    match election {
        Some(election) => changed(election).await,
        None => std::future::pending().await,
    }
}

async fn changed(link: &mut watch::Receiver<Link>) {
    if link.changed().await.is_err() {
        // Its adapter is gone, so it never changes again.
        std::future::pending().await
    }
}
