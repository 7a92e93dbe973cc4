//! One simulated history: a seed decides the DAG, the outcomes and every crash.

mod check;
mod dags;
mod store;

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, Duration, TimeZone, Utc};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rota_core::dag::{self, Dag};
use rota_core::id::{AttemptKey, DagId, DagVersion, IntentId, QueueName, RunId, TaskKey};
use rota_core::plan::Planner;
use rota_core::port::{DagRow, Intent, IntentKind, QueueCapacity, RetrySelection};
use rota_core::state::{RunState, TaskState};

use store::{Model, Write};

/// What the seeds reached, so that a change cannot silently make the simulation toothless.
#[derive(Debug, Default, Clone)]
pub(crate) struct Coverage {
    pub(crate) leader_crashes: u64,
    pub(crate) worker_losses: u64,
    pub(crate) retries: u64,
    pub(crate) taken_over: u64,
    pub(crate) lost_bells: u64,
    pub(crate) double_deliveries: u64,
    pub(crate) cancels: u64,
    pub(crate) manual_retries: u64,
    pub(crate) missed: u64,
    pub(crate) skipped_slots: u64,
    pub(crate) runs: u64,
    pub(crate) tasks: u64,
}

impl Coverage {
    pub(crate) fn add(&mut self, other: &Self) {
        self.leader_crashes += other.leader_crashes;
        self.worker_losses += other.worker_losses;
        self.retries += other.retries;
        self.taken_over += other.taken_over;
        self.lost_bells += other.lost_bells;
        self.double_deliveries += other.double_deliveries;
        self.cancels += other.cancels;
        self.manual_retries += other.manual_retries;
        self.missed += other.missed;
        self.skipped_slots += other.skipped_slots;
        self.runs += other.runs;
        self.tasks += other.tasks;
    }

    pub(crate) fn is_broad(&self) -> bool {
        [
            self.leader_crashes,
            self.worker_losses,
            self.retries,
            self.taken_over,
            self.lost_bells,
            self.double_deliveries,
            self.cancels,
            self.manual_retries,
            self.missed,
            self.skipped_slots,
            self.runs,
            self.tasks,
        ]
        .iter()
        .all(|count| *count > 0)
    }
}

/// The world that the leader lives in.
struct World {
    rng: StdRng,
    now: DateTime<Utc>,
    dag: Arc<Dag>,
    store: Model,
    /// `None`: no leader.
    planner: Option<Planner>,
    bells: Vec<TaskKey>,
    queue: Vec<AttemptKey>,
    /// Attempts that were lost and whose workers may still have something to say.
    late: BTreeSet<AttemptKey>,
    /// Faults happen only before this step.
    calm: bool,
    coverage: Coverage,
    intents: i64,
}

/// Runs one seed.
pub(crate) fn run(seed: u64) -> Result<Coverage, String> {
    let mut rng = StdRng::seed_from_u64(seed);
    let source = dags::random(&mut rng);
    let dag = dag::parse_version(&DagId::trusted("sim"), &source)
        .map_err(|errors| format!("bad DAG: {errors}\n{source}"))?;
    let start = Utc.with_ymd_and_hms(2026, 3, 1, 12, 0, 0).single().ok_or("no such time")?;
    let row = DagRow {
        dag: DagId::trusted("sim"),
        version: DagVersion(1),
        path: "sim.yaml".to_owned(),
        hash: String::new(),
        paused: false,
        present: true,
        cursor: Some(start),
        next_slot: None,
        updated_at: start,
    };
    let mut world = World {
        rng,
        now: start,
        dag: Arc::new(dag),
        store: Model::new(row),
        planner: None,
        bells: Vec::new(),
        queue: Vec::new(),
        late: BTreeSet::new(),
        calm: false,
        coverage: Coverage::default(),
        intents: 0,
    };
    let result = world.live().and_then(|()| check::history(&world.dag, &world.store, start, world.now));
    result.map_err(|violation| format!("{violation}\n--- DAG\n{source}"))?;
    world.coverage.runs = world.store.runs.len() as u64;
    world.coverage.tasks = world.store.tasks.len() as u64;
    world.coverage.missed = world.store.count(rota_core::port::SlotOutcome::Missed);
    world.coverage.skipped_slots = world.store.count(rota_core::port::SlotOutcome::Skipped);
    Ok(world.coverage)
}

impl World {
    fn live(&mut self) -> Result<(), String> {
        for _ in 0..self.rng.random_range(20..160) {
            self.step()?;
        }
        // From here on no faults and no new slots: everything must come to an end.
        self.calm = true;
        self.store.dag.paused = true;
        self.planner = None;
        for _ in 0..2000 {
            self.lead()?;
            self.sweep()?;
            self.drive()?;
            self.deliver_all();
            self.finish_all();
            self.now += Duration::seconds(5);
            if self.store.is_quiet() {
                return self.delete_file();
            }
        }
        Err(format!("stuck: {}", self.store.open_work()))
    }

