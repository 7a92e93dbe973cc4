//! The settings of a process: from its flags, else the environment, else `rota.toml`, else the default. Each value
//! remembers where it came from, so that a message can say where to mend it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rota_core::schedule::{format_duration, parse_duration};

use super::file::{self, Given};
use super::keys::{self, ALL, Key};
use crate::failure::Failure;

/// What was given, by key.
#[derive(Debug, Default)]
pub(super) struct Config {
    given: BTreeMap<&'static str, Given>,
}

impl Config {
    /// Reads the file and the environment. `flags` come first.
    pub(super) fn read(path: Option<&Path>, flags: &[(Key, Option<String>)]) -> anyhow::Result<Self> {
        let mut given = match path {
            Some(path) => {
                let text = std::fs::read_to_string(path).map_err(|error| {
                    Failure::usage(format!("the configuration cannot be read: {error}"))
                        .at(path.display().to_string())
                        .expected("a file such as docs/deploy/rota.toml")
                })?;
                file::read(path, &text)?
            }
            None => BTreeMap::new(),
        };
        for key in ALL {
            if let Some(value) = std::env::var(key.variable).ok().filter(|value| !value.is_empty()) {
                given.insert(key.path, Given { parts: vec![value], place: key.variable.to_owned() });
            }
        }
        for (key, value) in flags {
            if let Some(value) = value {
                let name = key.path.rsplit('.').next().unwrap_or(key.path);
                given.insert(key.path, Given { parts: vec![value.clone()], place: format!("--{name}") });
            }
        }
        let mut config = Self { given };
        config.resolve_secrets()?;
        Ok(config)
    }

    /// Replaces `file:/path` by what the file holds.
    fn resolve_secrets(&mut self) -> anyhow::Result<()> {
        for key in ALL.iter().filter(|key| key.is_secret) {
            let Some(given) = self.given.get_mut(key.path) else { continue };
            for part in &mut given.parts {
                let Some(path) = part.strip_prefix("file:") else { continue };
                let text = std::fs::read_to_string(path).map_err(|error| {
                    Failure::usage(format!("the secret's file cannot be read: {error}"))
                        .at(format!("{}: {path}", given.place))
                })?;
                *part = text.trim().to_owned();
            }
        }
        Ok(())
    }

    /// A text, if it was given.
    pub(super) fn text(&self, key: Key) -> anyhow::Result<Option<String>> {
        let Some(given) = self.given.get(key.path) else { return Ok(None) };
        match given.parts.as_slice() {
            [one] => Ok(Some(one.trim().to_owned())),
            _ => Err(self.refuse(key, "one value, not a list").into()),
        }
    }

    /// A text that has to be given.
    pub(super) fn needed(&self, key: Key, example: &str) -> anyhow::Result<String> {
        self.text(key)?.ok_or_else(|| missing(key, example).into())
    }

    /// A list: several values, or one with commas.
    pub(super) fn list(&self, key: Key) -> Option<Vec<String>> {
        let given = self.given.get(key.path)?;
        let split = given.parts.iter().flat_map(|part| part.split(','));
        Some(split.map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect())
    }

    /// A list that has to be given.
    pub(super) fn needed_list(&self, key: Key, example: &str) -> anyhow::Result<Vec<String>> {
        self.list(key).filter(|list| !list.is_empty()).ok_or_else(|| missing(key, example).into())
    }

    /// A length of time such as `30s`.
    pub(super) fn duration(&self, key: Key, default: Duration) -> anyhow::Result<Duration> {
        let Some(text) = self.text(key)? else { return Ok(default) };
        Ok(parse_duration(&text).map_err(|error| {
            self.refuse(key, "a length of time such as 30s or 2m").help(error.to_string())
        })?)
    }

    /// A whole number.
    pub(super) fn number(&self, key: Key) -> anyhow::Result<Option<u32>> {
        let Some(text) = self.text(key)? else { return Ok(None) };
        Ok(Some(text.parse().map_err(|_| self.refuse(key, "a whole number"))?))
    }

