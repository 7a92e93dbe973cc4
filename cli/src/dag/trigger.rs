//! `rota dag trigger`.

use std::time::Duration;

use reqwest::Method;
use rota_core::id::{DagId, RunId};
use serde_json::{Value, json};

use crate::client::{Client, Dag, Run, Server};
use crate::failure::{CommandResult, Outcome};
use crate::output::{Format, FormatArg, Progress, print_json, print_line};
use crate::run::print_run;

const EXAMPLES: &str = "\
Examples:
  rota dag trigger packages
      ask for a run; prints its number
  rota dag trigger largest_files --param directory=/usr/lib --param top=5
  rota dag trigger packages --wait
      wait for its end; exit code 1 if it fails
  rota dag trigger sales --idempotency-key order-4711
      asking twice with one key makes one run";

/// Run a DAG on a running server
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The DAG's name
    dag: DagId,
    /// A parameter, as name=value (may be repeated)
    #[arg(short, long = "param", value_name = "NAME=VALUE")]
    params: Vec<String>,
    /// Wait until the run has ended, and fail if it fails
    #[arg(short, long)]
    wait: bool,
    /// Asking again with the same key answers with the same run
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    #[command(flatten)]
    format: FormatArg,
    #[command(flatten)]
    server: Server,
}

pub(super) async fn run(args: Args) -> CommandResult {
    let texts = super::params::texts(&args.params)?;
    let client = args.server.client()?;
    let found = client.get(&format!("/dags/{}", args.dag)).await;
    let dag: Dag = client.or_nearest_dag(&args.dag, found).await?;
    let mut body = json!({"params": super::params::typed(&dag.params, texts)});
    if let Some(key) = &args.idempotency_key {
        body["idempotency_key"] = json!(key);
    }
    let answer = client.send(Method::POST, &format!("/dags/{}/runs", args.dag), &body).await?;
    let run: Run = serde_json::from_value(answer.clone())?;
    if !args.wait {
        return announce(&run, answer, args.format.format);
    }
    let ended = wait(&client, RunId(run.id)).await?;
    print_run(&client, RunId(run.id), args.format.format).await?;
    Ok(if ended.state == "success" { Outcome::Done } else { Outcome::Failed })
}

fn announce(run: &Run, answer: Value, format: Format) -> CommandResult {
    match format {
        Format::Json => print_json(&answer)?,
        Format::Table => print_line(&format!(
            "run {} of {} is {}: `rota run show {0}` shows how far it is",
            run.id, run.dag, run.state
        ))?,
    }
    Ok(Outcome::Done)
}

/// Asks for the run until it is over: often at first, because most runs are short.
async fn wait(client: &Client, run: RunId) -> anyhow::Result<Run> {
    let mut progress = Progress::new();
    let mut pause = Duration::from_millis(50);
    loop {
        let now: Run = client.get(&format!("/runs/{run}")).await?;
        if now.is_over() {
            return Ok(now);
        }
        progress.update(|| format!("run {run} of {} is {}", now.dag, now.state));
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(1));
    }
}