    /// At the end the DAG's file is deleted: the runs that waited for the paused schedule end with it.
    fn delete_file(&mut self) -> Result<(), String> {
        self.store.dag.present = false;
        if let Some(planner) = &mut self.planner {
            planner.dag_known(self.store.dag.clone(), Arc::clone(&self.dag));
        }
        self.drive()?;
        match self.store.runs.values().find(|run| run.state == RunState::Queued) {
            Some(run) => Err(format!("run {} waits for a DAG whose file was deleted", run.id)),
            None => Ok(()),
        }
    }

    fn step(&mut self) -> Result<(), String> {
        if self.rng.random_bool(0.1) {
            self.now += Duration::seconds(self.rng.random_range(1..400));
        } else {
            self.now += Duration::milliseconds(self.rng.random_range(1..3000));
        }
        match self.rng.random_range(0..12) {
            0 => self.crash_leader(),
            1 => self.lose_worker(),
            2..=4 => self.deliver_some(),
            5..=7 => {
                self.finish_some();
                self.deliver_late();
            }
            8 => self.person()?,
            9 => self.sweep()?,
            _ => self.hear()?,
        }
        self.lead()?;
        self.drive()
    }

    fn crash_leader(&mut self) {
        self.planner = None;
        self.coverage.leader_crashes += 1;
    }

    /// A new term: everything from the rows, in the order that the scheduler uses.
    fn lead(&mut self) -> Result<(), String> {
        if self.planner.is_some() {
            return Ok(());
        }
        let mut planner = Planner::default();
        planner.capacity_known(&[QueueCapacity {
            queue: QueueName::trusted("default"),
            slots: 2,
            workers: 1,
        }]);
        planner.dag_known(self.store.dag.clone(), Arc::clone(&self.dag));
        for run in self.store.active_runs() {
            let rows = self.store.rows_of(run.id);
            planner
                .run_known(run, Arc::clone(&self.dag), &rows, self.now)
                .map_err(|error| error.to_string())?;
        }
        self.queue.extend(planner.dispatches().iter().map(|dispatch| dispatch.key));
        self.planner = Some(planner);
        Ok(())
    }

    /// Commits what the planner says; the leader may die after any step.
    fn drive(&mut self) -> Result<(), String> {
        loop {
            let Some(planner) = &mut self.planner else { return Ok(()) };
            let batch = planner.plan(self.now).map_err(|error| error.to_string())?;
            if batch.is_empty() {
                return Ok(());
            }
            if self.chance(0.02) {
                self.crash_leader();
                return Ok(());
            }
            let written = self.store.commit(&batch, self.now);
            let committed = match written {
                Write::Done(committed) => committed,
                // Another writer was faster: as the scheduler does, load everything anew.
                Write::Conflict(_) if !self.calm => {
                    self.planner = None;
                    return self.lead();
                }
                Write::Conflict(why) => return Err(format!("conflict without a rival: {why}")),
            };
            self.coverage.retries += batch.retries.len() as u64;
            if self.chance(0.02) {
                self.crash_leader();
                return Ok(());
            }
            self.queue.extend(batch.queues.iter().chain(&batch.requeues).map(|task| task.key));
            if self.chance(0.02) {
                self.crash_leader();
                return Ok(());
            }
            let now = self.now;
            let Some(planner) = &mut self.planner else { return Ok(()) };
            planner.committed(batch, committed, now).map_err(|error| error.to_string())?;
        }
    }

    fn chance(&mut self, probability: f64) -> bool {
        !self.calm && self.rng.random_bool(probability)
    }

    /// Takes in everything, as the period sweep does.
    fn sweep(&mut self) -> Result<(), String> {
        let now = self.now;
        let Some(planner) = &mut self.planner else { return Ok(()) };
        let lost = self.store.lost();
        planner.lost(&lost, now).map_err(|error| error.to_string())?;
        for intent in self.store.intents.clone() {
            self.drive()?;
            let Some(planner) = &mut self.planner else { return Ok(()) };
            if matches!(intent.kind, IntentKind::Retry(_))
                && !planner.has_run(intent.run)
                && let Some(run) = self.store.runs.get(&intent.run).cloned()
            {
                let rows = self.store.rows_of(run.id);
                planner
                    .run_known(run, Arc::clone(&self.dag), &rows, now)
                    .map_err(|error| error.to_string())?;
            }
            planner.intent(&intent, now).map_err(|error| error.to_string())?;
        }
        self.drive()?;
        let turn = self.rng.random();
        let Some(planner) = &mut self.planner else { return Ok(()) };
        planner.begin_answers(turn);
        for run in self.store.active_runs() {
            if !planner.has_run(run.id) {
                let rows = self.store.rows_of(run.id);
                planner
                    .run_known(run, Arc::clone(&self.dag), &rows, now)
                    .map_err(|error| error.to_string())?;
            }
        }
        let rows = self.store.rows(&planner.outstanding());
        planner.observed(&rows, now).map_err(|error| error.to_string())
    }

