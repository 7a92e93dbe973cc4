//! What the tests share. [`conformance`] says what every adapter of a port must do.

pub mod conformance;
