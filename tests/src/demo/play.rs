//! Plays one DAG's past: slots become runs, runs become attempts with logs and outputs.

use chrono::{DateTime, TimeDelta, Utc};
use rota_core::dag::{Dag, parse, parse_params};
use rota_core::id::{AttemptKey, DagVersion, RunId, TaskKey, TaskNo};
use rota_core::port::{
    Batch, BatchPlans, ClaimRequest, Claimed, CursorMove, Finish, LogChunk, LogFacts, NewRun, Object,
    QueuedTask, RunTransition, SettledTask, SlotOutcome, SlotRow, TaskFacts,
};
use rota_core::state::{RunState, TaskState};
use serde_json::json;

use super::Demo;
use super::dags::DemoDag;
use super::fleet::OUTAGE;

/// A run that is played: of which DAG, and how many runs of it are newer.
#[derive(Clone, Copy)]
struct Part<'a> {
    demo: &'a DemoDag,
    dag: &'a Dag,
    age: usize,
}

/// How a task of a played run ends.
enum Fate {
    Success,
    Failed(&'static str),
    Settled(TaskState, String),
    GoesOn,
    /// Not reached.
    Waits,
}

impl Demo {
    pub(super) async fn history(&mut self, demo: &DemoDag, now: DateTime<Utc>) {
        let dag = parse(demo.path, demo.source).unwrap();
        let Some(schedule) = dag.schedule.clone() else { return };
        let mut slots: Vec<DateTime<Utc>> =
            std::iter::successors(schedule.previous_before(now), |slot| schedule.previous_before(*slot))
                .take(demo.runs + demo.missed.len())
                .collect();
        let next_slot = schedule.next_after(now);
        let cursor = CursorMove { dag: dag.id.clone(), from: Some(now), to: now, next_slot };
        self.commit(Batch { cursors: vec![cursor], ..Batch::default() }, now).await;
        for (place, why) in demo.missed {
            let slot = slots.remove(place - 1);
            self.miss(&dag, slot, why).await;
        }
        for (age, slot) in slots.into_iter().enumerate().rev() {
            let due = self.outage.over(slot) + TimeDelta::milliseconds(12 + (age as i64 * 37) % 60);
            self.run(Part { demo, dag: &dag, age }, (slot, due), now).await;
        }
    }

    async fn commit(&self, batch: Batch, at: DateTime<Utc>) -> Vec<RunId> {
        self.clock.set(Some(at));
        self.store.batch_commit(self.epoch, &batch).await.unwrap().runs
    }

    async fn miss(&self, dag: &Dag, slot: DateTime<Utc>, why: &str) {
        let row = SlotRow {
            dag: dag.id.clone(),
            slot,
            to: slot,
            count: 1,
            outcome: SlotOutcome::Missed,
            reason: Some(why.to_owned()),
            run: None,
            decided_at: slot + OUTAGE,
        };
        self.commit(Batch { slots: vec![row], ..Batch::default() }, slot + OUTAGE).await;
    }

    async fn run(&mut self, part: Part<'_>, (slot, due): (DateTime<Utc>, DateTime<Utc>), now: DateTime<Utc>) {
        let Part { demo, dag, age } = part;
        let params = parse_params(dag, &given(dag)).unwrap();
        let interval_start = dag.schedule.as_ref().and_then(|schedule| schedule.previous_before(slot));
        let state = RunState::Running;
        let run = NewRun {
            dag: dag.id.clone(),
            version: DagVersion(1),
            slot,
            interval_start,
            state,
            params,
            at: due,
        };
        let run = self.commit(Batch { runs: vec![run], ..Batch::default() }, due).await[0];
        let mut ends: Vec<(TaskState, DateTime<Utc>)> = vec![(TaskState::Waiting, due); dag.tasks.len()];
        for no in dag.graph.order.clone() {
            let up: Vec<_> = dag.graph.up[no.0 as usize].iter().map(|up| ends[up.0 as usize]).collect();
            let ready = up.iter().map(|(_, at)| *at).max().unwrap_or(due) + TimeDelta::milliseconds(3);
            let fate = fate(part, no, &up.iter().map(|(state, _)| *state).collect::<Vec<_>>());
            ends[no.0 as usize] = self.task(part, TaskKey::single(run, no), ready.min(now), fate).await;
        }
        let over = ends.iter().all(|(state, _)| state.is_terminal());
        if over {
            let at = ends.iter().map(|(_, at)| *at).max().unwrap_or(due);
            let failed = ends.iter().position(|(state, _)| *state == TaskState::Failed);
            let reason = failed.map(|no| {
                let words =
                    demo.failures.iter().find(|(when, _, _)| *when == age).map_or("", |(_, _, words)| words);
                format!("task {} failed: {words}", dag.tasks[no].name)
            });
            let to = if failed.is_some() { RunState::Failed } else { RunState::Success };
            let moved = RunTransition { run, from: RunState::Running, to, at, reason };
            self.commit(Batch { run_transitions: vec![moved], ..Batch::default() }, at).await;
        }
    }

