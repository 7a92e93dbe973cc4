//! Scheduler replicas and their terms, for people: who is there, who led, and when that changed.

use chrono::{DateTime, TimeDelta, Utc};
use rota_core::id::Epoch;
use rota_core::port::{ReplicaBeat, ReplicaRow, StoreResult, TermRow};

use super::cells::{decode, replica_columns, replica_row, term_columns, term_row};
use super::{Conn, clean, failed, limit, micros, write_failed};

/// How long replicas that are no more stay in the list.
const SEEN_WITHIN: TimeDelta = TimeDelta::days(1);

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

const TERM_SEEN: &str = "update term set seen_at = $2 where epoch = $1 and ended_at is null";

pub(crate) async fn replica_beat(conn: &mut Conn, now: DateTime<Utc>, beat: &ReplicaBeat) -> StoreResult<()> {
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
        let seen = sqlx::query(TERM_SEEN).bind(epoch.0).bind(micros(now));
        seen.execute(conn).await.map_err(write_failed)?;
    }
    Ok(())
}

const TERM_END: &str = "update term set ended_at = $2, seen_at = $2 where epoch = $1 and ended_at is null";

pub(crate) async fn term_end(conn: &mut Conn, now: DateTime<Utc>, epoch: Epoch) -> StoreResult<()> {
    let end = sqlx::query(TERM_END).bind(epoch.0).bind(micros(now));
    end.execute(conn).await.map(drop).map_err(write_failed)
}

const VIEW_REPLICAS: &str =
    concat!("select ", replica_columns!(), " from replica where seen_at > $1 order by id");

pub(crate) async fn view_replicas(conn: &mut Conn, now: DateTime<Utc>) -> StoreResult<Vec<ReplicaRow>> {
    let query = sqlx::query(VIEW_REPLICAS).bind(micros(now - SEEN_WITHIN));
    decode(&query.fetch_all(conn).await.map_err(failed)?, replica_row)
}

const VIEW_TERMS: &str = concat!("select ", term_columns!(), " from term order by epoch desc limit $1");

pub(crate) async fn view_terms(conn: &mut Conn, rows_max: usize) -> StoreResult<Vec<TermRow>> {
    let query = sqlx::query(VIEW_TERMS).bind(limit(rows_max));
    decode(&query.fetch_all(conn).await.map_err(failed)?, term_row)
}
