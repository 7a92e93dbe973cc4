//! Every address, in one table: the router, the tests and the OpenAPI document are made of it.

use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{MethodRouter, get, post};
use axum::{Json, Router};
use serde_json::Value;

use crate::api::{audit, dags, files, logs, openapi, runs, schedulers, slots, tasks, workers};
use crate::app::{Ctx, SharedApp};
use crate::guard::{BODY_BYTES_MAX, guard};
use crate::headers::{in_time, secure};
use crate::{assets, error, live, pages, probes};

/// A path, the methods that it takes, and who answers.
pub(crate) struct Route {
    pub(crate) path: &'static str,
    pub(crate) methods: &'static [&'static str],
    answer: MethodRouter<SharedApp>,
}

const GET: &[&str] = &["GET"];
const POST: &[&str] = &["POST"];
const GET_POST: &[&str] = &["GET", "POST"];
const GET_PATCH: &[&str] = &["GET", "PATCH"];

fn route(path: &'static str, methods: &'static [&'static str], answer: MethodRouter<SharedApp>) -> Route {
    Route { path, methods, answer }
}

/// `GET /api/v1/openapi.json`.
async fn openapi_json(_: Ctx) -> Json<Value> {
    let routes: Vec<openapi::Address> = table().iter().map(|route| (route.path, route.methods)).collect();
    Json(openapi::document(&routes))
}

/// All routes.
pub(crate) fn table() -> Vec<Route> {
    let mut all = probes_and_files();
    all.extend(pages_table());
    all.extend(api_table());
    all
}

fn probes_and_files() -> Vec<Route> {
    vec![
        route("/healthz", GET, get(probes::healthz)),
        route("/readyz", GET, get(probes::readyz)),
        route("/leader", GET, get(probes::leader)),
        route("/metrics", GET, get(probes::metrics)),
        route("/static/{hash}/{name}", GET, get(assets::serve)),
    ]
}

fn pages_table() -> Vec<Route> {
    vec![
        route("/", GET, get(pages::home::show)),
        route("/login", GET_POST, get(pages::login::show).post(pages::login::sign_in)),
        route("/logout", POST, post(pages::login::sign_out)),
        route("/go", GET, get(pages::go::go)),
        route("/dags/{dag}", GET, get(pages::dag::show)),
        route("/dags/{dag}/file", GET, get(pages::dag_file::show)),
        route("/dags/{dag}/pause", POST, post(pages::pause::pause)),
        route("/dags/{dag}/trigger", GET_POST, get(pages::trigger::show).post(pages::trigger::send)),
        route("/runs", GET, get(pages::runs::show)),
        route("/runs/{run}", GET, get(pages::run::show)),
        route("/runs/{run}/cancel", GET_POST, get(pages::run_cancel::show).post(pages::run_cancel::send)),
        route("/runs/{run}/retry", GET_POST, get(pages::run_retry::show).post(pages::run_retry::send)),
        route("/runs/{run}/tasks/{task}", GET, get(pages::task::show)),
        route("/ledger", GET, get(pages::ledger::show)),
        route("/cluster", GET, get(pages::cluster::show)),
        route(
            "/workers/{worker}/drain",
            GET_POST,
            get(pages::worker_drain::show).post(pages::worker_drain::send),
        ),
        route("/files", GET, get(pages::files::show)),
        route("/audit", GET, get(pages::audit::show)),
    ]
}

fn api_table() -> Vec<Route> {
    vec![
        route("/api/v1/dags", GET, get(dags::list)),
        route("/api/v1/dags/{dag}", GET_PATCH, get(dags::show).patch(dags::patch)),
        route("/api/v1/dags/{dag}/source", GET, get(dags::source)),
        route("/api/v1/dags/{dag}/runs", GET_POST, get(runs::list_of_dag).post(dags::trigger)),
        route("/api/v1/files", GET, get(files::list)),
        route("/api/v1/runs", GET, get(runs::list)),
        route("/api/v1/runs/{run}", GET, get(runs::show)),
        route("/api/v1/runs/{run}/cancel", POST, post(runs::cancel)),
        route("/api/v1/runs/{run}/retry", POST, post(runs::retry)),
        route("/api/v1/runs/{run}/tasks", GET, get(tasks::list)),
        route("/api/v1/runs/{run}/tasks/{task}/logs", GET, get(logs::show)),
        route("/api/v1/runs/{run}/tasks/{task}/logs/search", GET, get(logs::search)),
        route("/api/v1/schedulers", GET, get(schedulers::list)),
        route("/api/v1/terms", GET, get(schedulers::terms)),
        route("/api/v1/workers", GET, get(workers::list)),
        route("/api/v1/workers/{worker}/drain", POST, post(workers::drain)),
        route("/api/v1/slots", GET, get(slots::list)),
        route("/api/v1/audit", GET, get(audit::list)),
        route("/api/v1/events", GET, get(live::events)),
        route("/api/v1/openapi.json", GET, get(openapi_json)),
    ]
}

/// The router with its layers; the last one added is the first one passed.
pub(crate) fn router(app: SharedApp) -> Router {
    let bare =
        table().into_iter().fold(Router::new(), |router, route| router.route(route.path, route.answer));
    bare.layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(from_fn_with_state(app.clone(), guard))
        .layer(from_fn_with_state(app.clone(), error::present))
        .layer(from_fn(in_time))
        .layer(from_fn(secure))
        .with_state(app)
}
