//! What a leader has read from rows and goes by: all DAGs, all active runs. It is read at the start of a term and kept up
//! from then on. After any trouble it is thrown away and read anew, because only the rows know what became of a commit.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use rota_core::dag::Dag;
use rota_core::id::{DagId, RunId, TaskKey};
use rota_core::plan::Planner;
use rota_core::port::{Batch, DagRow, FileErrorRow, RunRow, RunTransition, StoreError, TaskRow};
use rota_core::state::{RunEvent, RunState, run_next};

use crate::files::ReplicaCache;
use crate::term::PAGE;
use crate::term::context::TermContext;
use crate::term::failures::TermError;

/// Runs loaded in one go, with all their tasks.
const RUNS_PAGE: usize = 200;

/// See the module's text.
#[derive(Default)]
pub(crate) struct LoadedState {
    pub(crate) planner: Planner,
    /// The current version of each DAG.
    pub(crate) dags: BTreeMap<DagId, (DagRow, Arc<Dag>)>,
    /// DAGs whose current version this rota cannot read.
    pub(crate) unreadable: BTreeMap<DagId, DagRow>,
    /// The errors of broken files, by path.
    pub(crate) broken: BTreeMap<String, serde_json::Value>,
    /// The newest run that the planner was told of.
    pub(crate) newest_run: RunId,
}

impl LoadedState {
    /// Loads DAGs, active runs and broken files.
    pub(super) async fn load(
        &mut self,
        context: TermContext<'_>,
        cache: &mut ReplicaCache,
    ) -> Result<(), TermError> {
        let store = context.store;
        let (dags, broken, runs, now) = tokio::try_join!(
            store.ask(|plans| plans.dags_load()),
            store.ask(|plans| plans.files_broken()),
            store.ask(|plans| plans.runs_active(RunId(0), RUNS_PAGE)),
            context.now(),
        )?;
        self.take_in_dags(context, cache, dags).await?;
        self.take_in_broken(broken);
        let mut rows = runs;
        while let Some(last) = rows.last() {
            let (after, is_last) = (last.id, rows.len() < RUNS_PAGE);
            self.take_in_runs(context, cache, rows, now).await?;
            if is_last {
                break;
            }
            rows = store.ask(|plans| plans.runs_active(after, RUNS_PAGE)).await?;
        }
        Ok(())
    }

    /// Reads all DAG rows and tells the planner what changed.
    pub(crate) async fn look_at_dags(
        &mut self,
        context: TermContext<'_>,
        cache: &mut ReplicaCache,
    ) -> Result<(), TermError> {
        let rows = context.store.ask(|plans| plans.dags_load()).await?;
        self.take_in_dags(context, cache, rows).await
    }

    /// Reads which files are broken.
    pub(crate) async fn look_at_broken(&mut self, context: TermContext<'_>) -> Result<(), TermError> {
        let rows = context.store.ask(|plans| plans.files_broken()).await?;
        self.take_in_broken(rows);
        Ok(())
    }

    /// Reads these tasks' rows and tells the planner.
    pub(crate) async fn observe(
        &mut self,
        context: TermContext<'_>,
        keys: &[TaskKey],
    ) -> Result<(), TermError> {
        if keys.is_empty() {
            return Ok(());
        }
        let now = context.now().await?;
        for page in keys.chunks(PAGE) {
            let rows = context.store.ask(|plans| plans.tasks_load(page)).await?;
            self.planner.observed(&rows, now)?;
        }
        Ok(())
    }

    /// Loads the tasks and versions of these runs and hands them to the planner.
    pub(crate) async fn take_in_runs(
        &mut self,
        context: TermContext<'_>,
        cache: &ReplicaCache,
        runs: Vec<RunRow>,
        now: DateTime<Utc>,
    ) -> Result<(), TermError> {
        let ids: Vec<RunId> = runs.iter().map(|run| run.id).filter(|id| !self.planner.has_run(*id)).collect();
        let tasks = context.store.ask(|plans| plans.tasks_of_runs(&ids)).await?;
        let mut by_run: BTreeMap<RunId, Vec<TaskRow>> = BTreeMap::new();
        for task in tasks {
            let TaskKey { run, .. } = task.key;
            by_run.entry(run).or_default().push(task);
        }
        for run in runs {
            self.newest_run = self.newest_run.max(run.id);
            if self.planner.has_run(run.id) {
                continue;
            }
            match cache.versions.get(context.store, &run.dag, run.version).await {
                Ok(dag) => {
                    let rows = by_run.remove(&run.id).unwrap_or_default();
                    self.planner.run_known(run, dag, &rows, now)?;
                }
                Err(StoreError::Refused(why)) => give_up(context, &run, why, now).await?,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn take_in_broken(&mut self, rows: Vec<FileErrorRow>) {
        self.broken = rows.into_iter().map(|row| (row.path, row.errors)).collect();
    }

    async fn take_in_dags(
        &mut self,
        context: TermContext<'_>,
        cache: &mut ReplicaCache,
        rows: Vec<DagRow>,
    ) -> Result<(), TermError> {
        let scan = cache.scan();
        for row in rows {
            if self.knows(&row) {
                continue;
            }
            match cache.versions.current(context.store, &row, scan.as_deref()).await {
                Ok(dag) => {
                    self.unreadable.remove(&row.dag);
                    self.dags.insert(row.dag.clone(), (row.clone(), Arc::clone(&dag)));
                    self.planner.dag_known(row, dag);
                }
                Err(StoreError::Refused(why)) => {
                    tracing::error!("DAG {} is not scheduled: {why}", row.dag);
                    self.unreadable.insert(row.dag.clone(), row);
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Whether a row says nothing new. The cursor is the planner's own; all else may have been changed by others.
    fn knows(&self, row: &DagRow) -> bool {
        let same = |before: &DagRow| {
            before.version == row.version
                && before.paused == row.paused
                && before.present == row.present
                && before.path == row.path
        };
        self.dags.get(&row.dag).is_some_and(|(before, _)| same(before))
            || self.unreadable.get(&row.dag).is_some_and(same)
    }
}

/// Ends a run whose DAG version this rota cannot read: better failed with a reason than stuck without one.
async fn give_up(
    context: TermContext<'_>,
    run: &RunRow,
    why: String,
    now: DateTime<Utc>,
) -> Result<(), TermError> {
    let event = match run.state {
        RunState::Queued => RunEvent::Cancel,
        RunState::Running => RunEvent::Fail,
        // A finished run that a person wants to run again stays as it is; the intent says that it cannot.
        RunState::Success | RunState::Failed | RunState::Cancelled => return Ok(()),
    };
    tracing::error!(run.id = run.id.0, "run {} cannot go on: {why}", run.id);
    let to = run_next(run.state, event)?;
    let transition = RunTransition { run: run.id, from: run.state, to, at: now, reason: Some(why) };
    context.commit(&Batch { run_transitions: vec![transition], ..Batch::default() }).await?;
    Ok(())
}
