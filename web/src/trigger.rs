//! A manual run: parameters checked against the current version, then written. The same for the form and the API.

use std::collections::BTreeSet;

use rota_core::dag::{ParamError, parse_params};
use rota_core::port::{Change, Object, RunRow, TriggerRequest, Triggered};

use crate::app::{Ctx, FoundDag};
use crate::error::{Error, Outcome};

/// Most characters of an idempotency key.
const KEY_CHARS_MAX: usize = 200;

/// Refuses a key that could not be told from another by looking at it.
fn key_check(key: Option<&str>) -> Outcome<()> {
    let Some(key) = key else { return Ok(()) };
    let chars = key.chars().count();
    if chars == 0 || chars > KEY_CHARS_MAX {
        return Err(Error::Invalid(format!(
            "`idempotency_key` has {chars} characters, expected 1 to {KEY_CHARS_MAX}"
        )));
    }
    match key.chars().find(|c| !matches!(c, ' '..='~')) {
        None => Ok(()),
        Some(odd) => Err(Error::Invalid(format!(
            "`idempotency_key` holds the character U+{:04X}, expected printable ASCII such as order-4711",
            u32::from(odd)
        ))),
    }
}

/// Refuses a key that stands for a run with other parameters. What is asked for is judged by the version that the run has,
/// as defaults may differ since then.
async fn same_wish(ctx: &Ctx, asked: &Object, run: &RunRow) -> Outcome<()> {
    let Some(dag) = ctx.version(run).await? else { return Ok(()) };
    let differing: Vec<String> = match parse_params(&dag, asked) {
        Ok(params) => differing(&params, &run.params),
        Err(errors) => errors.0.into_iter().map(|error| error.name).collect(),
    };
    if differing.is_empty() {
        return Ok(());
    }
    let names: Vec<String> = differing.iter().map(|name| format!("`{name}`")).collect();
    Err(Error::Conflict(format!(
        "this idempotency key made run {} with other parameters, {} differs: use another key, or the same parameters",
        run.id,
        names.join(", ")
    )))
}

/// The names whose values are not the same on both sides.
fn differing(one: &Object, other: &Object) -> Vec<String> {
    let names: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
    names.into_iter().filter(|name| one.get(*name) != other.get(*name)).cloned().collect()
}

/// What is asked for.
pub(crate) struct TriggerWish {
    pub(crate) params: Object,
    pub(crate) idempotency_key: Option<String>,
}

/// Checks the parameters, writes the run and wakes the leader.
pub(crate) async fn run(ctx: &Ctx, found: &FoundDag, wish: TriggerWish) -> Outcome<Triggered> {
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
    key_check(wish.idempotency_key.as_deref())?;
    // "Queued" would be true, and would promise what nobody does.
    if let Some(why) = ctx.app.stuck().await? {
        return Err(Error::Stuck(why));
    }
    let store = &ctx.app.ports.store;
    // Before anything is written: a refused wish leaves no trace in the audit log.
    if let Some(key) = &wish.idempotency_key
        && let Some(run) = store.view_run_by_key(&found.row.dag, key).await?
    {
        same_wish(ctx, &wish.params, &run).await?;
    }
    let (dag, version) = (found.row.dag.clone(), found.row.version);
    let request = TriggerRequest { dag, version, params, idempotency_key: wish.idempotency_key };
    let triggered = store.run_trigger(&request, &ctx.who.actor).await?;
    if !triggered.created {
        // Again, for the run that somebody else made between the look and the write.
        same_wish(ctx, &wish.params, &triggered.run).await?;
    }
    ctx.app.wake(Change::Run { run: triggered.run.id, dag: request.dag }).await;
    Ok(triggered)
}

/// The parameters with defaults filled in, or what is wrong with each.
pub(crate) fn checked(found: &FoundDag, params: &Object) -> Outcome<Result<Object, Vec<ParamError>>> {
    let Some(dag) = &found.dag else {
        let dag = &found.row.dag;
        return Err(Error::Conflict(format!(
            "the file of DAG `{dag}` cannot be read by this version of rota"
        )));
    };
    Ok(parse_params(dag, params).map_err(|errors| errors.0))
}
