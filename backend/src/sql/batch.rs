//! The leader's transaction: everything that one look decided, or nothing of it. Runs under the fence (`ports.rs`).

use std::borrow::Cow;
use std::collections::HashMap;

use chrono::{DateTime, Utc};
use rota_core::id::{DagId, DagVersion, IntentId, RunId};
use rota_core::port::{
    Batch, Committed, CursorMove, Ending, NewRun, RunTransition, SlotOutcome, SlotRow, StoreError,
    StoreResult,
};
use rota_core::state::RunState;

use super::cells::Cells;
use super::rowset::{json, json_of};
use super::task_transitions::{
    tasks_abort, tasks_cancel, tasks_clear, tasks_queue, tasks_requeue, tasks_retry, tasks_settle,
};
use super::{Conn, all_changed, clean, micros, write_failed};

pub(crate) async fn batch_commit(
    conn: &mut Conn,
    now: DateTime<Utc>,
    batch: &Batch,
) -> StoreResult<Committed> {
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

rowset! {
    /// A run for a due slot.
    SlotRun<'a> in slot_runs {
        dag: &'a DagId as text,
        version: DagVersion as bigint,
        slot: i64 as bigint,
        interval_start: Option<i64> as bigint,
        state: RunState as text,
        params: String as text,
        created_at: i64 as bigint,
        started_at: Option<i64> as bigint,
    }
}

const RUNS_INSERT: &str = concat!(
    "insert into run (dag, version, slot, interval_start, trigger_kind, state, params, created_at, started_at)
     select item.dag, item.version, item.slot, item.interval_start, 'schedule', item.state, item.params,
         item.created_at, item.started_at
     from ",
    slot_runs!(),
    " where true on conflict do nothing returning id, dag, slot"
);

