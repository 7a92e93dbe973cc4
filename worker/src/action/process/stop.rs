//! Orders to end an attempt before its time.

use tokio::sync::watch;

/// Why an attempt is ended from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    /// Somebody cancelled it.
    Cancelled,
    /// The worker lost its right to run it: the attempt is lost, others decide what comes next.
    LeaseLost,
    /// The worker stops: the attempt is lost as well.
    Shutdown,
}

/// How an attempt is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    /// TERM, the task's grace, KILL.
    End(StopReason),
    /// KILL.
    Kill(StopReason),
}

/// Gives the orders for one attempt.
#[derive(Debug, Clone)]
pub struct Stop {
    order: watch::Sender<Option<Order>>,
}

/// Hears the orders for one attempt.
#[derive(Debug, Clone)]
pub struct Stopped {
    order: watch::Receiver<Option<Order>>,
}

/// Both ends, with no order given.
pub fn stop() -> (Stop, Stopped) {
    let (sender, receiver) = watch::channel(None);
    (Stop { order: sender }, Stopped { order: receiver })
}

impl Stop {
    /// Ends the attempt: TERM, its grace, KILL. The first reason counts.
    pub fn end(&self, reason: StopReason) {
        self.order.send_if_modified(|order| {
            let is_first = order.is_none();
            *order = order.or(Some(Order::End(reason)));
            is_first
        });
    }

    /// Kills the attempt. The first reason counts.
    pub fn kill(&self, reason: StopReason) {
        self.order.send_if_modified(|order| {
            let before = *order;
            *order = Some(match before {
                None => Order::Kill(reason),
                Some(Order::End(first) | Order::Kill(first)) => Order::Kill(first),
            });
            before != *order
        });
    }
}

impl Stopped {
    /// The reason, if an order was given.
    pub fn reason(&self) -> Option<StopReason> {
        self.order.borrow().map(|order| match order {
            Order::End(reason) | Order::Kill(reason) => reason,
        })
    }

    /// Whether the order is to kill.
    pub(super) fn is_kill(&self) -> bool {
        matches!(*self.order.borrow(), Some(Order::Kill(_)))
    }

    /// Waits for an order that was not heard yet; for ever if nobody is left who could give one.
    pub async fn changed(&mut self) {
        if self.order.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
