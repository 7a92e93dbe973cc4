//! What the cluster runs in these tests: DAGs whose tasks are short, long, branched, flaky, fragile and forking, so that
//! faults always hit something.

use rota_tests::lab::dag::{Dag, diamond, task};

/// The DAG whose slots are measured.
pub(crate) const BEAT: &str = "beat";

/// A task every second, a diamond every two, tasks of four seconds every three.
pub(crate) fn dags() -> Vec<Dag> {
    let beat = Dag::every(1, BEAT, vec![task("beat", &[], ":")]);
    let diamond = Dag { every: 2, ..diamond("diamond") };
    let slow = vec![
        task("long", &[], "sleep 4"),
        task("fragile", &[], "sleep 2\nsetsid sleep 30 >/dev/null 2>&1 &\nsleep 2").once(),
        task("after", &["long"], ":"),
        task("report", &["fragile"], ":").after_any_end(),
    ];
    vec![beat, diamond, Dag::every(3, "slow", slow)]
}
