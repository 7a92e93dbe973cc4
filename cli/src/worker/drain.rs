//! `rota worker drain`.

use reqwest::Method;
use serde_json::json;

use crate::client::{Server, was_so};
use crate::failure::{CommandResult, Outcome};
use crate::output::print_line;
use crate::text;

const EXAMPLES: &str = "\
Examples:
  rota worker drain node-3
  rota worker drain node-3 && ssh node-3 systemctl restart rota-worker

It takes no more tasks and finishes those it has. It goes on taking tasks when
it is started anew.";

/// Have a worker finish what it has and take nothing more
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The worker's name, as `rota worker list` prints it
    worker: String,
    #[command(flatten)]
    server: Server,
}

pub(super) async fn run(args: Args) -> CommandResult {
    let client = args.server.client()?;
    let path = format!("/workers/{}/drain", segment(&args.worker));
    let sent = client.send(Method::POST, &path, &json!({})).await;
    let answer = client.or_nearest_worker(&args.worker, sent).await?;
    let already = if was_so(&answer) { " already" } else { "" };
    print_line(&text::clean(&format!("worker {} drains{already}: it takes no more tasks", args.worker)))?;
    Ok(Outcome::Done)
}

/// A name as one segment of a path.
fn segment(name: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    name.bytes().map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::segment;

    #[test]
    fn a_name_cannot_leave_its_segment() {
        assert_eq!(segment("node-3.eu"), "node-3.eu");
        assert_eq!(segment("../x y"), "..%2Fx%20y");
    }
}
