//! `rota dag pause` and `rota dag unpause`.

use reqwest::Method;
use rota_core::id::DagId;
use serde_json::json;

use crate::client::{Server, was_so};
use crate::failure::{CommandResult, Outcome};
use crate::output::print_line;

const PAUSE_EXAMPLES: &str = "\
Examples:
  rota dag pause packages
      its schedule starts nothing more; slots are recorded as skipped
  rota dag pause packages && rota dag trigger packages
      a paused DAG can still be triggered";

const UNPAUSE_EXAMPLES: &str = "\
Examples:
  rota dag unpause packages  its schedule goes on with the next slot";

/// Hold a DAG's schedule
#[derive(Debug, clap::Args)]
#[command(after_help = PAUSE_EXAMPLES)]
pub(crate) struct PauseArgs {
    /// The DAG's name
    dag: DagId,
    #[command(flatten)]
    server: Server,
}

/// Release a DAG's schedule
#[derive(Debug, clap::Args)]
#[command(after_help = UNPAUSE_EXAMPLES)]
pub(crate) struct UnpauseArgs {
    /// The DAG's name
    dag: DagId,
    #[command(flatten)]
    server: Server,
}

pub(super) async fn pause(args: PauseArgs) -> CommandResult {
    let client = args.server.client()?;
    let sent = client.send(Method::PATCH, &format!("/dags/{}", args.dag), &json!({"paused": true})).await;
    let answer = client.or_nearest_dag(&args.dag, sent).await?;
    let already = if was_so(&answer) { " already" } else { "" };
    print_line(&format!("{} is paused{already}: `rota dag unpause {0}` releases it", args.dag))?;
    Ok(Outcome::Done)
}

pub(super) async fn unpause(args: UnpauseArgs) -> CommandResult {
    let client = args.server.client()?;
    let sent = client.send(Method::PATCH, &format!("/dags/{}", args.dag), &json!({"paused": false})).await;
    let answer = client.or_nearest_dag(&args.dag, sent).await?;
    let now = if was_so(&answer) { "was not paused" } else { "is no longer paused" };
    print_line(&format!("{} {now}", args.dag))?;
    Ok(Outcome::Done)
}
