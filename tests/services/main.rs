//! The adapters and the loops above them, over real services: the conformance suites, and what only a real service can do
//! wrong. One program for all of them, because each one links the whole workspace; a name's first part chooses, as in
//! `cargo test -p rota-tests --test services rabbit::`.

mod conformance;
mod etcd;
mod postgres;
mod rabbit;
mod replicas;
mod scheduler;
mod worker;
