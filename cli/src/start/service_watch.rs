//! What a process waits for: looked at again and again, told by the probes, logged when it changes. The adapters of RabbitMQ
//! and etcd log for themselves when theirs is away and when it is back; here the database is logged, and readiness.

use std::time::Duration;

use rota_backend::{Link, PostgresStore};
use rota_core::port::StoreError;
use rota_web::ProcessHealth;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::failure::Failure;

/// Between two looks at a store that answers, and at one that does not.
const LOOK: Duration = Duration::from_secs(2);
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// Between two lines about a database that is away for another reason than before.
const SAY_AGAIN: Duration = Duration::from_secs(10);

/// The services of a process, as they are watched.
pub(super) struct WatchedServices {
    /// The database.
    pub(super) store: PostgresStore,
    /// The broker's connection.
    pub(super) broker: watch::Receiver<Link>,
    /// The election's, in a scheduler.
    pub(super) election: Option<watch::Receiver<Link>>,
    /// Told whether the store can be used.
    pub(super) store_is_up: watch::Sender<bool>,
}

/// Watches until `shutdown`, and says then that the process stops.
///
/// # Errors
/// The database was written by a newer rota, before this process started or since.
pub(super) async fn watch(
    mut services: WatchedServices,
    process_health: watch::Sender<ProcessHealth>,
    shutdown: CancellationToken,
) -> Result<(), Failure> {
    let mut told = DatabaseLog::default();
    let mut was_complete = false;
    while !shutdown.is_cancelled() {
        let postgres = tokio::select! {
            checked = services.store.check() => link_of(checked)?,
            () = shutdown.cancelled() => break,
        };
        told.tell(&postgres);
        let is_up = postgres.is_up();
        services.store_is_up.send_if_modified(|was_up| std::mem::replace(was_up, is_up) != is_up);
        let mut links =
            vec![("postgres", postgres), ("rabbitmq", services.broker.borrow_and_update().clone())];
        if let Some(election) = &mut services.election {
            links.push(("etcd", election.borrow_and_update().clone()));
        }
        if !was_complete && links.iter().all(|(_, link)| link.is_up()) {
            was_complete = true;
            tracing::info!("ready: all of its services answer");
        }
        let (waits, degraded) = lines(&links, was_complete);
        let links = links.into_iter().map(|(name, link)| (name, link.is_up())).collect();
        process_health.send_modify(|process_health| {
            (process_health.waits, process_health.degraded, process_health.links) = (waits, degraded, links)
        });
        tokio::select! {
            () = tokio::time::sleep(if is_up { LOOK } else { LOOK_AGAIN }) => {}
            () = changed(&mut services.broker) => {}
            () = election_changed(&mut services.election) => {}
            () = shutdown.cancelled() => break,
        }
    }
    process_health.send_modify(|process_health| {
        process_health.waits = vec!["stops: it finishes what it has".to_owned()]
    });
    Ok(())
}

/// What is waited for and what is done without, a line each. Before everything was there once, whatever is missing is waited
/// for; after that only the database is, because work goes on without the others.
fn lines(links: &[(&'static str, Link)], was_complete: bool) -> (Vec<String>, Vec<String>) {
    let (mut waits, mut degraded) = (Vec::new(), Vec::new());
    for (name, link) in links {
        match link {
            Link::Up => {}
            Link::Down(why) if was_complete && *name != "postgres" => {
                degraded.push(format!("degraded: {name}: {why}"));
            }
            Link::Down(why) => waits.push(format!("waits for {name}: {why}")),
        }
    }
    (waits, degraded)
}

fn link_of(checked: Result<(), StoreError>) -> Result<Link, Failure> {
    match checked {
        Ok(()) => Ok(Link::Up),
        Err(StoreError::Refused(why)) => Err(Failure::failed(why)
            .at("postgres")
            .help("update this rota, or name another database in ROTA_DATABASE_URL")),
        Err(StoreError::Unavailable(why)) => Ok(Link::Down(why)),
        Err(error) => Ok(Link::Down(error.to_string())),
    }
}

/// What was logged of the database last, and when.
#[derive(Default)]
struct DatabaseLog {
    last: Option<(Link, Instant)>,
}

impl DatabaseLog {
    fn tell(&mut self, link: &Link) {
        let is_news = match &self.last {
            None => true,
            Some((last, _)) if last.is_up() != link.is_up() => true,
            // It may be there by now, and wait for a person.
            Some((last, at)) => last != link && at.elapsed() >= SAY_AGAIN,
        };
        if !is_news {
            return;
        }
        match link {
            Link::Up if self.last.is_some() => tracing::info!("postgres is there"),
            Link::Up => tracing::debug!("postgres is there"),
            Link::Down(why) => tracing::warn!("waits for postgres: {why}"),
        }
        self.last = Some((link.clone(), Instant::now()));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn once_everything_was_there_only_the_database_is_waited_for() {
        let down = || Link::Down("refused".to_owned());
        let links = [("postgres", down()), ("rabbitmq", down()), ("etcd", Link::Up)];
        let (waits, degraded) = lines(&links, false);
        assert_eq!(waits, ["waits for postgres: refused", "waits for rabbitmq: refused"]);
        assert!(degraded.is_empty());
        let (waits, degraded) = lines(&links, true);
        assert_eq!(waits, ["waits for postgres: refused"]);
        assert_eq!(degraded, ["degraded: rabbitmq: refused"]);
    }
    #[test]
    fn a_newer_schema_is_refused_and_an_older_one_is_waited_for() {
        let newer = Err(StoreError::Refused("the database was written by a newer rota".to_owned()));
        assert!(link_of(newer).is_err());
        let older = Err(StoreError::Unavailable("run `rota migrate`".to_owned()));
        assert_eq!(link_of(older).unwrap(), Link::Down("run `rota migrate`".to_owned()));
    }
}
