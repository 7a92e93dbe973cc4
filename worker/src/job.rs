//! Makes a job of an attempt: its rendered command, and where it starts.

use std::path::Path;

use rota_core::dag::{Action, Command, Task, plain_command};
use rota_core::id::ClaimToken;

use crate::action::process::Job;

/// The job of one attempt: the task's command, in `folder` or where `cwd` says, seen from there.
pub(crate) fn job(task: &Task, command: Command, folder: &Path, token: ClaimToken) -> Job {
    Job {
        direct: direct(task, &command),
        argv: command.argv,
        env: command.env.into_iter().collect(),
        cwd: command.cwd.map_or_else(|| folder.to_owned(), |cwd| folder.join(cwd)),
        timeout: task.timeout,
        grace: task.grace,
        remark: None,
        outputs: task.outputs.clone(),
        token: token.0,
    }
}

/// The words of a script that needs no shell: not if the task chose its shell, or has one read a file at its start.
fn direct(task: &Task, command: &Command) -> Option<Vec<String>> {
    let is_script = matches!(task.action, Action::Script(_)) && task.shell.is_none();
    let is_prepared = ["BASH_ENV", "ENV"].iter().any(|name| command.env.contains_key(*name));
    if !is_script || is_prepared {
        return None;
    }
    plain_command(command.argv.last()?)
}
