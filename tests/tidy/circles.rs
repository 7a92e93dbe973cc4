//! Which files of a crate need each other. A circle of files can only be understood as a whole, so there is none: what two of
//! them share lies in a third one.
//!
//! An edge goes from a file to the one that defines what it names, by `use` or by a path; a name that is only passed on
//! (`pub use`) is followed to its definition. What lies in a folder may use what the folder's own file (`mod.rs`) defines: those
//! edges do not count, the ones back do. Macros, methods and traits in scope are not seen.

use std::collections::{BTreeMap, BTreeSet};

use super::source::{Source, Token, is_of_word};

/// A module's path from its crate's root.
type Module = Vec<String>;

/// One name that a file takes from elsewhere.
struct Import {
    path: Vec<String>,
    alias: String,
    /// It is passed on and not used here, so it ties nothing: it is followed from where it is used.
    is_idle: bool,
}

/// A file's names.
struct Names {
    defined: BTreeSet<String>,
    imports: Vec<Import>,
    /// Paths in its code.
    paths: Vec<Vec<String>>,
}

/// A crate's files by module.
struct Krate<'a> {
    files: BTreeMap<Module, &'a Source>,
    names: BTreeMap<Module, Names>,
}

/// Sets of files that need each other, each by name.
pub(crate) fn circles(sources: &[Source]) -> Vec<Vec<String>> {
    let edges = Krate::new(sources).edges();
    let mut reach: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for from in edges.keys() {
        let (mut seen, mut next) = (BTreeSet::new(), vec![from.as_str()]);
        while let Some(file) = next.pop() {
            let all = edges.get(file).into_iter().flatten().map(String::as_str);
            next.extend(all.filter(|to| seen.insert(*to)));
        }
        reach.insert(from, seen);
    }
    let mut circles = BTreeSet::new();
    for (from, seen) in reach.iter().filter(|(from, seen)| seen.contains(*from)) {
        let back = seen.iter().filter(|to| reach.get(*to).is_some_and(|back| back.contains(from)));
        circles.insert(back.map(|file| (*file).to_owned()).collect::<Vec<_>>());
    }
    circles.into_iter().collect()
}

impl<'a> Krate<'a> {
    fn new(sources: &'a [Source]) -> Self {
        let files: BTreeMap<Module, &Source> =
            sources.iter().map(|source| (module(&source.path), source)).collect();
        let names = files.iter().map(|(module, source)| (module.clone(), Names::of(source))).collect();
        Self { files, names }
    }

    /// Which files each file needs.
    fn edges(&self) -> BTreeMap<String, BTreeSet<String>> {
        let mut edges: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (module, source) in &self.files {
            let names = &self.names[module];
            let used = names.imports.iter().filter(|import| !import.is_idle).map(|import| &import.path);
            for path in used.chain(&names.paths) {
                let target = self.definer(module, path, 0).filter(|target| !module.starts_with(target));
                if let Some(target) = target.and_then(|target| self.files.get(&target)) {
                    edges.entry(source.path.clone()).or_default().insert(target.path.clone());
                }
            }
        }
        edges
    }

    /// The module whose file defines what a path names.
    fn definer(&self, from: &Module, path: &[String], hops: usize) -> Option<Module> {
        let mut at = from.clone();
        for (no, segment) in path.iter().enumerate() {
            match segment.as_str() {
                "crate" => at.clear(),
                "self" => {}
                "super" => drop(at.pop()),
                name => {
                    let mut child = at.clone();
                    child.push(name.to_owned());
                    if self.files.contains_key(&child) {
                        at = child;
                        continue;
                    }
                    let passed_on = self.passed_on(&at, name).filter(|_| hops < 8 && (no > 0 || at == *from));
                    return match passed_on {
                        Some(import) => self.definer(&at, &[import, &path[no + 1..]].concat(), hops + 1),
                        None if no == 0 => None,
                        None => Some(at),
                    };
                }
            }
        }
        Some(at)
    }

    /// Where a module has a name from that it does not define.
    fn passed_on(&self, module: &Module, name: &str) -> Option<&[String]> {
        let names = self.names.get(module)?;
        let import = names.imports.iter().find(|import| import.alias == name)?;
        (!names.defined.contains(name)).then_some(&import.path)
    }
}

impl Names {
    fn of(source: &Source) -> Self {
        let tokens = source.tokens();
        let (mut imports, mut in_use) = (Vec::new(), vec![false; tokens.len()]);
        for at in 0..tokens.len() {
            let is_import =
                tokens[at].text == "use" && tokens.get(at + 1).is_some_and(|next| next.text != "<");
            if is_import {
                let end = (at..tokens.len()).find(|end| tokens[*end].text == ";").unwrap_or(tokens.len());
                in_use[at..end].fill(true);
                let passed_on = at > 0 && matches!(tokens[at - 1].text, "pub" | ")");
                let mut found = Vec::new();
                tree(&tokens[at + 1..end], &[], &mut found);
                imports.extend(found.into_iter().map(|import| (import, passed_on)));
            }
        }
        let code: Vec<Token<'_>> =
            tokens.iter().zip(&in_use).filter(|(_, in_use)| !**in_use).map(|(it, _)| *it).collect();
        let used: BTreeSet<&str> = code.iter().map(|token| token.text).collect();
        for (import, passed_on) in &mut imports {
            import.is_idle = *passed_on && !used.contains(import.alias.as_str());
        }
        let imports = imports.into_iter().map(|(import, _)| import).collect();
        Self { defined: defined(&code), imports, paths: paths(&code) }
    }
}

