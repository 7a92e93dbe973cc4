//! `/dags/{dag}/trigger`: a form made of the DAG's `params`, errors beside their fields.

use std::collections::{BTreeMap, HashMap};

use askama::Template;
use axum::Form;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use rota_core::dag::{Dag, Param, ParamError, ParamKind, parse_param_text};
use rota_core::port::{Object, RunFilter};
use rota_core::state::RunState;
use serde_json::{Value, json};

use crate::app::{Ctx, FoundDag, dag_id};
use crate::error::{Error, Outcome};
use crate::pages::{Nav, Page, PageFrame, PageTopic};
use crate::session::random_hex;
use crate::show::plain;
use crate::show::time::{count, span_short};
use crate::trigger::{self, TriggerWish};

/// How a field is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FieldKind {
    /// A line of text.
    Line,
    /// A whole or decimal number.
    Number,
    /// One of a few, as a drop-down.
    Choice,
    /// Yes or no.
    Switch,
    /// Many lines: a list or JSON.
    Text,
}

/// A parameter as a field.
#[derive(Debug)]
pub(crate) struct ParamField {
    pub(crate) name: String,
    pub(crate) kind: FieldKind,
    pub(crate) says: String,
    pub(crate) hint: String,
    pub(crate) value: String,
    pub(crate) choices: Vec<String>,
    pub(crate) required: bool,
    pub(crate) error: String,
}

/// The page.
#[derive(Template)]
#[template(path = "trigger.html")]
pub(crate) struct TriggerPage {
    frame: PageFrame,
    dag: String,
    key: String,
    fields: Vec<ParamField>,
    error: String,
    consequences: Vec<String>,
    shell: String,
    rest: String,
}

/// `GET /dags/{dag}/trigger`.
pub(crate) async fn show(ctx: Ctx, Path(dag): Path<String>) -> Outcome<Page<TriggerPage>> {
    let found = ctx.dag(&dag_id(&dag)?).await?;
    Ok(Page(TriggerPage::load(&ctx, &found, SentForm::default()).await?))
}

/// `POST /dags/{dag}/trigger`.
pub(crate) async fn send(
    ctx: Ctx,
    Path(dag): Path<String>,
    Form(pairs): Form<Vec<(String, String)>>,
) -> Outcome<Response> {
    let found = ctx.dag(&dag_id(&dag)?).await?;
    let mut given = SentForm::read(pairs);
    let params = match &found.dag {
        Some(dag) => given.params(dag),
        None => Object::new(),
    };
    if given.errors.is_empty()
        && let Err(errors) = trigger::checked(&found, &params)?
    {
        given.blame(errors);
    }
    if !given.errors.is_empty() {
        let page = TriggerPage::load(&ctx, &found, given).await?;
        return Ok((StatusCode::UNPROCESSABLE_ENTITY, Page(page)).into_response());
    }
    let key = Some(given.key).filter(|key| !key.is_empty());
    let triggered = trigger::run(&ctx, &found, TriggerWish { params, idempotency_key: key }).await?;
    let word = if triggered.created { "triggered" } else { "repeated" };
    Ok(Redirect::to(&format!("/runs/{}?done={word}", triggered.run.id)).into_response())
}

/// What was sent, and what is wrong with it.
#[derive(Default)]
struct SentForm {
    key: String,
    texts: HashMap<String, String>,
    errors: BTreeMap<String, String>,
}

impl SentForm {
    fn read(pairs: Vec<(String, String)>) -> Self {
        let mut given = Self::default();
        for (name, text) in pairs {
            match name.strip_prefix("p.") {
                // A switch sends `false` and, if it is on, then `true`: the last one counts.
                Some(param) => drop(given.texts.insert(param.to_owned(), text)),
                None if name == "key" => given.key = text,
                None => {}
            }
        }
        given
    }

    /// The values that the texts mean. An empty field of another type than text means: not given.
    fn params(&mut self, dag: &Dag) -> Object {
        let mut params = Object::new();
        for (name, param) in &dag.params {
            let Some(text) = self.texts.get(name) else { continue };
            if text.is_empty() && (param.kind != ParamKind::String || param.default.is_none()) {
                continue;
            }
            match parse_param_text(dag, name, text) {
                Ok(value) => drop(params.insert(name.clone(), value)),
                Err(error) => drop(self.errors.insert(error.name, error.message)),
            }
        }
        params
    }

    fn blame(&mut self, errors: Vec<ParamError>) {
        self.errors.extend(errors.into_iter().map(|error| (error.name, error.message)));
    }
}

