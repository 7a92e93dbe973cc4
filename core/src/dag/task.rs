//! Reads tasks and `defaults:`.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use crate::id::{QueueName, TaskName};

use super::action::{self, ACTIONS, unsupported};
use super::error::{cut, is_near};
use super::foreign;
use super::model::{Action, Backoff, BackoffKind, Cost, OnLost, Task, TriggerRule};
use super::outputs::is_output_key;
use super::read::{Reader, name_hint};
use super::site::{Site, SiteKind};
use super::yaml::{Kind, MapEntry, Node, Pos};

/// Most `retries`.
pub const RETRIES_MAX: u32 = 1_000;

const RETRY_DELAY: Duration = Duration::from_secs(30);
const RETRY_MAX_DELAY: Duration = Duration::from_secs(3600);
const GRACE: Duration = Duration::from_secs(10);

/// The fields of a task besides its action and `needs`; `defaults:` has the same.
pub(super) const FIELDS: [&str; 21] = [
    "when",
    "trigger_rule",
    "retries",
    "retry_delay",
    "retry_backoff",
    "retry_max_delay",
    "timeout",
    "grace",
    "queue",
    "labels",
    "pool",
    "pool_slots",
    "priority",
    "env",
    "cwd",
    "shell",
    "for_each",
    "max_parallel",
    "on_lost",
    "depends_on_past",
    "outputs",
];

