//! `rota run show`.

use rota_core::id::RunId;
use serde_json::{Value, json};

use crate::client::{Client, Run, Server, Task};
use crate::failure::{CommandResult, Outcome};
use crate::output::{Format, FormatArg, Table, print_json, print_line};
use crate::{text, time};

const EXAMPLES: &str = "\
Examples:
  rota run show 17  the run and where each of its tasks is
  rota run show 17 -o json | jq '.tasks[] | select(.state == \"failed\")'";

/// Show a run and its tasks
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The run's number, as `rota run list` prints it
    run: RunId,
    #[command(flatten)]
    format: FormatArg,
    #[command(flatten)]
    server: Server,
}

pub(super) async fn run(args: Args) -> CommandResult {
    let client = args.server.client()?;
    print_run(&client, args.run, args.format.format).await?;
    Ok(Outcome::Done)
}

/// Prints a run with its tasks, as it is now.
pub(crate) async fn print_run(client: &Client, run: RunId, format: Format) -> anyhow::Result<()> {
    let found = client.get(&format!("/runs/{run}")).await;
    let mut value: Value = client.or_nearest_task(run, &[], found).await?;
    let tasks = client.list(&format!("/runs/{run}/tasks"), usize::MAX).await?;
    if format == Format::Json {
        value["tasks"] = json!(tasks);
        return print_json(&value);
    }
    print_head(&serde_json::from_value(value)?)?;
    let mut table = Table::new(&["TASK", "STATE", "ATTEMPT", "TOOK", "EXIT", "WHY"]);
    for task in tasks {
        table.row(row(serde_json::from_value(task)?));
    }
    table.print("no task has been decided yet")
}

fn print_head(run: &Run) -> anyhow::Result<()> {
    let slot = run.slot.as_deref().map(|slot| format!(", slot {slot}")).unwrap_or_default();
    let took = time::between(run.started_at.as_deref(), run.finished_at.as_deref());
    let took = if took.is_empty() { took } else { format!(" after {took}") };
    let head = format!(
        "run {} of {} (version {}): {}{took}, {}{slot}",
        run.id, run.dag, run.version, run.state, run.trigger
    );
    print_line(&text::clean(&head))?;
    if let Some(created) = &run.created_at {
        print_line(&format!("created {}", text::clean(&time::short_instant(created))))?;
    }
    if !run.params.is_empty() {
        print_line(&format!("params {}", text::clean(&Value::from(run.params.clone()).to_string())))?;
    }
    if let Some(reason) = &run.reason {
        print_line(&text::clean(reason))?;
    }
    print_line("")
}

fn row(task: Task) -> Vec<String> {
    let name = if task.index == 0 { task.task } else { format!("{}[{}]", task.task, task.index) };
    let attempt = if task.attempt == 0 { String::new() } else { task.attempt.to_string() };
    let exit = task.exit_code.map(|code| code.to_string()).unwrap_or_default();
    let took = time::between(task.started_at.as_deref(), task.finished_at.as_deref());
    vec![name, task.state, attempt, took, exit, task.error.or(task.why).unwrap_or_default()]
}
