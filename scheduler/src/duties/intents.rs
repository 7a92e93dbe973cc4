//! The duty that hears people: manual runs, pause switches, cancels and retries.

use std::time::Duration;

use chrono::{DateTime, Utc};
use rota_core::id::RunId;
use tokio::time::Instant;

use crate::term::failures::TermError;
use crate::term::{LeaderTerm, PAGE};

/// How often all DAG rows are read in case a doorbell was lost: a pause that nobody heard of holds as soon as any other
/// intent would be found.
const DAG_LOOK_EVERY: Duration = Duration::from_secs(1);
/// Between two looks at all DAG rows that doorbells ask for: a bell about a pause sounds like any other bell about an intent.
const DAG_LOOK_PAUSE: Duration = Duration::from_millis(250);
/// Manual runs are looked for from this many run numbers below the newest known one: numbers are not always committed in
/// order.
const RUN_SLACK: i64 = 1000;

/// When all DAG rows are, and were, looked at.
pub(crate) struct IntentDuty {
    next_dag_look: Instant,
    last_dag_look: Instant,
}

impl Default for IntentDuty {
    fn default() -> Self {
        let now = Instant::now();
        Self { next_dag_look: now, last_dag_look: now }
    }
}

impl IntentDuty {
    /// Takes in manual runs, pause switches and intents. Returns whether all intents that there are were carried out.
    pub(crate) async fn run(&mut self, term: &mut LeaderTerm<'_>) -> Result<bool, TermError> {
        if Instant::now() >= self.next_dag_look {
            self.last_dag_look = Instant::now();
            self.next_dag_look = self.last_dag_look + DAG_LOOK_EVERY;
            term.state.look_at_dags(term.context, term.cache).await?;
        }
        let now = term.context.now().await?;
        take_in_queued_runs(term, now).await?;
        carry_out_intents(term, now).await
    }

    /// A doorbell rang that may have been about a DAG.
    pub(crate) fn look_at_dags_soon(&mut self) {
        self.next_dag_look = self.next_dag_look.min(self.last_dag_look + DAG_LOOK_PAUSE);
    }

    /// What was read of DAGs is forgotten.
    pub(crate) fn look_at_dags_now(&mut self) {
        self.next_dag_look = Instant::now();
    }
}

async fn take_in_queued_runs(term: &mut LeaderTerm<'_>, now: DateTime<Utc>) -> Result<(), TermError> {
    let context = term.context;
    let mut after = RunId((term.state.newest_run.0 - RUN_SLACK).max(0));
    loop {
        let runs = context.store.ask(|plans| plans.runs_queued(after, PAGE)).await?;
        let Some(last) = runs.last() else { return Ok(()) };
        after = last.id;
        term.state.take_in_runs(context, term.cache, runs, now).await?;
    }
}

async fn carry_out_intents(term: &mut LeaderTerm<'_>, now: DateTime<Utc>) -> Result<bool, TermError> {
    let context = term.context;
    let pending = context.store.ask(|plans| plans.intents_pending(PAGE)).await?;
    let mut are_all = pending.len() < PAGE;
    for intent in pending {
        // An intent is carried out on its own: the planner leaves it pending while anything else is to be committed.
        are_all &= term.drive().await?;
        if !term.state.planner.has_run(intent.run) {
            let run = context.store.ask(|plans| plans.run_load(intent.run)).await?;
            term.state.take_in_runs(context, term.cache, run.into_iter().collect(), now).await?;
        }
        term.state.planner.intent(&intent, now)?;
    }
    Ok(are_all)
}
