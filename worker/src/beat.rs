//! Heartbeats, the cancels they bring, and what happens when they are no longer answered.

use std::sync::Arc;
use std::time::Duration;

use rota_core::port::{BeatReply, Nudges};
use rota_kit::boottime::BootTime;
use tokio::time::sleep;

use crate::action::process::StopReason;
use crate::life::Life;
use crate::patience::answered_within;

/// How soon a beat is repeated that was not answered, or that asked to end an attempt which was not there yet.
const REPEAT: Duration = Duration::from_millis(250);
/// The longest the lease is not looked at: the runtime's timers stand still while the machine sleeps.
const LOOK: Duration = Duration::from_secs(1);

/// What a beat brought.
enum Answer {
    Fine,
    /// Ask again soon.
    Again,
    /// This life has no right to run anything any more.
    Over,
}

/// Beats until the lease is gone; never ends by itself before that.
pub(crate) async fn beat(life: Arc<Life>) {
    let mut pause = life.lease.beat_every();
    loop {
        tokio::select! {
            () = sleep(pause) => {}
            () = life.beat_now.notified() => {}
            () = life.ended() => return,
        }
        pause = match send(&life).await {
            Answer::Fine => life.lease.beat_every(),
            Answer::Again => REPEAT.min(life.lease.beat_every()),
            Answer::Over => {
                tracing::warn!("incarnation {} is over: its tasks are lost", life.incarnation);
                life.end();
                return;
            }
        };
    }
}

async fn send(life: &Life) -> Answer {
    let sent = BootTime::now();
    let beat = life.beat();
    let facts = &life.shared.ports.facts;
    match answered_within(life.lease.beat_every(), facts.worker_beat(&beat)).await {
        // Too late: the tasks had to be told to end, or the warden has ended them while this process was stopped. What
        // became of them must not be taken for results.
        Ok(BeatReply::Live { .. }) if life.is_over() => Answer::Over,
        Ok(BeatReply::Live { cancel, drain }) => {
            life.lease.renew(sent);
            if drain {
                life.drain();
            }
            if let Some(warden) = &life.shared.warden {
                warden.set_deadline(life.lease.kill_at());
            }
            let unknown = cancel.into_iter().filter(|key| !life.cancel(*key)).count();
            if unknown == 0 { Answer::Fine } else { Answer::Again }
        }
        Ok(BeatReply::Fenced) => Answer::Over,
        Err(error) => {
            tracing::warn!("a heartbeat was not answered: {error}");
            Answer::Again
        }
    }
}

/// Ends this life when its lease runs out: TERM to all tasks at 4/6, KILL at 5/6. Returns once it is over, for this
/// reason or another, and all attempts have been told.
pub(crate) async fn guard(life: Arc<Life>) {
    if rota_core::failpoint::is_on("no-self-fence") {
        return;
    }
    while !life.lease.end_at().is_past() {
        tokio::select! {
            () = sleep(life.lease.end_at().left().min(LOOK)) => {}
            () = life.ended() => return life.kill_all(StopReason::LeaseLost),
        }
    }
    tracing::error!("no heartbeat was answered in time: this worker ends its tasks before others start them");
    life.end();
    life.end_all(StopReason::LeaseLost);
    while !life.lease.kill_at().is_past() {
        sleep(life.lease.kill_at().left().min(LOOK)).await;
    }
    life.kill_all(StopReason::LeaseLost);
}

/// Passes on nudges, which say that there is something to cancel.
pub(crate) async fn hear_nudges(life: Arc<Life>) {
    let worker = &life.shared.options.id;
    while !life.is_over() {
        let heard = async {
            let mut nudges: Box<dyn Nudges> = life.shared.ports.broker.nudges(worker).await?;
            loop {
                nudges.next().await?;
                life.beat_now.notify_one();
            }
        };
        let heard: Result<(), rota_core::port::BrokerError> = tokio::select! {
            heard = heard => heard,
            () = life.ended() => return,
        };
        if let Err(error) = heard {
            tracing::debug!("no nudges, cancels wait for the next heartbeat: {error}");
            sleep(LOOK).await;
        }
    }
}