/// Returns the new ids in the order of `runs`.
async fn runs_insert(conn: &mut Conn, runs: &[NewRun]) -> StoreResult<Vec<RunId>> {
    if runs.is_empty() {
        return Ok(Vec::new());
    }
    let items = json(runs.iter().map(|run| SlotRun {
        dag: &run.dag,
        version: run.version,
        slot: micros(run.slot),
        interval_start: run.interval_start.map(micros),
        state: run.state,
        params: json_of(&run.params),
        created_at: micros(run.at),
        started_at: (run.state == RunState::Running).then_some(micros(run.at)),
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

rowset! {
    /// An entry of the ledger.
    Entry<'a> in entries {
        dag: &'a DagId as text,
        slot: i64 as bigint,
        slot_to: i64 as bigint,
        slot_count: u64 as bigint,
        outcome: SlotOutcome as text,
        reason: Option<&'a str> as text,
        run: Option<RunId> as bigint,
        decided_at: i64 as bigint,
    }
}

const SLOTS_INSERT: &str = concat!(
    "insert into slot (dag, slot, slot_to, slot_count, outcome, reason, run, decided_at)
     select item.dag, item.slot, item.slot_to, item.slot_count, item.outcome, item.reason, item.run, item.decided_at
     from ",
    entries!(),
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
    let items = json(entries.iter().map(|slot| Entry {
        dag: &slot.dag,
        slot: micros(slot.slot),
        slot_to: micros(slot.to),
        slot_count: slot.count,
        outcome: slot.outcome,
        reason: slot.reason.as_deref(),
        run: slot.run,
        decided_at: micros(slot.decided_at),
    }));
    let done = sqlx::query(SLOTS_INSERT).bind(items).execute(conn).await.map_err(write_failed)?;
    all_changed("ledger entries to write", entries.len(), done.rows_affected())
}

rowset! {
    /// A cursor's step.
    CursorStep<'a> in cursor_steps {
        dag: &'a DagId as text,
        moved_from: Option<i64> as bigint,
        moved_to: i64 as bigint,
        next_slot: Option<i64> as bigint,
    }
}

const CURSORS_MOVE: &str = concat!(
    "update dag set cursor = item.moved_to, next_slot = item.next_slot
     from ",
    cursor_steps!(),
    " where dag.dag = item.dag and dag.cursor is not distinct from item.moved_from"
);

async fn cursors_move(conn: &mut Conn, moves: &[CursorMove]) -> StoreResult<()> {
    if moves.is_empty() {
        return Ok(());
    }
    let items = json(moves.iter().map(|step| CursorStep {
        dag: &step.dag,
        moved_from: step.from.map(micros),
        moved_to: micros(step.to),
        next_slot: step.next_slot.map(micros),
    }));
    let done = sqlx::query(CURSORS_MOVE).bind(items).execute(conn).await.map_err(write_failed)?;
    all_changed("cursors to move", moves.len(), done.rows_affected())
}

rowset! {
    /// A run's change of state.
    RunStep<'a> in run_steps {
        run: RunId as bigint,
        moved_from: RunState as text,
        moved_to: RunState as text,
        moved_at: i64 as bigint,
        reason: Option<Cow<'a, str>> as text,
    }
}

const RUNS_MOVE: &str = concat!(
    "update run set
         state = item.moved_to,
         reason = item.reason,
         started_at = case when item.moved_to = 'running' then item.moved_at else run.started_at end,
         finished_at = case when item.moved_to in ('success', 'failed', 'cancelled') then item.moved_at end,
         ending_state = case when item.moved_to <> 'queued' then run.ending_state end,
         ending_reason = case when item.moved_to <> 'queued' then run.ending_reason end
     from ",
    run_steps!(),
    " where run.id = item.run and run.state = item.moved_from"
);

async fn runs_move(conn: &mut Conn, moves: &[RunTransition]) -> StoreResult<()> {
    if moves.is_empty() {
        return Ok(());
    }
    let items = json(moves.iter().map(|step| RunStep {
        run: step.run,
        moved_from: step.from,
        moved_to: step.to,
        moved_at: micros(step.at),
        reason: step.reason.as_deref().map(clean),
    }));
    let done = sqlx::query(RUNS_MOVE).bind(items).execute(conn).await.map_err(write_failed)?;
    all_changed("runs to move", moves.len(), done.rows_affected())
}

rowset! {
    /// How a run is to end.
    RunEnd<'a> in run_ends {
        run: RunId as bigint,
        state: RunState as text,
        reason: Cow<'a, str> as text,
    }
}

const RUNS_END: &str = concat!(
    "update run set ending_state = item.state, ending_reason = item.reason
     from ",
    run_ends!(),
    " where run.id = item.run and run.state = 'running' and run.ending_state is null"
);

async fn runs_end(conn: &mut Conn, end_requests: &[(RunId, Ending)]) -> StoreResult<()> {
    if end_requests.is_empty() {
        return Ok(());
    }
    let items = json(end_requests.iter().map(|(run, ending)| RunEnd {
        run: *run,
        state: ending.state,
        reason: clean(&ending.reason),
    }));
    let done = sqlx::query(RUNS_END).bind(items).execute(conn).await.map_err(write_failed)?;
    all_changed("runs to end", end_requests.len(), done.rows_affected())
}

rowset! {
    /// What came of an intent.
    IntentDone<'a> in intents_closed {
        intent: IntentId as bigint,
        outcome: &'a str as text,
    }
}

const INTENTS_DONE: &str = concat!(
    "update intent set done_at = $2, outcome = item.outcome
     from ",
    intents_closed!(),
    " where intent.id = item.intent and intent.done_at is null"
);

async fn intents_done(conn: &mut Conn, now: DateTime<Utc>, done: &[(IntentId, String)]) -> StoreResult<()> {
    if done.is_empty() {
        return Ok(());
    }
    let items = json(done.iter().map(|(intent, outcome)| IntentDone { intent: *intent, outcome }));
    let query = sqlx::query(INTENTS_DONE).bind(items).bind(micros(now));
    let changed = query.execute(conn).await.map_err(write_failed)?;
    all_changed("intents to close", done.len(), changed.rows_affected())
}
