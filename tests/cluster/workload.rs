//! What the cluster runs in these tests: DAGs whose tasks are short, long, branched, flaky, fragile and forking, so that
//! faults always hit something.

use rota_tests::lab::dag::{Dag, diamond, task};

/// The DAG whose slots are measured.
pub(crate) const BEAT: &str = "beat";

/// A task every second, a diamond every two, tasks of four seconds every three, and runs that must not meet.
pub(crate) fn dags() -> Vec<Dag> {
    let beat = Dag::every(1, BEAT, vec![task("beat", &[], ":")]);
    let diamond = Dag { every: 2, ..diamond("diamond") };
    let slow = vec![
        task("long", &[], "sleep 4"),
        task("fragile", &[], "sleep 2\nsetsid sleep 30 >/dev/null 2>&1 &\nsleep 2").once(),
        task("after", &["long"], ":"),
        task("report", &["fragile"], ":").after_any_end(),
    ];
    let narrow = vec![task("one", &[], "sleep 1.2"), task("two", &["one"], "sleep 0.6")];
    let narrow = Dag { is_narrow: true, must_run: false, ..Dag::every(2, "narrow", narrow) };
    vec![beat, diamond, Dag::every(3, "slow", slow), narrow]
}