/// A task whose needs and templates are not looked up yet.
pub(super) struct Draft<'n, 's> {
    pub(super) task: Task,
    pub(super) needs: Vec<(&'n str, Pos)>,
    pub(super) sites: Vec<Site<'n, 's>>,
}

/// Fields as given, in a task or in `defaults:`.
#[derive(Default, Clone)]
pub(super) struct Fields<'n, 's> {
    when: Option<String>,
    trigger_rule: Option<TriggerRule>,
    retries: Option<u32>,
    retry_delay: Option<Duration>,
    retry_backoff: Option<BackoffKind>,
    retry_max_delay: Option<Duration>,
    timeout: Option<Duration>,
    grace: Option<Duration>,
    queue: Option<QueueName>,
    priority: Option<i32>,
    env: BTreeMap<String, String>,
    cwd: Option<String>,
    shell: Option<Vec<String>>,
    on_lost: Option<OnLost>,
    outputs: Option<Vec<String>>,
    pub(super) sites: Vec<Site<'n, 's>>,
}

/// Reads `defaults:`.
pub(super) fn defaults<'n, 's>(reader: &mut Reader<'s>, node: &'n Node<'s>) -> Fields<'n, 's> {
    let mut fields = Fields::default();
    for entry in reader.map(node, "defaults").unwrap_or_default() {
        if entry.key == "needs" || ACTIONS.contains(&&*entry.key) {
            let message = format!("`{}` cannot have a default: it makes a task what it is", entry.key);
            reader.sink.push_hint(entry.key_pos, message, "write it in each task");
        } else {
            field(reader, entry, &mut fields);
        }
    }
    fields
}

/// Reads one task of `tasks:`.
pub(super) fn read<'n, 's>(
    reader: &mut Reader<'s>,
    entry: &'n MapEntry<'s>,
    defaults: &Fields<'_, '_>,
) -> Option<Draft<'n, 's>> {
    let name: Option<TaskName> = match entry.key.parse() {
        Ok(name) => Some(name),
        Err(error) => {
            reader.sink.push(entry.key_pos, format!("task name {error}"));
            None
        }
    };
    let mut fields = Fields::default();
    let mut actions: Vec<&'n MapEntry<'s>> = Vec::new();
    let mut needs = Vec::new();
    let mut misspelt = false;
    for part in reader.map(&entry.value, &entry.key)? {
        match &*part.key {
            "needs" => needs = read_needs(reader, &part.value),
            key if ACTIONS.contains(&key) => actions.push(part),
            key => {
                misspelt |= !FIELDS.contains(&key) && (foreign::is_action(key) || is_near(key, &ACTIONS));
                field(reader, part, &mut fields);
            }
        }
    }
    if actions.is_empty() && misspelt {
        // The unknown key has its error, which is the cause of this as well.
        return None;
    }
    let action = action::read(reader, &actions, &cut(&entry.key), entry.key_pos)?;
    if let [entry] = actions.as_slice() {
        action.sites(reader, entry, &mut fields.sites);
    }
    fields.check_delays(reader, entry.key_pos, defaults);
    let sites = std::mem::take(&mut fields.sites);
    let task = fields.into_task(name?, entry.key_pos, action, defaults);
    Some(Draft { task, needs, sites })
}

fn read_needs<'n, 's>(reader: &mut Reader<'s>, node: &'n Node<'s>) -> Vec<(&'n str, Pos)> {
    let list = match &node.kind {
        Kind::List(list) => list.as_slice(),
        Kind::Scalar(_) => std::slice::from_ref(node),
        Kind::Map(_) => {
            reader.expected(node, "needs", "a list of task names");
            return Vec::new();
        }
    };
    list.iter().filter_map(|item| reader.scalar(item, "needs").map(|name| (&*name.text, item.pos))).collect()
}

fn field<'n, 's>(reader: &mut Reader<'s>, entry: &'n MapEntry<'s>, fields: &mut Fields<'n, 's>) {
    let node = &entry.value;
    let key = &*entry.key;
    match key {
        "when" => {
            fields.when = reader.filled(node, key);
            fields.sites.push(Site { node, kind: SiteKind::When });
        }
        "trigger_rule" => {
            fields.trigger_rule = trigger_rule(reader, node);
        }
        "retries" => fields.retries = reader.count(node, key, RETRIES_MAX),
        "retry_delay" => fields.retry_delay = reader.duration(node, key),
        "retry_backoff" => {
            let words = [("fixed", BackoffKind::Fixed), ("exponential", BackoffKind::Exponential)];
            fields.retry_backoff = reader.word(node, key, &words);
        }
        "retry_max_delay" => fields.retry_max_delay = reader.duration(node, key),
        "timeout" => fields.timeout = reader.limit(node, key),
        "grace" => fields.grace = reader.duration(node, key),
        "queue" => fields.queue = reader.parsed(node, key),
        "priority" => {
            let range = i64::from(i32::MIN)..=i64::from(i32::MAX);
            fields.priority = reader.integer(node, key, range).and_then(|n| i32::try_from(n).ok());
        }
        "env" => {
            fields.env = reader.env(node, key);
            fields.sites.extend(env_sites(node));
        }
        "cwd" => {
            fields.cwd = reader.filled(node, key);
            fields.sites.push(Site { node, kind: SiteKind::Plain });
        }
        "shell" => fields.shell = shell(reader, node),
        "on_lost" => {
            fields.on_lost = reader.word(node, key, &[("retry", OnLost::Retry), ("fail", OnLost::Fail)]);
        }
        "outputs" => fields.outputs = outputs(reader, node),
        "labels" | "pool" | "pool_slots" | "for_each" | "max_parallel" | "depends_on_past" => {
            later(reader, entry)
        }
        _ => {
            let known = FIELDS.iter().chain(&ACTIONS).chain(&["needs"]).copied();
            reader.sink.unknown_key(entry.key_pos, "a task", key, known);
        }
    }
}

/// A rule. One of Airflow's promises what rota does not do: stored versions go on with it, as they did.
fn trigger_rule<'s>(reader: &mut Reader<'s>, node: &Node<'s>) -> Option<TriggerRule> {
    let words = TriggerRule::ALL.iter().map(|rule| (rule.as_str(), *rule));
    let (offered, teardown): (Vec<_>, Vec<_>) =
        words.partition(|(_, rule)| *rule != TriggerRule::AllDoneSetupSuccess);
    if let Kind::Scalar(scalar) = &node.kind
        && let Some((word, rule)) = teardown.into_iter().find(|(word, _)| *word == scalar.text)
    {
        let message = format!(
            "`{word}` is meant for teardowns, which run only if their setup succeeded; this version of rota has neither \
             and would start the task whatever happened"
        );
        reader.no_longer(node.pos, message, Some("write `all_done` if that is what you want"));
        return Some(rule);
    }
    reader.word(node, "trigger_rule", &offered)
}

/// The variables of an `env:` as places of templates.
pub(super) fn env_sites<'n, 's>(node: &'n Node<'s>) -> impl Iterator<Item = Site<'n, 's>> + use<'n, 's> {
    let entries = match &node.kind {
        Kind::Map(entries) => entries.as_slice(),
        Kind::Scalar(_) | Kind::List(_) => &[],
    };
    entries.iter().map(|entry| Site { node: &entry.value, kind: SiteKind::Plain })
}

/// Fields that are checked but that this version does not act on.
fn later<'s>(reader: &mut Reader<'s>, entry: &MapEntry<'s>) {
    unsupported(reader, entry.key_pos, &entry.key);
    let node = &entry.value;
    match &*entry.key {
        "labels" => {
            for label in reader.map(node, "labels").unwrap_or_default() {
                reader.text(&label.value, &label.key);
            }
        }
        "pool" => _ = reader.parsed::<QueueName>(node, "pool"),
        "pool_slots" => _ = reader.integer(node, "pool_slots", 1..=10_000),
        "max_parallel" => _ = reader.integer(node, "max_parallel", 1..=100_000),
        "depends_on_past" => _ = reader.boolean(node, "depends_on_past"),
        _ => {
            let is_template = matches!(&node.kind, Kind::Scalar(scalar) if scalar.text.contains("{{"));
            if !is_template && !matches!(node.kind, Kind::List(_)) {
                reader.expected(node, "for_each", "a list, or a template that gives one");
            }
        }
    }
}

