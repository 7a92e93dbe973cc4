//! Checks the templates of a file: their syntax, every name in them against what the task can know when it runs,
//! and whether values can be placed safely where they stand.

use std::collections::HashMap;

use indexmap::IndexMap;

use crate::id::TaskNo;

use super::action::unsupported;
use super::error::cut;
use super::expr::{BlockKind, Expression, FILTERS, Path, TESTS, Template, TemplateBlock, Uses, is_template};
use super::foreign;
use super::model::{Graph, Param};
use super::places;
use super::read::Reader;
use super::site::{Site, SiteKind};
use super::task::Draft;
use super::template::{expression, is_posix};
use super::template_names::{FUNCTIONS, OBJECTS, PLAIN_NAMES};
use super::yaml::{Kind, Node};

/// Most steps over needs that all checks of "is it upstream?" take together, beyond direct needs.
const STEPS_MAX: usize = 20_000_000;

/// Longest text with templates in it, in bytes. Other texts may be longer.
pub const TEMPLATE_BYTES_MAX: usize = 65_000;

/// What to do about braces that are meant for another program, such as `docker ps --format '{{.Names}}'`.
const FOREIGN_BRACES: &str = "braces for another program stand between `{% raw %}` and `{% endraw %}`, as in `{% raw %}{{.Names}}{% endraw %}`";

/// What the templates of one file may name.
pub(super) struct Scene<'c, 'n, 's> {
    params: &'c IndexMap<String, Param>,
    names: &'c HashMap<&'c str, TaskNo>,
    drafts: &'c [Draft<'n, 's>],
    /// Unless some needs are unknown: then every task may be upstream.
    graph: Option<&'c Graph>,
    /// Per task, its place in the topological order.
    places: Vec<u32>,
    /// Per task, the last search that came by.
    seen: Vec<u32>,
    searches: u32,
    steps: usize,
}

impl<'c, 'n, 's> Scene<'c, 'n, 's> {
    pub(super) fn new(
        params: &'c IndexMap<String, Param>,
        names: &'c HashMap<&'c str, TaskNo>,
        drafts: &'c [Draft<'n, 's>],
        graph: Option<&'c Graph>,
    ) -> Self {
        let mut places = vec![0; drafts.len()];
        for (place, task) in graph.iter().flat_map(|graph| &graph.order).enumerate() {
            places[task.place()] = place as u32;
        }
        let seen = vec![0; drafts.len()];
        Self { params, names, drafts, graph, places, seen, searches: 0, steps: 0 }
    }

    /// Checks templates that hold for every task: `env:` and `defaults:` of the file.
    pub(super) fn check_shared(&mut self, reader: &mut Reader<'s>, sites: &[Site<'_, 's>]) {
        for site in sites {
            self.check(reader, *site, None);
        }
    }

    /// Checks a task's own templates. Returns the tasks whose outputs its command and its `when` read, ascending.
    pub(super) fn check_task(&mut self, reader: &mut Reader<'s>, task: TaskNo) -> (Vec<TaskNo>, Vec<TaskNo>) {
        let mut command = Vec::new();
        let mut when = Vec::new();
        let drafts = self.drafts;
        for site in &drafts[task.place()].sites {
            let reads = if site.kind == SiteKind::When { &mut when } else { &mut command };
            reads.extend(self.check(reader, *site, Some(task)));
        }
        for reads in [&mut command, &mut when] {
            reads.sort_unstable();
            reads.dedup();
        }
        (command, when)
    }

    fn check(&mut self, reader: &mut Reader<'s>, site: Site<'_, 's>, task: Option<TaskNo>) -> Vec<TaskNo> {
        let Kind::Scalar(scalar) = &site.node.kind else { return Vec::new() };
        let text = &*scalar.text;
        let Some(found) = read(reader, site, text) else { return Vec::new() };
        let (uses, blocks) = match &found {
            Read::Template(template) => (template.uses(), template.blocks()),
            Read::When(expression) => (expression.uses(), &[] as &[TemplateBlock]),
        };
        check_words(reader, site.node, uses);
        check_raws(reader, site.node, text, blocks, uses);
        let mut reads = Vec::new();
        for path in &uses.paths {
            reads.extend(self.path(reader, site.node, path, task));
        }
        let shell = task.and_then(|task| self.drafts[task.place()].task.shell.as_deref());
        match site.kind {
            SiteKind::Script if is_posix(shell) => {
                places::check_script(reader, site.node, text, blocks, self.params);
            }
            SiteKind::Script => places::check_foreign(reader, site.node, blocks),
            SiteKind::Plain | SiteKind::When => {}
        }
        reads
    }

