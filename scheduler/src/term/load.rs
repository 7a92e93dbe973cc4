//! The start of a term: everything active, from its rows.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use rota_core::dag::Dag;
use rota_core::id::{RunId, TaskKey};
use rota_core::port::{Batch, DagRow, RunMove, RunRow, StoreError, TaskRow};
use rota_core::state::{RunEvent, RunState, run_next};

use crate::term::{Leader, Trouble, bounded};

/// Runs loaded in one go, with all their tasks.
const RUNS_PAGE: usize = 200;

impl Leader<'_> {
    /// Loads DAGs, active runs and broken files, and publishes what is queued.
    pub(crate) async fn load(&mut self) -> Result<(), Trouble> {
        let (limit, plans) = (self.options.call_timeout, &self.ports.plans);
        let (dags, broken, runs, now) = tokio::try_join!(
            bounded(limit, plans.dags_load()),
            bounded(limit, plans.files_broken()),
            bounded(limit, plans.runs_active(RunId(0), RUNS_PAGE)),
            bounded(limit, plans.now()),
        )?;
        self.dags_known(dags).await?;
        self.broken = broken.into_iter().map(|row| (row.path, row.errors)).collect();
        let mut rows = runs;
        while let Some(last) = rows.last() {
            let (after, is_last) = (last.id, rows.len() < RUNS_PAGE);
            self.runs_known(rows, now).await?;
            if is_last {
                break;
            }
            rows = bounded(limit, plans.runs_active(after, RUNS_PAGE)).await?;
        }
        self.outbox.publish(self.planner.dispatches());
        Ok(())
    }

    /// Reads all DAG rows and tells the planner what changed.
    pub(crate) async fn dags_look(&mut self) -> Result<(), Trouble> {
        let rows = bounded(self.options.call_timeout, self.ports.plans.dags_load()).await?;
        self.dags_known(rows).await
    }

    async fn dags_known(&mut self, rows: Vec<DagRow>) -> Result<(), Trouble> {
        let scan = self.memory.files.as_ref().and_then(|files| files.scan()).cloned();
        for row in rows {
            // The cursor is the planner's own; all else may have been changed by others.
            let same = |before: &DagRow| {
                before.version == row.version
                    && before.paused == row.paused
                    && before.present == row.present
                    && before.path == row.path
            };
            if self.dags.get(&row.dag).is_some_and(|(before, _)| same(before)) {
                continue;
            }
            if self.unread.get(&row.dag).is_some_and(same) {
                continue;
            }
            let from = (&row, scan.as_deref());
            let versions = &mut self.memory.versions;
            match versions.current(&*self.ports.plans, self.options.call_timeout, from).await {
                Ok(dag) => self.dag_known(row, dag),
                Err(StoreError::Refused(why)) => {
                    tracing::error!("DAG {} is not scheduled: {why}", row.dag);
                    self.unread.insert(row.dag.clone(), row);
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Takes over a DAG's row and current version.
    fn dag_known(&mut self, row: DagRow, dag: Arc<Dag>) {
        self.unread.remove(&row.dag);
        self.dags.insert(row.dag.clone(), (row.clone(), Arc::clone(&dag)));
        self.planner.dag_known(row, dag);
    }

    /// Loads the tasks and versions of these runs and hands them to the planner.
    pub(crate) async fn runs_known(&mut self, runs: Vec<RunRow>, now: DateTime<Utc>) -> Result<(), Trouble> {
        let ids: Vec<RunId> = runs.iter().map(|run| run.id).filter(|id| !self.planner.has_run(*id)).collect();
        let tasks = bounded(self.options.call_timeout, self.ports.plans.tasks_of_runs(&ids)).await?;
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
            let (versions, limit) = (&mut self.memory.versions, self.options.call_timeout);
            match versions.get(&*self.ports.plans, limit, (&run.dag, run.version)).await {
                Ok(dag) => {
                    let rows = by_run.remove(&run.id).unwrap_or_default();
                    self.planner.run_known(run, dag, &rows, now)?;
                }
                Err(StoreError::Refused(why)) => self.give_up(&run, why, now).await?,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Ends a run whose DAG version this rota cannot read: better failed with a reason than stuck without one.
    async fn give_up(&self, run: &RunRow, why: String, now: DateTime<Utc>) -> Result<(), Trouble> {
        let event = match run.state {
            RunState::Queued => RunEvent::Cancel,
            RunState::Running => RunEvent::Fail,
            // A finished run that a person wants to run again stays as it is; the intent says that it cannot.
            RunState::Success | RunState::Failed | RunState::Cancelled => return Ok(()),
        };
        tracing::error!(run.id = run.id.0, "run {} cannot go on: {why}", run.id);
        let to = run_next(run.state, event)?;
        let run_move = RunMove { run: run.id, from: run.state, to, at: now, reason: Some(why) };
        let batch = Batch { run_moves: vec![run_move], ..Batch::default() };
        bounded(self.options.call_timeout, self.ports.plans.batch_commit(self.epoch, &batch)).await?;
        Ok(())
    }
}
