//! `/files`: the DAG files, each with its errors if it cannot be used.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::Query;
use chrono::{DateTime, Utc};
use rota_core::port::{DagRow, FileErrorRow};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{List, limit};
use crate::app::Ctx;
use crate::error::Outcome;

/// `?state=&limit=&cursor=`.
#[derive(Debug, Deserialize)]
pub(crate) struct FileListQuery {
    state: Option<FileCondition>,
    limit: Option<usize>,
    cursor: Option<String>,
}

/// Whether a file can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum FileCondition {
    Good,
    Broken,
}

/// A file.
#[derive(Debug, Serialize)]
pub(crate) struct FileShape {
    /// Relative to the DAG directory.
    path: String,
    state: FileCondition,
    /// The DAG that it defines; of a broken one, that which it defined before and whose last good version goes on.
    dag: Option<String>,
    /// The version that was made of it; null for a broken one.
    version: Option<i64>,
    /// Since when it is like this.
    since: DateTime<Utc>,
    /// As `rota dag validate -o json` prints them: {path, line, col, message, hint}.
    errors: Value,
}

/// `GET /files`: by path.
pub(crate) async fn list(ctx: Ctx, Query(query): Query<FileListQuery>) -> Outcome<Json<List<FileShape>>> {
    let store = &*ctx.app.ports.store;
    let limit = limit(query.limit);
    let after = query.cursor.unwrap_or_default();
    let good = store.dags_load().await?.into_iter().filter(|dag| dag.present).map(FileShape::from);
    let mut files: BTreeMap<String, FileShape> = good.map(|file| (file.path.clone(), file)).collect();
    let broken = store.files_broken().await?.into_iter().map(FileShape::from);
    files.extend(broken.map(|file| (file.path.clone(), file)));
    let wanted = |file: &FileShape| file.path > after && query.state.is_none_or(|state| file.state == state);
    let page = files.into_values().filter(wanted).take(limit + 1).collect();
    Ok(Json(List::cut(page, limit, |file: &FileShape| file.path.clone())))
}

impl From<DagRow> for FileShape {
    fn from(dag: DagRow) -> Self {
        Self {
            path: dag.path,
            state: FileCondition::Good,
            dag: Some(dag.dag.to_string()),
            version: Some(dag.version.0),
            since: dag.updated_at,
            errors: json!([]),
        }
    }
}

impl From<FileErrorRow> for FileShape {
    fn from(file: FileErrorRow) -> Self {
        Self {
            path: file.path,
            state: FileCondition::Broken,
            dag: file.dag.map(|dag| dag.to_string()),
            version: None,
            since: file.seen_at,
            errors: file.errors,
        }
    }
}
