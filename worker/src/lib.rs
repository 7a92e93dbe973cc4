//! The worker: claims queued attempts, runs their processes, streams their logs and reports how they ended.
//!
//! Invariants of this crate: a process is started only after its claim is committed; an attempt is reported at most
//! once and only by the life that claimed it; no process outlives the worker's right to run it. It never plans, never
//! names a database or a broker, and holds no unsafe code.

mod boottime;
mod custody;
mod exec;
mod log;
mod patience;
mod pidfd;

pub use boottime::BootTime;
pub use custody::{Marker, Warden, WardenCommand, sweep_earlier_lives, warden_main};
pub use exec::{End, Executor, Job, Outcome, Stop, StopReason, Stopped, default_shell, stop};
pub use log::{LINE_BYTES_MAX, LineSink, Stream, lines_of};
