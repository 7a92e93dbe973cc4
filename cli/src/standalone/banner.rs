//! What a person reads when everything has started, and when it stops.

use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use rota_scheduler::Status;
use tokio::sync::watch;

use crate::text;

/// How long the banner waits for the DAG directory to be read. It says so if that takes longer.
const READ_MAX: Duration = Duration::from_secs(5);

/// Most broken files that are named.
const BROKEN_MAX: usize = 5;

/// What the banner is about.
pub(super) struct Banner<'a> {
    /// The DAG directory.
    pub(super) dags: &'a Path,
    /// The data directory.
    pub(super) data: &'a Path,
    /// A link that signs in.
    pub(super) link: &'a str,
    /// Processes at a time.
    pub(super) slots: u32,
}

impl Banner<'_> {
    /// Prints it to stdout.
    pub(super) async fn print(&self, mut status: watch::Receiver<Status>) {
        let read = tokio::time::timeout(READ_MAX, status.wait_for(|status| status.dags.is_some()));
        let status = read.await.ok().and_then(Result::ok).map(|status| status.clone());
        // A reader that went away (`rota standalone | head -1`) is no reason to stop.
        let _closed = io::stdout().lock().write_all(self.render(status.as_ref()).as_bytes());
    }

    fn render(&self, status: Option<&Status>) -> String {
        let mut out = format!("rota {}\n\n", env!("CARGO_PKG_VERSION"));
        let mut line = |label: &str, text: String| out.push_str(&format!("  {label:<11}{text}\n"));
        line("DAGs", format!("{}  ({})", self.dags.display(), counts(status)));
        for broken in status.iter().flat_map(|status| &status.broken).take(BROKEN_MAX) {
            line("", format!("! {}", text::clean(broken)));
        }
        line("data", self.data.display().to_string());
        line("worker", format!("{} slots", self.slots));
        line("dashboard", self.link.to_owned());
        out.push_str("\nCtrl-C stops it.\n");
        out
    }
}

fn counts(status: Option<&Status>) -> String {
    let Some(status) = status else { return "still being read".to_owned() };
    let good = status.dags.unwrap_or(0);
    let good = format!("{good} {}", if good == 1 { "DAG" } else { "DAGs" });
    match status.broken.len() {
        0 => good,
        1 => format!("{good}, 1 broken file"),
        broken => format!("{good}, {broken} broken files"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn banner(status: Option<&Status>) -> String {
        let banner = Banner {
            dags: Path::new("/srv/dags"),
            data: Path::new("/srv/data"),
            link: "http://127.0.0.1:7682/login?code=x",
            slots: 8,
        };
        banner.render(status)
    }

    #[test]
    fn it_names_what_a_person_needs_and_the_first_errors() {
        let broken = (1..8).map(|no| format!("{no}.yaml:1:1: unknown key")).collect();
        let text = banner(Some(&Status { dags: Some(1), broken, ..Status::default() }));
        assert!(text.contains("/srv/dags  (1 DAG, 7 broken files)"), "{text}");
        assert!(text.contains("! 5.yaml:1:1") && !text.contains("6.yaml"), "{text}");
        assert!(text.contains("/login?code=x") && text.contains("Ctrl-C stops it"), "{text}");
    }

    #[test]
    fn a_directory_that_takes_long_is_said_to() {
        assert!(banner(None).contains("still being read"));
    }
}
