//! The machine's zone files, read whole and at one time, so that a process has one edition of them whatever is installed
//! while it runs. Reads regular files only, and no more than a bounded part of a bounded number of them.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rota_core::schedule::{ZONE_BYTES_MAX, ZoneFiles};
use rustix::fs::OFlags;

/// Most files that are looked at. A whole installation has some 600 names.
const FILES_MAX: usize = 5_000;
/// How deep names go: `America/Argentina/Ushuaia`.
const DEPTH_MAX: usize = 3;
/// Most bytes of a name.
const NAME_BYTES_MAX: usize = 64;
/// Copies of all zones: the same ones, and the ones that count leap seconds.
const COPIES: [&str; 2] = ["posix", "right"];
/// Files that say which version this is, each with it on its first line.
const VERSION_FILES: [&str; 3] = ["tzdata.zi", "+VERSION", "version"];
/// What stands before the version in `tzdata.zi`.
const VERSION_MARK: &str = "# version ";

/// All zone files below `root`; none if it cannot be read. What lies there and is no zone file has its reason with it.
pub fn zone_files(root: &Path) -> ZoneFiles {
    let mut files = BTreeMap::new();
    let mut directories = vec![(root.to_owned(), String::new(), 1)];
    while let Some((directory, prefix, depth)) = directories.pop() {
        for (path, name, is_dir) in entries(&directory, &prefix) {
            if is_dir && depth < DEPTH_MAX && !COPIES.contains(&name.as_str()) {
                directories.push((path, format!("{name}/"), depth + 1));
            } else if !is_dir && files.len() < FILES_MAX {
                files.insert(name, read(&path).map_err(|error| error.to_string()));
            }
        }
    }
    ZoneFiles { place: root.display().to_string(), is_named: false, version: version(root), files }
}

/// What a directory holds under names that zones can have, with those names: a link to a directory is not followed.
fn entries(directory: &Path, prefix: &str) -> Vec<(PathBuf, String, bool)> {
    let entries = fs::read_dir(directory).into_iter().flatten().take(FILES_MAX).flatten();
    let named = entries.filter_map(|entry| {
        let name = format!("{prefix}{}", entry.file_name().to_str().filter(|part| is_part(part))?);
        let is_dir = entry.file_type().ok()?.is_dir();
        (name.len() <= NAME_BYTES_MAX).then(|| (entry.path(), name, is_dir))
    });
    named.collect()
}

/// Whether a zone's name may have that part.
fn is_part(part: &str) -> bool {
    let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'+' | b'.');
    !part.starts_with('.') && part.bytes().all(is_fine)
}

fn version(root: &Path) -> Option<String> {
    VERSION_FILES.iter().find_map(|name| {
        let bytes = read(&root.join(name)).ok()?;
        let first = bytes.split(|byte| *byte == b'\n').next()?;
        let line = std::str::from_utf8(first).ok()?;
        Some(line.strip_prefix(VERSION_MARK).unwrap_or(line).trim().to_owned())
    })
}

/// The file's bytes, one more than a zone may have at most. Never waits for a pipe's other end.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let flags = i32::try_from((OFlags::NONBLOCK | OFlags::NOCTTY).bits()).map_err(io::Error::other)?;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    let mut bytes = Vec::new();
    file.take(ZONE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn regular_files_are_read_and_nothing_else_is_waited_for_or_followed() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        fs::create_dir_all(root.join("America/Argentina/Deep/Deeper")).unwrap();
        fs::create_dir(root.join("right")).unwrap();
        for name in [
            "Zulu",
            "America/Argentina/Ushuaia",
            "America/Argentina/Deep/Deeper/X",
            "right/Zulu",
            ".hidden",
            "a b",
        ] {
            fs::write(root.join(name), "TZif").unwrap();
        }
        fs::write(root.join("large"), vec![0; ZONE_BYTES_MAX * 3]).unwrap();
        fs::write(root.join("tzdata.zi"), "# version 2026a\n# rest").unwrap();
        symlink("Zulu", root.join("UCT")).unwrap();
        symlink(".", root.join("loop")).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, root.join("pipe"), rustix::fs::Mode::RUSR).unwrap();
        let files = zone_files(root);
        let good: Vec<&str> =
            files.files.iter().filter(|(_, file)| file.is_ok()).map(|(name, _)| name.as_str()).collect();
        assert_eq!(good, ["America/Argentina/Ushuaia", "UCT", "Zulu", "large", "tzdata.zi"]);
        assert_eq!(files.files["large"].as_ref().unwrap().len(), ZONE_BYTES_MAX + 1);
        assert_eq!(files.files["pipe"], Err("it is no regular file".to_owned()));
        assert_eq!(files.version.as_deref(), Some("2026a"));
        assert!(zone_files(&root.join("nowhere")).files.is_empty());
    }

    #[test]
    fn the_version_is_found_in_each_file_that_can_say_it() {
        for (name, text) in
            [("+VERSION", "2024b\n"), ("version", "2024b"), ("tzdata.zi", "# version 2024b\nR d")]
        {
            let dir = tempfile::tempdir().unwrap();
            fs::write(dir.path().join(name), text).unwrap();
            assert_eq!(zone_files(dir.path()).version.as_deref(), Some("2024b"), "{name}");
        }
    }
}
