//! A manual run: parameters checked against the current version, then written. The same for the form and the API.

use rota_core::dag::{ParamError, parse_params};
use rota_core::port::{Change, Object, TriggerRequest, Triggered};

use crate::app::{Ctx, Found};
use crate::error::{Error, Outcome};

/// Most characters of an idempotency key.
const KEY_CHARS_MAX: usize = 200;

/// What is asked for.
pub(crate) struct Wish {
    pub(crate) params: Object,
    pub(crate) idempotency_key: Option<String>,
}

/// Checks the parameters, writes the run and wakes the leader.
pub(crate) async fn run(ctx: &Ctx, found: &Found, wish: Wish) -> Outcome<Triggered> {
    if !found.row.present {
        let dag = &found.row.dag;
        return Err(Error::Conflict(format!(
            "the file of DAG `{dag}` is gone; nothing new starts until it is back"
        )));
    }
    let params = checked(found, &wish.params)?.map_err(|errors| {
        let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
        Error::Invalid(lines.join("; "))
    })?;
    let key_chars = wish.idempotency_key.as_ref().map_or(0, |key| key.chars().count());
    if key_chars > KEY_CHARS_MAX {
        return Err(Error::Invalid(format!(
            "`idempotency_key` has {key_chars} characters, expected at most {KEY_CHARS_MAX}"
        )));
    }
    let (dag, version) = (found.row.dag.clone(), found.row.version);
    let request = TriggerRequest { dag, version, params, idempotency_key: wish.idempotency_key };
    let triggered = ctx.app.ports.store.run_trigger(&request, &ctx.who.actor).await?;
    ctx.app.wake(Change::Run { run: triggered.run.id, dag: request.dag }).await;
    Ok(triggered)
}

/// The parameters with defaults filled in, or what is wrong with each.
pub(crate) fn checked(found: &Found, params: &Object) -> Outcome<Result<Object, Vec<ParamError>>> {
    let Some(dag) = &found.dag else {
        let dag = &found.row.dag;
        return Err(Error::Conflict(format!(
            "the file of DAG `{dag}` cannot be read by this version of rota"
        )));
    };
    Ok(parse_params(dag, params).map_err(|errors| errors.0))
}