    /// A switch.
    pub(super) fn is_on(&self, key: Key) -> anyhow::Result<bool> {
        match self.text(key)?.as_deref() {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(self.refuse(key, "true or false").into()),
        }
    }

    /// A path.
    pub(super) fn path(&self, key: Key) -> anyhow::Result<Option<PathBuf>> {
        Ok(self.text(key)?.map(PathBuf::from))
    }

    /// An address to listen on.
    pub(super) fn address(&self, key: Key, default: &str) -> anyhow::Result<SocketAddr> {
        let text = self.text(key)?.unwrap_or_else(|| default.to_owned());
        Ok(text.parse().map_err(|_| self.refuse(key, "an address and port such as 127.0.0.1:7682"))?)
    }

    /// A failure about a value: what was given, where, and what would have been right. Secrets are not repeated.
    pub(super) fn refuse(&self, key: Key, expected: &str) -> Failure {
        let given = self.given.get(key.path);
        let value = match given {
            Some(given) if !key.is_secret => {
                format!("`{}` is no good value of {}", given.parts.join(","), key.path)
            }
            _ => format!("the value of {} cannot be used", key.path),
        };
        let place = given.map_or_else(|| key.variable.to_owned(), |given| given.place.clone());
        Failure::usage(value).at(place).expected(expected)
    }

    /// All that was given, without secrets, as lines for people.
    pub(super) fn print(&self) -> String {
        let mut text = String::new();
        for key in ALL {
            let Some(given) = self.given.get(key.path) else { continue };
            let value = if key.is_secret { "(secret)".to_owned() } else { given.parts.join(",") };
            writeln!(text, "{:<22} {value}  ({})", key.path, given.place)
                .expect("a string takes all that is written to it");
        }
        text
    }
}

fn missing(key: Key, example: &str) -> Failure {
    Failure::usage(format!("{} is not set", key.path))
        .at(key.variable)
        .expected(example)
        .help(format!("set {} in the environment, or {} in rota.toml (--config)", key.variable, key.path))
}

/// The shortest leader TTL that etcd grants by default.
pub(super) const TTL_MIN: Duration = Duration::from_secs(2);

/// Refuses a TTL that etcd would lengthen on its own.
pub(super) fn leader_ttl(config: &Config) -> anyhow::Result<Duration> {
    let ttl = config.duration(keys::LEADER_TTL, Duration::from_secs(5))?;
    if ttl < TTL_MIN {
        let expected = format!("at least {}: etcd grants nothing shorter", format_duration(TTL_MIN));
        return Err(config.refuse(keys::LEADER_TTL, &expected).into());
    }
    Ok(ttl)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(key: Key, value: &str) -> Config {
        Config::read(None, &[(key, Some(value.to_owned()))]).unwrap()
    }

    #[test]
    fn a_flag_names_itself_in_messages() {
        let error =
            config(keys::WORKER_LEASE, "soon").duration(keys::WORKER_LEASE, TTL_MIN).unwrap_err().to_string();
        assert!(error.contains("--lease") && error.contains("`soon`"), "{error}");
        let error = leader_ttl(&config(keys::LEADER_TTL, "1s")).unwrap_err().to_string();
        assert!(error.contains("at least 2s"), "{error}");
    }

    #[test]
    fn secrets_come_from_files_and_are_not_printed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("url");
        std::fs::write(&path, "postgres://u:hunter2@h/d\n").unwrap();
        let config = config(keys::DATABASE_URL, &format!("file:{}", path.display()));
        assert_eq!(config.text(keys::DATABASE_URL).unwrap().as_deref(), Some("postgres://u:hunter2@h/d"));
        assert!(!config.print().contains("hunter2"));
        let flags = [(keys::DATABASE_URL, Some("file:/nowhere/at/all".to_owned()))];
        assert!(Config::read(None, &flags).unwrap_err().to_string().contains("/nowhere/at/all"));
    }

    #[test]
    fn lists_take_commas() {
        assert_eq!(config(keys::WORKER_QUEUES, "a, b,").list(keys::WORKER_QUEUES).unwrap(), ["a", "b"]);
    }
}
