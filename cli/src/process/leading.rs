//! What is told of a scheduler while it runs: whether it leads, and what keeps it from doing its part.

use std::time::Duration;

use rota_scheduler::{Status, Turns};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Between two looks at whether it does its part.
const LOOK: Duration = Duration::from_millis(500);

/// Tells `tell` what a scheduler does and what trouble it is in, again and again, until it is gone or `ended`.
pub(crate) async fn follow_scheduler(
    mut status: watch::Receiver<Status>,
    turns: Turns,
    ended: CancellationToken,
    tell: impl Fn(&Status, Vec<String>),
) {
    loop {
        let now = status.borrow_and_update().clone();
        tell(&now, turns.trouble().into_iter().collect());
        tokio::select! {
            changed = status.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(LOOK) => {}
            () = ended.cancelled() => return,
        }
    }
}
