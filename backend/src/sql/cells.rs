//! Rows of the database as rows of the port. A column list stands beside the function that decodes it, in its order.

use chrono::{DateTime, Utc};
use rota_core::id::{
    AttemptKey, AuditId, DagId, DagVersion, Epoch, Incarnation, QueueName, ReplicaId, RunId, TaskKey,
    TaskName, TaskNo, WorkerId,
};
use rota_core::port::{
    AuditRow, DagRow, Ending, FileErrorRow, Object, ReplicaRow, ReplicaState, RunRow, SlotOutcome, SlotRow,
    StoreError, StoreResult, TaskRow, TermRow, WorkerRow, WorkerState,
};
use rota_core::state::{RunState, TaskState, Trigger};
use serde::de::DeserializeOwned;
use sqlx::{ColumnIndex, Decode, Row as _, Type};

use super::{Db, Row, failed, unavailable};

/// Reads the cells of a row from left to right.
pub(crate) struct Cells<'r> {
    row: &'r Row,
    next: usize,
}

impl<'r> Cells<'r> {
    pub(crate) fn of(row: &'r Row) -> Self {
        Self { row, next: 0 }
    }

    /// The next cell.
    pub(crate) fn take<T>(&mut self) -> StoreResult<T>
    where
        T: Decode<'r, Db> + Type<Db>,
        usize: ColumnIndex<Row>,
    {
        let index = self.next;
        self.next += 1;
        self.row.try_get(index).map_err(failed)
    }

    pub(crate) fn at(&mut self) -> StoreResult<DateTime<Utc>> {
        instant(self.take()?)
    }

    pub(crate) fn at_opt(&mut self) -> StoreResult<Option<DateTime<Utc>>> {
        self.take::<Option<i64>>()?.map(instant).transpose()
    }

    /// A number that fits a smaller type.
    pub(crate) fn number<T: TryFrom<i64>>(&mut self) -> StoreResult<T> {
        let value: i64 = self.take()?;
        T::try_from(value).map_err(|_| strange("number", &value.to_string()))
    }

    pub(crate) fn number_opt<T: TryFrom<i64>>(&mut self) -> StoreResult<Option<T>> {
        let value: Option<i64> = self.take()?;
        value.map(|value| T::try_from(value).map_err(|_| strange("number", &value.to_string()))).transpose()
    }

    /// A word of a state machine.
    pub(crate) fn word<T>(&mut self, parse: impl Fn(&str) -> Option<T>) -> StoreResult<T> {
        let word: &str = self.take()?;
        parse(word).ok_or_else(|| strange("word", word))
    }

    pub(crate) fn json<T: DeserializeOwned>(&mut self) -> StoreResult<T> {
        parse_json(self.take()?)
    }

    pub(crate) fn json_opt<T: DeserializeOwned>(&mut self) -> StoreResult<Option<T>> {
        self.take::<Option<&str>>()?.map(parse_json).transpose()
    }

