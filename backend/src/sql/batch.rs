//! The leader's transaction: everything that one look decided, or nothing of it. Runs under the fence (`term.rs`).

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use rota_core::id::{Epoch, RunId};
use rota_core::port::{Batch, BatchPlans, Committed, SlotOutcome, SlotRow, StoreResult};

use super::dag::cursors_move;
use super::intent::intents_done;
use super::run_transitions::{runs_end, runs_insert, runs_move};
use super::slot::slots_insert;
use super::task_transitions::{
    tasks_abort, tasks_cancel, tasks_clear, tasks_queue, tasks_requeue, tasks_retry, tasks_settle,
};
use super::{Conn, Store};

#[async_trait]
impl BatchPlans for Store {
    async fn now(&self) -> StoreResult<DateTime<Utc>> {
        self.clock_now().await
    }

    async fn batch_commit(&self, epoch: Epoch, batch: &Batch) -> StoreResult<Committed> {
        call!(self.fenced[epoch](batch), |conn, now| batch_commit(conn, now, &batch))
    }
}

async fn batch_commit(conn: &mut Conn, now: DateTime<Utc>, batch: &Batch) -> StoreResult<Committed> {
    let runs = runs_insert(conn, &batch.runs).await?;
    ledger_write(conn, batch, &runs).await?;
    cursors_move(conn, &batch.cursors).await?;
    runs_move(conn, &batch.run_transitions).await?;
    runs_end(conn, &batch.end_requests).await?;
    tasks_clear(conn, &batch.clears).await?;
    tasks_queue(conn, &batch.queues).await?;
    tasks_settle(conn, &batch.ends_without_attempt).await?;
    tasks_retry(conn, now, &batch.retries).await?;
    tasks_requeue(conn, &batch.requeues).await?;
    tasks_abort(conn, now, &batch.lost_for_good).await?;
    let cancelled = tasks_cancel(conn, now, &batch.cancels).await?;
    intents_done(conn, now, &batch.intents_done).await?;
    Ok(Committed { runs, cancelled })
}

/// The ledger: an entry for each run of this batch, and one for each slot or range without a run.
async fn ledger_write(conn: &mut Conn, batch: &Batch, runs: &[RunId]) -> StoreResult<()> {
    let fired = batch.runs.iter().zip(runs).map(|(run, id)| SlotRow {
        dag: run.dag.clone(),
        slot: run.slot,
        to: run.slot,
        count: 1,
        outcome: SlotOutcome::Fired,
        reason: None,
        run: Some(*id),
        decided_at: run.at,
    });
    let entries: Vec<SlotRow> = fired.chain(batch.slots.iter().cloned()).collect();
    slots_insert(conn, &entries).await
}
