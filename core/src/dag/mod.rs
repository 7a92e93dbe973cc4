//! DAG files: their shape, how they are read and checked, and the templates in them.

mod model;

pub use model::*;
