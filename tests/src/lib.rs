//! What the tests share. [`conformance`] says what every adapter of a port must do; [`witness`] judges what really ran.

#![expect(clippy::unwrap_used, reason = "a claim that meets an unexpected error has failed, and says where")]

pub mod browser;
pub mod conformance;
pub mod demo;
pub mod faulty;
pub mod lab;
pub mod proxy;
pub mod services;
pub mod witness;
