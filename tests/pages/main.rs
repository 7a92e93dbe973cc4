//! The dashboard and the API: through the router, and in a real browser.

mod browser;
mod web;
