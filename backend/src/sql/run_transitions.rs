//! What the leader does to runs: one guarded statement per kind of change, however many runs there are.

use std::borrow::Cow;
use std::collections::HashMap;

use rota_core::id::{DagId, DagVersion, RunId};
use rota_core::port::{Ending, NewRun, RunTransition, StoreError, StoreResult};
use rota_core::state::RunState;

use super::cells::Cells;
use super::rowset::{json, json_of};
use super::{Conn, all_changed, clean, micros, write_failed};

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
pub(crate) async fn runs_insert(conn: &mut Conn, runs: &[NewRun]) -> StoreResult<Vec<RunId>> {
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

pub(crate) async fn runs_move(conn: &mut Conn, moves: &[RunTransition]) -> StoreResult<()> {
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

pub(crate) async fn runs_end(conn: &mut Conn, end_requests: &[(RunId, Ending)]) -> StoreResult<()> {
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
