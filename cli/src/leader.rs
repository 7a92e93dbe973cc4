//! `rota leader`: who leads, since when, and who stands by.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::client::{Scheduler, Server, Term, block_on};
use crate::failure::{CommandResult, Outcome};
use crate::output::{Format, FormatArg, Table, note, print_json, print_line};
use crate::{text, time};

const EXAMPLES: &str = "\
Examples:
  rota leader
  rota leader -o json | jq -r .leader

Exit code 1 if nobody leads, or if the leader does not do its part.";

/// Show who leads, the epoch, and the schedulers that take part
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
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
    let replicas: Vec<Value> = client.list("/schedulers", usize::MAX).await?;
    let schedulers: Vec<Scheduler> = serde_json::from_value(Value::from(replicas.clone()))?;
    let newest: Option<Term> = match client.list("/terms?limit=1", 1).await?.into_iter().next() {
        Some(term) => Some(serde_json::from_value(term)?),
        None => None,
    };
    // One that was killed still stands in the list for a while; whether its term goes on is told by the term.
    let is_led = newest.as_ref().is_some_and(|term| term.end == "leads");
    let leader = schedulers.iter().find(|replica| replica.leader).filter(|_| is_led);
    let trouble = leader.and_then(|replica| replica.trouble.as_deref());
    let is_well = leader.is_some() && trouble.is_none();
    let outcome = if is_well { Outcome::Done } else { Outcome::Failed };
    if args.format.format == Format::Json {
        print_json(&json!({
            "leader": leader.map(|replica| &replica.id),
            "trouble": trouble,
            "epoch": newest.as_ref().map(|term| term.epoch),
            "since": newest.as_ref().map(|term| &term.began_at),
            "participants": replicas,
        }))?;
        return Ok(outcome);
    }
    let epoch = newest.as_ref().map_or(0, |term| term.epoch);
    let since = newest.as_ref().map(|term| time::short_instant(&term.began_at)).unwrap_or_default();
    let head = match (leader, trouble) {
        (Some(replica), Some(why)) => {
            format!("{} leads since {since}, epoch {epoch}, but nothing moves: {why}", replica.id)
        }
        (Some(replica), None) => format!("{} leads since {since}, epoch {epoch}", replica.id),
        (None, _) => format!("nobody leads; the last epoch is {epoch}"),
    };
    print_line(&text::clean(&head))?;
    let zones: BTreeSet<&str> =
        schedulers.iter().filter(|it| it.is_up()).map(|it| it.zones.as_str()).collect();
    if zones.iter().filter(|zones| !zones.is_empty()).count() > 1 {
        note("the schedulers have different time zone data: slots may move when another one leads");
    }
    let mut table = Table::new(&["SCHEDULER", "STATE", "HOST", "PID", "VERSION", "ZONES", "SEEN"]);
    for replica in schedulers {
        let seen = time::short_instant(&replica.seen_at);
        table.row(vec![
            replica.id,
            replica.state,
            replica.host,
            replica.pid.to_string(),
            replica.version,
            replica.zones,
            seen,
        ]);
    }
    table.print("no scheduler has been seen within the last day")?;
    Ok(outcome)
}
