//! DAG files: their shape, how they are read and checked, and the templates in them.
//!
//! [`parse`] turns a file into a [`Dag`] or into every error in it, each with its place. A `Dag` that exists is
//! valid: its graph has no cycle, its names are known, its values are in bounds. Nothing here reads a file, a clock
//! or the environment, and nothing recurses over tasks.
//!
//! The parts: `yaml` is the tree with places, `read` takes typed values from it, `file`, `task`, `action`, `params`
//! and `timing` each know a part of the format, `graph` knows what needs what, `quiet` which failures end no run. `site`
//! checks the templates, `expr` is their language, `template` renders them with the names of `template_names`, `shell` places
//! values into scripts, and `places` checks that it can. `schema` says the format to editors, `foreign` knows
//! the words of other schedulers.

mod action;
mod backlog;
mod error;
mod expr;
mod file;
mod foreign;
mod graph;
mod model;
mod outputs;
mod params;
mod places;
mod plain;
mod pos;
mod quiet;
mod read;
mod schema;
mod scope;
mod shell;
mod site;
mod strftime;
mod task;
mod template;
mod template_checks;
mod template_names;
mod timing;
mod yaml;

pub use backlog::backlog_remark;
pub use error::{ERRORS_MAX, Errors, FileError, REMARKS_MAX, Remark};
pub use file::{ACTIVE_RUNS_MAX, TASKS_MAX, decode, parse, parse_version};
pub use graph::{layers, render_graph};
pub use model::*;
pub use outputs::{
    OUTPUT_BYTES_MAX, OUTPUT_DEPTH_MAX, OUTPUT_KEY_CHARS_MAX, OutputError, is_output_key, parse_outputs,
};
pub use params::{
    PARAM_DEPTH_MAX, PARAMS_BYTES_MAX, ParamError, ParamErrors, parse_param_text, parse_params,
};
pub use plain::plain_command;
pub use read::too_wide;
pub use schema::json_schema;
pub use scope::{DefaultShell, Scope};
pub use task::RETRIES_MAX;
pub use template::{Answer, Command, RENDERED_BYTES_MAX, Rendered, TemplateError, eval_when, render};
pub use template_checks::TEMPLATE_BYTES_MAX;
pub use yaml::{DEPTH_MAX, FILE_BYTES_MAX, NODES_MAX};
