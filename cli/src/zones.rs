//! Which zone files this program uses.

use std::path::PathBuf;

use rota_backend::zone_files;
use rota_core::schedule::ZoneFiles;

/// Where systems keep them.
const SYSTEM: &str = "/usr/share/zoneinfo";

/// Reads the files of the directory that `TZDIR` names, else the system's.
pub(crate) fn read() -> ZoneFiles {
    match std::env::var_os("TZDIR").filter(|dir| !dir.is_empty()) {
        Some(dir) => ZoneFiles { is_named: true, ..zone_files(&PathBuf::from(dir)) },
        None => zone_files(SYSTEM.as_ref()),
    }
}
