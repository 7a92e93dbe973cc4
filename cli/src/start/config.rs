//! The settings of a process: from its flags, else the environment, else `rota.toml`, else the default. Each value
//! remembers where it came from, so that a message can say where to mend it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rota_core::schedule::{format_duration, parse_duration};
use rota_scheduler::RETENTION_DEFAULT;

use super::file::{self, GivenValue};
use super::keys::{self, ALL, Key};
use crate::failure::Failure;

/// What was given, by key.
#[derive(Debug, Default)]
pub(super) struct Config {
    given: BTreeMap<&'static str, GivenValue>,
    /// The file, if a secret stands in it, be it one that is not used.
    file_with_secrets: Option<PathBuf>,
}

/// In front of the name of the file that holds a secret.
const FILE_MARK: &str = "file:";

/// What a flag said, if it was given: the setting, the flag, its value.
pub(super) type Flag = (Key, &'static str, Option<String>);

impl Config {
    /// Reads the file and the environment. `flags` come first.
    pub(super) fn read(path: Option<&Path>, flags: &[Flag]) -> anyhow::Result<Self> {
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
        let has_secrets = ALL.iter().filter(|key| key.is_secret).any(|key| {
            given
                .get(key.path)
                .is_some_and(|given| given.parts.iter().any(|part| !part.starts_with(FILE_MARK)))
        });
        let file_with_secrets = path.filter(|_| has_secrets).map(Path::to_owned);
        let one = |value: &str, place: &str| GivenValue {
            parts: vec![value.to_owned()],
            is_list: false,
            place: place.to_owned(),
        };
        for key in ALL {
            if let Some(value) = std::env::var(key.variable).ok().filter(|value| !value.is_empty()) {
                given.insert(key.path, one(&value, key.variable));
            }
        }
        for (key, flag, value) in flags {
            if let Some(value) = value {
                given.insert(key.path, one(value, flag));
            }
        }
        Ok(Self { given, file_with_secrets })
    }

    /// A text, if it was given.
    pub(super) fn text(&self, key: Key) -> anyhow::Result<Option<String>> {
        let Some(given) = self.given.get(key.path) else { return Ok(None) };
        match given.parts.as_slice() {
            [one] if !given.is_list => Ok(Some(resolved(key, given, one.trim())?)),
            _ => Err(self.refuse(key, "one value, not a list").into()),
        }
    }

    /// A text that has to be given.
    pub(super) fn needed(&self, key: Key, example: &str) -> anyhow::Result<String> {
        self.text(key)?.ok_or_else(|| missing(key, example).into())
    }

    /// A list: several values, or one with commas.
    pub(super) fn list(&self, key: Key) -> anyhow::Result<Option<Vec<String>>> {
        let Some(given) = self.given.get(key.path) else { return Ok(None) };
        let split = |text: &str| text.split(',').map(|part| part.trim().to_owned()).collect::<Vec<_>>();
        let parts = if given.is_list {
            given.parts.clone()
        } else {
            given.parts.iter().flat_map(|part| split(part)).collect()
        };
        let mut values = Vec::new();
        for part in parts {
            match resolved(key, given, &part)? {
                value if value == part => values.push(value),
                from_file => values.extend(split(&from_file)),
            }
        }
        values.retain(|value| !value.is_empty());
        Ok(Some(values))
    }

    /// A list that has to be given.
    pub(super) fn needed_list(&self, key: Key, example: &str) -> anyhow::Result<Vec<String>> {
        self.list(key)?.filter(|list| !list.is_empty()).ok_or_else(|| missing(key, example).into())
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
        Failure::usage(value).at(self.place(key)).expected(expected)
    }

    /// The configuration's file, if secrets stand in it.
    pub(super) fn file_with_secrets(&self) -> Option<&Path> {
        self.file_with_secrets.as_deref()
    }

    /// The files that hold the values of a setting, or are its value, if it is a secret.
    pub(super) fn secret_files(&self, key: Key) -> Vec<String> {
        let parts = self.given.get(key.path).map_or(&[][..], |given| &given.parts);
        let is_key = keys::KEY_FILES.contains(&key);
        let file = |part: &String| match part.strip_prefix(FILE_MARK).filter(|_| key.is_secret) {
            Some(path) => Some(path.to_owned()),
            None => is_key.then(|| part.clone()),
        };
        parts.iter().filter_map(file).collect()
    }

    /// Where a value was given, or may be given.
    pub(super) fn place(&self, key: Key) -> String {
        self.given.get(key.path).map_or_else(|| key.variable.to_owned(), |given| given.place.clone())
    }

    /// Whether somebody gave it.
    pub(super) fn is_given(&self, key: Key) -> bool {
        self.given.contains_key(key.path)
    }

    /// All settings that a kind of process reads, without secrets, as lines for people: value and where it comes from.
    pub(super) fn print(&self, reader: &str) -> String {
        let mut text = String::new();
        for key in ALL.iter().filter(|key| key.readers.contains(&reader)) {
            let (value, place) = match self.given.get(key.path) {
                Some(given) if key.is_secret => ("(secret)".to_owned(), given.place.as_str()),
                Some(given) => (given.parts.join(","), given.place.as_str()),
                None => (key.default.to_owned(), "default"),
            };
            writeln!(text, "{:<22} {value}  ({place})", key.path)
                .expect("a string takes all that is written to it");
        }
        text
    }
}

/// A value as it is meant: for a secret `file:/path` is what that file holds. Only asked of settings that are used, because a
/// process need not be allowed to read the secrets of the others.
fn resolved(key: Key, given: &GivenValue, value: &str) -> anyhow::Result<String> {
    let Some(path) = value.strip_prefix(FILE_MARK).filter(|_| key.is_secret) else {
        return Ok(value.to_owned());
    };
    let text = std::fs::read_to_string(path).map_err(|error| {
        Failure::usage(format!("the file of {} cannot be read: {error}", key.path))
            .at(format!("{}: {path}", given.place))
            .expected("a file that this user may read, with the value and nothing else")
    })?;
    Ok(text.trim().to_owned())
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

/// Two settings of which one was given without the other.
pub(super) fn pair(config: &Config, one: keys::Key, other: keys::Key) -> Failure {
    let (given, absent) = if config.is_given(one) { (one, other) } else { (other, one) };
    Failure::usage(format!("{} is set without {}", given.path, absent.path))
        .at(config.place(given))
        .expected("both or none")
        .help(format!("set {} in the environment, or {} in rota.toml", absent.variable, absent.path))
}

/// How long finished runs are kept.
pub(super) fn retention(config: &Config) -> anyhow::Result<Duration> {
    config.duration(keys::SCHEDULER_RETENTION, RETENTION_DEFAULT)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(key: Key, value: &str) -> Config {
        Config::read(None, &[(key, "--flag", Some(value.to_owned()))]).unwrap()
    }

    #[test]
    fn a_flag_names_itself_in_messages() {
        let error =
            config(keys::WORKER_LEASE, "soon").duration(keys::WORKER_LEASE, TTL_MIN).unwrap_err().to_string();
        assert!(error.contains("--flag") && error.contains("`soon`"), "{error}");
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
        assert!(!config.print("web").contains("hunter2"));
        let flags = [(keys::DATABASE_URL, "--database-url", Some("file:/nowhere/at/all".to_owned()))];
        let error = Config::read(None, &flags).unwrap().text(keys::DATABASE_URL).unwrap_err().to_string();
        assert!(error.contains("/nowhere/at/all") && error.contains("--database-url"), "{error}");
    }

    #[test]
    fn lists_take_commas_but_for_those_written_as_lists() {
        assert_eq!(
            config(keys::WORKER_QUEUES, "a, b,").list(keys::WORKER_QUEUES).unwrap().unwrap(),
            ["a", "b"]
        );
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("urls"), "amqp://a,amqp://b\n").unwrap();
        let path = directory.path().join("rota.toml");
        let text =
            format!("[broker]\nurls = ['amqp://u:x,y@h', 'file:{}/urls']\n", directory.path().display());
        std::fs::write(&path, text).unwrap();
        let urls = Config::read(Some(&path), &[]).unwrap().list(keys::BROKER_URLS).unwrap().unwrap();
        assert_eq!(urls, ["amqp://u:x,y@h", "amqp://a", "amqp://b"]);
    }

    #[test]
    fn what_is_printed_is_what_that_process_reads_with_its_defaults() {
        let text = config(keys::WORKER_SLOTS, "3").print("worker");
        let line = |start: &str| text.lines().find(|line| line.starts_with(start)).unwrap_or_default();
        assert!(line("worker.slots").ends_with(" 3  (--flag)"), "{text}");
        assert!(line("worker.lease").ends_with(" 30s  (default)"), "{text}");
        assert!(!text.contains("etcd.") && !text.contains("web."), "{text}");
    }
}
