//! What a worker does in a cluster: without DAG files of its own, and when a person has it drain.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use rota_core::id::WorkerId;
use rota_core::port::{Actor, WorkerIntents, WorkerState, WorkerViews};
use rota_core::state::TaskState;
use rota_worker::WorkerOptions;

use super::{House, until};

const PLACES: &str = "
dag: places
tasks:
  here:
    run: |
      pwd
      stat -c %a .
      mkdir -p cache
      echo left > cache/file
      chmod 500 cache
  there:
    cwd: /tmp
    run: pwd
  stays:
    run: sleep 30
";

/// The options of a worker without DAG files.
fn bare(house: &House) -> WorkerOptions {
    WorkerOptions { dags_dir: None, ..house.options() }
}

fn scratch(house: &House) -> PathBuf {
    house.dir.path().join("worker/scratch")
}

/// Waits until no directory of an attempt is left.
async fn swept(house: &House) {
    let is_empty =
        |path: PathBuf| std::fs::read_dir(path).map_or(true, |mut entries| entries.next().is_none());
    until("no directory of an attempt is left", async || is_empty(scratch(house)).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_dag_files_an_attempt_starts_in_a_private_directory_that_goes_with_it() {
    let house = House::new(PLACES).await;
    let worker = house.start(bare(&house));
    let (here, there) = (house.queue("here").await, house.queue("there").await);
    for key in [here, there] {
        house.in_state(key, TaskState::Success).await;
    }
    let lines = house.lines(here).await;
    let started_in = lines[0].strip_prefix("out ").unwrap();
    assert_eq!(PathBuf::from(started_in).parent(), Some(scratch(&house).as_path()), "{lines:?}");
    assert_eq!(lines[1..], ["out 700"], "nobody expects a folder where there are no DAG files");
    assert_eq!(house.lines(there).await, ["out /tmp"], "a `cwd` of the task's own comes first");
    swept(&house).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_the_folder_of_the_dag_is_missing_the_log_says_so() {
    let house = House::new(PLACES).await;
    let elsewhere = house.dir.path().join("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    let worker = house.start(WorkerOptions { dags_dir: Some(elsewhere), ..house.options() });
    let key = house.queue("here").await;
    house.in_state(key, TaskState::Success).await;
    let lines = house.lines(key).await;
    assert!(lines[0].starts_with("sys this worker has no folder of the DAG's file"), "{lines:?}");
    assert!(lines[1].starts_with(&format!("out {}", scratch(&house).display())), "{lines:?}");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_earlier_life_left_goes_at_the_next_start() {
    let house = House::new(PLACES).await;
    let left = scratch(&house).join("7-task/cache");
    std::fs::create_dir_all(&left).unwrap();
    std::fs::write(left.join("file"), "x").unwrap();
    std::fs::set_permissions(&left, PermissionsExt::from_mode(0o500)).unwrap();
    let mut worker = house.start(bare(&house));
    worker.registered().await;
    assert!(!left.exists());
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_a_person_drains_finishes_what_it_has_and_claims_nothing_more() {
    let house = House::new(PLACES).await;
    let mut options = bare(&house);
    options.tenure = rota_worker::Tenure::Lease(std::time::Duration::from_secs(3));
    let mut worker = house.start(options);
    worker.registered().await;
    let running = house.queue("stays").await;
    house.in_state(running, TaskState::Running).await;
    let busy = worker.handle.reached(|status| status.running == 1).await;
    assert_eq!(busy.map(|status| status.state), Some(WorkerState::Live));
    let person = Actor { name: "test".to_owned(), origin: String::new() };
    assert!(house.store.worker_drain(&WorkerId::trusted("w"), &person).await.unwrap());
    let draining = worker.handle.reached(|status| status.state == WorkerState::Draining).await;
    assert_eq!(draining.map(|status| status.running), Some(1), "it goes on with what it has");
    until("the store knows", async || {
        let workers = house.store.view_workers().await.unwrap();
        (workers[0].state == WorkerState::Draining).then_some(())
    })
    .await;
    let late = house.queue("there").await;
    // Two more beats of a worker that could claim, had it a mind to.
    let seen = house.store.view_workers().await.unwrap()[0].heartbeat_at;
    until("two beats later", async || {
        let workers = house.store.view_workers().await.unwrap();
        (workers[0].heartbeat_at - seen > chrono::TimeDelta::milliseconds(900)).then_some(())
    })
    .await;
    assert_eq!(house.row(late).await.state, TaskState::Queued);
    assert_eq!(house.row(running).await.state, TaskState::Running);
    house.cancel(running).await;
    house.in_state(running, TaskState::Cancelled).await;
    worker.stop().await;
}
