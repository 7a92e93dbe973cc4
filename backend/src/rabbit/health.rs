//! Both connections as one link, for health pages, and one line in the log when it goes and when it is back.

use std::sync::Mutex;

use rota_core::sync::lock;
use tokio::sync::watch;

use crate::link::Link;

/// What a connection is for. Acknowledgements must flow while the broker blocks publishers, hence two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ConnectionPurpose {
    Publish,
    Consume,
}

/// How one of the two connections is.
pub(super) enum ConnectionHealth {
    /// No attempt has ended yet, to connect to this address.
    Starting(String),
    /// It stands, to this address.
    Up(String),
    /// It stands, and the broker takes no messages on it: why.
    Blocked(String),
    /// It does not stand: why, in words that may be shown.
    Down(String),
}

/// The state of both.
pub(super) struct BrokerHealth {
    parts: Mutex<[ConnectionHealth; 2]>,
    link: watch::Sender<Link>,
}

impl BrokerHealth {
    pub(super) fn new(address: &str) -> Self {
        let starting = || ConnectionHealth::Starting(address.to_owned());
        let parts = [starting(), starting()];
        let link = watch::Sender::new(sum(&parts));
        Self { parts: Mutex::new(parts), link }
    }

    pub(super) fn link(&self) -> watch::Receiver<Link> {
        self.link.subscribe()
    }

    /// Takes in news of one connection.
    pub(super) fn tell(&self, purpose: ConnectionPurpose, part: ConnectionHealth) {
        let mut parts = lock(&self.parts);
        let was_starting = parts.iter().all(|part| matches!(part, ConnectionHealth::Starting(_)));
        parts[purpose as usize] = part;
        let link = sum(&parts);
        let was_up = self.link.borrow().is_up();
        match &link {
            Link::Up if !was_up => tracing::info!("rabbitmq is there: {}", addresses(&parts)),
            Link::Down(why) if was_up || (was_starting && is_bad(&parts)) => {
                tracing::warn!("rabbitmq is away, tasks are found in the store meanwhile: {why}");
            }
            Link::Up | Link::Down(_) => {}
        }
        self.link.send_if_modified(|now| {
            let is_news = *now != link;
            *now = link;
            is_news
        });
    }
}

fn is_bad(parts: &[ConnectionHealth; 2]) -> bool {
    parts.iter().any(|part| matches!(part, ConnectionHealth::Down(_) | ConnectionHealth::Blocked(_)))
}

/// The worst of both.
fn sum(parts: &[ConnectionHealth; 2]) -> Link {
    let down = parts.iter().find_map(|part| match part {
        ConnectionHealth::Down(why) => Some(why.clone()),
        _ => None,
    });
    let waiting = parts.iter().find_map(|part| match part {
        ConnectionHealth::Starting(address) => Some(format!("connecting to rabbitmq at {address}")),
        ConnectionHealth::Blocked(why) => Some(format!("rabbitmq blocks publishers: {why}")),
        ConnectionHealth::Up(_) | ConnectionHealth::Down(_) => None,
    });
    down.or(waiting).map_or(Link::Up, Link::Down)
}

fn addresses(parts: &[ConnectionHealth; 2]) -> String {
    let mut addresses: Vec<&str> = parts
        .iter()
        .filter_map(|part| match part {
            ConnectionHealth::Up(address) => Some(address.as_str()),
            _ => None,
        })
        .collect();
    addresses.dedup();
    addresses.join(" and ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_link_is_up_when_both_connections_stand() {
        let health = BrokerHealth::new("h:1");
        let link = health.link();
        assert_eq!(*link.borrow(), Link::Down("connecting to rabbitmq at h:1".to_owned()));
        health.tell(ConnectionPurpose::Publish, ConnectionHealth::Up("h:1".to_owned()));
        assert!(!link.borrow().is_up());
        health.tell(ConnectionPurpose::Consume, ConnectionHealth::Up("h:1".to_owned()));
        assert!(link.borrow().is_up());
        health.tell(ConnectionPurpose::Publish, ConnectionHealth::Blocked("memory".to_owned()));
        assert_eq!(*link.borrow(), Link::Down("rabbitmq blocks publishers: memory".to_owned()));
        health.tell(ConnectionPurpose::Consume, ConnectionHealth::Down("gone".to_owned()));
        assert_eq!(*link.borrow(), Link::Down("gone".to_owned()), "being away is worse than being blocked");
    }
}