    /// Some doorbells arrive, some twice, some never.
    fn hear(&mut self) -> Result<(), String> {
        let bells = std::mem::take(&mut self.bells);
        for key in bells {
            if self.chance(0.2) {
                self.coverage.lost_bells += 1;
                continue;
            }
            let times = if self.chance(0.2) { 2 } else { 1 };
            let rows = self.store.rows(&[key]);
            let now = self.now;
            let Some(planner) = &mut self.planner else { return Ok(()) };
            for _ in 0..times {
                planner.observed(&rows, now).map_err(|error| error.to_string())?;
            }
        }
        Ok(())
    }

    fn deliver_some(&mut self) {
        for _ in 0..self.rng.random_range(1..6) {
            if self.queue.is_empty() {
                return;
            }
            let at = self.rng.random_range(0..self.queue.len());
            let key = if self.chance(0.1) {
                self.coverage.double_deliveries += 1;
                self.queue[at]
            } else {
                self.queue.swap_remove(at)
            };
            // A lost message is found by a worker's poll, here by the next leader's dispatches or `deliver_all`.
            if !self.chance(0.1) {
                self.store.claim(key, self.now);
            }
        }
    }

    /// Workers poll the store.
    fn deliver_all(&mut self) {
        self.queue.clear();
        for key in self.store.queued() {
            self.store.claim(key, self.now);
        }
    }

    /// Lost workers were only cut off, and deliver what they have.
    fn deliver_late(&mut self) {
        for key in std::mem::take(&mut self.late) {
            if self.chance(0.5) {
                self.late.insert(key);
            } else if self.rng.random_bool(0.7) && self.store.take_over(key, self.now) {
                self.coverage.taken_over += 1;
                self.bells.push(key.task);
            }
        }
    }

    fn finish_some(&mut self) {
        for key in self.store.running() {
            if self.rng.random_bool(0.5) {
                self.finish(key);
            }
        }
    }

    fn finish_all(&mut self) {
        for key in self.store.running() {
            self.finish(key);
        }
    }

    fn finish(&mut self, key: AttemptKey) {
        let failed = self.rng.random_bool(0.3);
        let state = if self.store.cancel_requested(key) && self.rng.random_bool(0.8) {
            TaskState::Cancelled
        } else if failed {
            TaskState::Failed
        } else {
            TaskState::Success
        };
        if self.store.finish(key, state, self.now) {
            self.bells.push(key.task);
        }
    }

    /// All running attempts of one of two workers are lost.
    fn lose_worker(&mut self) {
        let lost: BTreeSet<AttemptKey> =
            self.store.running().into_iter().filter(|key| key.attempt % 2 == 1).collect();
        if !lost.is_empty() {
            self.coverage.worker_losses += 1;
        }
        self.late.extend(&lost);
        self.store.lose(lost);
    }

    fn person(&mut self) -> Result<(), String> {
        let runs: Vec<RunId> = self.store.runs.keys().copied().collect();
        match self.rng.random_range(0..4) {
            0 => self.store.trigger(self.now),
            1 => {
                self.store.dag.paused = !self.store.dag.paused;
                if let Some(planner) = &mut self.planner {
                    planner.dag_known(self.store.dag.clone(), Arc::clone(&self.dag));
                }
            }
            choice => {
                let Some(run) = (!runs.is_empty()).then(|| runs[self.rng.random_range(0..runs.len())]) else {
                    return Ok(());
                };
                let ended = self.store.runs.get(&run).is_some_and(|run| run.state.is_terminal());
                let kind = if choice == 2 && ended {
                    self.coverage.manual_retries += 1;
                    let tasks =
                        vec![self.dag.tasks[self.rng.random_range(0..self.dag.tasks.len())].name.clone()];
                    let by_name = self.rng.random_bool(0.5);
                    IntentKind::Retry(if by_name {
                        RetrySelection::Tasks(tasks)
                    } else {
                        RetrySelection::Failed
                    })
                } else {
                    self.coverage.cancels += u64::from(!ended);
                    IntentKind::Cancel
                };
                self.intents += 1;
                let id = IntentId(self.intents);
                let actor = "ana".to_owned();
                self.store.intents.push(Intent { id, run, kind, actor, created_at: self.now });
            }
        }
        Ok(())
    }
}

/// Whether a run's state is one that the leader still walks.
pub(crate) fn is_active(state: RunState) -> bool {
    matches!(state, RunState::Queued | RunState::Running)
}