/// `bash`, `sh` and their kin by name, or a program with arguments that takes the script as its last one.
fn shell<'s>(reader: &mut Reader<'s>, node: &Node<'s>) -> Option<Vec<String>> {
    let words: Vec<String> = match &node.kind {
        Kind::List(_) => reader.texts(node, "shell")?,
        Kind::Scalar(_) | Kind::Map(_) => {
            reader.filled(node, "shell")?.split_whitespace().map(str::to_owned).collect()
        }
    };
    let options: &[&str] = match words.as_slice() {
        [program] if matches!(program.as_str(), "bash" | "zsh" | "ksh") => &["-euo", "pipefail", "-c"],
        [program] if matches!(program.as_str(), "sh" | "dash" | "ash") => &["-eu", "-c"],
        [] | [_] => {
            reader.expected(
                node,
                "shell",
                "`bash`, `sh`, or a program with arguments such as `[python3, -c]`",
            );
            return None;
        }
        _ => &[],
    };
    Some(words.into_iter().chain(options.iter().map(|&option| option.to_owned())).collect())
}

fn outputs<'s>(reader: &mut Reader<'s>, node: &Node<'s>) -> Option<Vec<String>> {
    let keys = reader.texts(node, "outputs")?;
    let mut seen = HashSet::new();
    for key in &keys {
        if !is_output_key(key) {
            let message = format!("`outputs`: `{}` is not a key", cut(key));
            reader.sink.push_hint(node.pos, message, name_hint(key));
        } else if !seen.insert(key) {
            reader.sink.push(node.pos, format!("`outputs`: `{key}` stands twice"));
        }
    }
    Some(keys)
}

impl Fields<'_, '_> {
    /// The longest delay must not be shorter than the first.
    fn check_delays(&self, reader: &mut Reader<'_>, pos: Pos, defaults: &Fields<'_, '_>) {
        let (delay, max) = self.delays(defaults);
        if max.is_some_and(|max| max < delay) {
            reader.sink.push(pos, "`retry_max_delay` is shorter than `retry_delay`");
        }
    }

    fn delays(&self, defaults: &Fields<'_, '_>) -> (Duration, Option<Duration>) {
        let delay = self.retry_delay.or(defaults.retry_delay).unwrap_or(RETRY_DELAY);
        (delay, self.retry_max_delay.or(defaults.retry_max_delay))
    }

    /// The task that these fields and `defaults` make.
    fn into_task(self, name: TaskName, pos: Pos, action: Action, defaults: &Fields<'_, '_>) -> Task {
        let (delay, delay_max) = self.delays(defaults);
        let backoff = Backoff {
            kind: self.retry_backoff.or(defaults.retry_backoff).unwrap_or(BackoffKind::Fixed),
            delay,
            delay_max: delay_max.unwrap_or(RETRY_MAX_DELAY.max(delay)),
        };
        let (home, default_queue) = match action.cost() {
            Cost::Nothing => (QueueName::NOOP, None),
            Cost::Slot => (QueueName::DEFAULT, defaults.queue.clone()),
        };
        let mut env = defaults.env.clone();
        env.extend(self.env);
        Task {
            name,
            line: pos.line,
            action,
            when: self.when.or_else(|| defaults.when.clone()),
            trigger_rule: self.trigger_rule.or(defaults.trigger_rule).unwrap_or(TriggerRule::AllSuccess),
            retries: self.retries.or(defaults.retries).unwrap_or(0),
            backoff,
            timeout: self.timeout.or(defaults.timeout),
            grace: self.grace.or(defaults.grace).unwrap_or(GRACE),
            queue: self.queue.or(default_queue).unwrap_or_else(|| QueueName::trusted(home)),
            priority: self.priority.or(defaults.priority).unwrap_or(0),
            env,
            cwd: self.cwd.or_else(|| defaults.cwd.clone()),
            shell: self.shell.or_else(|| defaults.shell.clone()),
            on_lost: self.on_lost.or(defaults.on_lost).unwrap_or(OnLost::Retry),
            outputs: self.outputs.or_else(|| defaults.outputs.clone()).unwrap_or_default(),
            reads_outputs_of: Vec::new(),
            when_reads_outputs_of: Vec::new(),
        }
    }
}
