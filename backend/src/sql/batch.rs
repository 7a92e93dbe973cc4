//! The leader's transaction: everything that one look decided, or nothing of it. Runs under the fence (`ports.rs`).

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use rota_core::id::{DagId, IntentId, RunId};
use rota_core::port::{
    Batch, Committed, CursorMove, Ending, NewRun, RunMove, SlotOutcome, SlotRow, StoreError, StoreResult,
};

use super::batch_tasks::{
    tasks_abort, tasks_cancel, tasks_clear, tasks_queue, tasks_requeue, tasks_retry, tasks_settle,
};
use super::rows::Cells;
use super::{Conn, all_changed, clean, json, json_of, micros, write_failed};

pub(crate) async fn batch_commit(
    conn: &mut Conn,
    now: DateTime<Utc>,
    batch: &Batch,
) -> StoreResult<Committed> {
    let runs = runs_insert(conn, &batch.runs).await?;
    ledger_write(conn, batch, &runs).await?;
    cursors_move(conn, &batch.cursors).await?;
    runs_move(conn, &batch.run_moves).await?;
    runs_end(conn, &batch.endings).await?;
    tasks_clear(conn, &batch.clears).await?;
    tasks_queue(conn, &batch.queues).await?;
    tasks_settle(conn, &batch.settles).await?;
    tasks_retry(conn, now, &batch.retries).await?;
    tasks_requeue(conn, &batch.requeues).await?;
    tasks_abort(conn, now, &batch.aborts).await?;
    let cancelled = tasks_cancel(conn, now, &batch.cancels).await?;
    intents_done(conn, now, &batch.intents_done).await?;
    Ok(Committed { runs, cancelled })
}

const RUNS_INSERT: &str = concat!(
    "insert into run (dag, version, slot, interval_start, trigger_kind, state, params, created_at, started_at)
     select item.value ->> 0, cast(item.value ->> 1 as bigint), cast(item.value ->> 2 as bigint),
         cast(item.value ->> 3 as bigint), 'schedule', item.value ->> 4, item.value ->> 5,
         cast(item.value ->> 6 as bigint), cast(item.value ->> 7 as bigint)
     from ",
    each!("$1"),
    " where true on conflict do nothing returning id, dag, slot"
);

/// Returns the new ids in the order of `runs`.
async fn runs_insert(conn: &mut Conn, runs: &[NewRun]) -> StoreResult<Vec<RunId>> {
    if runs.is_empty() {
        return Ok(Vec::new());
    }
    let items = json(runs.iter().map(|run| {
        let (slot, since, at) = (micros(run.slot), run.interval_start.map(micros), micros(run.at));
        let started_at = (run.state == rota_core::state::RunState::Running).then_some(at);
        (&run.dag, run.version, slot, since, run.state, json_of(&run.params), at, started_at)
    }));
    let rows = sqlx::query(RUNS_INSERT).bind(items).fetch_all(conn).await.map_err(write_failed)?;
    let mut ids: HashMap<(DagId, i64), RunId> = HashMap::with_capacity(rows.len());
    for row in &rows {
        let mut cells = Cells::of(row);
        let id = RunId(cells.take()?);
        ids.insert((cells.text(DagId::trusted)?, cells.take()?), id);
    }
    all_changed("slots to fire", runs.len(), rows.len() as u64)?;
    let id_of = |run: &NewRun| ids.get(&(run.dag.clone(), micros(run.slot))).copied();
    let in_order: Option<Vec<RunId>> = runs.iter().map(id_of).collect();
    in_order.ok_or_else(|| StoreError::Conflict("slots to fire: one of them was named twice".to_owned()))
}

const SLOTS_INSERT: &str = concat!(
    "insert into slot (dag, slot, slot_to, slot_count, outcome, reason, run, decided_at)
     select item.value ->> 0, cast(item.value ->> 1 as bigint), cast(item.value ->> 2 as bigint),
         cast(item.value ->> 3 as bigint), item.value ->> 4, item.value ->> 5, cast(item.value ->> 6 as bigint),
         cast(item.value ->> 7 as bigint)
     from ",
    each!("$1"),
    " where true on conflict do nothing"
);

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

