//! `rota run list`.

use rota_core::id::DagId;
use rota_core::state::RunState;
use serde_json::Value;

use crate::client::{Run, Server};
use crate::failure::{CommandResult, Outcome};
use crate::output::{Format, FormatArg, Table, print_json};
use crate::time;

const EXAMPLES: &str = "\
Examples:
  rota run list  the newest runs of all DAGs
  rota run list --dag packages --limit 5
  rota run list --state failed --state cancelled
  rota run list -o json | jq '.[].id'";

/// List runs, newest first
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Only runs of this DAG
    #[arg(long, value_name = "DAG")]
    dag: Option<DagId>,
    /// Only runs in this state: queued, running, success, failed, cancelled (may be repeated)
    #[arg(long, value_name = "STATE", value_parser = parse_state)]
    state: Vec<RunState>,
    /// At most this many
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: u16,
    #[command(flatten)]
    format: FormatArg,
    #[command(flatten)]
    server: Server,
}

pub(super) async fn run(args: Args) -> CommandResult {
    let client = args.server.client()?;
    let mut path = match &args.dag {
        Some(dag) => format!("/dags/{dag}/runs?limit={}", args.limit),
        None => format!("/runs?limit={}", args.limit),
    };
    if !args.state.is_empty() {
        let words: Vec<&str> = args.state.iter().map(|state| state.as_str()).collect();
        path.push_str(&format!("&state={}", words.join(",")));
    }
    let runs = client.list(&path, args.limit.into()).await;
    let runs = match &args.dag {
        Some(dag) => client.or_nearest_dag(dag, runs).await?,
        None => runs?,
    };
    if args.format.format == Format::Json {
        print_json(&Value::from(runs))?;
        return Ok(Outcome::Done);
    }
    let mut table = Table::new(&["RUN", "DAG", "STATE", "TRIGGER", "SLOT", "STARTED", "TOOK", "REASON"]);
    for run in runs {
        table.row(row(serde_json::from_value(run)?));
    }
    table.print("no runs match")?;
    Ok(Outcome::Done)
}

fn row(run: Run) -> Vec<String> {
    let took = time::between(run.started_at.as_deref(), run.finished_at.as_deref());
    let short = |at: Option<String>| at.as_deref().map(time::short_instant).unwrap_or_default();
    vec![
        run.id.to_string(),
        run.dag,
        run.state,
        run.trigger,
        short(run.slot),
        short(run.started_at),
        took,
        run.reason.unwrap_or_default(),
    ]
}

fn parse_state(word: &str) -> Result<RunState, String> {
    RunState::parse(word).ok_or_else(|| {
        let words: Vec<&str> = RunState::ALL.iter().map(|state| state.as_str()).collect();
        format!("expected one of {}", words.join(", "))
    })
}
