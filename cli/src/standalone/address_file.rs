//! The two files by which commands beside a data directory find its server: `server.json` with the address, and the
//! admin token. The token's file is readable by its owner only.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::Context;
use rota_core::hex::hex;
use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::process::token as chosen_token;

/// What `server.json` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AddressFile {
    /// Where the server listens: `http://127.0.0.1:7682`.
    pub(crate) url: String,
    /// Its process.
    pub(crate) pid: u32,
}

impl AddressFile {
    fn path(data: &Path) -> PathBuf {
        data.join("server.json")
    }

    /// Reads it; `None` if there is none.
    pub(crate) fn read(data: &Path) -> anyhow::Result<Option<Self>> {
        let path = Self::path(data);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if is_absent(&error) => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        };
        let address = serde_json::from_str(&text).map_err(|error| {
            Failure::failed(format!("not a server's address: {error}"))
                .at(path.display().to_string())
                .help("restart `rota standalone`, which writes the file anew, or give --url")
        })?;
        Ok(Some(address))
    }

    /// Writes it, whole or not at all.
    pub(crate) fn write(&self, data: &Path) -> anyhow::Result<()> {
        let text = serde_json::to_string(self).context("an address is plain JSON")?;
        write_private(&Self::path(data), &text)
    }

    /// Removes it, so that commands say that no server runs.
    pub(crate) fn remove(data: &Path) {
        if let Err(error) = fs::remove_file(Self::path(data))
            && !is_absent(&error)
        {
            tracing::warn!(%error, "server.json could not be removed");
        }
    }
}

/// Reads the admin token; `None` if there is none.
pub(crate) fn read_token(data: &Path) -> anyhow::Result<Option<String>> {
    let path = token_path(data);
    match fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text.trim().to_owned())),
        Err(error) if is_absent(&error) => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// The admin token: `chosen` (from `ROTA_ADMIN_TOKEN`), else the one of an earlier start, else a new random one. Kept in
/// the data directory.
///
/// # Errors
/// A chosen token that is too short, or that could not be sent in a header.
pub(crate) fn settle_token(data: &Path, chosen: Option<String>) -> anyhow::Result<String> {
    let kept = read_token(data)?.filter(|token| !token.is_empty());
    let was_open = close_token(data)?;
    let token = match (chosen, &kept) {
        (Some(chosen), _) => checked(chosen)?,
        (None, Some(kept)) => kept.clone(),
        (None, None) => random_token()?,
    };
    if kept.as_ref() != Some(&token) {
        write_private(&token_path(data), &token)?;
    } else if was_open {
        tracing::warn!(
            "others could read the admin token in {}; only its owner can now: choose another one with ROTA_ADMIN_TOKEN",
            token_path(data).display()
        );
    }
    Ok(token)
}

/// Takes the right to read the token from others. Whether they had it.
fn close_token(data: &Path) -> anyhow::Result<bool> {
    let path = token_path(data);
    let Ok(found) = fs::metadata(&path) else { return Ok(false) };
    let is_open = found.permissions().mode() & 0o077 != 0;
    if is_open {
        let closed = fs::set_permissions(&path, fs::Permissions::from_mode(0o600));
        closed.with_context(|| format!("others can read {}, and chmod 600 failed", path.display()))?;
    }
    Ok(is_open)
}

fn token_path(data: &Path) -> PathBuf {
    data.join("admin-token")
}

fn checked(token: String) -> anyhow::Result<String> {
    if chosen_token::is_usable(&token) {
        return Ok(token);
    }
    Err(Failure::usage("the admin token cannot be used")
        .at("ROTA_ADMIN_TOKEN")
        .expected(chosen_token::expected())
        .help("make one with `head -c 24 /dev/urandom | base64`, or unset it and rota makes one")
        .into())
}

fn random_token() -> anyhow::Result<String> {
    let mut bytes = [0_u8; 24];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("no random bytes to be had: {error}"))?;
    Ok(hex(&bytes))
}

fn write_private(path: &Path, text: &str) -> anyhow::Result<()> {
    let fresh = path.with_extension("new");
    let write = || -> io::Result<()> {
        match fs::remove_file(&fresh) {
            Err(error) if !is_absent(&error) => return Err(error),
            _ => {}
        }
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&fresh, path)
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

fn is_absent(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_made_once_and_only_its_owner_can_read_it() {
        let data = tempfile::tempdir().unwrap();
        let first = settle_token(data.path(), None).unwrap();
        assert_eq!(settle_token(data.path(), None).unwrap(), first);
        assert_eq!(first.len(), 48);
        let mode = || fs::metadata(token_path(data.path())).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(), 0o600);
        fs::set_permissions(token_path(data.path()), fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(settle_token(data.path(), None).unwrap(), first);
        assert_eq!(mode(), 0o600, "an open one is closed");
    }

    #[test]
    fn a_chosen_token_replaces_the_kept_one_and_a_weak_one_is_refused() {
        let data = tempfile::tempdir().unwrap();
        settle_token(data.path(), None).unwrap();
        let chosen = "correct-horse-battery-staple".to_owned();
        settle_token(data.path(), Some(chosen.clone())).unwrap();
        assert_eq!(read_token(data.path()).unwrap(), Some(chosen));
        assert!(settle_token(data.path(), Some("short".into())).is_err());
    }

    #[test]
    fn an_address_is_read_as_it_was_written() {
        let data = tempfile::tempdir().unwrap();
        assert_eq!(AddressFile::read(data.path()).unwrap(), None);
        let address = AddressFile { url: "http://127.0.0.1:7682".into(), pid: 7 };
        address.write(data.path()).unwrap();
        assert_eq!(AddressFile::read(data.path()).unwrap(), Some(address));
        AddressFile::remove(data.path());
        assert_eq!(AddressFile::read(data.path()).unwrap(), None);
    }
}