    /// Checks one name; returns the task whose outputs it reads. Places are computed for errors only: they cost time.
    fn path(
        &mut self,
        reader: &mut Reader<'s>,
        node: &Node<'s>,
        path: &Path,
        task: Option<TaskNo>,
    ) -> Option<TaskNo> {
        let head = path.parts[0].as_str();
        let part = path.parts.get(1);
        match head {
            "tasks" => return self.task_path(reader, node, path, task),
            "params" => {
                if let Some(name) = part.filter(|name| !self.params.contains_key(*name)) {
                    let known = self.params.keys().map(String::as_str);
                    reader.sink.unknown(reader.locate(node, path.at), "parameter", name, known);
                }
            }
            "vars" | "secrets" | "item" => {
                unsupported(reader, reader.locate(node, path.at), &path.parts.join("."));
            }
            _ if FUNCTIONS.contains(&head) => {
                let message = match part {
                    Some(part) => format!("`{head}` is a function and has no `{}`", cut(part)),
                    None => format!("`{head}` is a function: write `{head}(..)`"),
                };
                reader.sink.push_hint(reader.locate(node, path.at), message, FOREIGN_BRACES);
            }
            _ if PLAIN_NAMES.contains(&head) => {
                if let Some(part) = part {
                    let message = format!("`{head}` is a plain value and has no `{}`", cut(part));
                    reader.sink.push(reader.locate(node, path.at), message);
                }
            }
            _ => object_path(reader, node, path),
        }
        None
    }

    /// `tasks.<id>.outputs.<key>`.
    fn task_path(
        &mut self,
        reader: &mut Reader<'s>,
        node: &Node<'s>,
        path: &Path,
        task: Option<TaskNo>,
    ) -> Option<TaskNo> {
        let Some(name) = path.parts.get(1) else {
            let hint = "write `tasks.<name>.outputs.<key>`, or `tasks[\"<name>\"].outputs`";
            reader.sink.push_hint(
                reader.locate(node, path.at),
                "which task is not certain before the run",
                hint,
            );
            return None;
        };
        let Some(task) = task else {
            let message = "`tasks` has no meaning here: it differs for each task";
            reader.sink.push_hint(reader.locate(node, path.at), message, "move it into a task");
            return None;
        };
        let Some(read) = self.names.get(name.as_str()).copied() else {
            let known = self.drafts.iter().map(|draft| draft.task.name.as_str());
            reader.sink.unknown(reader.locate(node, path.at), "task", name, known);
            return None;
        };
        if !self.is_upstream(read, task) {
            let own = &self.drafts[task.place()].task.name;
            let message =
                format!("task `{name}` is not upstream of `{own}`, so its outputs are not there yet");
            reader.sink.push_hint(reader.locate(node, path.at), message, format!("add `{name}` to `needs`"));
            return None;
        }
        let promised = &self.drafts[read.place()].task.outputs;
        match (path.parts.get(2).map(String::as_str), path.parts.get(3)) {
            (Some("outputs"), Some(key)) if !promised.is_empty() && !promised.contains(key) => {
                let what = format!("output of `{name}`:");
                let known = promised.iter().map(String::as_str);
                reader.sink.unknown(reader.locate(node, path.at), &what, key, known);
            }
            (Some("outputs"), _) => {}
            (other, _) => {
                let given = other.map_or_else(String::new, |other| format!(", got `{}`", cut(other)));
                let message = format!("expected `tasks.{name}.outputs.<key>`{given}");
                reader.sink.push(reader.locate(node, path.at), message);
            }
        }
        Some(read)
    }

    /// Whether `task` needs `other`, directly or through others. The search is bounded over all templates together;
    /// beyond that only direct needs count.
    fn is_upstream(&mut self, other: TaskNo, task: TaskNo) -> bool {
        let Some(graph) = self.graph else { return true };
        if graph.up_of(task).binary_search(&other).is_ok() {
            return true;
        }
        self.searches += 1;
        let floor = self.places[other.place()];
        let mut stack = vec![task];
        while let Some(at) = stack.pop() {
            for need in graph.up_of(at) {
                self.steps += 1;
                if *need == other {
                    return true;
                }
                let seen = &mut self.seen[need.place()];
                if *seen != self.searches && self.places[need.place()] > floor {
                    *seen = self.searches;
                    stack.push(*need);
                }
            }
            if self.steps > STEPS_MAX {
                return false;
            }
        }
        false
    }
}

