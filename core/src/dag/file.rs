//! Reads the top of a DAG file and joins its parts: tasks, their graph, their templates.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use indexmap::IndexMap;

use crate::id::{DagId, TaskNo};
use crate::schedule::Schedule;

use super::action::hooks;
use super::error::{Errors, FileError, Sink, file_error};
use super::model::{Dag, Graph, Overlap, Param, Task};
use super::read::{Occasion, Reader};
use super::site::Site;
use super::task::{self, Draft, Fields};
use super::template_checks::Scene;
use super::yaml::{Kind, MapEntry, Node, Pos, load};
use super::{graph, params, quiet, timing};

/// Most tasks of one DAG.
pub const TASKS_MAX: usize = 100_000;

/// Most that `max_active_runs` allows.
pub const ACTIVE_RUNS_MAX: u32 = 100_000;

pub(super) const KEYS: [&str; 15] = [
    "dag",
    "description",
    "owner",
    "tags",
    "schedule",
    "max_active_runs",
    "overlap",
    "timeout",
    "params",
    "env",
    "defaults",
    "tasks",
    "on_success",
    "on_failure",
    "on_missed",
];

/// Reads and checks a DAG file.
///
/// `path` is shown in errors; its stem is the DAG's id unless `dag:` says another. Time and memory are bounded
/// whatever `source` holds.
///
/// # Errors
/// All that is wrong with the file, by position, at most [`ERRORS_MAX`](super::ERRORS_MAX).
pub fn parse(path: &str, source: &str) -> Result<Dag, Errors> {
    parse_on(Occasion::File, path, source)
}

/// Reads a stored version of a DAG again. Whatever its file was called when it was stored, the DAG keeps its id, and what
/// files may no longer say goes on as it did.
///
/// # Errors
/// As [`parse`]: the text was written for another version of rota.
pub fn parse_version(dag: &DagId, source: &str) -> Result<Dag, Errors> {
    parse_on(Occasion::StoredVersion, &format!("{dag}.yaml"), source)
}

fn parse_on(occasion: Occasion, path: &str, source: &str) -> Result<Dag, Errors> {
    let mut sink = Sink::new(path);
    let root = load(source, &mut sink);
    let mut reader = Reader::new(sink, source, occasion);
    let dag = root.as_ref().and_then(|root| read(&mut reader, root, path));
    match (reader.sink.finish(), dag) {
        (None, Some(dag)) => Ok(Dag { remarks: reader.remarks.finish(), ..dag }),
        (Some(errors), _) => Err(errors),
        (None, None) => {
            let message = "the file cannot be read as a DAG".to_owned();
            Err(Errors(vec![file_error(path, Pos::START, message, None)]))
        }
    }
}

/// The text of a file's bytes.
///
/// # Errors
/// Bytes that are not UTF-8, at the first of them.
pub fn decode<'b>(path: &str, bytes: &'b [u8]) -> Result<&'b str, FileError> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let before = String::from_utf8_lossy(bytes.get(..error.valid_up_to()).unwrap_or_default());
        let line = before.matches('\n').count() + 1;
        let col = before.rsplit('\n').next().map_or(0, |line| line.chars().count()) + 1;
        let pos = Pos { line: line.try_into().unwrap_or(u32::MAX), col: col.try_into().unwrap_or(u32::MAX) };
        file_error(path, pos, "not UTF-8 text".to_owned(), Some("save the file as UTF-8".to_owned()))
    })?;
    Ok(text)
}

/// What the top of the file says.
#[derive(Default)]
struct Head<'n, 's> {
    id: Option<DagId>,
    description: Option<String>,
    owner: Option<String>,
    tags: Vec<String>,
    schedule: Option<&'n MapEntry<'s>>,
    max_active_runs: Option<u32>,
    overlap: Option<Overlap>,
    timeout: Option<Duration>,
    params: IndexMap<String, Param>,
    env: BTreeMap<String, String>,
    defaults: Fields<'n, 's>,
    tasks: Option<&'n MapEntry<'s>>,
    /// Templates that hold for every task.
    sites: Vec<Site<'n, 's>>,
}

