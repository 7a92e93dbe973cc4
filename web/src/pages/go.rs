//! `/go`: from what someone typed to the page that it names.

use axum::extract::Query;
use axum::response::Redirect;
use rota_core::id::DagId;
use serde::Deserialize;

use crate::app::{Ctx, run_id};
use crate::error::Outcome;

/// `?q=`.
#[derive(Debug, Deserialize)]
pub(crate) struct GoQuery {
    #[serde(default)]
    q: String,
}

/// `GET /go`: a run's number or a DAG's name leads there; anything else filters the rota.
pub(crate) async fn go(ctx: Ctx, Query(query): Query<GoQuery>) -> Outcome<Redirect> {
    let text = query.q.trim();
    if let Ok(run) = run_id(text)
        && ctx.app.ports.store.run_load(run).await?.is_some()
    {
        return Ok(Redirect::to(&format!("/runs/{run}")));
    }
    if let Ok(dag) = text.parse::<DagId>()
        && ctx.app.ports.store.view_dag(&dag).await?.is_some()
    {
        return Ok(Redirect::to(&format!("/dags/{dag}")));
    }
    let plain: String =
        text.chars().filter(|c| c.is_ascii_alphanumeric() || "_.-".contains(*c)).take(128).collect();
    Ok(Redirect::to(&format!("/?q={plain}#dags")))
}
