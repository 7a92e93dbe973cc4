//! `rota dag show`.

use std::path::Path;

use rota_core::dag;
use rota_core::id::DagId;
use serde::Deserialize;

use super::files;
use crate::client::{Server, block_on};
use crate::failure::{CommandResult, Failure, Outcome};
use crate::output::print_block;

const EXAMPLES: &str = "\
Examples:
  rota dag show dags/packages.yaml  the graph that a file describes
  rota dag show packages            the graph that a running server runs";

/// Draw a DAG's graph as text
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// A DAG file, or the name of a DAG on a running server
    #[arg(value_name = "FILE|ID")]
    what: String,
    #[command(flatten)]
    server: Server,
}

pub(super) fn run(args: Args) -> CommandResult {
    let path = Path::new(&args.what);
    if path.is_file() {
        let (dag, _) = files::load(path)?;
        print_block(&dag::render_graph(&dag))?;
        return Ok(Outcome::Done);
    }
    let looks_like_path =
        args.what.contains('/') || path.extension().is_some_and(|ext| ext == "yaml" || ext == "yml");
    match args.what.parse::<DagId>() {
        Ok(dag) if !looks_like_path => block_on(show_remote(args.server, dag)),
        _ => Err(Failure::usage("there is no such file")
            .at(args.what)
            .expected("a DAG file, or the name of a DAG on a running server")
            .into()),
    }
}

/// The answer of `/dags/{dag}/source`.
#[derive(Debug, Deserialize)]
struct SourceAnswer {
    source: String,
}

async fn show_remote(server: Server, dag: DagId) -> CommandResult {
    let client = server.client()?;
    let found = client.get(&format!("/dags/{dag}/source")).await;
    let found: SourceAnswer = client.or_nearest_dag(&dag, found).await?;
    let dag = dag::parse_version(&dag, &found.source).map_err(|errors| {
        Failure::failed(format!("this rota cannot read the server's version of {dag}: {errors}"))
            .help("use a rota of the server's version")
    })?;
    print_block(&dag::render_graph(&dag))?;
    Ok(Outcome::Done)
}
