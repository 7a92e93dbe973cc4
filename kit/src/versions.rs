//! Parsed versions of DAGs, each read from the store and parsed once. A version never changes, and neither does the parser of
//! a running process, so nothing here goes stale, a version that cannot be read included.
//!
//! *One rule says what is at hand*: a version that somebody holds, and besides those the ones that were used last, which the
//! cache itself holds. So the runs of one version share it however many versions there are, and what nobody uses goes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, Weak};

use rota_core::dag::{self, Dag};
use rota_core::id::{DagId, DagVersion};
use rota_core::sync::lock;
use tokio::sync::OnceCell;

/// A text up to this size is parsed where it is read: sooner done than handed to another thread.
const PARSED_HERE_MAX: usize = 4 * 1024;
/// Versions noted before a first look at which of them are still held.
const FORGET_MIN: usize = 64;

/// A version, or why this rota cannot read it.
pub type ParsedVersion = Result<Arc<Dag>, UnreadableVersion>;

/// Why this rota cannot read a version, in words: it was stored by a newer one, or by one that took what this one refuses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UnreadableVersion(Arc<str>);

type VersionKey = (DagId, DagVersion);

/// The versions at hand.
#[derive(Debug)]
pub struct DagVersions {
    /// Versions that the cache holds by itself.
    recent_max: usize,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    recent: HashMap<VersionKey, Recent>,
    /// Counts uses, to find the version that was not used for longest.
    uses: u64,
    /// All that somebody may hold.
    held: HashMap<VersionKey, Weak<Dag>>,
    /// At this size those that nobody holds are dropped; doubles, so that the work per version stays constant.
    forget_at: usize,
}

#[derive(Debug)]
struct Recent {
    parsed: Arc<OnceCell<ParsedVersion>>,
    used: u64,
}

impl DagVersions {
    /// None at hand. Besides what others hold, up to `recent_max` versions (one at least) will be.
    #[must_use]
    pub fn new(recent_max: usize) -> Self {
        Self { recent_max: recent_max.max(1), kept: Mutex::default() }
    }

    /// A version, if it is at hand and can be read.
    #[must_use]
    pub fn at_hand(&self, dag: &DagId, version: DagVersion) -> Option<Arc<Dag>> {
        let parsed = self.kept().cell(&(dag.clone(), version), self.recent_max);
        parsed.get()?.as_ref().ok().cloned()
    }

    /// A version. If it is not at hand, `source` is awaited for its text; those who want the same one meanwhile wait for
    /// that.
    ///
    /// # Errors
    /// Those of `source`. They are not remembered.
    pub async fn get<E>(
        &self,
        dag: &DagId,
        version: DagVersion,
        source: impl Future<Output = Result<String, E>>,
    ) -> Result<ParsedVersion, E> {
        let key = (dag.clone(), version);
        let parsed = self.kept().cell(&key, self.recent_max);
        let read = async {
            let parsed = parse(dag, source.await?).await;
            if let Ok(dag) = &parsed {
                self.kept().note(key, dag);
            }
            Ok(parsed)
        };
        parsed.get_or_try_init(|| read).await.cloned()
    }

    /// Keeps a version that was parsed elsewhere, instead of the one at hand if there is one.
    pub fn put(&self, dag: &DagId, version: DagVersion, parsed: &Arc<Dag>) {
        let key = (dag.clone(), version);
        let mut kept = self.kept();
        kept.recent.remove(&key);
        kept.note(key.clone(), parsed);
        kept.cell(&key, self.recent_max);
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        lock(&self.kept)
    }
}

impl Kept {
    /// The place of a version, which is used now.
    fn cell(&mut self, key: &VersionKey, recent_max: usize) -> Arc<OnceCell<ParsedVersion>> {
        self.uses += 1;
        let used = self.uses;
        if let Some(recent) = self.recent.get_mut(key) {
            recent.used = used;
            return Arc::clone(&recent.parsed);
        }
        if self.recent.len() >= recent_max
            && let Some((oldest, _)) = self.recent.iter().min_by_key(|(_, recent)| recent.used)
        {
            let oldest = oldest.clone();
            self.recent.remove(&oldest);
        }
        let held = self.held.get(key).and_then(Weak::upgrade);
        let parsed = Arc::new(OnceCell::new_with(held.map(Ok)));
        self.recent.insert(key.clone(), Recent { parsed: Arc::clone(&parsed), used });
        parsed
    }

    /// Notes a version, so that it is found for as long as anybody holds it.
    fn note(&mut self, key: VersionKey, dag: &Arc<Dag>) {
        if self.held.len() >= self.forget_at {
            self.held.retain(|_, held| held.strong_count() > 0);
            self.forget_at = 2 * self.held.len() + FORGET_MIN;
        }
        self.held.insert(key, Arc::downgrade(dag));
    }
}

async fn parse(dag: &DagId, source: String) -> ParsedVersion {
    let parsed = if source.len() <= PARSED_HERE_MAX {
        dag::parse_version(dag, &source)
    } else {
        let dag = dag.clone();
        let parsing = tokio::task::spawn_blocking(move || dag::parse_version(&dag, &source));
        parsing.await.map_err(|panic| UnreadableVersion(panic.to_string().into()))?
    };
    parsed.map(Arc::new).map_err(|errors| UnreadableVersion(errors.to_string().into()))
}

#[cfg(test)]
mod tests;
