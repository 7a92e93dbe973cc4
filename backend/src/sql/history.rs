//! Forgetting. Each call takes a bounded bite, so that nobody waits long behind it.

use async_trait::async_trait;
use rota_core::id::Epoch;
use rota_core::port::{HistoryPlans, PruneRequest, StoreResult};

use super::cells::Cells;
use super::rowset::ids_json;
use super::{Conn, Store, failed, micros, write_failed};

/// Ledger entries without a run, and rows of dead workers, per run that may go.
const OTHERS_PER_RUN: i64 = 10;

#[async_trait]
impl HistoryPlans for Store {
    async fn prune(&self, epoch: Epoch, request: PruneRequest) -> StoreResult<u32> {
        call!(self.fenced[epoch](request), |conn, _now| prune(conn, *request))
    }
}

const RUNS_OLD: &str =
    "select id from run where finished_at is not null and finished_at < $1 order by finished_at limit $2";

const LOGS_DELETE: &str = concat!("delete from log_chunk where run in (select item.id from ", ids!(), ")");
const ATTEMPTS_DELETE: &str =
    concat!("delete from task_attempt where run in (select item.id from ", ids!(), ")");
const TASKS_DELETE: &str = concat!("delete from task where run in (select item.id from ", ids!(), ")");
const RUNS_DELETE: &str = concat!("delete from run where id in (select item.id from ", ids!(), ")");

const SLOTS_DELETE: &str = "
    delete from slot where (dag, slot) in (
        select s.dag, s.slot from slot as s
        where s.slot < $1 and s.slot_to < $1 and not exists (select 1 from run where run.id = s.run)
        order by s.slot limit $2)";

const WORKERS_DELETE: &str = "
    delete from worker where incarnation in (
        select w.incarnation from worker as w
        where w.state in ('dead', 'gone') and w.heartbeat_at < $1
            and not exists (select 1 from task where task.state = 'running' and task.incarnation = w.incarnation)
        order by w.incarnation limit $2)";

/// What replicas saw in their DAG directories goes with them.
const REPLICA_FILES_DELETE: &str =
    "delete from replica_file where replica in (select id from replica where seen_at < $1)";
const REPLICAS_DELETE: &str = "delete from replica where seen_at < $1";

async fn prune(conn: &mut Conn, request: PruneRequest) -> StoreResult<u32> {
    let before = micros(request.before);
    let query = sqlx::query(RUNS_OLD).bind(before).bind(i64::from(request.runs_max));
    let rows = query.fetch_all(&mut *conn).await.map_err(failed)?;
    let runs: Vec<i64> = rows.iter().map(|row| Cells::of(row).take()).collect::<StoreResult<_>>()?;
    let items = ids_json(runs.iter().copied());
    for statement in [LOGS_DELETE, ATTEMPTS_DELETE, TASKS_DELETE, RUNS_DELETE] {
        sqlx::query(statement).bind(items.as_str()).execute(&mut *conn).await.map_err(write_failed)?;
    }
    let others_max = i64::from(request.runs_max) * OTHERS_PER_RUN;
    for statement in [SLOTS_DELETE, WORKERS_DELETE] {
        sqlx::query(statement)
            .bind(before)
            .bind(others_max)
            .execute(&mut *conn)
            .await
            .map_err(write_failed)?;
    }
    for statement in [REPLICA_FILES_DELETE, REPLICAS_DELETE] {
        sqlx::query(statement).bind(before).execute(&mut *conn).await.map_err(write_failed)?;
    }
    Ok(u32::try_from(runs.len()).unwrap_or(u32::MAX))
}
