//! `POST /dags/{dag}/pause`: holds or releases a schedule.

use axum::Form;
use axum::extract::Path;
use axum::response::Redirect;
use rota_core::port::Change;
use serde::Deserialize;

use crate::app::{Ctx, dag_id};
use crate::error::Outcome;
use crate::pages::login::own_path;

/// The form.
#[derive(Debug, Deserialize)]
pub(crate) struct PauseForm {
    paused: bool,
    #[serde(default)]
    back: String,
}

/// Writes the switch and goes back to where it was pressed.
pub(crate) async fn pause(
    ctx: Ctx,
    Path(dag): Path<String>,
    Form(form): Form<PauseForm>,
) -> Outcome<Redirect> {
    let dag = dag_id(&dag)?;
    ctx.app.ports.store.dag_pause(&dag, form.paused, &ctx.who.actor).await?;
    ctx.app.wake(Change::Dag(dag)).await;
    let word = if form.paused { "paused" } else { "unpaused" };
    let (path, place) = own_path(&form.back).split_once('#').unwrap_or((own_path(&form.back), ""));
    let mark = if place.is_empty() { String::new() } else { format!("#{place}") };
    let sign = if path.contains('?') { '&' } else { '?' };
    Ok(Redirect::to(&format!("{path}{sign}done={word}{mark}")))
}
