//! The supervisor of one connection: builds connection, channel and topology as one unit, watches it, and builds it anew
//! when any part of it breaks, for ever, with a jittered pause. lapin's own recovery is not used: it can wait for ever,
//! and it does not repair channels.

use std::hash::{BuildHasher, RandomState};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use lapin::{Channel, Connection, Event};
use rota_core::port::BrokerError;
use rota_kit::pause::DoublingPause;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::connect::{Socket, connect, words};
use super::health::{BrokerHealth, ConnectionHealth, ConnectionPurpose};
use super::options::{CheckedOptions, address};
use super::topology::Topology;

/// The first pause between two rounds of attempts.
const PAUSE_MIN: Duration = Duration::from_millis(50);
/// The longest pause between two rounds of attempts.
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// A connection that lasted this long is followed by a new one without a pause.
const STEADY: Duration = Duration::from_secs(2);
/// How long setting up a connection's channel and topology may take.
const SET_UP_MAX: Duration = Duration::from_secs(5);
/// How often a connection is looked at in case an event was not told.
const LOOK: Duration = Duration::from_millis(250);
/// How long callers wait for the very first attempt to connect.
const FIRST_MAX: Duration = Duration::from_secs(2);
/// How long a connection is kept after the last user has left.
const LAST_WORDS: Duration = Duration::from_millis(50);
/// How long an orderly goodbye may take.
const GOODBYE_MAX: Duration = Duration::from_millis(500);

/// A connection that stands, with its channel and topology.
pub(super) struct Session {
    pub(super) connection: Connection,
    /// For hints and declarations. Not in confirm mode.
    pub(super) channel: Channel,
    /// Told when it is lost, and tells when it is to be given up.
    pub(super) lost: CancellationToken,
}

/// What users of a connection see.
#[derive(Clone)]
pub(super) enum ConnectionState {
    /// No attempt has ended yet.
    Starting,
    Up(Arc<Session>),
    /// It stands, and the broker takes no messages on it: why.
    Blocked(Arc<Session>, String),
    Down(String),
}

impl ConnectionState {
    /// The session, if it can be used to publish.
    fn usable(&self) -> Result<Arc<Session>, BrokerError> {
        match self {
            Self::Up(session) => Ok(session.clone()),
            Self::Blocked(_, why) => Err(BrokerError(format!("rabbitmq blocks publishers: {why}"))),
            Self::Down(why) => Err(BrokerError(why.clone())),
            Self::Starting => Err(BrokerError("not connected to rabbitmq yet".to_owned())),
        }
    }
}

/// A user's end of a supervised connection.
#[derive(Clone)]
pub(super) struct SupervisedConnection {
    state: watch::Receiver<ConnectionState>,
}

impl SupervisedConnection {
    /// The session as it is now. Waits only if no attempt to connect has ended yet.
    pub(super) async fn session(&self) -> Result<Arc<Session>, BrokerError> {
        let mut state = self.state.clone();
        let first = state.wait_for(|state| !matches!(state, ConnectionState::Starting));
        // Both errors mean that there is no session, which `usable` says in words.
        let _ = timeout(FIRST_MAX, first).await;
        self.state.borrow().usable()
    }

    /// Waits until there is a session.
    pub(super) async fn next_session(&mut self) -> Result<Arc<Session>, BrokerError> {
        let state = self
            .state
            .wait_for(|state| matches!(state, ConnectionState::Up(_) | ConnectionState::Blocked(..)))
            .await;
        match state.as_deref() {
            Ok(ConnectionState::Up(session) | ConnectionState::Blocked(session, _)) => Ok(session.clone()),
            _ => Err(BrokerError("the broker's adapter has ended".to_owned())),
        }
    }

    /// Waits until nothing can be published on `session` any more.
    pub(super) async fn halted(&self, session: &Arc<Session>) {
        let is_other =
            |state: &ConnectionState| !matches!(state, ConnectionState::Up(now) if Arc::ptr_eq(now, session));
        // An error means that the supervisor has ended, and the session with it.
        let _ = self.state.clone().wait_for(is_other).await;
    }

    /// Whether the last attempt to connect failed.
    pub(super) fn is_down(&self) -> bool {
        matches!(&*self.state.borrow(), ConnectionState::Down(_))
    }
}

/// Keeps one connection standing.
pub(super) struct ConnectionSupervisor {
    pub(super) purpose: ConnectionPurpose,
    pub(super) options: Arc<CheckedOptions>,
    pub(super) topology: Arc<Topology>,
    pub(super) health: Arc<BrokerHealth>,
    state: watch::Sender<ConnectionState>,
    /// The URL that is used now or tried next.
    place: usize,
    pause: DoublingPause,
}

impl ConnectionSupervisor {
    pub(super) fn new(
        purpose: ConnectionPurpose,
        options: Arc<CheckedOptions>,
        topology: Arc<Topology>,
        health: Arc<BrokerHealth>,
    ) -> (Self, SupervisedConnection) {
        let (state, receiver) = watch::channel(ConnectionState::Starting);
        let supervisor = Self {
            purpose,
            options,
            topology,
            health,
            state,
            place: 0,
            pause: DoublingPause::new(PAUSE_MIN, PAUSE_MAX),
        };
        (supervisor, SupervisedConnection { state: receiver })
    }

