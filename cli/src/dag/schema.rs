//! `rota dag schema`.

use crate::failure::{CommandResult, Outcome};
use crate::output::print_json;

const EXAMPLES: &str = "\
Examples:
  rota dag schema > dag.schema.json
      for an editor's YAML support, with this as a DAG file's first line:
      # yaml-language-server: $schema=dag.schema.json";

/// Print the JSON Schema of the DAG file format
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {}

pub(super) fn run(_: &Args) -> CommandResult {
    print_json(&rota_core::dag::json_schema())?;
    Ok(Outcome::Done)
}
