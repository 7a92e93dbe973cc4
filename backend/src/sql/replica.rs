//! Scheduler replicas, for people: who is there. Nobody decides anything by these rows.

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use rota_core::id::ReplicaId;
use rota_core::port::{ReplicaBeat, ReplicaPlans, ReplicaRow, ReplicaState, ReplicaViews, StoreResult};

use super::cells::{Cells, decode};
use super::term::term_seen;
use super::{Conn, Store, clean, failed, micros, write_failed};

macro_rules! replica_columns {
    () => {
        "id, host, pid, version, zones, dags_dir, state, turned_at, trouble, started_at, seen_at"
    };
}

fn replica_row(cells: &mut Cells<'_>) -> StoreResult<ReplicaRow> {
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

/// How long replicas that are no more stay in the list.
const SEEN_WITHIN: TimeDelta = TimeDelta::days(1);

#[async_trait]
impl ReplicaPlans for Store {
    async fn replica_beat(&self, beat: &ReplicaBeat) -> StoreResult<()> {
        call!(self.beat(beat), |conn, now| replica_beat(conn, now, &beat))
    }
}

/// A process that started anew under the name has another process id, or another host.
const REPLICA_BEAT: &str = "
    insert into replica (id, host, pid, version, dags_dir, state, started_at, seen_at, turned_at, trouble, zones)
    values ($1, $2, $3, $4, $5, $6, $7, $7, $8, $9, $10)
    on conflict (id) do update set
        started_at = case when replica.pid = excluded.pid and replica.host = excluded.host and replica.state <> 'gone'
            then replica.started_at else excluded.started_at end,
        host = excluded.host, pid = excluded.pid, version = excluded.version, dags_dir = excluded.dags_dir,
        state = excluded.state, seen_at = excluded.seen_at, turned_at = excluded.turned_at, trouble = excluded.trouble,
        zones = excluded.zones";

async fn replica_beat(conn: &mut Conn, now: DateTime<Utc>, beat: &ReplicaBeat) -> StoreResult<()> {
    let insert = sqlx::query(REPLICA_BEAT)
        .bind(beat.id.as_str())
        .bind(beat.host.as_str())
        .bind(i64::from(beat.pid))
        .bind(beat.version.as_str())
        .bind(beat.dags_dir.as_deref())
        .bind(beat.state.as_str())
        .bind(micros(now))
        .bind(
            beat.turned_ago
                .and_then(|ago| now.checked_sub_signed(TimeDelta::from_std(ago).ok()?))
                .map(micros),
        )
        .bind(beat.trouble.as_deref().map(clean))
        .bind(beat.zones.as_str());
    insert.execute(&mut *conn).await.map_err(write_failed)?;
    if let Some(epoch) = beat.epoch {
        term_seen(conn, now, epoch).await?;
    }
    Ok(())
}

#[async_trait]
impl ReplicaViews for Store {
    async fn view_replicas(&self) -> StoreResult<Vec<ReplicaRow>> {
        call!(self.view(), |conn, now| view_replicas(conn, now))
    }
}

const VIEW_REPLICAS: &str =
    concat!("select ", replica_columns!(), " from replica where seen_at > $1 order by id");

async fn view_replicas(conn: &mut Conn, now: DateTime<Utc>) -> StoreResult<Vec<ReplicaRow>> {
    let query = sqlx::query(VIEW_REPLICAS).bind(micros(now - SEEN_WITHIN));
    decode(&query.fetch_all(conn).await.map_err(failed)?, replica_row)
}
