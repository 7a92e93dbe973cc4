//! `rota dag validate`: errors, which make a file unusable, and remarks, which do not.

use std::collections::HashMap;
use std::path::PathBuf;

use rota_backend::SystemClock;
use rota_core::dag::{FileError, Remark, backlog_remark};
use rota_core::port::Clock;
use serde_json::{Value, json};

use super::files::{self, DagFile, in_parallel};
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
      the same as JSON: kind (error or remark), path, line, col, message, hint

Errors are printed to stdout, one per line, as file:line:col: message. Remarks
(file:line:col: remark: message) are about valid files that may not do what was
meant. Exit codes: 0 no errors, 1 some, 2 a path cannot be read.";

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
    let listed = files::find(&args.paths)?;
    let mut found = check(&listed.files);
    found.errors.splice(0..0, listed.errors);
    match args.format.format {
        Format::Json => print_json(&found.json())?,
        Format::Table => found.print()?,
    }
    found.summarise(listed.files.len());
    Ok(if found.errors.is_empty() { Outcome::Done } else { Outcome::Failed })
}

/// What `check` keeps of a good file.
struct ValidDag {
    dag: String,
    line: u32,
    shown: String,
    remarks: Vec<Remark>,
}

/// What is to be said about all files together.
#[derive(Default)]
struct Findings {
    errors: Vec<FileError>,
    /// With the path of each.
    remarks: Vec<(String, Remark)>,
}

fn check(files: &[DagFile]) -> Findings {
    let mut progress = Progress::new();
    let parse = |file: &DagFile| -> Result<ValidDag, Vec<FileError>> {
        let source = file.read().map_err(|error| vec![error])?;
        let dag = rota_core::dag::parse(&file.shown, &source).map_err(|errors| errors.0)?;
        let line = line_of(&source, "dag:");
        let backlog = backlog_remark(&dag, SystemClock.now());
        let mut remarks = dag.remarks;
        remarks.extend(backlog.map(|message| Remark {
            line: line_of(&source, "schedule:"),
            col: 1,
            message,
            hint: None,
        }));
        Ok(ValidDag { dag: dag.id.to_string(), line, shown: file.shown.clone(), remarks })
    };
    let outcomes = in_parallel(files, parse, |done| {
        progress.update(|| format!("checked {done} of {}", files.len()));
    });
    progress.clear();
    let mut found = Findings::default();
    let mut owners: HashMap<String, &DagFile> = HashMap::new();
    for (file, outcome) in files.iter().zip(outcomes) {
        let named = match outcome {
            Err(own) => {
                found.errors.extend(own);
                continue;
            }
            Ok(named) => named,
        };
        if let Some(owner) = owners.get(&named.dag) {
            found.errors.push(duplicate(file, &named, owner));
        }
        found.remarks.extend(named.remarks.into_iter().map(|remark| (named.shown.clone(), remark)));
        owners.entry(named.dag).or_insert(file);
    }
    found
}

fn duplicate(file: &DagFile, named: &ValidDag, owner: &DagFile) -> FileError {
    FileError {
        path: file.shown.clone(),
        line: named.line,
        col: 1,
        message: format!("the DAG `{}` is defined in {} already", named.dag, owner.shown),
        hint: Some("give one of them another name with `dag:`".to_owned()),
    }
}

/// The line of a top-level key, such as `dag:`, else the first.
fn line_of(source: &str, key: &str) -> u32 {
    let place = source.lines().position(|line| line.starts_with(key));
    u32::try_from(place.unwrap_or(0) + 1).unwrap_or(u32::MAX)
}

impl Findings {
    fn json(&self) -> Value {
        let errors = self.errors.iter().map(|error| {
            json!({
                "kind": "error", "path": error.path, "line": error.line, "col": error.col, "message": error.message,
                "hint": error.hint,
            })
        });
        let remarks = self.remarks.iter().map(|(path, remark)| {
            json!({
                "kind": "remark", "path": path, "line": remark.line, "col": remark.col, "message": remark.message,
                "hint": remark.hint,
            })
        });
        errors.chain(remarks).collect()
    }

    fn print(&self) -> anyhow::Result<()> {
        let errors = self.errors.iter().map(ToString::to_string);
        let remarks = self.remarks.iter().map(|(path, remark)| files::remark_line(path, remark));
        let lines = errors.chain(remarks).map(|line| format!("{}\n", text::clean(&line)));
        print_text(&lines.collect::<String>())
    }

    fn summarise(&self, files_count: usize) {
        let files_checked = files::count(files_count, "file");
        let mut broken: Vec<&str> = self.errors.iter().map(|error| error.path.as_str()).collect();
        broken.dedup();
        let remarks = match self.remarks.len() {
            0 => String::new(),
            some => format!(", {}", files::count(some, "remark")),
        };
        match self.errors.iter().map(FileError::stands_for).sum() {
            0 if files_count == 0 => note("no *.yaml or *.yml files found: nothing was checked"),
            0 => note(&format!("{files_checked} checked, no errors{remarks}")),
            found => note(&format!(
                "{files_checked} checked, {} in {}{remarks}",
                files::count(found, "error"),
                files::count(broken.len(), "file")
            )),
        }
    }
}
