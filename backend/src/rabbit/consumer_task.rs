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
use super::consume::{Desk, LINGER, Parcel};
use super::message::read_task;
use super::session::Session;

/// How long the broker may take to subscribe or to cancel.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// The broker's end of a subscription.
pub(super) struct Window {
    desk: Arc<Desk>,
    session: Arc<Session>,
    streams: Vec<Lane>,
}

/// One queue's consumer, if it has one now.
struct Lane {
    channel: Channel,
    queue: ShortString,
    consumer: Option<Consumer>,
}

/// What came out of the streams at one look.
#[derive(Default)]
struct News {
    deliveries: Vec<(usize, lapin::message::Delivery)>,
    /// Why a stream has ended, if one has.
    ended: Option<String>,
}

/// What is to be done next.
enum Step {
    /// Wait for deliveries, for the worker, or until then.
    Wait(Option<Instant>),
    /// End the consumers; give back what nobody took.
    Withdraw,
    /// Let consumers stand with this prefetch.
    Subscribe(usize),
    /// The worker has left.
    Leave,
}

impl Window {
    pub(super) fn new(desk: Arc<Desk>, session: Arc<Session>) -> Self {
        let lane = |lane: &super::consume::Lane| Lane {
            channel: lane.channel.clone(),
            queue: lane.queue.clone(),
            consumer: None,
        };
        let streams = desk.lock().lanes.iter().map(lane).collect();
        Self { desk, session, streams }
    }

    /// Runs until the worker leaves or the subscription breaks.
    pub(super) async fn run(mut self) {
        let lost = self.session.lost.clone();
        let why = tokio::select! {
            why = self.work() => why,
            () = lost.cancelled() => Err("the connection to rabbitmq was lost".to_owned()),
        };
        if let Err(why) = why {
            self.desk.end(why);
        }
        let mut state = self.desk.lock();
        state.release_all();
        // The channels close with the last of their handles, and the worker may keep its end for long.
        state.lanes.clear();
    }

    async fn work(&mut self) -> Result<(), String> {
        loop {
            match self.step() {
                Step::Leave => return Ok(()),
                Step::Withdraw => bounded(self.withdraw()).await?,
                Step::Subscribe(prefetch) => bounded(self.subscribe(prefetch)).await?,
                Step::Wait(until) => self.wait(until).await?,
            }
        }
    }

    fn step(&self) -> Step {
        let mut state = self.desk.lock();
        if state.is_left {
            state.release_all();
            return Step::Leave;
        }
        let now = Instant::now();
        let untaken = state.ready.front().map(|parcel| parcel.since + LINGER);
        let held = state.held_since.map(|since| since + LINGER);
        let until = [untaken, held].into_iter().flatten().min();
        if until.is_some_and(|until| until <= now) {
            return Step::Withdraw;
        }
        match state.wanted {
            Some(room) if state.ready.is_empty() && state.is_unsuited(room) => {
                let stands = self.streams.iter().any(|lane| lane.consumer.is_some());
                if stands { Step::Withdraw } else { Step::Subscribe(room) }
            }
            _ => Step::Wait(until),
        }
    }

    async fn wait(&mut self, until: Option<Instant>) -> Result<(), String> {
        let desk = self.desk.clone();
        let deadline = async {
            match until {
                Some(until) => sleep_until(until).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            news = poll_fn(|cx| poll_streams(&mut self.streams, cx)) => {
                self.take_in(news.deliveries);
                return news.ended.map_or(Ok(()), Err);
            }
            () = desk.work.notified() => {}
            () = deadline => {}
        }
        Ok(())
    }

    /// Puts deliveries on the desk, and unreadable ones aside.
    fn take_in(&self, deliveries: Vec<(usize, lapin::message::Delivery)>) {
        let since = Instant::now();
        let mut parcels = Vec::with_capacity(deliveries.len());
        for (lane, delivery) in deliveries {
            let tag = delivery.delivery_tag;
            match read_task(&delivery.data) {
                Ok(key) => parcels.push(Parcel { lane, tag, key, since }),
                Err(why) => {
                    let Lane { channel, queue, .. } = &self.streams[lane];
                    self.desk.count_unreadable(queue, &why);
                    // Not requeued: it goes to the dead letters. One poll queues the frame.
                    let _ = channel.basic_reject(tag, BasicRejectOptions { requeue: false }).now_or_never();
                }
            }
        }
        if !parcels.is_empty() {
            self.desk.put(parcels);
        }
    }

    async fn subscribe(&mut self, prefetch: usize) -> Result<(), String> {
        let count = u16::try_from(prefetch).unwrap_or(u16::MAX);
        let consumers = self.streams.iter().map(async |lane| {
            // Written together: one round trip.
            let qos = lane.channel.basic_qos(count, BasicQosOptions { global: false });
            let options = BasicConsumeOptions::default();
            let consume =
                lane.channel.basic_consume(lane.queue.clone(), "".into(), options, FieldTable::default());
            let ((), consumer) = try_join(qos, consume).await?;
            Ok::<_, lapin::Error>(consumer)
        });
        let consumers = try_join_all(consumers).await.map_err(|error| words(&error))?;
        for (lane, consumer) in self.streams.iter_mut().zip(consumers) {
            lane.consumer = Some(consumer);
        }
        for lane in &mut self.desk.lock().lanes {
            lane.account.subscribed(prefetch);
        }
        Ok(())
    }

    async fn withdraw(&mut self) -> Result<(), String> {
        let cancels = self.streams.iter().filter_map(|lane| {
            let tag = lane.consumer.as_ref()?.tag();
            Some(lane.channel.basic_cancel(tag, BasicCancelOptions::default()))
        });
        try_join_all(cancels).await.map_err(|error| words(&error))?;
        // What was under way has arrived by now, and the streams end after it.
        while self.streams.iter().any(|lane| lane.consumer.is_some()) {
            let news = poll_fn(|cx| poll_streams(&mut self.streams, cx)).await;
            self.take_in(news.deliveries);
        }
        let mut state = self.desk.lock();
        for lane in &mut state.lanes {
            lane.account.withdrawn();
        }
        state.release_all();
        if state.wanted.is_none() {
            state.give_back();
        }
        Ok(())
    }
}

/// All that has arrived by now. A stream that ends loses its consumer.
fn poll_streams(lanes: &mut [Lane], cx: &mut Context<'_>) -> Poll<News> {
    let mut news = News::default();
    for (number, lane) in lanes.iter_mut().enumerate() {
        while let Some(consumer) = &mut lane.consumer {
            match Pin::new(consumer).poll_next(cx) {
                Poll::Pending => break,
                Poll::Ready(Some(Ok(delivery))) => news.deliveries.push((number, delivery)),
                Poll::Ready(Some(Err(error))) => {
                    lane.consumer = None;
                    news.ended = Some(words(&error));
                }
                Poll::Ready(None) => {
                    lane.consumer = None;
                    let why = || format!("the broker cancelled the subscription to queue {}", lane.queue);
                    news.ended.get_or_insert_with(why);
                }
            }
        }
    }
    if news.deliveries.is_empty() && news.ended.is_none() { Poll::Pending } else { Poll::Ready(news) }
}

async fn bounded(work: impl Future<Output = Result<(), String>>) -> Result<(), String> {
    let late = |_| format!("rabbitmq did not answer within {} s", ANSWER_MAX.as_secs());
    timeout(ANSWER_MAX, work).await.map_err(late)?
}
