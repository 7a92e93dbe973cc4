//! The fence: whose writes count.

use chrono::{DateTime, Utc};
use rota_core::id::{Epoch, ReplicaId};
use rota_core::port::{LeaderRow, StoreError, StoreResult};
use rota_core::seeded;

use super::cells::{Cells, decode_opt};
use super::{Conn, failed, micros, write_failed};

const TERM_BEGIN: &str =
    "update leader set epoch = epoch + 1, holder = $1, since = $2 where id = 1 returning epoch";

const TERM_INSERT: &str = "insert into term (epoch, holder, began_at, seen_at) values ($1, $2, $3, $3)";

pub(crate) async fn term_begin(
    conn: &mut Conn,
    now: DateTime<Utc>,
    holder: &ReplicaId,
) -> StoreResult<Epoch> {
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
    if current == epoch.0 || seeded::bug("commit-unfenced") { Ok(()) } else { Err(StoreError::Fenced(epoch)) }
}

const LEADER_LOAD: &str = "select epoch, holder, since from leader where id = 1";

pub(crate) async fn leader_load(conn: &mut Conn) -> StoreResult<LeaderRow> {
    let row = sqlx::query(LEADER_LOAD).fetch_optional(conn).await.map_err(failed)?;
    let leader = decode_opt(row.as_ref(), |cells| {
        Ok(LeaderRow { epoch: Epoch(cells.take()?), holder: cells.take()?, since: cells.at_opt()? })
    })?;
    leader.ok_or_else(|| StoreError::Damaged("the leader's row is missing".to_owned()))
}
