//! DAG files: the good ones become versions, the broken ones are kept with their errors.

use std::borrow::Cow;
use std::collections::HashMap;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use rota_core::id::{DagId, DagVersion, Epoch};
use rota_core::port::{
    Actor, DagFilePlans, DagFileReads, DagPut, Deed, FileErrorPut, FileErrorRow, FilesPut, StoreResult,
};

use super::audit::audit_add;
use super::cells::{Cells, decode};
use super::rowset::{json, json_of, names_json};
use super::slot::slots_insert;
use super::{Conn, Row, Store, clean, failed, micros, write_failed};

#[async_trait]
impl DagFileReads for Store {
    async fn files_broken(&self) -> StoreResult<Vec<FileErrorRow>> {
        call!(self.read(), |conn, _now| files_broken(conn))
    }
}

const FILE_ERRORS: &str = "select path, dag, errors, source, seen_at from file_error order by path";

async fn files_broken(conn: &mut Conn) -> StoreResult<Vec<FileErrorRow>> {
    decode(&sqlx::query(FILE_ERRORS).fetch_all(conn).await.map_err(failed)?, file_error_row)
}

fn file_error_row(cells: &mut Cells<'_>) -> StoreResult<FileErrorRow> {
    Ok(FileErrorRow {
        path: cells.take()?,
        dag: cells.take::<Option<&str>>()?.map(DagId::trusted),
        errors: cells.json()?,
        source: cells.take()?,
        seen_at: cells.at()?,
    })
}

#[async_trait]
impl DagFilePlans for Store {
    async fn files_put(&self, epoch: Epoch, files: &FilesPut) -> StoreResult<Vec<(DagId, DagVersion)>> {
        call!(self.fenced[epoch](files), |conn, _now| files_put(conn, &files))
    }
}

/// Returns the current version of every DAG in `files.dags`, in their order.
async fn files_put(conn: &mut Conn, files: &FilesPut) -> StoreResult<Vec<(DagId, DagVersion)>> {
    let versions = dags_put(conn, &files.dags, files.at).await?;
    dags_gone(conn, &files.gone, files.at).await?;
    slots_insert(conn, &files.slots).await?;
    errors_put(conn, &files.errors, files.at).await?;
    errors_mended(conn, &files.mended).await?;
    Ok(versions)
}

rowset! {
    /// A DAG file, but its text.
    DagItem<'a> in dags {
        dag: &'a DagId as text,
        path: &'a str as text,
        hash: &'a str as text,
        cursor: Option<i64> as bigint,
        next_slot: Option<i64> as bigint,
    }
}

const DAGS_PUT: &str = concat!(
    "insert into dag (dag, version, path, hash, paused, present, cursor, next_slot, updated_at)
     select item.dag, 1, item.path, item.hash, $3, $4, item.cursor, item.next_slot, $2
     from ",
    dags!(),
    " where true
     on conflict (dag) do update set
         version = case when dag.hash = excluded.hash then dag.version else dag.version + 1 end,
         updated_at = case when dag.hash = excluded.hash and dag.present then dag.updated_at
             else excluded.updated_at end,
         path = excluded.path,
         hash = excluded.hash,
         present = excluded.present,
         next_slot = excluded.next_slot,
         cursor = case when excluded.cursor is null or dag.cursor > excluded.cursor
             then dag.cursor else excluded.cursor end"
);

rowset! {
    /// The text of a DAG's file.
    SourceItem<'a> in sources { dag: &'a DagId as text, source: Cow<'a, str> as text }
}

const VERSIONS_PUT: &str = concat!(
    "insert into dag_version (dag, version, source, hash, created_at)
     select dag.dag, dag.version, item.source, dag.hash, $2
     from ",
    sources!(),
    " join dag on dag.dag = item.dag
     where true on conflict do nothing returning dag, version"
);

const VERSIONS_CURRENT: &str =
    concat!("select dag.dag, dag.version from ", names!(), " join dag on dag.dag = item.name");

