//! Types and their names: a name of one word is for the plain noun of the domain, and nobody else has it.

use std::collections::BTreeMap;

use super::source::Source;

/// Types of one name that may be there: two may meet at a border, a third makes people ask which one is meant.
const OWNERS_MAX: usize = 2;

/// The types that a file defines.
pub(crate) fn types(source: &Source) -> Vec<&str> {
    let tokens = source.tokens();
    let pairs = tokens.windows(2).filter(|pair| ["struct", "enum", "trait", "union"].contains(&pair[0].text));
    let names = pairs.map(|pair| pair[1].text);
    names.filter(|name| name.starts_with(|c: char| c.is_ascii_uppercase())).collect()
}

/// Whether it is one English word.
pub(crate) fn is_one_word(name: &str) -> bool {
    !name.chars().skip(1).any(|c| c.is_ascii_uppercase())
}

/// Where each name of a type is defined.
pub(crate) fn owners(sources: &[Source]) -> BTreeMap<&str, Vec<&str>> {
    let mut owners: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for source in sources {
        types(source).into_iter().for_each(|name| owners.entry(name).or_default().push(&source.path));
    }
    owners
}

/// The names with more owners than there may be.
pub(crate) fn crowded(sources: &[Source]) -> BTreeMap<&str, Vec<&str>> {
    owners(sources).into_iter().filter(|(_, files)| files.len() > OWNERS_MAX).collect()
}

/// Names that a library's habit gives to one type per file, where nobody asks which one is meant: clap's in `cli`.
const HABITS: &[&str] = &["Args", "Command"];

#[test]
fn no_type_name_has_more_than_two_owners() {
    let sources: Vec<Source> = super::CRATES.iter().flat_map(|krate| Source::of_crate(krate)).collect();
    for (name, files) in crowded(&sources) {
        assert!(HABITS.contains(&name), "{name} is defined in {files:?}: say in its name which one it is");
    }
}
