//! `rota dag test`: one DAG in the foreground, without a server.
//!
//! The run is walked by the same scheduler and worker as under `rota standalone`, on a store in a temporary directory:
//! what works here works there.

mod live;
mod report;
mod session;

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use chrono::{DateTime, Utc};
use rota_core::dag::{self, Dag};
use rota_core::id::{TaskName, TaskNo};
use rota_core::port::Object;
use serde_json::Map;

use self::live::Sink;
use super::{files, params};
use crate::failure::{CommandResult, Failure, Outcome};
use crate::log::LogArg;
use crate::output::{Format, FormatArg, note};
use crate::time;

const EXAMPLES: &str = "\
Examples:
  rota dag test dags/packages.yaml
      run all of it, see what its tasks print
  rota dag test dags/largest_files.yaml --param directory=/usr/lib --param top=3
  rota dag test dags/packages.yaml --task sizes
      only this task and what it needs
  rota dag test dags/pulse.yaml --slot 2026-11-20T13:00:00Z
      as its schedule would run it for that instant
  rota dag test -o json dags/packages.yaml | jq '.tasks[] | {task, state}'

Ctrl-C cancels the run. Exit codes: 0 the run succeeded, 1 it did not, 2 wrong
usage.";

/// Run one DAG in the foreground, without a server
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The DAG file
    file: PathBuf,
    /// A parameter, as name=value (may be repeated)
    #[arg(short, long = "param", value_name = "NAME=VALUE")]
    params: Vec<String>,
    /// Run it as its schedule would for this instant: RFC 3339, or a time or date in UTC
    #[arg(long, value_name = "TIME", value_parser = time::parse_instant_utc)]
    slot: Option<DateTime<Utc>>,
    /// Run only this task and all that it needs
    #[arg(long, value_name = "TASK")]
    task: Option<TaskName>,
    #[command(flatten)]
    format: FormatArg,
    #[command(flatten)]
    log: LogArg,
}

/// What is to be run, checked.
struct TestRequest {
    /// The DAG.
    dag: Arc<Dag>,
    /// Its file's text.
    source: String,
    /// The file, absolute.
    file: PathBuf,
    /// Checked, defaults filled in.
    params: Object,
    /// The slot to run it for.
    slot: Option<DateTime<Utc>>,
    /// Per task, whether it is to run.
    chosen: Vec<bool>,
    /// The task that was asked for, if not all were.
    target: Option<TaskNo>,
    /// Where the tasks' lines go.
    sink: Sink,
}

pub(super) fn run(args: &Args) -> CommandResult {
    args.log.start()?;
    let request = request(args)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.context("the async runtime cannot be started")?;
    let dag = Arc::clone(&request.dag);
    let (target, chosen) = (request.target, request.chosen.clone());
    let ended = runtime.block_on(session::run(request));
    runtime.shutdown_background();
    let ended = ended?;
    let report = report::Report::new(&dag, &chosen, target, ended);
    match args.format.format {
        Format::Json => report.print_json()?,
        Format::Table => report.print()?,
    }
    Ok(if report.is_success() { Outcome::Done } else { Outcome::Failed })
}

fn request(args: &Args) -> anyhow::Result<TestRequest> {
    let (dag, source) = files::load(&args.file)?;
    for remark in &dag.remarks {
        let line = files::remark_line(&args.file.display().to_string(), remark);
        note(&crate::text::clean(&line));
    }
    let params = checked_params(&dag, &args.params)?;
    let target = args.task.as_ref().map(|name| find_task(&dag, name)).transpose()?;
    let chosen = match target {
        Some(target) => with_upstream(&dag, target),
        None => vec![true; dag.tasks.len()],
    };
    let sink = if args.format.format == Format::Json { Sink::Stderr } else { Sink::Stdout };
    let file = std::path::absolute(&args.file)?;
    Ok(TestRequest { dag: Arc::new(dag), source, file, params, slot: args.slot, chosen, target, sink })
}

fn checked_params(dag: &Dag, pairs: &[String]) -> anyhow::Result<Object> {
    let refused = |error: String| Failure::usage(error).at("--param");
    let mut given = Map::new();
    for (name, text) in params::texts(pairs)? {
        let value = dag::parse_param_text(dag, &name, &text).map_err(|error| refused(error.to_string()))?;
        given.insert(name, value);
    }
    let params = dag::parse_params(dag, &given).map_err(|errors| {
        refused(errors.to_string())
            .help("give a value with --param name=value; the file's `params:` says which")
    })?;
    Ok(params)
}

fn find_task(dag: &Dag, name: &TaskName) -> anyhow::Result<TaskNo> {
    dag.task_no(name.as_str()).ok_or_else(|| {
        let names: Vec<&str> = dag.tasks.iter().take(20).map(|task| task.name.as_str()).collect();
        Failure::usage(format!("{} has no task `{name}`", dag.id))
            .at("--task")
            .expected(format!("one of {}", names.join(", ")))
            .into()
    })
}

/// Per task, whether `target` is it or needs it, directly or not.
fn with_upstream(dag: &Dag, target: TaskNo) -> Vec<bool> {
    let mut chosen = vec![false; dag.tasks.len()];
    let mut open = vec![target];
    while let Some(task) = open.pop() {
        if !std::mem::replace(&mut chosen[task.0 as usize], true) {
            open.extend(&dag.graph.up[task.0 as usize]);
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn diamond() -> Dag {
        let source = "tasks:\n  a: {run: echo}\n  b: {run: echo, needs: [a]}\n  c: {run: echo, needs: [a]}\n  \
                      d: {run: echo, needs: [b, c]}\n";
        dag::parse("diamond.yaml", source).unwrap()
    }

    #[test]
    fn a_task_comes_with_all_that_it_needs_and_nothing_else() {
        let dag = diamond();
        let chosen = |name: &str| with_upstream(&dag, dag.task_no(name).unwrap());
        assert_eq!(chosen("b"), [true, true, false, false]);
        assert_eq!(chosen("d"), [true; 4]);
    }

    #[test]
    fn an_unknown_task_is_answered_with_those_there_are() {
        let error = find_task(&diamond(), &TaskName::trusted("e")).unwrap_err().to_string();
        assert!(error.contains("one of a, b, c, d"), "{error}");
    }
}
