//! The ledger: entries are added by the leader, listed and counted. An entry may be a range of slots, so every window is asked
//! for by overlap: entries that begin within it, and the few ranges that began before and reach into it.

use async_trait::async_trait;
use rota_core::id::{DagId, RunId};
use rota_core::port::{
    LedgerCounts, Outage, Outages, SlotCounts, SlotFilter, SlotOutcome, SlotRow, SlotStep, SlotViews,
    StepFilter, StoreResult, TimeWindow,
};

use super::cells::{Cells, decode};
use super::rowset::{json, names_json};
use super::{Conn, Store, all_changed, failed, limit, micros, write_failed};

macro_rules! slot_columns {
    () => {
        "dag, slot, slot_to, slot_count, outcome, reason, run, decided_at"
    };
}

fn slot_row(cells: &mut Cells<'_>) -> StoreResult<SlotRow> {
    Ok(SlotRow {
        dag: cells.text(DagId::trusted)?,
        slot: cells.at()?,
        to: cells.at()?,
        count: cells.number()?,
        outcome: cells.word(SlotOutcome::parse)?,
        reason: cells.take()?,
        run: cells.take::<Option<i64>>()?.map(RunId),
        decided_at: cells.at()?,
    })
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

/// Adds entries to the ledger. One that is there already is a conflict.
pub(crate) async fn slots_insert(conn: &mut Conn, entries: &[SlotRow]) -> StoreResult<()> {
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

#[async_trait]
impl SlotViews for Store {
    async fn view_slots(&self, filter: &SlotFilter) -> StoreResult<Vec<SlotRow>> {
        call!(self.view(filter), |conn, _now| view_slots(conn, &filter))
    }

    async fn view_slot_counts(&self, dag: Option<&DagId>, window: TimeWindow) -> StoreResult<LedgerCounts> {
        let dag = dag.cloned();
        call!(self.view(dag, window), |conn, _now| view_slot_counts(conn, (*dag).as_ref(), *window))
    }

    async fn view_outages(&self, window: TimeWindow, limit: usize) -> StoreResult<Outages> {
        call!(self.view(window, limit), |conn, _now| view_outages(conn, *window, *limit))
    }

    async fn view_slot_steps(&self, filter: &StepFilter) -> StoreResult<Vec<SlotStep>> {
        call!(self.view(filter), |conn, _now| view_slot_steps(conn, &filter))
    }
}

/// Two branches, because two indexes: entries by their first slot, and ranges by their last.
macro_rules! overlapping {
    ($columns:expr, $and:literal) => {
        concat!(
            "select ",
            $columns,
            " from slot where slot >= $1 and slot < $2 ",
            $and,
            " union all select ",
            $columns,
            " from slot where slot_count > 1 and slot < $1 and slot < $2 and slot_to >= $1 ",
            $and
        )
    };
}

const VIEW_SLOTS: &str = concat!(
    overlapping!(slot_columns!(), "and ($3 or outcome = $4) and slot <= $5 and (slot < $5 or dag > $6)"),
    " order by slot desc, dag limit $7"
);

const VIEW_SLOTS_OF_DAG: &str = concat!(
    overlapping!(
        slot_columns!(),
        "and dag = $8 and ($3 or outcome = $4) and slot <= $5 and (slot < $5 or dag > $6)"
    ),
    " order by slot desc, dag limit $7"
);

async fn view_slots(conn: &mut Conn, filter: &SlotFilter) -> StoreResult<Vec<SlotRow>> {
    let statement = if filter.dag.is_some() { VIEW_SLOTS_OF_DAG } else { VIEW_SLOTS };
    let after = filter.after.as_ref();
    let mut query = sqlx::query(statement)
        .bind(filter.since.map_or(i64::MIN, micros))
        .bind(filter.before.map_or(i64::MAX, micros))
        .bind(filter.outcome.is_none())
        .bind(filter.outcome.map_or("", |outcome| outcome.as_str()))
        .bind(after.map_or(i64::MAX, |place| micros(place.slot)))
        .bind(after.map_or("", |place| place.dag.as_str()))
        .bind(limit(filter.limit));
    if let Some(dag) = &filter.dag {
        query = query.bind(dag.as_str());
    }
    decode(&query.fetch_all(conn).await.map_err(failed)?, slot_row)
}

macro_rules! counts {
    ($and:literal) => {
        concat!(
            "select dag,
                 cast(coalesce(sum(case when outcome = 'fired' then slot_count end), 0) as bigint),
                 cast(coalesce(sum(case when outcome = 'skipped' then slot_count end), 0) as bigint),
                 cast(coalesce(sum(case when outcome = 'missed' then slot_count end), 0) as bigint),
                 cast(coalesce(max(case when outcome = 'fired' then decided_at - slot end), 0) as bigint)
             from slot where slot >= $1 and slot < $2 and slot_to < $2 ",
            $and,
            " group by dag order by dag"
        )
    };
}

const VIEW_SLOT_COUNTS: &str = counts!("");
const VIEW_SLOT_COUNTS_OF_DAG: &str = counts!("and dag = $3");

macro_rules! cut {
    ($and:literal) => {
        concat!(
            "select ",
            slot_columns!(),
            " from slot where slot_count > 1 and slot_to >= $1 and slot < $2 and (slot < $1 or slot_to >= $2) ",
            $and,
            " order by dag, slot"
        )
    };
}

const VIEW_SLOTS_CUT: &str = cut!("");
const VIEW_SLOTS_CUT_OF_DAG: &str = cut!("and dag = $3");

async fn view_slot_counts(
    conn: &mut Conn,
    dag: Option<&DagId>,
    window: TimeWindow,
) -> StoreResult<LedgerCounts> {
    let (counts, cut) = match dag {
        Some(_) => (VIEW_SLOT_COUNTS_OF_DAG, VIEW_SLOTS_CUT_OF_DAG),
        None => (VIEW_SLOT_COUNTS, VIEW_SLOTS_CUT),
    };
    let query = |statement: &'static str| {
        let query = sqlx::query(statement).bind(micros(window.from)).bind(micros(window.until));
        if let Some(dag) = dag { query.bind(dag.as_str().to_owned()) } else { query }
    };
    let whole = query(counts).fetch_all(&mut *conn).await.map_err(failed)?;
    let cut = query(cut).fetch_all(conn).await.map_err(failed)?;
    Ok(LedgerCounts { whole: decode(&whole, counts_row)?, cut: decode(&cut, slot_row)? })
}

fn counts_row(cells: &mut Cells<'_>) -> StoreResult<(DagId, SlotCounts)> {
    let dag = cells.text(DagId::trusted)?;
    let (fired, skipped, missed) = (cells.number()?, cells.number()?, cells.number()?);
    let late_us: i64 = cells.take()?;
    Ok((dag, SlotCounts { fired, skipped, missed, late_max_ms: late_us.max(0).unsigned_abs() / 1000 }))
}

/// An entry begins an outage unless one before it was decided only after it began.
const VIEW_OUTAGES: &str = concat!(
    "with entry as (",
    overlapping!("dag, slot, slot_to, slot_count, reason, decided_at", "and outcome = 'missed'"),
    "), reached as (
         select entry.*, max(decided_at) over (
             order by slot, dag rows between unbounded preceding and 1 preceding) as so_far from entry
     ), numbered as (
         select reached.*, sum(case when so_far >= slot then 0 else 1 end) over (
             order by slot, dag rows unbounded preceding) as outage from reached
     )
     select min(slot) as began, max(slot_to), cast(sum(slot_count) as bigint), count(distinct dag), min(dag),
         case when min(coalesce(reason, '')) = max(coalesce(reason, '')) then min(reason) end, count(*) over ()
     from numbered group by outage order by began desc limit $3"
);

