//! DAGs of witnessed tasks: the file for rota and the plan for the checker are made from the same words.

use std::fmt::Write;
use std::path::Path;

use crate::witness::history::{Plan, Slots, Task};
use crate::witness::record::DIR_VARIABLE;

/// A DAG of witnessed tasks.
pub struct Dag {
    /// Its id.
    pub name: &'static str,
    /// Seconds between two slots; 0 for a DAG that runs only when it is asked to, with a parameter `key`.
    pub every: i64,
    /// More of its `schedule:`.
    pub policy: &'static str,
    /// Whether each slot must run, whatever happens.
    pub must_run: bool,
    /// Whether people ask for tasks to run again.
    pub has_people: bool,
    /// Whether it allows one run at a time, and skips slots meanwhile.
    pub is_narrow: bool,
    /// Its tasks.
    pub tasks: Vec<TaskText>,
}

/// A task: its script comes between the witness's start and end.
pub struct TaskText {
    plan: Task,
    more: &'static str,
    script: &'static str,
}

/// A task that does this and succeeds.
#[must_use]
pub fn task(name: &str, needs: &[&str], script: &'static str) -> TaskText {
    let needs = needs.iter().map(ToString::to_string).collect();
    TaskText { plan: Task { name: name.to_owned(), needs, ..Task::default() }, more: "", script }
}

impl TaskText {
    /// It is never started again if it is lost.
    #[must_use]
    pub fn once(mut self) -> Self {
        self.plan.once = true;
        self
    }

    /// It waits for any end of what it needs.
    #[must_use]
    pub fn after_any_end(mut self) -> Self {
        self.plan.after_any_end = true;
        self
    }

    /// More fields of its entry, as one line.
    #[must_use]
    pub fn with(mut self, more: &'static str) -> Self {
        self.more = more;
        self
    }
}

impl Dag {
    /// A DAG with slots, each of which must run.
    #[must_use]
    pub fn every(seconds: i64, name: &'static str, tasks: Vec<TaskText>) -> Self {
        Self {
            name,
            every: seconds,
            policy: "deadline: 10m",
            must_run: true,
            has_people: false,
            is_narrow: false,
            tasks,
        }
    }

    /// A DAG that runs when it is asked to.
    #[must_use]
    pub fn asked(name: &'static str, tasks: Vec<TaskText>) -> Self {
        Self { name, every: 0, policy: "", must_run: false, has_people: false, is_narrow: false, tasks }
    }

    /// What the checker knows.
    #[must_use]
    pub fn plan(&self) -> Plan {
        let slots = (self.every > 0).then(|| Slots { every: self.every, ..Slots::default() });
        let tasks = self.tasks.iter().map(|it| it.plan.clone()).collect();
        Plan { tasks, slots, has_people: self.has_people, is_narrow: self.is_narrow }
    }

    /// The file.
    ///
    /// # Panics
    /// Never: writing to a text does not fail.
    #[must_use]
    pub fn yaml(&self, witness: &Path) -> String {
        let mut text = format!("dag: {}\n", self.name);
        let every = self.every;
        let line = match every {
            0 => "params: {key: {type: string}}".to_owned(),
            1 => format!("schedule: {{cron: '* * * * * *', {}}}", self.policy),
            _ => format!("schedule: {{cron: '*/{every} * * * * *', {}}}", self.policy),
        };
        let overlap = if self.is_narrow { "max_active_runs: 1\noverlap: skip" } else { "overlap: queue" };
        let env = format!("env: {{{DIR_VARIABLE}: '{}'}}", witness.display());
        writeln!(text, "{line}\n{overlap}\n{env}\ndefaults: {{retry_delay: 100ms, grace: 2s}}\ntasks:")
            .unwrap();
        for task in &self.tasks {
            task.write(&mut text);
        }
        text
    }
}

impl TaskText {
    fn write(&self, text: &mut String) {
        let plan = &self.plan;
        writeln!(text, "  {}:\n    needs: [{}]", plan.name, plan.needs.join(", ")).unwrap();
        let rule = if plan.after_any_end { "trigger_rule: all_done" } else { "" };
        let lost = if plan.once { "on_lost: fail" } else { "" };
        for line in [rule, lost, self.more].into_iter().filter(|line| !line.is_empty()) {
            writeln!(text, "    {line}").unwrap();
        }
        let lines = [". \"$WITNESS_DIR/witness.sh\"", self.script, "finish"];
        writeln!(text, "    run: |").unwrap();
        for line in lines.iter().flat_map(|lines| lines.lines()) {
            writeln!(text, "      {line}").unwrap();
        }
    }
}

/// Six tasks that take some two seconds: one fails at first, one must not be started twice, one comes after any end, one
/// leaves a process behind that left its group.
#[must_use]
pub fn diamond(name: &'static str) -> Dag {
    let tasks = vec![
        task("split", &[], "sleep 0.1"),
        task("left", &["split"], "sleep 0.2\n((ROTA_ATTEMPT > 1)) || finish 3").with("retries: 3"),
        task(
            "right",
            &["split"],
            "setsid sleep 20 >/dev/null 2>&1 &\nsleep $((RANDOM % 2)).$((RANDOM % 5 + 1))",
        ),
        task("join", &["left", "right"], ":"),
        task("fragile", &["split"], "sleep 0.5").once(),
        task("report", &["fragile"], "sleep 0.1").after_any_end(),
    ];
    Dag::every(1, name, tasks)
}
