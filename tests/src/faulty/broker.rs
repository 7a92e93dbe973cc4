//! A broker that can be away for one scheduler.

use std::sync::Arc;

use async_trait::async_trait;
use rota_core::id::{AttemptKey, QueueName, WorkerId};
use rota_core::port::{Bell, Bells, Broker, BrokerError, Change, Changes, Consumer, Dispatch, Nudges};

use super::Switch;

/// A broker behind a switch.
#[derive(Clone)]
pub struct FaultyBroker {
    broker: Arc<dyn Broker>,
    switch: Switch,
}

impl FaultyBroker {
    /// Goes through to `broker` until the switch says otherwise.
    pub fn new(broker: Arc<dyn Broker>, switch: Switch) -> Self {
        Self { broker, switch }
    }
}

fn refused(why: &str) -> BrokerError {
    BrokerError(why.to_owned())
}

macro_rules! behind_the_switch {
    ($($verb:ident($($arg:ident: $given:ty),*) -> $out:ty;)+) => {
        #[async_trait]
        impl Broker for FaultyBroker {
            $(async fn $verb(&self, $($arg: $given),*) -> Result<$out, BrokerError> {
                self.switch.pass().await.map_err(refused)?;
                self.broker.$verb($($arg),*).await
            })+

            async fn bells(&self) -> Result<Box<dyn Bells>, BrokerError> {
                self.switch.pass().await.map_err(refused)?;
                let bells = self.broker.bells().await?;
                Ok(Box::new(FaultyBells { bells, switch: self.switch.clone() }))
            }
        }
    };
}

behind_the_switch! {
    publish(dispatches: &[Dispatch]) -> Vec<AttemptKey>;
    consume(queues: &[QueueName]) -> Box<dyn Consumer>;
    ring(bell: Bell) -> ();
    nudge(worker: &WorkerId) -> ();
    nudges(worker: &WorkerId) -> Box<dyn Nudges>;
    announce(changes: &[Change]) -> ();
    changes() -> Box<dyn Changes>;
}

struct FaultyBells {
    bells: Box<dyn Bells>,
    switch: Switch,
}

#[async_trait]
impl Bells for FaultyBells {
    async fn next(&mut self, max: usize) -> Result<Vec<Bell>, BrokerError> {
        // Bells that were rung while the broker is away are lost.
        let heard = self.bells.next(max).await?;
        self.switch.pass().await.map_err(refused)?;
        Ok(heard)
    }
}
