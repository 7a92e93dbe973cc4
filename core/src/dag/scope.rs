//! What templates can see. Workers fill it in; `template_names` gives its parts their names, `template` renders with them.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use crate::id::RunId;
use crate::state::RunState;

/// What a template can see of the run and the attempt.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a> {
    /// The run.
    pub run: RunId,
    /// Where the run is (`run.state`).
    pub run_state: RunState,
    /// The run's slot; `None` for a manual run.
    pub slot: Option<DateTime<Utc>>,
    /// The slot before it.
    pub interval_start: Option<DateTime<Utc>>,
    /// When the run was created: stands in for the slot of a manual run.
    pub created_at: DateTime<Utc>,
    /// The run's parameters, checked.
    pub params: &'a Map<String, Value>,
    /// Which instance of a `for_each` task; 0 for all others.
    pub index: u32,
    /// 1 for the first attempt.
    pub attempt: u32,
    /// The outputs of upstream tasks by task name, at least of those in `reads_outputs_of` that have any.
    pub outputs: &'a BTreeMap<String, Value>,
    /// The shell of scripts without `shell:`.
    pub shell: DefaultShell,
}

/// The shell of scripts whose task names none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DefaultShell {
    /// `bash -euo pipefail -c`, where there is bash.
    #[default]
    Bash,
    /// `sh -eu -c`.
    Sh,
}
