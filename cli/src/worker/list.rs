//! `rota worker list`.

use serde_json::Value;

use crate::client::{Server, Worker};
use crate::failure::{CommandResult, Outcome};
use crate::output::{Format, FormatArg, Table, print_json, print_line};
use crate::text;
use crate::time;

const EXAMPLES: &str = "\
Examples:
  rota worker list  those that live, and those seen within the last day
  rota worker list -o json | jq -r '.[] | select(.state == \"live\") | .id'";

/// List workers
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    format: FormatArg,
    #[command(flatten)]
    server: Server,
}

pub(super) async fn run(args: Args) -> CommandResult {
    let client = args.server.client()?;
    let workers = client.list("/workers", usize::MAX).await?;
    if args.format.format == Format::Json {
        print_json(&Value::from(workers))?;
        return Ok(Outcome::Done);
    }
    let mut table =
        Table::new(&["WORKER", "STATE", "HOST", "RUNNING", "QUEUES", "LABELS", "HEARTBEAT", "LIFE"]);
    let mut troubles = Vec::new();
    for worker in workers {
        let worker: Worker = serde_json::from_value(worker)?;
        troubles.extend(worker.trouble.as_ref().map(|why| {
            let words = format!("{} claims nothing until it can start tasks again: {why}", worker.id);
            text::clean(&words).into_owned()
        }));
        table.row(row(worker));
    }
    table.print("no worker has been seen within the last day")?;
    troubles.iter().try_for_each(|trouble| print_line(trouble))?;
    Ok(Outcome::Done)
}

fn row(worker: Worker) -> Vec<String> {
    let label = |(name, value): (&String, &Value)| match value.as_str() {
        Some(text) => format!("{name}={text}"),
        None => format!("{name}={value}"),
    };
    let labels: Vec<String> = worker.labels.iter().map(label).collect();
    // Every worker serves the lane of tasks that do nothing.
    let queues: Vec<String> = worker.queues.into_iter().filter(|queue| queue != "noop").collect();
    vec![
        worker.id,
        if worker.trouble.is_some() { "degraded".to_owned() } else { worker.state },
        worker.host,
        format!("{} of {}", worker.running, worker.slots),
        queues.join(","),
        labels.join(","),
        time::short_instant(&worker.heartbeat_at),
        worker.incarnation.to_string(),
    ]
}
