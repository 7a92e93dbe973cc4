//! What this machine can do at all, without rota: the yardsticks beside the figures.

pub(crate) mod chain;
pub(crate) mod rows;
pub(crate) mod spawns;