impl TriggerPage {
    async fn load(ctx: &Ctx, found: &FoundDag, given: SentForm) -> Outcome<Self> {
        let Some(dag) = found.dag.as_deref() else {
            let id = &found.row.dag;
            return Err(Error::Conflict(format!(
                "the file of DAG `{id}` cannot be read by this version of rota"
            )));
        };
        if !found.row.present {
            return Err(Error::Conflict(format!(
                "the file of DAG `{}` is gone; nothing new starts",
                found.row.dag
            )));
        }
        let fields: Vec<ParamField> =
            dag.params.iter().map(|(name, param)| field(name, param, &given)).collect();
        let named = fields.iter().any(|field| !field.error.is_empty());
        let stray = given.errors.iter().filter(|(name, _)| !dag.params.contains_key(*name));
        let stray: Vec<String> = stray.map(|(name, message)| format!("{name}: {message}")).collect();
        let error =
            if named { "Some values do not fit; each is marked below.".to_owned() } else { stray.join("; ") };
        Ok(Self {
            frame: PageFrame::load(ctx, Nav::Dags, PageTopic::Still).await?,
            dag: found.row.dag.to_string(),
            key: if given.key.is_empty() { random_hex()[..24].to_owned() } else { given.key },
            error,
            consequences: consequences(ctx, found, dag).await?,
            shell: shell(dag),
            rest: rest(dag),
            fields,
        })
    }
}

fn field(name: &str, param: &Param, given: &SentForm) -> ParamField {
    let default = param.default.as_ref().map(plain);
    let kind = match param.kind {
        _ if !param.choices.is_empty() => FieldKind::Choice,
        ParamKind::Boolean => FieldKind::Switch,
        ParamKind::Integer | ParamKind::Number => FieldKind::Number,
        ParamKind::String => FieldKind::Line,
        ParamKind::Array | ParamKind::Object => FieldKind::Text,
    };
    ParamField {
        name: name.to_owned(),
        kind,
        says: says(param, default.as_deref()),
        hint: param.description.clone().unwrap_or_default(),
        value: given.texts.get(name).cloned().or(default).unwrap_or_default(),
        choices: param.choices.iter().map(plain).collect(),
        required: param.default.is_none() && kind != FieldKind::Switch,
        error: given.errors.get(name).map(|error| crate::show::home::sentence(error)).unwrap_or_default(),
    }
}

fn says(param: &Param, default: Option<&str>) -> String {
    let kind = match param.kind {
        _ if !param.choices.is_empty() => format!("one of {}", param.choices.len()),
        ParamKind::String => "text".to_owned(),
        ParamKind::Integer => "whole number".to_owned(),
        ParamKind::Number => "number".to_owned(),
        ParamKind::Boolean => "yes or no".to_owned(),
        ParamKind::Array => "list, separated by commas or as JSON".to_owned(),
        ParamKind::Object => "JSON object".to_owned(),
    };
    let unit = if matches!(param.kind, ParamKind::String) { " characters" } else { "" };
    let bounds = match (param.min, param.max) {
        (Some(min), Some(max)) => format!(", {min} to {max}{unit}"),
        (Some(min), None) => format!(", at least {min}{unit}"),
        (None, Some(max)) => format!(", at most {max}{unit}"),
        (None, None) => String::new(),
    };
    let end = match default {
        None => ", required".to_owned(),
        Some("") => ", optional".to_owned(),
        Some(default) => format!(", default {}", crate::show::graph::cut(default, 60)),
    };
    format!("{kind}{bounds}{end}")
}

/// What a trigger does now, in sentences.
async fn consequences(ctx: &Ctx, found: &FoundDag, dag: &Dag) -> Outcome<Vec<String>> {
    let filter = RunFilter {
        dag: Some(found.row.dag.clone()),
        states: vec![RunState::Running],
        limit: dag.max_active_runs as usize,
        ..RunFilter::default()
    };
    let active = ctx.app.ports.store.view_runs(&filter).await?;
    let first = match active.as_slice() {
        [only] if dag.max_active_runs == 1 => {
            format!("The run is queued: run {} is active, and at most one may be.", only.id)
        }
        all if all.len() >= dag.max_active_runs as usize => {
            format!("The run is queued: {} are active, and no more may be.", count(all.len() as u64, "run"))
        }
        _ => "The run starts at once.".to_owned(),
    };
    let tasks = count(dag.tasks.len() as u64, "task");
    let mut said = vec![first, format!("It has the {tasks} of version {}.", found.row.version)];
    match (found.row.next_slot, found.row.paused) {
        (_, true) => said.push("The schedule is held; that does not keep a manual run back.".to_owned()),
        (Some(next), false) => {
            let left = span_short(next - ctx.moment.now);
            said.push(format!("No slot is used up: the next one still fires in {left}."));
        }
        (None, false) => {}
    }
    Ok(said)
}

/// A command line with the parameters that have no default.
fn shell(dag: &Dag) -> String {
    let needed = dag.params.iter().filter(|(_, param)| param.default.is_none());
    let params: String = needed.map(|(name, _)| format!(" \\\n  --param {name}=…")).collect();
    format!("rota dag trigger {}{params}", dag.id)
}

fn rest(dag: &Dag) -> String {
    let params: Object = dag
        .params
        .iter()
        .map(|(name, param)| (name.clone(), param.default.clone().unwrap_or(Value::Null)))
        .collect();
    let body = json!({"params": params, "idempotency_key": "your-own-key"});
    let body = serde_json::to_string_pretty(&body).unwrap_or_default();
    format!("POST /api/v1/dags/{}/runs\n\n{body}", dag.id)
}
