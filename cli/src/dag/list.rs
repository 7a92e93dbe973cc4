//! `rota dag list`.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::client::{Dag, Server};
use crate::failure::{CommandResult, Outcome};
use crate::file::note_broken;
use crate::output::{Format, FormatArg, Table, print_json};
use crate::time;

const EXAMPLES: &str = "\
Examples:
  rota dag list
  rota dag list -o json | jq -r '.[] | select(.paused) | .id'";

/// List the DAGs of a running server
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
    let dags = client.list("/dags?limit=500", usize::MAX).await?;
    if args.format.format == Format::Json {
        print_json(&Value::from(dags))?;
        note_broken(&client).await;
        return Ok(Outcome::Done);
    }
    let mut table = Table::new(&["DAG", "SCHEDULE", "NEXT", "FILE", "NOTE"]);
    let dags = dags.into_iter().map(serde_json::from_value).collect::<Result<Vec<Dag>, _>>()?;
    let broken = note_broken(&client).await;
    for dag in dags {
        table.row(row(dag, &broken));
    }
    table.print("the server has no DAGs yet")?;
    Ok(Outcome::Done)
}

fn row(dag: Dag, broken: &BTreeSet<String>) -> Vec<String> {
    let schedule = dag.schedule.unwrap_or_else(|| "@manual".to_owned());
    let next = dag.next_slot.as_deref().map(time::short_instant).unwrap_or_default();
    let notes = [
        (!dag.present, "its file is gone"),
        (broken.contains(&dag.dag), "its file is broken, the last good version goes on"),
        (dag.present && dag.paused, "paused"),
    ];
    let notes: Vec<&str> = notes.into_iter().filter(|(holds, _)| *holds).map(|(_, words)| words).collect();
    vec![dag.dag, schedule, next, dag.path, notes.join("; ")]
}
