//! `rota run logs`.

use rota_core::id::{RunId, TaskName};

use crate::client::Server;
use crate::failure::{CommandResult, Outcome};
use crate::output::print_piece;
use crate::text;

const EXAMPLES: &str = "\
Examples:
  rota run logs 17 report
      what the newest attempt printed
  rota run logs 17 report --attempt 1
      what an earlier attempt printed
  rota run logs 17 report --follow
      go on until the attempt ends
  rota run logs 17 report --raw > report.log
      with colour codes and other control characters";

/// Print what a task printed
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The run's number
    run: RunId,
    /// The task's name
    task: TaskName,
    /// Which attempt [default: the newest]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    attempt: Option<u32>,
    /// Go on printing until the attempt ends
    #[arg(short, long)]
    follow: bool,
    /// Leave control characters in
    #[arg(long)]
    raw: bool,
    #[command(flatten)]
    server: Server,
}

pub(super) async fn run(args: Args) -> CommandResult {
    let client = args.server.client()?;
    let mut path = format!("/runs/{}/tasks/{}/logs?follow={}", args.run, args.task, args.follow);
    if let Some(attempt) = args.attempt {
        path.push_str(&format!("&attempt={attempt}"));
    }
    let mut lines = Lines { cleans: !args.raw, rest: Vec::new() };
    let streamed = client.stream(&path, |piece| lines.push(piece)).await;
    client.or_nearest_task(args.run, &[args.task], streamed).await?;
    lines.end()?;
    Ok(Outcome::Done)
}

/// Passes whole lines to stdout, so that a character is never cut in two while it is cleaned.
struct Lines {
    cleans: bool,
    rest: Vec<u8>,
}

impl Lines {
    /// Longest stretch without a line end that is held back.
    const REST_MAX: usize = 64 * 1024;

    fn push(&mut self, piece: &[u8]) -> anyhow::Result<()> {
        self.rest.extend_from_slice(piece);
        let whole = match self.rest.iter().rposition(|&byte| byte == b'\n') {
            Some(end) => end + 1,
            None if self.rest.len() > Self::REST_MAX => self.rest.len(),
            None => return Ok(()),
        };
        let lines: Vec<u8> = self.rest.drain(..whole).collect();
        self.print(&lines)
    }

    fn end(&mut self) -> anyhow::Result<()> {
        let rest = std::mem::take(&mut self.rest);
        self.print(&rest)
    }

    fn print(&self, bytes: &[u8]) -> anyhow::Result<()> {
        if self.cleans {
            print_piece(text::clean_block(&String::from_utf8_lossy(bytes)).as_bytes())
        } else {
            print_piece(bytes)
        }
    }
}