fn read<'s>(reader: &mut Reader<'s>, root: &Node<'s>, path: &str) -> Option<Dag> {
    let Kind::Map(entries) = &root.kind else {
        reader
            .sink
            .push(root.pos, format!("expected a mapping with at least `tasks:`, got {}", root.describe()));
        return None;
    };
    let mut head = Head::default();
    for entry in entries {
        top(reader, entry, &mut head);
    }
    let named = entries.iter().any(|entry| entry.key == "dag");
    let id = head.id.take().or_else(|| if named { None } else { stem_id(reader, path) });
    let seed = id.as_ref().map_or("", DagId::as_str);
    let schedule = head.schedule.and_then(|entry| timing::read(reader, &entry.value, seed));
    check_required_params(reader, &head, schedule.as_ref(), entries);
    let (tasks, graph) = tasks(reader, root, &head)?;
    Some(Dag {
        id: id?,
        description: head.description,
        owner: head.owner,
        tags: head.tags,
        schedule,
        max_active_runs: head.max_active_runs.unwrap_or(16),
        overlap: head.overlap.unwrap_or(Overlap::Queue),
        timeout: head.timeout,
        params: head.params,
        env: head.env,
        tasks,
        graph,
        remarks: Vec::new(),
    })
}

fn top<'n, 's>(reader: &mut Reader<'s>, entry: &'n MapEntry<'s>, head: &mut Head<'n, 's>) {
    let node = &entry.value;
    let key = &*entry.key;
    match key {
        "dag" => head.id = reader.parsed(node, key),
        "description" => head.description = reader.text(node, key),
        "owner" => head.owner = reader.text(node, key),
        "tags" => head.tags = reader.texts(node, key).unwrap_or_default(),
        "schedule" => head.schedule = Some(entry),
        "max_active_runs" => {
            let count = reader.integer(node, key, 1..=i64::from(ACTIVE_RUNS_MAX));
            head.max_active_runs = count.and_then(|n| u32::try_from(n).ok());
        }
        "overlap" => {
            let words = [
                ("queue", Overlap::Queue),
                ("skip", Overlap::Skip),
                ("cancel_previous", Overlap::CancelPrevious),
            ];
            head.overlap = reader.word(node, key, &words);
        }
        "timeout" => head.timeout = reader.limit(node, key),
        "params" => head.params = params::read(reader, node),
        "env" => {
            head.env = reader.env(node, key);
            head.sites.extend(task::env_sites(node));
        }
        "defaults" => {
            head.defaults = task::defaults(reader, node);
            head.sites.append(&mut head.defaults.sites);
        }
        "tasks" => head.tasks = Some(entry),
        "on_success" | "on_failure" | "on_missed" => hooks(reader, entry),
        _ => _ = reader.known(entry, "a DAG file", &KEYS),
    }
}

/// The id that the file's name gives: what follows the last `/`, without `.yaml` or `.yml`.
fn stem_id(reader: &mut Reader<'_>, path: &str) -> Option<DagId> {
    let name = path.rsplit('/').next().unwrap_or(path);
    let stem = name.strip_suffix(".yaml").or_else(|| name.strip_suffix(".yml")).unwrap_or(name);
    match stem.parse() {
        Ok(id) => Some(id),
        Err(error) => {
            let message = format!("the file's name gives no DAG id: {error}");
            reader.sink.push_hint(Pos::START, message, "name the DAG with `dag:`");
            None
        }
    }
}