    pub(crate) fn text<T>(&mut self, make: impl Fn(&'r str) -> T) -> StoreResult<T> {
        Ok(make(self.take::<&'r str>()?))
    }

    pub(crate) fn task_key(&mut self) -> StoreResult<TaskKey> {
        Ok(TaskKey { run: RunId(self.take()?), task: TaskNo(self.number()?), index: self.number()? })
    }
}

fn strange(what: &str, value: &str) -> StoreError {
    unavailable(format!("the store holds a {what} that this version of rota does not know: {value}"))
}

fn instant(micros: i64) -> StoreResult<DateTime<Utc>> {
    DateTime::from_timestamp_micros(micros).ok_or_else(|| strange("instant", &micros.to_string()))
}

fn parse_json<T: DeserializeOwned>(text: &str) -> StoreResult<T> {
    serde_json::from_str(text).map_err(|error| strange("JSON text", &error.to_string()))
}

/// Decodes all rows.
pub(crate) fn decode<T>(rows: &[Row], one: impl Fn(&mut Cells<'_>) -> StoreResult<T>) -> StoreResult<Vec<T>> {
    rows.iter().map(|row| one(&mut Cells::of(row))).collect()
}

/// Decodes one row, if there is one.
pub(crate) fn decode_opt<T>(
    row: Option<&Row>,
    one: impl Fn(&mut Cells<'_>) -> StoreResult<T>,
) -> StoreResult<Option<T>> {
    row.map(|row| one(&mut Cells::of(row))).transpose()
}

macro_rules! dag_columns {
    () => {
        "dag, version, path, hash, paused, present, cursor, next_slot, updated_at"
    };
}
pub(crate) use dag_columns;

pub(crate) fn dag_row(cells: &mut Cells<'_>) -> StoreResult<DagRow> {
    Ok(DagRow {
        dag: cells.text(DagId::trusted)?,
        version: DagVersion(cells.take()?),
        path: cells.take()?,
        hash: cells.take()?,
        paused: cells.take()?,
        present: cells.take()?,
        cursor: cells.at_opt()?,
        next_slot: cells.at_opt()?,
        updated_at: cells.at()?,
    })
}

macro_rules! run_columns {
    () => {
        "id, dag, version, slot, interval_start, trigger_kind, state, params, reason, created_at, started_at, \
         finished_at, ending_state, ending_reason"
    };
}
pub(crate) use run_columns;

pub(crate) fn run_row(cells: &mut Cells<'_>) -> StoreResult<RunRow> {
    Ok(RunRow {
        id: RunId(cells.take()?),
        dag: cells.text(DagId::trusted)?,
        version: DagVersion(cells.take()?),
        slot: cells.at_opt()?,
        interval_start: cells.at_opt()?,
        trigger: cells.word(Trigger::parse)?,
        state: cells.word(RunState::parse)?,
        params: cells.json()?,
        reason: cells.take()?,
        created_at: cells.at()?,
        started_at: cells.at_opt()?,
        finished_at: cells.at_opt()?,
        ending: ending(cells)?,
    })
}

fn ending(cells: &mut Cells<'_>) -> StoreResult<Option<Ending>> {
    let (state, reason): (Option<&str>, Option<String>) = (cells.take()?, cells.take()?);
    let Some(word) = state else { return Ok(None) };
    let state = RunState::parse(word).ok_or_else(|| strange("word", word))?;
    Ok(Some(Ending { state, reason: reason.unwrap_or_default() }))
}

macro_rules! task_columns {
    () => {
        "run, task_no, map_index, name, attempt, state, queue, priority, failures, losses, queued_at, started_at, \
         finished_at, retry_at, worker, incarnation, exit_code, signal, error, outputs, cancel_requested"
    };
}
pub(crate) use task_columns;

pub(crate) fn attempt_key(cells: &mut Cells<'_>) -> StoreResult<AttemptKey> {
    Ok(cells.task_key()?.attempt(cells.number()?))
}

pub(crate) fn task_row(cells: &mut Cells<'_>) -> StoreResult<TaskRow> {
    Ok(TaskRow {
        key: cells.task_key()?,
        name: cells.text(TaskName::trusted)?,
        attempt: cells.number()?,
        state: cells.word(TaskState::parse)?,
        queue: cells.text(QueueName::trusted)?,
        priority: cells.number()?,
        failures: cells.number()?,
        losses: cells.number()?,
        queued_at: cells.at_opt()?,
        started_at: cells.at_opt()?,
        finished_at: cells.at_opt()?,
        retry_at: cells.at_opt()?,
        worker: cells.take::<Option<&str>>()?.map(WorkerId::trusted),
        incarnation: cells.take::<Option<i64>>()?.map(Incarnation),
        exit_code: cells.number_opt()?,
        signal: cells.number_opt()?,
        error: cells.take()?,
        outputs: cells.json_opt::<Object>()?,
        cancel_requested: cells.take()?,
    })
}

macro_rules! slot_columns {
    () => {
        "dag, slot, slot_to, slot_count, outcome, reason, run, decided_at"
    };
}
pub(crate) use slot_columns;

pub(crate) fn slot_row(cells: &mut Cells<'_>) -> StoreResult<SlotRow> {
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

macro_rules! worker_columns {
    () => {
        "id, incarnation, host, pid, version, queues, labels, slots, running, state, trouble, heartbeat_at, \
         started_at"
    };
}
pub(crate) use worker_columns;

pub(crate) fn worker_row(cells: &mut Cells<'_>) -> StoreResult<WorkerRow> {
    Ok(WorkerRow {
        id: cells.text(WorkerId::trusted)?,
        incarnation: Incarnation(cells.take()?),
        host: cells.take()?,
        pid: cells.number()?,
        version: cells.take()?,
        queues: cells.json()?,
        labels: cells.json()?,
        slots: cells.number()?,
        running: cells.number()?,
        state: cells.word(WorkerState::parse)?,
        trouble: cells.take()?,
        heartbeat_at: cells.at()?,
        started_at: cells.at()?,
    })
}

pub(crate) fn file_error_row(cells: &mut Cells<'_>) -> StoreResult<FileErrorRow> {
    Ok(FileErrorRow {
        path: cells.take()?,
        dag: cells.take::<Option<&str>>()?.map(DagId::trusted),
        errors: cells.json()?,
        source: cells.take()?,
        seen_at: cells.at()?,
    })
}

pub(crate) fn audit_row(cells: &mut Cells<'_>) -> StoreResult<AuditRow> {
    Ok(AuditRow {
        id: AuditId(cells.take()?),
        at: cells.at()?,
        actor: cells.take()?,
        origin: cells.take()?,
        action: cells.take()?,
        subject: cells.take()?,
        outcome: cells.take()?,
    })
}

macro_rules! replica_columns {
    () => {
        "id, host, pid, version, zones, dags_dir, state, turned_at, trouble, started_at, seen_at"
    };
}
pub(crate) use replica_columns;

pub(crate) fn replica_row(cells: &mut Cells<'_>) -> StoreResult<ReplicaRow> {
    Ok(ReplicaRow {
        id: cells.text(ReplicaId::trusted)?,
        host: cells.take()?,
        pid: cells.number()?,
        version: cells.take()?,
        zones: cells.take()?,
        dags_dir: cells.take()?,
        state: cells.word(ReplicaState::parse)?,
        turned_at: cells.at_opt()?,
        trouble: cells.take()?,
        started_at: cells.at()?,
        seen_at: cells.at()?,
    })
}

macro_rules! term_columns {
    () => {
        "epoch, holder, began_at, seen_at, ended_at"
    };
}
pub(crate) use term_columns;

pub(crate) fn term_row(cells: &mut Cells<'_>) -> StoreResult<TermRow> {
    Ok(TermRow {
        epoch: Epoch(cells.take()?),
        holder: cells.text(ReplicaId::trusted)?,
        began_at: cells.at()?,
        seen_at: cells.at()?,
        ended_at: cells.at_opt()?,
    })
}
