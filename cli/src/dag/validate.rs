//! `rota dag validate`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use rota_core::dag::FileError;

use super::files;
use crate::failure::{CommandResult, Outcome};
use crate::output::{Format, FormatArg, Progress, note, print_json, print_text};
use crate::text;

const EXAMPLES: &str = "\
Examples:
  rota dag validate dags/packages.yaml
      one file
  rota dag validate dags
      all *.yaml and *.yml below a directory
  rota dag validate -o json dags | jq
      errors as JSON: path, line, col, message, hint

Errors are printed to stdout, one per line, as file:line:col: message. Exit
codes: 0 all files are good, 1 some are not, 2 a path cannot be read.";

/// Check DAG files
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Files, or directories of *.yaml and *.yml files
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    format: FormatArg,
}

pub(super) fn run(args: &Args) -> CommandResult {
    let paths = files::find(&args.paths)?;
    let errors = check(&paths);
    match args.format.format {
        Format::Json => print_json(&serde_json::to_value(&errors)?)?,
        Format::Table => print(&errors)?,
    }
    summarise(paths.len(), &errors);
    Ok(if errors.is_empty() { Outcome::Done } else { Outcome::Failed })
}

/// What `check` keeps of a good file.
struct Named {
    dag: String,
    line: u32,
}

fn check(paths: &[PathBuf]) -> Vec<FileError> {
    let mut progress = Progress::new();
    let parse = |path: &PathBuf| -> Result<Named, Vec<FileError>> {
        let (shown, source) = files::read(path).map_err(|error| vec![error])?;
        let dag = rota_core::dag::parse(&shown, &source).map_err(|errors| errors.0)?;
        Ok(Named { dag: dag.id.to_string(), line: line_of_name(&source) })
    };
    let outcomes = files::in_parallel(paths, parse, |done| {
        progress.update(|| format!("checked {done} of {}", paths.len()));
    });
    progress.clear();
    let mut errors = Vec::new();
    let mut owners: HashMap<String, &PathBuf> = HashMap::new();
    for (path, outcome) in paths.iter().zip(outcomes) {
        match outcome {
            Err(own) => errors.extend(own),
            Ok(named) => match owners.get(&named.dag) {
                Some(owner) => errors.push(duplicate(path, &named, owner)),
                None => {
                    owners.insert(named.dag, path);
                }
            },
        }
    }
    errors
}

fn duplicate(path: &Path, named: &Named, owner: &Path) -> FileError {
    FileError {
        path: path.display().to_string(),
        line: named.line,
        col: 1,
        message: format!("the DAG `{}` is defined in {} already", named.dag, owner.display()),
        hint: Some("give one of them another name with `dag:`".to_owned()),
    }
}

/// The line of the top-level key `dag`, else the first.
fn line_of_name(source: &str) -> u32 {
    let place = source.lines().position(|line| line.starts_with("dag:"));
    u32::try_from(place.unwrap_or(0) + 1).unwrap_or(u32::MAX)
}

fn print(errors: &[FileError]) -> anyhow::Result<()> {
    let lines = errors.iter().map(|error| format!("{}\n", text::clean(&error.to_string())));
    print_text(&lines.collect::<String>())
}

fn summarise(files_count: usize, errors: &[FileError]) {
    let files_checked = files::count(files_count, "file");
    let mut broken: Vec<&str> = errors.iter().map(|error| error.path.as_str()).collect();
    broken.dedup();
    match errors.len() {
        0 if files_count == 0 => note("no *.yaml or *.yml files found: nothing was checked"),
        0 => note(&format!("{files_checked} checked, no errors")),
        found => note(&format!(
            "{files_checked} checked, {} in {}",
            files::count(found, "error"),
            files::count(broken.len(), "file")
        )),
    }
}
