//! The `rota` binary on one machine: as people use it, and under faults.

mod cli;
mod faults;
mod support;