/// What a text says if it is a template and valid.
enum Read<'t> {
    Template(Template<'t>),
    When(Expression),
}

fn read<'t>(reader: &mut Reader<'_>, site: Site<'_, '_>, text: &'t str) -> Option<Read<'t>> {
    let is_when = site.kind == SiteKind::When;
    if !is_when && !is_template(text) {
        return None;
    }
    if text.len() > TEMPLATE_BYTES_MAX {
        let message = format!("a template of {} bytes, at most {TEMPLATE_BYTES_MAX} are read", text.len());
        reader.sink.push_hint(site.node.pos, message, "put the script into a file and run that");
        return None;
    }
    let found = if is_when {
        let part = match expression(text) {
            Ok(part) => part,
            Err(message) => {
                reader.sink.push(site.node.pos, message);
                return None;
            }
        };
        Expression::read(text, part).map(Read::When)
    } else {
        Template::read(text).map(Read::Template)
    };
    match found {
        Ok(found) => Some(found),
        Err(fault) => {
            let pos = reader.locate(site.node, fault.at);
            let message = format!("template: {}", fault.message);
            if is_when {
                reader.sink.push(pos, message)
            } else {
                reader.sink.push_hint(pos, message, FOREIGN_BRACES)
            }
            None
        }
    }
}

/// Filters and tests by name.
fn check_words(reader: &mut Reader<'_>, node: &Node<'_>, uses: &Uses) {
    for (at, name) in uses.filters.iter().filter(|(_, name)| !FILTERS.contains(&name.as_str())) {
        let pos = reader.locate(node, *at);
        match foreign::filter(name) {
            Some(hint) => reader.sink.push_hint(pos, format!("unknown filter `{}`", cut(name)), hint),
            None => reader.sink.unknown(pos, "filter", name, FILTERS.iter().copied()),
        }
    }
    for (at, name) in uses.tests.iter().filter(|(_, name)| !TESTS.contains(&name.as_str())) {
        let pos = reader.locate(node, *at);
        reader.sink.unknown(pos, "test", name, TESTS.iter().copied());
    }
}

/// `raw` decides how a value stands in its script, so it comes last.
fn check_raws(reader: &mut Reader<'_>, node: &Node<'_>, text: &str, blocks: &[TemplateBlock], uses: &Uses) {
    for (at, _) in uses.filters.iter().filter(|(_, name)| name == "raw") {
        let ends = |block: &TemplateBlock| {
            block.kind == BlockKind::RawValue
                && block.body.start + text[block.body.clone()].trim_end().len() == at + "raw".len()
        };
        if !blocks.iter().any(ends) {
            let pos = reader.locate(node, *at);
            reader.sink.push_hint(
                pos,
                "`raw` must be the last filter of a value",
                "write `{{ value | raw }}`",
            );
        }
    }
}

/// `run.id` and the like; anything else is unknown.
fn object_path(reader: &mut Reader<'_>, node: &Node<'_>, path: &Path) {
    let head = path.parts[0].as_str();
    let known = OBJECTS.iter().find(|(name, _)| *name == head).map(|(_, parts)| *parts);
    match (known, path.parts.get(1)) {
        (None, _) => {
            let objects = OBJECTS.iter().map(|(name, _)| *name);
            let names = PLAIN_NAMES.iter().copied().chain(objects).chain(["params", "tasks"]);
            let pos = reader.locate(node, path.at);
            match foreign::name(&path.parts) {
                Some(hint) => reader.sink.push_hint(pos, format!("unknown name `{}`", cut(head)), hint),
                None => reader.sink.unknown(pos, "name", head, names),
            }
        }
        (Some(parts), Some(part)) if parts.contains(&part.as_str()) => {}
        (Some(parts), Some(part)) => {
            let what = format!("part of `{head}`:");
            reader.sink.unknown(reader.locate(node, path.at), &what, part, parts.iter().copied());
        }
        (Some(parts), None) => {
            let message = format!("`{head}` alone is no value, expected `{head}.{}`", parts[0]);
            reader.sink.push(reader.locate(node, path.at), message);
        }
    }
}
