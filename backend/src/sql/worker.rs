//! Workers and their leases: one row per life of a worker.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use rota_core::failpoint;
use rota_core::id::{Epoch, Incarnation, QueueName, WorkerId};
use rota_core::lease;
use rota_core::port::{
    Actor, Beat, BeatReply, QueueCapacity, Reaped, StoreError, StoreResult, WorkerFacts, WorkerHello,
    WorkerIntents, WorkerPlans, WorkerRow, WorkerState, WorkerViews,
};

use super::audit::{Entry, audit};
use super::cells::{Cells, decode, decode_opt};
use super::rowset::json_of;
use super::task::attempt_key;
use super::{Conn, Store, clean, failed, micros, write_failed};

macro_rules! worker_columns {
    () => {
        "id, incarnation, host, pid, version, queues, labels, slots, running, state, trouble, heartbeat_at, \
         started_at"
    };
}

fn worker_row(cells: &mut Cells<'_>) -> StoreResult<WorkerRow> {
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

/// From a heartbeat to when others may take over what the worker ran, in microseconds. Bounded, because it is added to a time.
fn given_up_after(lease: Duration) -> i64 {
    let wait = if failpoint::is_on("reap-early") { lease / 3 } else { lease::given_up_after(lease) };
    i64::try_from(wait.as_micros()).unwrap_or(i64::MAX / 4).min(i64::MAX / 4)
}

#[async_trait]
impl WorkerFacts for Store {
    async fn worker_register(&self, hello: &WorkerHello) -> StoreResult<Incarnation> {
        call!(self.register(hello), |conn, now| worker_register(conn, now, &hello))
    }

    async fn worker_beat(&self, beat: &Beat) -> StoreResult<BeatReply> {
        call!(self.beat(beat), |conn, now| worker_beat(conn, now, &beat))
    }
}

const EARLIER_LIVES_END: &str = concat!(
    "update worker set state = 'dead' where incarnation in (
         select incarnation from worker where id = $1 and state in ('live', 'draining')",
    for_update!(),
    ")"
);

const WORKER_INSERT: &str = concat!(
    "insert into worker (id, host, pid, version, queues, labels, slots, running, state, heartbeat_at, started_at, lease_until)
     values ($1, $2, $3, $4, $5, $6, $7, 0, 'live', ",
    clock!("$8"),
    ", ",
    clock!("$8"),
    ", ",
    clock!("$8"),
    " + $9) returning incarnation"
);

async fn worker_register(
    conn: &mut Conn,
    now: DateTime<Utc>,
    hello: &WorkerHello,
) -> StoreResult<Incarnation> {
    let end = sqlx::query(EARLIER_LIVES_END).bind(hello.id.as_str());
    end.execute(&mut *conn).await.map_err(write_failed)?;
    let insert = sqlx::query(WORKER_INSERT)
        .bind(hello.id.as_str())
        .bind(hello.host.as_str())
        .bind(i64::from(hello.pid))
        .bind(hello.version.as_str())
        .bind(json_of(&hello.queues))
        .bind(json_of(&hello.labels))
        .bind(i64::from(hello.slots))
        .bind(micros(now))
        .bind(given_up_after(hello.lease));
    let row = insert.fetch_one(conn).await.map_err(write_failed)?;
    Ok(Incarnation(Cells::of(&row).take()?))
}

const WORKER_BEAT: &str = concat!(
    "update worker set state = $3, running = $4, trouble = $7, heartbeat_at = ",
    clock!("$5"),
    ", lease_until = ",
    clock!("$5"),
    " + $6
     where incarnation = $1 and id = $2 and state in ('live', 'draining') returning drain_requested"
);

const CANCELS: &str = "
    select run, task_no, map_index, attempt from task
    where state = 'running' and cancel_requested and incarnation = $1
    order by run, task_no, map_index";

async fn worker_beat(conn: &mut Conn, now: DateTime<Utc>, beat: &Beat) -> StoreResult<BeatReply> {
    if beat.state == WorkerState::Dead {
        return Err(StoreError::Refused(format!(
            "worker {} cannot declare itself dead: it beats",
            beat.worker
        )));
    }
    let update = sqlx::query(WORKER_BEAT)
        .bind(beat.incarnation.0)
        .bind(beat.worker.as_str())
        .bind(beat.state.as_str())
        .bind(i64::from(beat.running))
        .bind(micros(now))
        .bind(given_up_after(beat.lease))
        .bind(beat.trouble.as_deref().map(clean));
    let alive = update.fetch_optional(&mut *conn).await.map_err(write_failed)?;
    let Some(drain) = decode_opt(alive.as_ref(), |cells| cells.take::<bool>())? else {
        return Ok(BeatReply::Fenced);
    };
    let rows = sqlx::query(CANCELS).bind(beat.incarnation.0).fetch_all(conn).await.map_err(failed)?;
    Ok(BeatReply::Live { cancel: decode(&rows, attempt_key)?, drain })
}

#[async_trait]
impl WorkerPlans for Store {
    async fn workers_reap(&self, epoch: Epoch) -> StoreResult<Reaped> {
        call!(self.fenced[epoch](), |conn, now| workers_reap(conn, now))
    }
}

const WORKERS_EXPIRE: &str = concat!(
    "update worker set state = 'dead' where incarnation in (
         select incarnation from worker where state in ('live', 'draining') and lease_until <= ",
    clock!("$1"),
    for_update!(),
    ") returning id"
);

/// `is not null` is what the index on running tasks needs to be used from its start; `not in` alone reads all tasks.
const LOST: &str = "
    select run, task_no, map_index, attempt from task
    where state = 'running' and incarnation is not null
        and not exists (
            select 1 from worker as w where w.incarnation = task.incarnation and w.state in ('live', 'draining'))
    order by incarnation, attempt, run, task_no, map_index";

/// The first condition repeats the words of the index on workers that are alive. One that cannot start tasks offers nothing.
const CAPACITY: &str = "
    select queues, slots from worker
    where state in ('live', 'draining') and state = 'live' and trouble is null";

async fn workers_reap(conn: &mut Conn, now: DateTime<Utc>) -> StoreResult<Reaped> {
    let expire = sqlx::query(WORKERS_EXPIRE).bind(micros(now));
    let dead = expire.fetch_all(&mut *conn).await.map_err(write_failed)?;
    let lost = sqlx::query(LOST).fetch_all(&mut *conn).await.map_err(failed)?;
    let offers = sqlx::query(CAPACITY).fetch_all(conn).await.map_err(failed)?;
    let offers = decode(&offers, |cells| Ok((cells.json::<Vec<QueueName>>()?, cells.number::<u32>()?)))?;
    Ok(Reaped {
        dead: decode(&dead, |cells| cells.text(WorkerId::trusted))?,
        lost: decode(&lost, attempt_key)?,
        capacity: capacity(offers),
    })
}

/// By queue: what all workers that serve it offer together.
fn capacity(offers: Vec<(Vec<QueueName>, u32)>) -> Vec<QueueCapacity> {
    let mut by_queue = std::collections::BTreeMap::new();
    for (queues, slots) in offers {
        for queue in queues {
            let (total, workers) = by_queue.entry(queue).or_insert((0_u32, 0_u32));
            (*total, *workers) = (total.saturating_add(slots), *workers + 1);
        }
    }
    by_queue.into_iter().map(|(queue, (slots, workers))| QueueCapacity { queue, slots, workers }).collect()
}

#[async_trait]
impl WorkerViews for Store {
    async fn view_workers(&self) -> StoreResult<Vec<WorkerRow>> {
        call!(self.view(), |conn, now| view_workers(conn, now))
    }
}

/// How long workers that are no more stay in the list.
const WORKERS_SEEN_WITHIN: TimeDelta = TimeDelta::days(1);

const VIEW_WORKERS: &str = concat!(
    "select ",
    worker_columns!(),
    " from worker where state in ('live', 'draining') or heartbeat_at > $1 order by id, incarnation desc"
);

async fn view_workers(conn: &mut Conn, now: DateTime<Utc>) -> StoreResult<Vec<WorkerRow>> {
    let query = sqlx::query(VIEW_WORKERS).bind(micros(now - WORKERS_SEEN_WITHIN));
    decode(&query.fetch_all(conn).await.map_err(failed)?, worker_row)
}

#[async_trait]
impl WorkerIntents for Store {
    async fn worker_drain(&self, worker: &WorkerId, actor: &Actor) -> StoreResult<bool> {
        call!(self.intend(worker, actor), |conn, now| worker_drain(conn, now, &worker, &actor))
    }
}

const WORKER_DRAIN: &str = "
    update worker set drain_requested = $2 where id = $1 and state in ('live', 'draining') and drain_requested <> $2";
const WORKER_LIVES: &str = "select 1 from worker where id = $1 and state in ('live', 'draining')";

async fn worker_drain(
    conn: &mut Conn,
    now: DateTime<Utc>,
    worker: &WorkerId,
    actor: &Actor,
) -> StoreResult<bool> {
    let lives = sqlx::query(WORKER_LIVES).bind(worker.as_str()).fetch_optional(&mut *conn).await;
    if lives.map_err(failed)?.is_none() {
        return Err(StoreError::NotFound(format!("a live worker {worker}")));
    }
    let update = sqlx::query(WORKER_DRAIN).bind(worker.as_str()).bind(true).execute(&mut *conn).await;
    let has_changed = update.map_err(write_failed)?.rows_affected() > 0;
    let outcome = (!has_changed).then(|| "it was so already".to_owned());
    audit(
        conn,
        Entry { now, actor, action: "worker_drain", subject: worker.to_string(), outcome, intent: None },
    )
    .await?;
    Ok(has_changed)
}
