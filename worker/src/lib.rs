//! The worker: claims queued attempts, runs their processes, streams their logs and reports how they ended.
//!
//! Invariants of this crate: a process is started only after its claim is committed; an attempt is reported at most
//! once and only by the life that claimed it; no process outlives the worker's right to run it. It never plans, never
//! names a database or a broker, and holds no unsafe code.
//!
//! The way of an attempt: `claim` takes it from the broker (or the store) and claims it, `attempt` prepares it (`dags`,
//! `job`), `action` has a runner for what it does, such as a process under `custody` while `log` carries what it prints, and
//! `finish` reports its end. `beat` keeps the `lease` and ends the `life` when it cannot; `readiness` stops claims while nothing can be started, as `probe` finds out, and
//! what was claimed is given back; `service` is the component that does all this.

mod account;
mod action;
mod attempt;
mod beat;
mod claim;
mod custody;
mod dags;
mod finish;
mod job;
mod lease;
mod life;
mod limits;
mod log;
mod options;
mod patience;
mod pidfd;
mod probe;
mod readiness;
mod ringer;
mod scratch;
mod service;
mod shortage;
mod spool;

pub use account::Account;
pub use action::process::{End, Executor, Job, Outcome, Stop, StopReason, Stopped, default_shell, stop};
pub use custody::{Marker, Warden, WardenCommand, sweep_earlier_lives, warden_main};
pub use life::WorkerPorts;
pub use limits::{Limits, STARTER, starter_main};
pub use log::{LINE_BYTES_MAX, LineSink, Stream, lines_of};
pub use options::{LEASE_DEFAULT, LEASE_MIN, OptionsError, SLOTS_MAX, Tenure, WorkerOptions};
pub use rota_kit::boottime::BootTime;
pub use service::{Worker, WorkerError, WorkerHandle, WorkerStatus};