/// A slot has nobody to ask for parameters.
fn check_required_params(
    reader: &mut Reader<'_>,
    head: &Head<'_, '_>,
    schedule: Option<&Schedule>,
    entries: &[MapEntry<'_>],
) {
    let required = head.params.iter().find(|(_, param)| param.default.is_none());
    let pos = entries.iter().find(|entry| entry.key == "params").map(|entry| entry.key_pos);
    if let (Some(_), Some((name, _)), Some(pos)) = (schedule, required, pos) {
        let message = format!("parameter `{name}` has no default, but the DAG has a schedule");
        reader.sink.push_hint(pos, message, "give it a `default`, or leave `schedule` out");
    }
}

fn tasks<'s>(reader: &mut Reader<'s>, root: &Node<'s>, head: &Head<'_, 's>) -> Option<(Vec<Task>, Graph)> {
    let Some(entry) = head.tasks else {
        reader.sink.push_hint(root.pos, "`tasks` is missing", "a DAG has at least one task");
        return None;
    };
    let entries = reader.map(&entry.value, "tasks")?;
    if entries.is_empty() {
        reader.sink.push(entry.value.pos, "`tasks` is empty: a DAG has at least one task");
        return None;
    }
    if entries.len() > TASKS_MAX {
        let message = format!("{} tasks, a DAG has at most {TASKS_MAX}", entries.len());
        reader.sink.push(entry.key_pos, message);
        return None;
    }
    let drafts: Vec<Option<Draft<'_, 's>>> =
        entries.iter().map(|entry| task::read(reader, entry, &head.defaults)).collect();
    let names: HashMap<&str, TaskNo> =
        entries.iter().enumerate().map(|(no, entry)| (&*entry.key, TaskNo(no as u32))).collect();
    let before = reader.sink.count();
    let up: Vec<Vec<TaskNo>> =
        drafts.iter().map(|draft| needs(reader, draft.as_ref(), &names, entries)).collect();
    let is_whole = reader.sink.count() == before;
    let broken = drafts.iter().any(Option::is_none);
    let graph = link(reader, up, entries);
    let mut drafts: Vec<Draft<'_, 's>> = drafts.into_iter().flatten().collect();
    if broken || graph.is_none() {
        // Templates are checked against a whole graph only: half of one would give errors that are none.
        return None;
    }
    let graph = graph?;
    let mut scene = Scene::new(&head.params, &names, &drafts, is_whole.then_some(&graph));
    scene.check_shared(reader, &head.sites);
    let reads: Vec<_> = (0..drafts.len()).map(|no| scene.check_task(reader, TaskNo(no as u32))).collect();
    for (draft, (command, when)) in drafts.iter_mut().zip(reads) {
        draft.task.reads_outputs_of = command;
        draft.task.when_reads_outputs_of = when;
    }
    let tasks: Vec<Task> = drafts.into_iter().map(|draft| draft.task).collect();
    quiet::remark(reader, &tasks, &graph, entries);
    Some((tasks, graph))
}

/// The numbers of the tasks that a draft needs, ascending.
fn needs(
    reader: &mut Reader<'_>,
    draft: Option<&Draft<'_, '_>>,
    names: &HashMap<&str, TaskNo>,
    entries: &[MapEntry<'_>],
) -> Vec<TaskNo> {
    let Some(draft) = draft else { return Vec::new() };
    let mut up: Vec<(TaskNo, Pos)> = Vec::with_capacity(draft.needs.len());
    for (name, pos) in &draft.needs {
        match names.get(name) {
            Some(_) if *name == draft.task.name.as_str() => {
                reader.sink.push(*pos, format!("task `{name}` needs itself"));
            }
            Some(no) => up.push((*no, *pos)),
            None => reader.sink.unknown(*pos, "task", name, entries.iter().map(|entry| &*entry.key)),
        }
    }
    up.sort_unstable();
    up.dedup_by(|later, first| {
        let twice = later.0 == first.0;
        if twice {
            let message = format!("task `{}` stands twice in `needs`", entries[later.0.place()].key);
            reader.sink.push(later.1, message);
        }
        twice
    });
    up.into_iter().map(|(no, _)| no).collect()
}

fn link(reader: &mut Reader<'_>, up: Vec<Vec<TaskNo>>, entries: &[MapEntry<'_>]) -> Option<Graph> {
    match graph::build(up) {
        Ok(graph) => Some(graph),
        Err(cycles) => {
            for cycle in cycles {
                let text = graph::cycle_text(&cycle, |task| entries[task.place()].key.clone().into_owned());
                let pos = cycle.first().map_or(Pos::START, |first| entries[first.place()].key_pos);
                reader.sink.push_hint(
                    pos,
                    format!("tasks need each other in a circle: {text}"),
                    "remove one of these needs",
                );
            }
            None
        }
    }
}
