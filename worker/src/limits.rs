//! Limits of tasks' processes (`getrlimit(2)`), set right after a process was started: the standard library can set none before.
//! What a process starts within its first microseconds may be without them, so they are a bound for what went wrong, not a wall.

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};

/// The names, and whether the value is a size in bytes.
const NAMES: [(&str, Resource, bool); 6] = [
    ("core", Resource::Core, true),
    ("cpu-seconds", Resource::Cpu, false),
    ("file-size", Resource::Fsize, true),
    ("memory", Resource::As, true),
    ("open-files", Resource::Nofile, false),
    ("processes", Resource::Nproc, false),
];

/// The limits of each process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Limits {
    set: Vec<(Resource, Rlimit)>,
}

impl Limits {
    /// Reads `memory=4GiB`, `processes=200` and the like, one an entry.
    ///
    /// # Errors
    /// In words: an entry that is none, with what is expected.
    pub fn parse<'a>(entries: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let mut limits = Self::default();
        for entry in entries {
            let (name, value) = entry.split_once('=').unwrap_or((entry, ""));
            let known = NAMES.iter().find(|(known, ..)| *known == name.trim());
            let Some((_, resource, is_size)) = known else {
                let names: Vec<&str> = NAMES.iter().map(|(name, ..)| *name).collect();
                return Err(format!("`{}` is no limit; there are {}", name.trim(), names.join(", ")));
            };
            let value = number(value.trim(), *is_size).ok_or_else(|| {
                let form = if *is_size { "a size such as 512MiB or 4GiB" } else { "a whole number" };
                format!("`{entry}`: expected {form}")
            })?;
            limits.put(*resource, Rlimit { current: Some(value), maximum: Some(value) });
        }
        Ok(limits)
    }

    /// Leaves processes the soft limit of open files that this process was started with, after it raised its own.
    pub fn keep_open_files(&mut self, soft: u64) {
        if !self.set.iter().any(|(resource, _)| *resource == Resource::Nofile) {
            let maximum = getrlimit(Resource::Nofile).maximum;
            self.put(Resource::Nofile, Rlimit { current: Some(soft), maximum });
        }
    }

    fn put(&mut self, resource: Resource, limit: Rlimit) {
        self.set.retain(|(set, _)| *set != resource);
        self.set.push((resource, limit));
    }

    /// Sets them. A process that is gone, or has more rights than rota, goes without.
    pub(crate) fn apply(&self, process: Pid) {
        for (resource, limit) in &self.set {
            let most = getrlimit(*resource).maximum;
            let within = |value: Option<u64>| match (value, most) {
                (Some(value), Some(most)) => Some(value.min(most)),
                (value, most) => value.or(most),
            };
            let limit = Rlimit { current: within(limit.current), maximum: within(limit.maximum) };
            if let Err(error) = prlimit(Some(process), *resource, limit) {
                tracing::debug!("no limit of {resource:?} for process {process:?}: {error}");
            }
        }
    }
}

/// A whole number, of bytes with a unit where it is a size.
fn number(text: &str, is_size: bool) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    let factor: u64 = match unit.trim_start() {
        "" => 1,
        _ if !is_size => return None,
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_with_their_units_and_a_later_one_replaces() {
        let limits = Limits::parse(["memory=2GiB", "core=0", "processes= 200", "memory=1 MiB"]).unwrap();
        let current =
            |wanted| limits.set.iter().find(|(it, _)| *it == wanted).map(|(_, limit)| limit.current);
        assert_eq!(current(Resource::As), Some(Some(1 << 20)));
        assert_eq!(current(Resource::Core), Some(Some(0)));
        assert_eq!(current(Resource::Nproc), Some(Some(200)));
        assert_eq!(limits.set.len(), 3);
    }

    #[test]
    fn what_is_no_limit_is_refused_with_what_is() {
        for (entry, said) in [
            ("ram=1GiB", "`ram` is no limit; there are core, cpu-seconds, file-size, memory"),
            ("memory", "`memory`: expected a size"),
            ("memory=-1", "`memory=-1`: expected a size"),
            ("memory=1GB", "expected a size"),
            ("processes=1KiB", "expected a whole number"),
            ("memory=99999999999999TiB", "expected a size"),
            ("", "`` is no limit"),
        ] {
            let error = Limits::parse([entry]).unwrap_err();
            assert!(error.contains(said), "{entry}: {error}");
        }
    }

    #[test]
    fn a_limit_that_was_chosen_is_not_replaced_by_the_soft_limit() {
        let mut limits = Limits::parse(["open-files=64"]).unwrap();
        limits.keep_open_files(1024);
        assert_eq!(limits, Limits::parse(["open-files=64"]).unwrap());
    }
}
