//! `rota file list`.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::client::{Client, Server, ServerFile};
use crate::failure::{CommandResult, Outcome};
use crate::output::{Format, FormatArg, Table, note, print_json};
use crate::{text, time};

const EXAMPLES: &str = "\
Examples:
  rota file list
  rota file list --broken
  rota file list --broken -o json | jq -r '.[].errors[].message'";

/// Broken files that are named beside a list of DAGs.
const NAMED_MAX: usize = 5;

/// List the DAG files of a running server, with what is wrong with them
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Only those that cannot be used
    #[arg(long)]
    broken: bool,
    #[command(flatten)]
    format: FormatArg,
    #[command(flatten)]
    server: Server,
}

pub(super) async fn run(args: Args) -> CommandResult {
    let client = args.server.client()?;
    let state = if args.broken { "&state=broken" } else { "" };
    let files = client.list(&format!("/files?limit=500{state}"), usize::MAX).await?;
    if args.format.format == Format::Json {
        print_json(&Value::from(files))?;
        return Ok(Outcome::Done);
    }
    let mut table = Table::new(&["FILE", "STATE", "DAG", "SINCE", "ERROR"]);
    for file in files {
        table.row(row(serde_json::from_value(file)?));
    }
    table.print(if args.broken { "no file is broken" } else { "the server has no DAG files yet" })?;
    Ok(Outcome::Done)
}

fn row(file: ServerFile) -> Vec<String> {
    let more = match file.errors.len() {
        0 | 1 => String::new(),
        errors => format!(" (and {} more)", errors - 1),
    };
    let error =
        file.errors.first().map(|error| format!("{}:{}: {}{more}", error.line, error.col, error.message));
    let since = time::short_instant(&file.since);
    vec![file.path, file.state, file.dag.unwrap_or_default(), since, error.unwrap_or_default()]
}

/// Says which files a server cannot use; the DAGs that have one. A server of an older version has no list of them.
pub(crate) async fn note_broken(client: &Client) -> BTreeSet<String> {
    let found = client.list("/files?limit=500&state=broken", usize::MAX).await.unwrap_or_default();
    let files: Vec<ServerFile> =
        found.into_iter().filter_map(|file| serde_json::from_value(file).ok()).collect();
    for file in files.iter().take(NAMED_MAX) {
        let first = file.errors.first().map_or_else(|| file.path.clone(), ToString::to_string);
        note(&text::clean(&format!("broken: {first}")));
    }
    if files.len() > NAMED_MAX {
        note(&format!(
            "{} more files are broken: `rota file list --broken` names them",
            files.len() - NAMED_MAX
        ));
    }
    files.into_iter().filter_map(|file| file.dag).collect()
}