    async fn task(
        &mut self,
        part: Part<'_>,
        key: TaskKey,
        ready: DateTime<Utc>,
        fate: Fate,
    ) -> (TaskState, DateTime<Utc>) {
        let Part { demo, dag, age } = part;
        let name = dag.task(key.task).name.clone();
        match fate {
            Fate::Waits => return (TaskState::Waiting, ready),
            Fate::Settled(state, reason) => {
                let settled = SettledTask { key, name, state, reason, at: ready };
                self.commit(Batch { ends_without_attempt: vec![settled], ..Batch::default() }, ready).await;
                return (state, ready);
            }
            Fate::Success | Fate::Failed(_) | Fate::GoesOn => {}
        }
        let queue = dag.task(key.task).queue.clone();
        let queued = QueuedTask { key: key.attempt(1), name: name.clone(), queue, priority: 0, at: ready };
        self.commit(Batch { queues: vec![queued], ..Batch::default() }, ready).await;
        let claimed = self.claim(key.attempt(1), ready + TimeDelta::milliseconds(9)).await;
        let draw = (u64::from(key.task.0) * 7919 + age as u64 * 104_729) % 100;
        let end = ready + TimeDelta::milliseconds(9 + demo.task_ms * (40 + draw as i64) / 100);
        self.log(&claimed, ready, &fate).await;
        let (state, error) = match fate {
            Fate::Failed(words) => (TaskState::Failed, Some(words.to_owned())),
            Fate::GoesOn => return (TaskState::Running, ready),
            Fate::Success | Fate::Settled(..) | Fate::Waits => (TaskState::Success, None),
        };
        self.clock.set(Some(end));
        let mut outputs = Object::new();
        if state == TaskState::Success && !dag.task(key.task).outputs.is_empty() {
            for key in &dag.task(claimed.key.task.task).outputs {
                outputs.insert(key.clone(), json!(draw * 12_345));
            }
        }
        let finish = Finish {
            key: claimed.key,
            token: claimed.token,
            state,
            spawned_at: Some(ready + TimeDelta::milliseconds(11)),
            ended_at: end,
            exit_code: Some(i32::from(error.is_some())),
            signal: None,
            error,
            outputs: (!outputs.is_empty()).then_some(outputs),
        };
        assert!(self.store.tasks_finish(&[finish]).await.unwrap().is_empty());
        (state, end)
    }

    async fn claim(&mut self, key: AttemptKey, at: DateTime<Utc>) -> Claimed {
        self.clock.set(Some(at));
        self.nonce += 1;
        let request = ClaimRequest {
            worker: self.hands[0].id.clone(),
            incarnation: self.hands[0].incarnation,
            nonce: self.nonce,
            keys: vec![key],
        };
        self.store.tasks_claim(&request).await.unwrap().remove(0)
    }

    async fn log(&self, claimed: &Claimed, at: DateTime<Utc>, fate: &Fate) {
        let stamp =
            |ms: i64| (at + TimeDelta::milliseconds(ms)).to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
        let mut text = format!("{} sys attempt 1 claimed by {}\n", stamp(9), self.hands[0].id);
        text += &format!(
            "{} out \u{1b}[2m$\u{1b}[0m \u{1b}[1mstarting {}\u{1b}[0m <script>alert(1)</script>\n",
            stamp(61),
            claimed.name
        );
        for batch in 1..=24 {
            text += &format!(
                "{} out \u{1b}[32m✓\u{1b}[0m batch {batch} of 24, 5,000 rows in 0.3 s\n",
                stamp(100 + batch * 300)
            );
        }
        text += &format!("{} err \u{1b}[33mbatch 25 slow: 2.15 s, waits for a lock\u{1b}[0m\n", stamp(9_000));
        if let Fate::Failed(words) = fate {
            text += &format!("{} err \u{1b}[31m{words}\u{1b}[0m\n", stamp(9_100));
            text += &format!("{} sys ended with exit code 1\n", stamp(9_110));
        }
        self.store.log_append(&[LogChunk { key: claimed.key, seq: 0, text }]).await.unwrap();
    }
}

/// Values for parameters without a default.
fn given(dag: &Dag) -> Object {
    let needed = dag.params.iter().filter(|(_, param)| param.default.is_none());
    needed.map(|(name, _)| (name.clone(), json!("2026-10-22"))).collect()
}

fn fate(part: Part<'_>, no: TaskNo, up: &[TaskState]) -> Fate {
    let Part { demo, dag, age } = part;
    let task = dag.task(no);
    let name = task.name.as_str();
    let bad = up.iter().any(|state| matches!(state, TaskState::Failed | TaskState::UpstreamFailed));
    if up.iter().any(|state| !state.is_terminal()) {
        return Fate::Waits;
    }
    if bad && name != "notify" && name != "thaw" {
        return Fate::Settled(TaskState::UpstreamFailed, "an upstream task failed".to_owned());
    }
    if task.when.is_some() {
        return Fate::Settled(TaskState::Skipped, "`when` is false".to_owned());
    }
    if age == 0 && demo.running == Some(name) {
        return Fate::GoesOn;
    }
    match demo.failures.iter().find(|(when, failing, _)| *when == age && *failing == name) {
        Some((_, _, words)) => Fate::Failed(words),
        None => Fate::Success,
    }
}
