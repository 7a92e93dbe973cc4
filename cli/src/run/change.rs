//! `rota run cancel` and `rota run retry`.

use reqwest::Method;
use rota_core::id::{RunId, TaskName};
use serde_json::json;

use crate::client::Server;
use crate::failure::{CommandResult, Outcome};
use crate::output::print_line;

const CANCEL_EXAMPLES: &str = "\
Examples:
  rota run cancel 17
      end the run: running tasks get their grace time, the rest never
      starts";

const RETRY_EXAMPLES: &str = "\
Examples:
  rota run retry 17 --failed
      all that failed or was cancelled, with everything downstream
  rota run retry 17 --task load
      one task, with everything downstream
  rota run retry 17 --task load --task clean";

/// Cancel a run
#[derive(Debug, clap::Args)]
#[command(after_help = CANCEL_EXAMPLES)]
pub(crate) struct CancelArgs {
    /// The run's number
    run: RunId,
    #[command(flatten)]
    server: Server,
}

/// Run tasks of a run again
#[derive(Debug, clap::Args)]
#[command(after_help = RETRY_EXAMPLES)]
#[command(group = clap::ArgGroup::new("selection").required(true).args(["task", "failed"]))]
pub(crate) struct RetryArgs {
    /// The run's number
    run: RunId,
    /// This task and everything downstream of it (may be repeated)
    #[arg(long, value_name = "TASK")]
    task: Vec<TaskName>,
    /// All tasks that failed, were cancelled or could not run because of those
    #[arg(long)]
    failed: bool,
    #[command(flatten)]
    server: Server,
}

pub(super) async fn cancel(args: CancelArgs) -> CommandResult {
    let client = args.server.client()?;
    let sent = client.send(Method::POST, &format!("/runs/{}/cancel", args.run), &json!({})).await;
    client.or_nearest_task(args.run, &[], sent).await?;
    print_line(&format!("run {} is being cancelled: `rota run show {0}` shows how far it is", args.run))?;
    Ok(Outcome::Done)
}

pub(super) async fn retry(args: RetryArgs) -> CommandResult {
    let client = args.server.client()?;
    let tasks: Vec<&str> = args.task.iter().map(TaskName::as_str).collect();
    let body = json!({"tasks": tasks, "failed_only": args.failed});
    let sent = client.send(Method::POST, &format!("/runs/{}/retry", args.run), &body).await;
    client.or_nearest_task(args.run, &args.task, sent).await?;
    print_line(&format!("run {} goes on: `rota run show {0}` shows how far it is", args.run))?;
    Ok(Outcome::Done)
}
