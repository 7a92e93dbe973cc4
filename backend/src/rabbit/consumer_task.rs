//! The task behind a subscription: takes in what the broker pushes, and subscribes anew when the prefetch no longer suits.
//! Why it does so is told in `consume.rs`. It ends with the subscription, and closing its channels then gives back to the
//! broker what was not acknowledged.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::{try_join, try_join_all};
use futures_util::{FutureExt, Stream};
use lapin::options::{BasicCancelOptions, BasicConsumeOptions, BasicQosOptions, BasicRejectOptions};
use lapin::types::{FieldTable, ShortString};
use lapin::{Channel, Consumer};
use tokio::time::{Instant, sleep_until, timeout};

use super::connect::words;
use super::message::read_task;
use super::session::Session;
use super::subscription::{ConsumedQueue, HOLD_MAX, PendingDelivery, Subscription};

/// How long the broker may take to subscribe or to cancel.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// The broker's end of a subscription.
pub(super) struct ConsumerTask {
    subscription: Arc<Subscription>,
    session: Arc<Session>,
    streams: Vec<QueueStream>,
}

/// One queue's consumer, if it has one now.
struct QueueStream {
    channel: Channel,
    name: ShortString,
    consumer: Option<Consumer>,
}

/// What came out of the streams at one look.
#[derive(Default)]
struct Arrivals {
    deliveries: Vec<(usize, lapin::message::Delivery)>,
    /// Why a stream has ended, if one has.
    ended: Option<String>,
}

/// What is to be done next.
enum NextStep {
    /// Wait for deliveries, for the worker, or until then.
    Wait(Option<Instant>),
    /// End the consumers; give back what nobody took.
    Withdraw,
    /// Let consumers stand with this prefetch.
    Subscribe(usize),
    /// The worker has left.
    Leave,
}

impl ConsumerTask {
    pub(super) fn new(subscription: Arc<Subscription>, session: Arc<Session>) -> Self {
        let stream = |queue: &ConsumedQueue| QueueStream {
            channel: queue.channel.clone(),
            name: queue.name.clone(),
            consumer: None,
        };
        let streams = subscription.lock().queues.iter().map(stream).collect();
        Self { subscription, session, streams }
    }

    /// Runs until the worker leaves or the subscription breaks.
    pub(super) async fn run(mut self) {
        let lost = self.session.lost.clone();
        let why = tokio::select! {
            why = self.work() => why,
            () = lost.cancelled() => Err("the connection to rabbitmq was lost".to_owned()),
        };
        if let Err(why) = why {
            self.subscription.end(why);
        }
        let mut state = self.subscription.lock();
        state.release_all();
        // The channels close with the last of their handles, and the worker may keep its end for long.
        state.queues.clear();
    }

    async fn work(&mut self) -> Result<(), String> {
        loop {
            match self.step() {
                NextStep::Leave => return Ok(()),
                NextStep::Withdraw => bounded(self.withdraw()).await?,
                NextStep::Subscribe(prefetch) => bounded(self.subscribe(prefetch)).await?,
                NextStep::Wait(until) => self.wait(until).await?,
            }
        }
    }

    fn step(&self) -> NextStep {
        let mut state = self.subscription.lock();
        if state.is_left {
            state.release_all();
            return NextStep::Leave;
        }
        let now = Instant::now();
        let untaken = state.ready.front().map(|delivery| delivery.since + HOLD_MAX);
        let held = state.held_since.map(|since| since + HOLD_MAX);
        let until = [untaken, held].into_iter().flatten().min();
        if until.is_some_and(|until| until <= now) {
            return NextStep::Withdraw;
        }
        match state.wanted {
            Some(room) if state.ready.is_empty() && state.is_unsuited(room) => {
                let stands = self.streams.iter().any(|stream| stream.consumer.is_some());
                if stands { NextStep::Withdraw } else { NextStep::Subscribe(room) }
            }
            _ => NextStep::Wait(until),
        }
    }

