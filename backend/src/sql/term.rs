//! Terms and their fence: whose writes count.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use rota_core::failpoint;
use rota_core::id::{Epoch, ReplicaId};
use rota_core::port::{LeaderRow, StoreError, StoreResult, TermPlans, TermRow, TermViews};

use super::cells::{Cells, decode, decode_opt};
use super::{Conn, Store, failed, limit, micros, write_failed};

macro_rules! term_columns {
    () => {
        "epoch, holder, began_at, seen_at, ended_at"
    };
}

fn term_row(cells: &mut Cells<'_>) -> StoreResult<TermRow> {
    Ok(TermRow {
        epoch: Epoch(cells.take()?),
        holder: cells.text(ReplicaId::trusted)?,
        began_at: cells.at()?,
        seen_at: cells.at()?,
        ended_at: cells.at_opt()?,
    })
}

#[async_trait]
impl TermPlans for Store {
    async fn term_begin(&self, holder: &ReplicaId) -> StoreResult<Epoch> {
        call!(self.begin(holder), |conn, now| term_begin(conn, now, &holder))
    }

    async fn term_end(&self, epoch: Epoch) -> StoreResult<()> {
        call!(self.beat(epoch), |conn, now| term_end(conn, now, *epoch))
    }
}

const TERM_BEGIN: &str =
    "update leader set epoch = epoch + 1, holder = $1, since = $2 where id = 1 returning epoch";

const TERM_INSERT: &str = "insert into term (epoch, holder, began_at, seen_at) values ($1, $2, $3, $3)";

async fn term_begin(conn: &mut Conn, now: DateTime<Utc>, holder: &ReplicaId) -> StoreResult<Epoch> {
    let query = sqlx::query(TERM_BEGIN).bind(holder.as_str()).bind(micros(now));
    let row = query.fetch_one(&mut *conn).await.map_err(write_failed)?;
    let epoch = Epoch(Cells::of(&row).take()?);
    let note = sqlx::query(TERM_INSERT).bind(epoch.0).bind(holder.as_str()).bind(micros(now));
    note.execute(conn).await.map_err(write_failed)?;
    Ok(epoch)
}

/// The first look of every transaction of the leader: the epoch, which stays so until the commit. Postgres begins the
/// transaction in the same round trip. Under an old epoch nothing else happens in the transaction.
pub(crate) async fn fence_check(conn: &mut Conn, epoch: Epoch) -> StoreResult<()> {
    let row = sqlx::raw_sql(fence!()).fetch_one(conn).await.map_err(failed)?;
    let current: i64 = Cells::of(&row).take()?;
    if current == epoch.0 || failpoint::is_on("commit-unfenced") {
        Ok(())
    } else {
        Err(StoreError::Fenced(epoch))
    }
}

const TERM_END: &str = "update term set ended_at = $2, seen_at = $2 where epoch = $1 and ended_at is null";

async fn term_end(conn: &mut Conn, now: DateTime<Utc>, epoch: Epoch) -> StoreResult<()> {
    let end = sqlx::query(TERM_END).bind(epoch.0).bind(micros(now));
    end.execute(conn).await.map(drop).map_err(write_failed)
}

const TERM_SEEN: &str = "update term set seen_at = $2 where epoch = $1 and ended_at is null";

/// Notes that a term goes on.
pub(crate) async fn term_seen(conn: &mut Conn, now: DateTime<Utc>, epoch: Epoch) -> StoreResult<()> {
    let seen = sqlx::query(TERM_SEEN).bind(epoch.0).bind(micros(now));
    seen.execute(conn).await.map(drop).map_err(write_failed)
}

#[async_trait]
impl TermViews for Store {
    async fn view_leader(&self) -> StoreResult<LeaderRow> {
        call!(self.view(), |conn, _now| leader_load(conn))
    }

    async fn view_terms(&self, limit: usize) -> StoreResult<Vec<TermRow>> {
        call!(self.view(limit), |conn, _now| view_terms(conn, *limit))
    }
}

const LEADER_LOAD: &str = "select epoch, holder, since from leader where id = 1";

async fn leader_load(conn: &mut Conn) -> StoreResult<LeaderRow> {
    let row = sqlx::query(LEADER_LOAD).fetch_optional(conn).await.map_err(failed)?;
    let leader = decode_opt(row.as_ref(), |cells| {
        Ok(LeaderRow { epoch: Epoch(cells.take()?), holder: cells.take()?, since: cells.at_opt()? })
    })?;
    leader.ok_or_else(|| StoreError::Damaged("the leader's row is missing".to_owned()))
}

const VIEW_TERMS: &str = concat!("select ", term_columns!(), " from term order by epoch desc limit $1");

async fn view_terms(conn: &mut Conn, rows_max: usize) -> StoreResult<Vec<TermRow>> {
    let query = sqlx::query(VIEW_TERMS).bind(limit(rows_max));
    decode(&query.fetch_all(conn).await.map_err(failed)?, term_row)
}
