//! Reads `rota.toml` into texts by key, each with its place. What the values mean is decided by whoever asks for them.

use std::collections::BTreeMap;
use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::keys::ALL;
use crate::failure::Failure;

/// A value as somebody wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct GivenValue {
    /// Its parts: one for a text or a number, several for a list, `k=v` for each entry of a table.
    pub(super) parts: Vec<String>,
    /// Whether it was written as a list or a table: its parts then hold commas of their own.
    pub(super) is_list: bool,
    /// Where it was written, for messages: `rota.toml:3:7`, `ROTA_NAME`, `--name`.
    pub(super) place: String,
}

/// Reads a file's text.
pub(super) fn read(path: &Path, text: &str) -> anyhow::Result<BTreeMap<&'static str, GivenValue>> {
    let place = |at: usize| {
        let before = &text[..at.min(text.len())];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |line| line.chars().count()) + 1;
        format!("{}:{line}:{column}", path.display())
    };
    let root = DeTable::parse(text).map_err(|error| {
        let at = place(error.span().map_or(0, |span| span.start));
        Failure::usage(format!("the file cannot be read: {}", error.message())).at(at).expected("TOML")
    })?;
    let mut values = BTreeMap::new();
    for (name, value) in root.get_ref() {
        let at = place(name.span().start);
        let is_section = ALL
            .iter()
            .any(|key| key.path.split_once('.').is_some_and(|(section, _)| section == name.get_ref()));
        match value.get_ref() {
            DeValue::Table(section) if is_section => {
                for (inner, value) in section {
                    let path = format!("{}.{}", name.get_ref(), inner.get_ref());
                    take(&mut values, &path, value.get_ref(), place(inner.span().start))?;
                }
            }
            value => take(&mut values, name.get_ref(), value, at)?,
        }
    }
    Ok(values)
}

fn take(
    values: &mut BTreeMap<&'static str, GivenValue>,
    path: &str,
    value: &DeValue<'_>,
    place: String,
) -> anyhow::Result<()> {
    let Some(key) = ALL.iter().find(|key| key.path == path) else { return Err(unknown(path, place).into()) };
    let parts = match value {
        DeValue::Array(items) => items.iter().map(|item| scalar(item.get_ref())).collect(),
        DeValue::Table(table) => table
            .iter()
            .map(|(name, value)| Some(format!("{}={}", name.get_ref(), scalar(value.get_ref())?)))
            .collect(),
        value => scalar(value).map(|text| vec![text]),
    };
    let odd = || {
        Failure::usage(format!("`{path}` cannot be used"))
            .at(&place)
            .expected("a text, a number, or a list of them")
    };
    let parts: Vec<String> = parts.ok_or_else(odd)?;
    let is_list = matches!(value, DeValue::Array(_) | DeValue::Table(_));
    values.insert(key.path, GivenValue { parts, is_list, place });
    Ok(())
}

fn scalar(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => Some(number.as_str().to_owned()),
        DeValue::Boolean(is_true) => Some(is_true.to_string()),
        _ => None,
    }
}

fn unknown(path: &str, place: String) -> Failure {
    let sections = ALL.iter().filter_map(|key| key.path.split_once('.').map(|(section, _)| section));
    let names = ALL.iter().map(|key| key.path).chain(sections);
    let nearest = names.map(|name| (strsim::damerau_levenshtein(name, path), name)).min();
    let near_max = (path.chars().count() / 3).max(1);
    let failure = Failure::usage(format!("there is no setting `{path}`")).at(place);
    match nearest {
        Some((distance, nearest)) if distance <= near_max => {
            failure.help(format!("did you mean `{nearest}`?"))
        }
        _ => failure.help("docs/configuration.md lists all settings"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(text: &str) -> anyhow::Result<BTreeMap<&'static str, GivenValue>> {
        read(Path::new("rota.toml"), text)
    }

    #[test]
    fn texts_numbers_lists_and_tables_are_taken_with_their_places() {
        let text = "name = \"one\"\n[worker]\nslots = 8\nqueues = [\"a\", \"b\"]\nlabels = {zone = \"x\"}\n";
        let values = values(text).unwrap();
        let slots = GivenValue { parts: vec!["8".into()], is_list: false, place: "rota.toml:3:1".into() };
        assert_eq!(values["worker.slots"], slots);
        assert_eq!(values["worker.queues"].parts, ["a", "b"]);
        assert_eq!(values["worker.labels"].parts, ["zone=x"]);
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_place_and_the_nearest_one() {
        let error = values("[worker]\n\nslot = 8\n").unwrap_err().to_string();
        assert!(error.contains("rota.toml:3:1") && error.contains("`worker.slots`"), "{error}");
        let error = values("[wrker]\nslots = 1\n").unwrap_err().to_string();
        assert!(error.contains("did you mean `worker`?"), "{error}");
        assert!(values("nam = 1\n").unwrap_err().to_string().contains("`name`"));
        assert!(values("colour = 1\n").unwrap_err().to_string().contains("docs/configuration.md"));
    }

    #[test]
    fn a_broken_file_says_where() {
        let error = values("name = \"one\"\n[worker\n").unwrap_err().to_string();
        assert!(error.contains("rota.toml:2:"), "{error}");
    }
}
