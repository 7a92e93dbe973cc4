//! `rota worker drain`.

use reqwest::Method;
use serde_json::json;

use crate::client::{Server, encoded, was_so};
use crate::failure::{CommandResult, Outcome};
use crate::output::print_line;
use crate::text;

const EXAMPLES: &str = "\
Examples:
  rota worker drain node-3
  rota worker drain node-3 && ssh node-3 systemctl restart rota-worker

It takes no more tasks and finishes those it has. It goes on taking tasks when
it is started anew.";

/// Have a worker finish what it has and take nothing more
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The worker's name, as `rota worker list` prints it
    worker: String,
    #[command(flatten)]
    server: Server,
}

pub(super) async fn run(args: Args) -> CommandResult {
    let client = args.server.client()?;
    let path = format!("/workers/{}/drain", encoded(&args.worker));
    let sent = client.send(Method::POST, &path, &json!({})).await;
    let answer = client.or_nearest_worker(&args.worker, sent).await?;
    let already = if was_so(&answer) { " already" } else { "" };
    print_line(&text::clean(&format!("worker {} drains{already}: it takes no more tasks", args.worker)))?;
    Ok(Outcome::Done)
}
