//! The bookkeeping of one queue's subscription: which tags are where, and which acknowledgements may go out without
//! pulling in more messages than there is room for. Plain data, no broker.

use std::collections::BTreeSet;

/// An acknowledgement on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SettleFrame {
    pub(super) tag: u64,
    /// Settles all earlier tags too.
    pub(super) multiple: bool,
}

/// One queue's subscription. Tags grow with each delivery.
#[derive(Debug, Default)]
pub(super) struct PrefetchCredit {
    /// What the broker was told; 0 without a subscription.
    prefetch: usize,
    /// Tags above this one belong to the present subscription, and count against its prefetch.
    floor: u64,
    /// The last tag that arrived.
    last: u64,
    /// Handed out under the present subscription and not settled at the broker.
    in_use: usize,
    /// Handed out, not acknowledged by the worker.
    out: BTreeSet<u64>,
    /// Acknowledged by the worker, not yet told to the broker.
    held: BTreeSet<u64>,
}

impl PrefetchCredit {
    /// A new subscription stands.
    pub(super) fn subscribed(&mut self, prefetch: usize) {
        self.prefetch = prefetch;
        self.floor = self.last;
        self.in_use = 0;
    }

    /// The subscription ended; what it delivered is still to be settled.
    pub(super) fn withdrawn(&mut self) {
        self.subscribed(0);
    }

    pub(super) fn arrived(&mut self, tag: u64) {
        self.last = self.last.max(tag);
    }

    pub(super) fn handed_out(&mut self, tag: u64) {
        self.out.insert(tag);
        self.in_use += usize::from(tag > self.floor);
    }

    /// The worker has acknowledged. The broker is told later, see [`Self::release`].
    pub(super) fn acknowledged(&mut self, tag: u64) {
        if self.out.remove(&tag) {
            self.held.insert(tag);
        }
    }

    /// Messages that the broker may still deliver, with those that have arrived and are not handed out.
    pub(super) fn remaining(&self) -> usize {
        self.prefetch.saturating_sub(self.in_use)
    }

    pub(super) fn is_subscribed(&self) -> bool {
        self.prefetch > 0
    }

    pub(super) fn has_held(&self) -> bool {
        !self.held.is_empty()
    }

    /// As many acknowledgements as leave the credit at most at `room`, the oldest first.
    pub(super) fn release(&mut self, room: usize) -> Vec<SettleFrame> {
        let mut free = room.saturating_sub(self.remaining());
        let mut tags = Vec::new();
        while let Some(tag) = self.held.first().copied() {
            let counts = self.is_subscribed() && tag > self.floor;
            if counts && free == 0 {
                break;
            }
            free -= usize::from(counts);
            self.in_use -= usize::from(counts);
            self.held.remove(&tag);
            tags.push(tag);
        }
        self.frames(&tags)
    }

    /// Few frames for ascending `tags`, which are below all that has not been handed out: one frame up to the first tag
    /// that the worker still has.
    pub(super) fn frames(&self, tags: &[u64]) -> Vec<SettleFrame> {
        let first_out = self.out.first().copied().unwrap_or(u64::MAX);
        let together = tags.partition_point(|tag| *tag < first_out);
        let (together, alone) = tags.split_at(together);
        let first = together.last().map(|tag| SettleFrame { tag: *tag, multiple: together.len() > 1 });
        first.into_iter().chain(alone.iter().map(|tag| SettleFrame { tag: *tag, multiple: false })).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(prefetch: usize, tags: std::ops::RangeInclusive<u64>) -> PrefetchCredit {
        let mut credit = PrefetchCredit::default();
        credit.subscribed(prefetch);
        for tag in tags {
            credit.arrived(tag);
            credit.handed_out(tag);
        }
        credit
    }

    fn multiple(tag: u64) -> Vec<SettleFrame> {
        vec![SettleFrame { tag, multiple: true }]
    }

    #[test]
    fn acknowledgements_of_a_busy_worker_are_held() {
        let mut credit = with(8, 1..=8);
        (1..=8).for_each(|tag| credit.acknowledged(tag));
        assert_eq!(credit.release(0), vec![]);
        assert_eq!(credit.release(3), multiple(3), "three slots are free: three more may come");
        assert_eq!(credit.remaining(), 3);
        assert_eq!(credit.release(3), vec![]);
        assert_eq!(credit.release(8), multiple(8));
        assert_eq!(credit.remaining(), 8);
    }

    #[test]
    fn a_worker_that_always_has_room_acknowledges_all_in_one_frame() {
        let mut credit = with(1024, 1..=700);
        (1..=700).for_each(|tag| credit.acknowledged(tag));
        assert_eq!(credit.release(1024), multiple(700));
        assert!(!credit.has_held());
    }

    #[test]
    fn what_the_worker_still_has_is_never_settled_along() {
        let mut credit = with(8, 1..=6);
        for tag in [1, 2, 4, 5, 6] {
            credit.acknowledged(tag);
        }
        let frames = credit.release(usize::MAX);
        let alone = |tag| SettleFrame { tag, multiple: false };
        assert_eq!(frames, [SettleFrame { tag: 2, multiple: true }, alone(4), alone(5), alone(6)]);
    }

    #[test]
    fn deliveries_of_an_earlier_subscription_do_not_count_against_the_next() {
        let mut credit = with(2, 1..=2);
        credit.withdrawn();
        assert!(!credit.is_subscribed());
        credit.subscribed(3);
        assert_eq!(credit.remaining(), 3);
        credit.acknowledged(1);
        credit.acknowledged(2);
        assert_eq!(credit.release(0), multiple(2));
        assert_eq!(credit.remaining(), 3);
    }

    #[test]
    fn acknowledging_twice_or_a_foreign_tag_does_nothing() {
        let mut credit = with(4, 1..=1);
        credit.acknowledged(1);
        credit.acknowledged(1);
        credit.acknowledged(9);
        assert_eq!(credit.release(usize::MAX), [SettleFrame { tag: 1, multiple: false }]);
        assert_eq!(credit.release(usize::MAX), vec![]);
    }
}
