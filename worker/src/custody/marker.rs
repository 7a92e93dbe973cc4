//! The mark that every process of a worker carries in its environment, so that those which left their process group
//! can still be found.

/// The name of the variable.
const NAME: &str = "ROTA_WORKER";

/// `ROTA_WORKER=<worker id>:<random>`; one per life of a worker process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marker {
    entry: String,
    worker_end: usize,
}

impl Marker {
    /// A new marker for the worker of that id.
    pub fn random(worker: &str) -> Self {
        let random = getrandom::u64().unwrap_or_else(|_| u64::from(std::process::id()));
        let head = format!("{NAME}={worker}:");
        Self { worker_end: head.len(), entry: format!("{head}{random:016x}") }
    }

    /// Reads `ROTA_WORKER=<worker id>:<random>`.
    pub(super) fn parse(entry: &str) -> Option<Self> {
        let value = entry.strip_prefix(NAME)?.strip_prefix('=')?;
        let colon = value.rfind(':')?;
        let worker_end = NAME.len() + 1 + colon + 1;
        (entry.len() > worker_end).then(|| Self { entry: entry.to_owned(), worker_end })
    }

    /// The variable's name and value.
    pub fn variable(&self) -> (&str, &str) {
        (NAME, &self.entry[NAME.len() + 1..])
    }

    /// The entry as it stands in an environment.
    pub(super) fn entry(&self) -> &str {
        &self.entry
    }

    /// Whether `entry` is a marker of an earlier life of the same worker.
    pub(super) fn is_earlier_life(&self, entry: &[u8]) -> bool {
        entry.starts_with(&self.entry.as_bytes()[..self.worker_end]) && entry != self.entry.as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_other_lives_of_the_same_worker_are_earlier_lives() {
        let mine = Marker::random("a");
        assert!(mine.is_earlier_life(Marker::random("a").entry().as_bytes()));
        assert!(!mine.is_earlier_life(mine.entry().as_bytes()));
        assert!(!mine.is_earlier_life(Marker::random("ab").entry().as_bytes()));
        assert!(!mine.is_earlier_life(b"PATH=/bin"));
    }

    #[test]
    fn a_worker_id_with_colons_is_read_back() {
        let marker = Marker::random("host:1");
        assert_eq!(Marker::parse(marker.entry()), Some(marker));
    }
}