    /// Runs until `shutdown`.
    pub(super) async fn run(mut self, shutdown: CancellationToken) {
        tokio::select! {
            () = self.keep_connected() => {}
            () = shutdown.cancelled() => {}
        }
        // Subscriptions that were just left still have acknowledgements to send.
        sleep(LAST_WORDS).await;
        let state =
            self.state.send_replace(ConnectionState::Down("the broker's adapter has ended".to_owned()));
        if let ConnectionState::Up(session) | ConnectionState::Blocked(session, _) = state {
            session.lost.cancel();
            // Whether the broker heard it or not, the connection ends.
            let _ = timeout(GOODBYE_MAX, session.connection.close(200, "bye".into())).await;
        }
    }

    async fn keep_connected(&mut self) {
        loop {
            let (session, socket) = self.connect().await;
            let session = Arc::new(session);
            let since = Instant::now();
            self.tell(ConnectionState::Up(session.clone()), ConnectionHealth::Up(self.address()));
            let why = self.watch(&session).await;
            session.lost.cancel();
            socket.shut();
            drop(session);
            let why = format!("lost rabbitmq at {}: {why}", self.address());
            self.tell(ConnectionState::Down(why.clone()), ConnectionHealth::Down(why));
            if since.elapsed() < STEADY {
                self.rest().await;
            } else {
                self.pause.reset();
            }
        }
    }

    /// Tries all URLs in turn until one works, with a pause after each round.
    async fn connect(&mut self) -> (Session, Socket) {
        loop {
            for _ in 0..self.options.uris.len() {
                match self.try_connect().await {
                    Ok(built) => return built,
                    Err(why) => {
                        let why = format!("connecting to rabbitmq at {}: {why}", self.address());
                        self.tell(ConnectionState::Down(why.clone()), ConnectionHealth::Down(why));
                        self.place = (self.place + 1) % self.options.uris.len();
                    }
                }
            }
            self.rest().await;
        }
    }

    async fn try_connect(&self) -> Result<(Session, Socket), String> {
        let uri = &self.options.uris[self.place];
        let name =
            format!("{} ({})", self.options.name, if self.is_publisher() { "publish" } else { "consume" });
        let (connection, socket) = connect(uri, &name, &self.options.tls).await?;
        let set_up = async {
            let channel = connection.create_channel().await?;
            self.topology.declare(&connection, &channel).await?;
            Ok::<_, lapin::Error>(channel)
        };
        let channel = match timeout(SET_UP_MAX, set_up).await {
            Ok(Ok(channel)) => channel,
            Ok(Err(error)) => {
                socket.shut();
                return Err(words(&error));
            }
            Err(_) => {
                socket.shut();
                return Err(format!("no channel within {} s", SET_UP_MAX.as_secs()));
            }
        };
        Ok((Session { connection, channel, lost: CancellationToken::new() }, socket))
    }

    /// Watches a session until it is lost: why.
    async fn watch(&self, session: &Arc<Session>) -> String {
        let mut events = pin!(session.connection.events_listener());
        let mut why = None;
        loop {
            tokio::select! {
                event = events.next() => match event {
                    Some(Event::ConnectionBlocked(reason)) => self.blocked(session, reason),
                    Some(Event::ConnectionUnblocked) => self.unblocked(session),
                    Some(Event::Error(error)) => why = Some(words(&error)),
                    Some(_) => {}
                    None => return "its events ended".to_owned(),
                },
                () = session.lost.cancelled() => return "the broker no longer answers".to_owned(),
                () = sleep(LOOK) => {}
            }
            if !(session.connection.status().connected() && session.channel.status().connected()) {
                return why.unwrap_or_else(|| "the connection was closed".to_owned());
            }
        }
    }

    fn blocked(&self, session: &Arc<Session>, reason: String) {
        if self.is_publisher() {
            self.tell(
                ConnectionState::Blocked(session.clone(), reason.clone()),
                ConnectionHealth::Blocked(reason),
            );
        }
    }

    fn unblocked(&self, session: &Arc<Session>) {
        if self.is_publisher() {
            self.tell(ConnectionState::Up(session.clone()), ConnectionHealth::Up(self.address()));
        }
    }

    fn tell(&self, state: ConnectionState, part: ConnectionHealth) {
        self.state.send_replace(state);
        self.health.tell(self.purpose, part);
    }

    /// Waits a part of the pause, so that many clients do not come back in step, and doubles it.
    async fn rest(&mut self) {
        // A hasher's keys are the one source of chance in the standard library.
        let chance = RandomState::new().hash_one(0u8) % 512;
        let part = 0.5 + f64::from(u16::try_from(chance).unwrap_or_default()) / 1024.0;
        sleep(self.pause.after_failure().mul_f64(part)).await;
    }

    fn is_publisher(&self) -> bool {
        self.purpose == ConnectionPurpose::Publish
    }

    fn address(&self) -> String {
        address(&self.options.uris[self.place])
    }
}
