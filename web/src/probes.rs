//! For load balancers and Prometheus: `/healthz`, `/readyz`, `/leader`, `/metrics`.

use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use rota_core::port::WorkerState;

use crate::app::{Ctx, SharedApp};
use crate::error::{AsItIs, Outcome};
use crate::exposition::Exposition;
use crate::slot_counts;

/// How long the store may take to answer until this process is not ready.
const READY_WAIT: Duration = Duration::from_secs(2);

/// `GET /healthz`: the process answers.
pub(crate) async fn healthz() -> &'static str {
    "ok\n"
}

/// `GET /readyz`: the store answers too, and nothing else is waited for.
pub(crate) async fn readyz(State(app): State<SharedApp>) -> Response {
    let (status, text) = app.ports.process_health.borrow().readiness();
    if status != StatusCode::OK {
        return plain(status, text);
    }
    match tokio::time::timeout(READY_WAIT, app.ports.store.view_leader()).await {
        Ok(Ok(_)) => plain(status, text),
        Ok(Err(error)) => plain(StatusCode::SERVICE_UNAVAILABLE, format!("waits for the store: {error}\n")),
        Err(_) => {
            plain(StatusCode::SERVICE_UNAVAILABLE, "waits for the store: it does not answer\n".to_owned())
        }
    }
}

/// `GET /leader`: 200 on the leader, 503 elsewhere.
pub(crate) async fn leader(State(app): State<SharedApp>) -> Response {
    let (status, text) = app.ports.process_health.borrow().leadership();
    plain(status, text)
}

/// Text for programs that look at the status and people who look at the words.
fn plain(status: StatusCode, text: String) -> Response {
    let mut response = (status, text).into_response();
    response.extensions_mut().insert(AsItIs);
    response
}

/// `GET /metrics`: Prometheus text.
pub(crate) async fn metrics(ctx: Ctx) -> Outcome<Response> {
    let store = &ctx.app.ports.store;
    let leader = store.view_leader().await?;
    let workers = store.view_workers().await?;
    let dags = store.dags_load().await?;
    let slots = slot_counts::counts(&ctx, None, slot_counts::last_day(&ctx.moment)).await?.total;
    let live = workers.iter().filter(|worker| worker.state == WorkerState::Live);
    let (count, capacity, running) = live.fold((0u64, 0u64, 0u64), |(count, capacity, running), worker| {
        (count + 1, capacity + u64::from(worker.slots), running + u64::from(worker.running))
    });
    let paused = dags.iter().filter(|dag| dag.paused && dag.present).count() as u64;
    let present = dags.iter().filter(|dag| dag.present).count() as u64;
    let mut out = Exposition::default();
    out.gauge("rota_leader_epoch", "The fencing epoch", leader.epoch.0.unsigned_abs());
    out.gauge("rota_workers_live", "Workers whose lease runs", count);
    out.gauge("rota_worker_slots", "Processes that live workers can run", capacity);
    out.gauge("rota_worker_slots_used", "Attempts that live workers run", running);
    out.gauge("rota_dags", "DAGs whose file is there", present);
    out.gauge("rota_dags_paused", "Of those, how many are paused", paused);
    out.gauge("rota_files_broken", "DAG files that cannot be read", ctx.app.files_broken().await? as u64);
    out.gauge("rota_slots_fired_day", "Slots of the last 24 h that have a run", slots.fired);
    out.gauge("rota_slots_skipped_day", "Slots of the last 24 h that a policy skipped", slots.skipped);
    out.gauge("rota_slots_missed_day", "Slots of the last 24 h that were missed", slots.missed);
    out.gauge("rota_slot_late_max_ms_day", "How late the latest fired slot of 24 h was", slots.late_max_ms);
    out.gauge(
        "rota_web_streams_open",
        "Event streams and logs that are being sent",
        ctx.app.streams.count() as u64,
    );
    let requests = ctx.app.requests.load(Ordering::Relaxed);
    out.counter("rota_web_requests_total", "Requests answered to people and programs", requests);
    ctx.app.ports.process_health.borrow().expose(&mut out);
    Ok(out.into_response())
}