async fn dags_put(
    conn: &mut Conn,
    dags: &[DagPut],
    at: DateTime<Utc>,
) -> StoreResult<Vec<(DagId, DagVersion)>> {
    if dags.is_empty() {
        return Ok(Vec::new());
    }
    let items = json(dags.iter().map(|put| DagItem {
        dag: &put.dag,
        path: &put.path,
        hash: &put.hash,
        cursor: put.cursor.map(micros),
        next_slot: put.next_slot.map(micros),
    }));
    let put = sqlx::query(DAGS_PUT).bind(items).bind(micros(at)).bind(false).bind(true);
    put.execute(&mut *conn).await.map_err(write_failed)?;
    let sources = json(dags.iter().map(|put| SourceItem { dag: &put.dag, source: clean(&put.source) }));
    let put = sqlx::query(VERSIONS_PUT).bind(sources).bind(micros(at));
    let stored = put.fetch_all(&mut *conn).await.map_err(write_failed)?;
    versions_audit(conn, dags, versions(&stored)?, at).await?;
    let names = names_json(dags.iter().map(|put| put.dag.as_str()));
    let rows = sqlx::query(VERSIONS_CURRENT).bind(names).fetch_all(conn).await.map_err(failed)?;
    versions(&rows)
}

fn versions(rows: &[Row]) -> StoreResult<Vec<(DagId, DagVersion)>> {
    decode(rows, |cells| Ok((cells.text(DagId::trusted)?, DagVersion(cells.take()?))))
}

const LEADER: &str = "select holder from term order by epoch desc limit 1";

/// Leaves a row in the audit log for each version that was stored: which file, and what of it.
async fn versions_audit(
    conn: &mut Conn,
    dags: &[DagPut],
    stored: Vec<(DagId, DagVersion)>,
    at: DateTime<Utc>,
) -> StoreResult<()> {
    if stored.is_empty() {
        return Ok(());
    }
    let leader = sqlx::query(LEADER).fetch_optional(&mut *conn).await.map_err(failed)?;
    let origin: Option<String> = leader.map(|row| Cells::of(&row).take()).transpose()?;
    let actor = Actor { name: "scheduler".to_owned(), origin: origin.unwrap_or_default() };
    let stored: HashMap<DagId, DagVersion> = stored.into_iter().collect();
    let deeds = dags.iter().filter_map(|put| {
        let version = stored.get(&put.dag)?;
        Some(Deed {
            actor: actor.clone(),
            action: "dag_version",
            subject: put.dag.to_string(),
            outcome: Some(format!("version {version} from {}, SHA-256 {}", put.path, put.hash)),
        })
    });
    audit_add(conn, at, &deeds.collect::<Vec<_>>()).await
}

const DAGS_GONE: &str = concat!(
    "update dag set present = $2, next_slot = null, updated_at = $3 where dag in (select item.name from ",
    names!(),
    ")"
);

async fn dags_gone(conn: &mut Conn, gone: &[DagId], at: DateTime<Utc>) -> StoreResult<()> {
    if gone.is_empty() {
        return Ok(());
    }
    let gone = names_json(gone.iter().map(DagId::as_str));
    let query = sqlx::query(DAGS_GONE).bind(gone).bind(false).bind(micros(at));
    query.execute(conn).await.map(drop).map_err(write_failed)
}

rowset! {
    /// A file that cannot be used.
    BrokenItem<'a> in broken {
        path: &'a str as text,
        errors: String as text,
        source: Cow<'a, str> as text,
    }
}

const ERRORS_PUT: &str = concat!(
    "insert into file_error (path, dag, errors, source, seen_at)
     select item.path,
         (select d.dag from dag as d where d.path = item.path order by d.present desc, d.updated_at desc limit 1),
         item.errors, item.source, $2
     from ",
    broken!(),
    " where true
     on conflict (path) do update set
         dag = excluded.dag, errors = excluded.errors, source = excluded.source, seen_at = excluded.seen_at"
);

async fn errors_put(conn: &mut Conn, errors: &[FileErrorPut], at: DateTime<Utc>) -> StoreResult<()> {
    if errors.is_empty() {
        return Ok(());
    }
    let items = json(errors.iter().map(|put| BrokenItem {
        path: &put.path,
        errors: json_of(&put.errors),
        source: clean(&put.source),
    }));
    sqlx::query(ERRORS_PUT).bind(items).bind(micros(at)).execute(conn).await.map(drop).map_err(write_failed)
}

const ERRORS_MENDED: &str =
    concat!("delete from file_error where path in (select item.name from ", names!(), ")");

async fn errors_mended(conn: &mut Conn, mended: &[String]) -> StoreResult<()> {
    if mended.is_empty() {
        return Ok(());
    }
    let query = sqlx::query(ERRORS_MENDED).bind(names_json(mended.iter().map(String::as_str)));
    query.execute(conn).await.map(drop).map_err(write_failed)
}
