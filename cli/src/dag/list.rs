//! `rota dag list`.

use serde_json::Value;

use crate::client::{Dag, Server};
use crate::failure::{CommandResult, Outcome};
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
        return Ok(Outcome::Done);
    }
    let mut table = Table::new(&["DAG", "SCHEDULE", "NEXT", "FILE", "NOTE"]);
    for dag in dags {
        table.row(row(serde_json::from_value(dag)?));
    }
    table.print("the server has no DAGs yet")?;
    Ok(Outcome::Done)
}

fn row(dag: Dag) -> Vec<String> {
    let schedule = dag.schedule.unwrap_or_else(|| "@manual".to_owned());
    let next = dag.next_slot.as_deref().map(time::short_instant).unwrap_or_default();
    let note = match (dag.present, dag.paused) {
        (false, _) => "its file is gone",
        (true, true) => "paused",
        (true, false) => "",
    };
    vec![dag.dag, schedule, next, dag.path, note.to_owned()]
}