/// Adds entries to the ledger. One that is there already is a conflict.
pub(super) async fn slots_insert(conn: &mut Conn, entries: &[SlotRow]) -> StoreResult<()> {
    if entries.is_empty() {
        return Ok(());
    }
    let items = json(entries.iter().map(|slot| {
        let (from, to, at) = (micros(slot.slot), micros(slot.to), micros(slot.decided_at));
        (&slot.dag, from, to, slot.count, slot.outcome, &slot.reason, slot.run, at)
    }));
    let done = sqlx::query(SLOTS_INSERT).bind(items).execute(conn).await.map_err(write_failed)?;
    all_changed("ledger entries to write", entries.len(), done.rows_affected())
}

const CURSORS_MOVE: &str = concat!(
    "update dag set cursor = cast(item.value ->> 2 as bigint), next_slot = cast(item.value ->> 3 as bigint)
     from ",
    each!("$1"),
    " where dag.dag = item.value ->> 0 and dag.cursor is not distinct from cast(item.value ->> 1 as bigint)"
);

async fn cursors_move(conn: &mut Conn, moves: &[CursorMove]) -> StoreResult<()> {
    if moves.is_empty() {
        return Ok(());
    }
    let items = json(
        moves
            .iter()
            .map(|step| (&step.dag, step.from.map(micros), micros(step.to), step.next_slot.map(micros))),
    );
    let done = sqlx::query(CURSORS_MOVE).bind(items).execute(conn).await.map_err(write_failed)?;
    all_changed("cursors to move", moves.len(), done.rows_affected())
}

const RUNS_MOVE: &str = concat!(
    "update run set
         state = item.value ->> 2,
         reason = item.value ->> 4,
         started_at = case when item.value ->> 2 = 'running'
             then cast(item.value ->> 3 as bigint) else run.started_at end,
         finished_at = case when item.value ->> 2 in ('success', 'failed', 'cancelled')
             then cast(item.value ->> 3 as bigint) end,
         ending_state = case when item.value ->> 2 <> 'queued' then run.ending_state end,
         ending_reason = case when item.value ->> 2 <> 'queued' then run.ending_reason end
     from ",
    each!("$1"),
    " where run.id = cast(item.value ->> 0 as bigint) and run.state = item.value ->> 1"
);

async fn runs_move(conn: &mut Conn, moves: &[RunMove]) -> StoreResult<()> {
    if moves.is_empty() {
        return Ok(());
    }
    let items = json(
        moves
            .iter()
            .map(|step| (step.run, step.from, step.to, micros(step.at), step.reason.as_deref().map(clean))),
    );
    let done = sqlx::query(RUNS_MOVE).bind(items).execute(conn).await.map_err(write_failed)?;
    all_changed("runs to move", moves.len(), done.rows_affected())
}

const RUNS_END: &str = concat!(
    "update run set ending_state = item.value ->> 1, ending_reason = item.value ->> 2
     from ",
    each!("$1"),
    " where run.id = cast(item.value ->> 0 as bigint) and run.state = 'running' and run.ending_state is null"
);

async fn runs_end(conn: &mut Conn, endings: &[(RunId, Ending)]) -> StoreResult<()> {
    if endings.is_empty() {
        return Ok(());
    }
    let items = json(endings.iter().map(|(run, ending)| (run, ending.state, clean(&ending.reason))));
    let done = sqlx::query(RUNS_END).bind(items).execute(conn).await.map_err(write_failed)?;
    all_changed("runs to end", endings.len(), done.rows_affected())
}

const INTENTS_DONE: &str = concat!(
    "update intent set done_at = $2, outcome = item.value ->> 1
     from ",
    each!("$1"),
    " where intent.id = cast(item.value ->> 0 as bigint) and intent.done_at is null"
);

async fn intents_done(conn: &mut Conn, now: DateTime<Utc>, done: &[(IntentId, String)]) -> StoreResult<()> {
    if done.is_empty() {
        return Ok(());
    }
    let query = sqlx::query(INTENTS_DONE).bind(json_of(done)).bind(micros(now));
    let changed = query.execute(conn).await.map_err(write_failed)?;
    all_changed("intents to close", done.len(), changed.rows_affected())
}