/// What the words inside a `use` name.
fn tree(tokens: &[Token<'_>], prefix: &[String], found: &mut Vec<Import>) {
    let mut path = prefix.to_vec();
    let mut at = 0;
    while at < tokens.len() {
        match tokens[at].text {
            "{" => {
                let end = closing(tokens, at);
                parts(&tokens[at + 1..end]).into_iter().for_each(|part| tree(part, &path, found));
                return;
            }
            "as" => {
                let alias = tokens.get(at + 1).map_or("_", |token| token.text).to_owned();
                found.push(Import { path, alias, is_idle: false });
                return;
            }
            "*" => {
                found.push(Import { path, alias: "*".to_owned(), is_idle: false });
                return;
            }
            ":" => {}
            "self" if !path.is_empty() => {}
            word => path.push(word.to_owned()),
        }
        at += 1;
    }
    if let Some(alias) = path.last().cloned() {
        found.push(Import { path, alias, is_idle: false });
    }
}

/// Where the brace that opens here is closed.
fn closing(tokens: &[Token<'_>], open: usize) -> usize {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        match token.text {
            "{" => depth += 1,
            "}" => {
                depth -= 1;
                if depth == 0 {
                    return at;
                }
            }
            _ => {}
        }
    }
    tokens.len()
}

/// What stands between the commas outside of braces.
fn parts<'t, 'a>(tokens: &'t [Token<'a>]) -> Vec<&'t [Token<'a>]> {
    let mut depth = 0_usize;
    let is_border = |token: &Token<'_>| {
        match token.text {
            "{" => depth += 1,
            "}" => depth -= 1,
            _ => {}
        }
        token.text == "," && depth == 0
    };
    tokens.split(is_border).filter(|part| !part.is_empty()).collect()
}

/// The items that code defines, in whatever depth.
fn defined(code: &[Token<'_>]) -> BTreeSet<String> {
    let kinds = ["struct", "enum", "trait", "fn", "const", "static", "type", "mod", "macro_rules"];
    let pairs = code.windows(3).filter(|three| kinds.contains(&three[0].text));
    pairs.map(|three| if three[1].text == "!" { three[2].text } else { three[1].text }.to_owned()).collect()
}

/// The paths in code, of two or more words.
fn paths(code: &[Token<'_>]) -> Vec<Vec<String>> {
    let is_word = |at: usize| code.get(at).is_some_and(|token| token.text.starts_with(is_of_word));
    let is_colons = |at: usize| [at, at + 1].iter().all(|at| code.get(*at).is_some_and(|it| it.text == ":"));
    let mut paths = Vec::new();
    let mut at = 0;
    while at < code.len() {
        let begins = is_word(at) && is_colons(at + 1) && is_word(at + 3);
        if !begins || (at >= 2 && is_colons(at - 2)) {
            at += 1;
            continue;
        }
        let mut path = vec![code[at].text.to_owned()];
        while is_colons(at + 1) && is_word(at + 3) {
            at += 3;
            path.push(code[at].text.to_owned());
        }
        paths.push(path);
        at += 1;
    }
    paths
}

/// The module that a file is.
fn module(path: &str) -> Module {
    let inner = path.split_once("/src/").map_or(path, |(_, inner)| inner).trim_end_matches(".rs");
    let mut module: Module = inner.split('/').map(str::to_owned).collect();
    if module.last().is_some_and(|last| ["mod", "lib", "main"].contains(&last.as_str())) {
        module.pop();
    }
    module
}

/// Files that still lie in a circle. It gets shorter, never longer.
const STILL_IN_CIRCLES: &[&str] = &[
    "web/src/app.rs",
    "web/src/catalog.rs",
    "web/src/error.rs",
    "web/src/guard.rs",
    "web/src/probe_server.rs",
    "web/src/journal.rs",
    "web/src/live.rs",
    "web/src/log/index.rs",
    "web/src/pages/error.rs",
    "web/src/serve/mod.rs",
    "web/src/show/home.rs",
    "web/src/streams.rs",
    "web/src/tasks.rs",
    "web/src/why.rs",
];

#[test]
fn no_files_lie_in_a_circle() {
    let circles: Vec<Vec<String>> =
        super::CRATES.iter().flat_map(|krate| circles(&Source::of_crate(krate))).collect();
    for circle in &circles {
        let is_known = circle.iter().all(|file| STILL_IN_CIRCLES.contains(&file.as_str()));
        assert!(is_known, "these need each other: put what they share into a file of its own: {circle:?}");
    }
    let over: Vec<_> =
        STILL_IN_CIRCLES.iter().filter(|file| !circles.iter().flatten().any(|it| it == *file)).collect();
    assert!(over.is_empty(), "no longer in a circle: take {over:?} off the list");
}

#[test]
fn a_circle_is_found_through_what_is_passed_on() {
    let file = |path: &str, code: &str| Source {
        path: format!("x/src/{path}"),
        text: code.to_owned(),
        words: code.to_owned(),
        code: code.to_owned(),
        plain_comments: 0,
    };
    let sources = [
        file("lib.rs", "mod a; mod b; mod c; pub use a::A; pub use c::C;"),
        file("a.rs", "use crate::{C as Sea, b::{self, f}}; struct A; fn g() { f() }"),
        file("b.rs", "fn f() -> super::c::C {}"),
        file("c.rs", "struct C; fn h(it: crate::A) {}"),
    ];
    assert_eq!(circles(&sources), [["x/src/a.rs", "x/src/b.rs", "x/src/c.rs"]]);
    assert!(circles(&sources[..3]).is_empty());
}