    async fn wait(&mut self, until: Option<Instant>) -> Result<(), String> {
        let subscription = self.subscription.clone();
        let deadline = async {
            match until {
                Some(until) => sleep_until(until).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            arrivals = poll_fn(|cx| poll_streams(&mut self.streams, cx)) => {
                self.take_in(arrivals.deliveries);
                return arrivals.ended.map_or(Ok(()), Err);
            }
            () = subscription.work.notified() => {}
            () = deadline => {}
        }
        Ok(())
    }

    /// Takes deliveries in, and puts unreadable ones aside.
    fn take_in(&self, deliveries: Vec<(usize, lapin::message::Delivery)>) {
        let since = Instant::now();
        let mut pending = Vec::with_capacity(deliveries.len());
        for (queue_no, delivery) in deliveries {
            let tag = delivery.delivery_tag;
            match read_task(&delivery.data) {
                Ok(key) => pending.push(PendingDelivery { queue_no, tag, key, since }),
                Err(why) => {
                    let QueueStream { channel, name, .. } = &self.streams[queue_no];
                    self.subscription.count_unreadable(name, &why);
                    // Not requeued: it goes to the dead letters. One poll queues the frame.
                    let _ = channel.basic_reject(tag, BasicRejectOptions { requeue: false }).now_or_never();
                }
            }
        }
        if !pending.is_empty() {
            self.subscription.put(pending);
        }
    }

    async fn subscribe(&mut self, prefetch: usize) -> Result<(), String> {
        let count = u16::try_from(prefetch).unwrap_or(u16::MAX);
        let consumers = self.streams.iter().map(async |stream| {
            // Written together: one round trip.
            let qos = stream.channel.basic_qos(count, BasicQosOptions { global: false });
            let options = BasicConsumeOptions::default();
            let consume =
                stream.channel.basic_consume(stream.name.clone(), "".into(), options, FieldTable::default());
            let ((), consumer) = try_join(qos, consume).await?;
            Ok::<_, lapin::Error>(consumer)
        });
        let consumers = try_join_all(consumers).await.map_err(|error| words(&error))?;
        for (stream, consumer) in self.streams.iter_mut().zip(consumers) {
            stream.consumer = Some(consumer);
        }
        for queue in &mut self.subscription.lock().queues {
            queue.credit.subscribed(prefetch);
        }
        Ok(())
    }

    async fn withdraw(&mut self) -> Result<(), String> {
        let cancels = self.streams.iter().filter_map(|stream| {
            let tag = stream.consumer.as_ref()?.tag();
            Some(stream.channel.basic_cancel(tag, BasicCancelOptions::default()))
        });
        try_join_all(cancels).await.map_err(|error| words(&error))?;
        // What was under way has arrived by now, and the streams end after it.
        while self.streams.iter().any(|stream| stream.consumer.is_some()) {
            let arrivals = poll_fn(|cx| poll_streams(&mut self.streams, cx)).await;
            self.take_in(arrivals.deliveries);
        }
        let mut state = self.subscription.lock();
        for queue in &mut state.queues {
            queue.credit.withdrawn();
        }
        state.release_all();
        if state.wanted.is_none() {
            state.give_back();
        }
        Ok(())
    }
}

/// All that has arrived by now. A stream that ends loses its consumer.
fn poll_streams(streams: &mut [QueueStream], cx: &mut Context<'_>) -> Poll<Arrivals> {
    let mut arrivals = Arrivals::default();
    for (number, stream) in streams.iter_mut().enumerate() {
        while let Some(consumer) = &mut stream.consumer {
            match Pin::new(consumer).poll_next(cx) {
                Poll::Pending => break,
                Poll::Ready(Some(Ok(delivery))) => arrivals.deliveries.push((number, delivery)),
                Poll::Ready(Some(Err(error))) => {
                    stream.consumer = None;
                    arrivals.ended = Some(words(&error));
                }
                Poll::Ready(None) => {
                    stream.consumer = None;
                    let why = || format!("the broker cancelled the subscription to queue {}", stream.name);
                    arrivals.ended.get_or_insert_with(why);
                }
            }
        }
    }
    if arrivals.deliveries.is_empty() && arrivals.ended.is_none() {
        Poll::Pending
    } else {
        Poll::Ready(arrivals)
    }
}

async fn bounded(work: impl Future<Output = Result<(), String>>) -> Result<(), String> {
    let late = |_| format!("rabbitmq did not answer within {} s", ANSWER_MAX.as_secs());
    timeout(ANSWER_MAX, work).await.map_err(late)?
}
