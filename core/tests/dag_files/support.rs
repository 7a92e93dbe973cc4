//! What the tests share.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use rota_core::dag::{
    self, Command, Dag, DefaultShell, Rendered, Scope, TemplateError, parse_params, render,
};
use rota_core::id::RunId;
use rota_core::state::RunState;
use serde_json::{Map, Value};

/// What a test gives to a template.
pub(crate) struct Given {
    pub(crate) params: Map<String, Value>,
    pub(crate) outputs: BTreeMap<String, Value>,
    pub(crate) slot: Option<DateTime<Utc>>,
    pub(crate) shell: DefaultShell,
}

impl Default for Given {
    fn default() -> Self {
        Self {
            params: Map::new(),
            outputs: BTreeMap::new(),
            slot: Some(time("2026-03-02T23:30:00Z")),
            shell: DefaultShell::Sh,
        }
    }
}

impl Given {
    pub(crate) fn params(params: Value) -> Self {
        Self { params: object(params), ..Self::default() }
    }

    pub(crate) fn outputs(task: &str, outputs: Value) -> Self {
        Self { outputs: BTreeMap::from([(task.to_owned(), outputs)]), ..Self::default() }
    }

    pub(crate) fn scope<'a>(&'a self, params: &'a Map<String, Value>) -> Scope<'a> {
        Scope {
            run: RunId(7),
            run_state: RunState::Running,
            slot: self.slot,
            interval_start: self.slot.map(|_| time("2026-03-01T23:30:00Z")),
            created_at: time("2026-03-05T10:00:00Z"),
            params,
            index: 0,
            attempt: 2,
            outputs: &self.outputs,
            shell: self.shell,
        }
    }
}

pub(crate) fn parse(source: &str) -> Dag {
    dag::parse("test.yaml", source).unwrap_or_else(|errors| panic!("{errors}\n{source}"))
}

pub(crate) fn errors(source: &str) -> String {
    match dag::parse("f.yaml", source) {
        Ok(_) => panic!("no error in:\n{source}"),
        Err(errors) => errors.to_string(),
    }
}

/// The command of the last task of `dag`.
pub(crate) fn command(dag: &Dag, given: &Given) -> Result<Command, TemplateError> {
    let params = parse_params(dag, &given.params).unwrap_or_else(|errors| panic!("{errors}"));
    let task = dag.tasks.last().expect("a DAG has a task");
    render(dag, task, &given.scope(&params)).map(|rendered| match rendered {
        Rendered::Process(command) => command,
        Rendered::Nothing => Command::default(),
    })
}

/// The script or the arguments that a `run:` text becomes; `{{ }}` may use `params.x`, a text.
pub(crate) fn script(run: &str, x: &str) -> Result<String, TemplateError> {
    let quoted = serde_json::to_string(run).expect("a text is JSON");
    let dag =
        parse(&format!("params: {{x: {{type: string, default: ''}}}}\ntasks:\n  t: {{run: {quoted}}}\n"));
    command(&dag, &Given::params(serde_json::json!({ "x": x })))
        .map(|command| command.argv.last().cloned().unwrap_or_default())
}

/// Runs a command to its end; its standard output.
pub(crate) fn output_of(command: &Command) -> String {
    let output = std::process::Command::new(&command.argv[0])
        .args(&command.argv[1..])
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .envs(&command.env)
        .stdin(Stdio::null())
        .output()
        .expect("a shell starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{:?}\n{errors}", command.argv);
    assert_eq!(errors, "", "{:?}", command.argv);
    String::from_utf8(output.stdout).expect("the output is text")
}

pub(crate) fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        other => panic!("{other} is no object"),
    }
}

pub(crate) fn time(text: &str) -> DateTime<Utc> {
    text.parse().expect("a valid time")
}

/// Processor time of this thread, so that a busy machine does not make a parser slow. Differences count.
pub(crate) fn busy() -> Duration {
    static START: OnceLock<Instant> = OnceLock::new();
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = stat.split(' ').next().and_then(|nanos| nanos.parse().ok());
    nanos.map_or_else(|| START.get_or_init(Instant::now).elapsed(), Duration::from_nanos)
}

/// Half of the stack that threads of the server have, in a debug build, whose frames are larger.
pub(crate) fn on_a_small_stack(check: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new().stack_size(1024 * 1024).spawn(check).expect("a thread starts");
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}
