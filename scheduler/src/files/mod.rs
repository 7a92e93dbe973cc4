//! A replica's DAG directory: which files count (`walk`), what they hold (`scan`), when it changed (`watch`), since when it
//! holds what it holds (`record`), what of that the store is to take over (`reconcile`), and the parsed versions of all DAGs
//! (`versions`). Nothing here stores a DAG: that is `duties::files`.

pub(crate) mod reconcile;
pub(crate) mod record;
pub(crate) mod scan;
pub(crate) mod versions;
pub mod walk;
pub(crate) mod watch;