async fn view_outages(conn: &mut Conn, window: TimeWindow, rows_max: usize) -> StoreResult<Outages> {
    let query = sqlx::query(VIEW_OUTAGES).bind(micros(window.from)).bind(micros(window.until));
    let rows = query.bind(limit(rows_max)).fetch_all(conn).await.map_err(failed)?;
    let rows = decode(&rows, |cells| {
        let outage = Outage {
            from: cells.at()?,
            to: cells.at()?,
            slots: cells.number()?,
            dags: cells.number()?,
            dag: cells.text(DagId::trusted)?,
            reason: cells.take()?,
        };
        Ok((outage, cells.number()?))
    })?;
    let total = rows.first().map_or(0, |(_, total)| *total);
    Ok(Outages { total, list: rows.into_iter().map(|(outage, _)| outage).collect() })
}

const VIEW_SLOT_STEPS: &str = concat!(
    "select step, count(case when kind = 'failed' then 1 end), count(case when kind = 'active' then 1 end),
         count(case when kind = 'often' then 1 end), count(case when kind = 'fired' then 1 end)
     from (
         select (s.slot - $2) / $4 as step, case
             when r.state = 'failed' then 'failed'
             when r.state in ('queued', 'running') then 'active'
             when s.dag in (select item.name from ",
    names!(),
    ") then 'often' else 'fired' end as kind
         from slot as s left join run as r on r.id = s.run
         where s.slot >= $2 and s.slot < $3 and s.outcome = 'fired'
     ) as told group by step order by step"
);

async fn view_slot_steps(conn: &mut Conn, filter: &StepFilter) -> StoreResult<Vec<SlotStep>> {
    let step_us = filter.step.num_microseconds().unwrap_or(i64::MAX).max(1_000_000);
    let query = sqlx::query(VIEW_SLOT_STEPS)
        .bind(names_json(filter.often.iter().map(DagId::as_str)))
        .bind(micros(filter.window.from))
        .bind(micros(filter.window.until))
        .bind(step_us);
    decode(&query.fetch_all(conn).await.map_err(failed)?, |cells| {
        Ok(SlotStep {
            step: cells.number()?,
            failed: cells.number()?,
            active: cells.number()?,
            often: cells.number()?,
            fired: cells.number()?,
        })
    })
}
