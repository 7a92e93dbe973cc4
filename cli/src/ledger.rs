//! `rota ledger`: what became of every slot that was due.

use chrono::{DateTime, Utc};
use rota_core::id::DagId;
use rota_core::port::{SlotOutcome, SlotRow};
use serde_json::Value;

use crate::client::{Server, block_on, encoded};
use crate::failure::{CommandResult, Outcome};
use crate::output::{Format, FormatArg, Table, print_json};
use crate::time;

const EXAMPLES: &str = "\
Examples:
  rota ledger
      the newest slots of all DAGs
  rota ledger --dag packages --since 2026-11-20
  rota ledger --outcome missed
      what was due and did not run, and why
  rota ledger --outcome missed -o json | jq '[.[].count] | add'";

/// Show what became of every slot that was due
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Only slots of this DAG
    #[arg(long, value_name = "DAG")]
    dag: Option<DagId>,
    /// Only those with this outcome: fired, skipped, missed
    #[arg(long, visible_alias = "state", value_name = "OUTCOME", value_parser = parse_outcome)]
    outcome: Option<SlotOutcome>,
    /// Only slots from this time on: RFC 3339, or a time or date in UTC
    #[arg(long, value_name = "TIME", value_parser = time::parse_instant_utc)]
    since: Option<DateTime<Utc>>,
    /// Only slots before this time
    #[arg(long, value_name = "TIME", value_parser = time::parse_instant_utc)]
    until: Option<DateTime<Utc>>,
    /// At most this many entries
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
    #[command(flatten)]
    format: FormatArg,
    #[command(flatten)]
    server: Server,
}

/// Carries it out.
pub(crate) fn run(args: Args) -> CommandResult {
    block_on(show(args))
}

async fn show(args: Args) -> CommandResult {
    let client = args.server.client()?;
    if let Some(dag) = &args.dag {
        let found = client.get::<Value>(&format!("/dags/{dag}")).await;
        client.or_nearest_dag(dag, found).await?;
    }
    let slots = client.list(&path(&args), args.limit as usize).await?;
    if args.format.format == Format::Json {
        print_json(&Value::from(slots))?;
        return Ok(Outcome::Done);
    }
    let mut table = Table::new(&["SLOT", "DAG", "OUTCOME", "SLOTS", "RUN", "DECIDED", "REASON"]);
    for slot in slots {
        table.row(row(serde_json::from_value(slot)?));
    }
    table.print("no slots match")?;
    Ok(Outcome::Done)
}

fn path(args: &Args) -> String {
    let given = [
        ("dag", args.dag.as_ref().map(ToString::to_string)),
        ("outcome", args.outcome.map(|outcome| outcome.as_str().to_owned())),
        ("since", args.since.map(time::instant)),
        ("until", args.until.map(time::instant)),
    ];
    let given =
        given.iter().filter_map(|(name, value)| Some(format!("&{name}={}", encoded(value.as_ref()?))));
    format!("/slots?limit={}{}", args.limit.min(500), given.collect::<String>())
}

fn row(slot: SlotRow) -> Vec<String> {
    let when = match slot.count {
        1 => time::instant(slot.slot),
        _ => format!("{} to {}", time::instant(slot.slot), time::instant(slot.to)),
    };
    vec![
        when,
        slot.dag.to_string(),
        slot.outcome.as_str().to_owned(),
        slot.count.to_string(),
        slot.run.map(|run| run.to_string()).unwrap_or_default(),
        time::instant(slot.decided_at),
        slot.reason.unwrap_or_default(),
    ]
}

fn parse_outcome(word: &str) -> Result<SlotOutcome, String> {
    SlotOutcome::parse(word).ok_or_else(|| "expected one of fired, skipped, missed".to_owned())
}
