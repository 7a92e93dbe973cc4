//! What each scheduler replica saw in its DAG directory, so that a directory that is behind never takes a DAG back, and an
//! edit made while nobody led is not missed.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use rota_core::id::{DagId, ReplicaId};
use rota_core::port::{FileRecord, FileSeen, ReplicaFilePlans, StoreResult};

use super::cells::{Cells, decode};
use super::rowset::json;
use super::{Conn, Store, failed, micros, write_failed};

const KIND_DAG: &str = "dag";
const KIND_FILE: &str = "file";

#[async_trait]
impl ReplicaFilePlans for Store {
    async fn files_seen(&self, replica: &ReplicaId, seen: &[FileSeen]) -> StoreResult<()> {
        if seen.is_empty() {
            return Ok(());
        }
        call!(self.beat(replica, seen), |conn, now| files_seen(conn, now, &replica, &seen))
    }

    async fn files_record(&self, replica: &ReplicaId) -> StoreResult<Vec<FileRecord>> {
        call!(self.plan_read(replica), |conn, _now| files_record(conn, &replica))
    }

    async fn versions_known(&self, contents: &[(DagId, String)]) -> StoreResult<Vec<(DagId, String)>> {
        call!(self.plan_read(contents), |conn, _now| versions_known(conn, &contents))
    }
}

rowset! {
    /// What a replica sees of a DAG or of a file that cannot be used.
    SeenItem<'a> in seen_files {
        kind: &'static str as text,
        name: &'a str as text,
        path: &'a str as text,
        hash: Option<&'a str> as text,
    }
}

/// A record's content and a DAG's state in the store are compared as texts: a hash, or nothing for an absence. `known`
/// is the DAG's row if the store has just what this replica moves away from.
const FILES_SEEN: &str = concat!(
    "insert into replica_file (replica, kind, name, path, hash, prev_hash, seen_at)
     select $3, item.kind, item.name, item.path, item.hash, null, $2
     from ",
    seen_files!(),
    " where true
     on conflict (replica, kind, name) do update set
         path = excluded.path,
         hash = excluded.hash,
         prev_hash = case when coalesce(replica_file.hash, '') <> coalesce(excluded.hash, '') and exists (
                 select 1 from dag as known where known.dag = replica_file.name and replica_file.kind = 'dag'
                     and case when known.present then known.hash else '' end = coalesce(replica_file.hash, ''))
             then coalesce(replica_file.hash, '') else replica_file.prev_hash end,
         seen_at = case when coalesce(replica_file.hash, '') = coalesce(excluded.hash, '') then replica_file.seen_at
             else (select max(times.moment) from (
                 select excluded.seen_at as moment
                 union all select replica_file.seen_at + 1
                 union all select known.updated_at + 1 from dag as known
                     where known.dag = replica_file.name and replica_file.kind = 'dag'
                         and case when known.present then known.hash else '' end = coalesce(replica_file.hash, '')
             ) as times) end"
);

async fn files_seen(
    conn: &mut Conn,
    now: DateTime<Utc>,
    replica: &ReplicaId,
    seen: &[FileSeen],
) -> StoreResult<()> {
    let items = json(seen.iter().map(|seen| {
        let (kind, name) = match &seen.dag {
            Some(dag) => (KIND_DAG, dag.as_str()),
            None => (KIND_FILE, seen.path.as_str()),
        };
        SeenItem { kind, name, path: &seen.path, hash: seen.hash.as_deref() }
    }));
    let insert = sqlx::query(FILES_SEEN).bind(items).bind(micros(now)).bind(replica.as_str());
    insert.execute(conn).await.map(drop).map_err(write_failed)
}

const FILES_RECORD: &str =
    "select kind, name, path, hash, prev_hash, seen_at from replica_file where replica = $1";

async fn files_record(conn: &mut Conn, replica: &ReplicaId) -> StoreResult<Vec<FileRecord>> {
    let query = sqlx::query(FILES_RECORD).bind(replica.as_str());
    decode(&query.fetch_all(conn).await.map_err(failed)?, file_record)
}

fn file_record(cells: &mut Cells<'_>) -> StoreResult<FileRecord> {
    let (kind, name): (&str, &str) = (cells.take()?, cells.take()?);
    Ok(FileRecord {
        dag: (kind == KIND_DAG).then(|| DagId::trusted(name)),
        path: cells.take()?,
        hash: cells.take()?,
        prev_hash: cells.take()?,
        seen_at: cells.at()?,
    })
}

rowset! {
    /// A content of a DAG's file.
    ContentItem<'a> in contents { dag: &'a DagId as text, hash: &'a str as text }
}

const VERSIONS_KNOWN: &str = concat!(
    "select distinct v.dag, v.hash from ",
    contents!(),
    " join dag_version as v on v.dag = item.dag and v.hash = item.hash"
);

async fn versions_known(conn: &mut Conn, contents: &[(DagId, String)]) -> StoreResult<Vec<(DagId, String)>> {
    if contents.is_empty() {
        return Ok(Vec::new());
    }
    let items = json(contents.iter().map(|(dag, hash)| ContentItem { dag, hash }));
    let rows = sqlx::query(VERSIONS_KNOWN).bind(items).fetch_all(conn).await.map_err(failed)?;
    decode(&rows, |cells| Ok((cells.text(DagId::trusted)?, cells.take()?)))
}
