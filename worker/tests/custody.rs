//! Whatever a worker starts dies with it.

mod support;

use std::process::{Command, Stdio};
use std::time::Duration;

use rota_worker::{BootTime, End, Marker, Warden, stop, sweep_earlier_lives};
use rustix::process::{Pid, Signal, kill_process};

use support::{Bench, Lines, eventually, is_alive, pids, warden_command};

/// A process, one in its group, one that left it, and one that left it and its parents.
const TREE: &str = "echo $$ > pids; sleep 600 & echo $! >> pids; setsid sleep 600 & echo $! >> pids
    ( setsid bash -c 'sleep 600 & echo $! >> pids' & ) ; sleep 600";
const TREE_SIZE: usize = 4;

#[test]
#[ignore = "the warden of the other tests"]
fn warden_process() {
    rota_worker::warden_main();
}

/// A worker that runs one tree of processes until somebody ends it. Its directory comes in the environment.
#[tokio::test]
#[ignore = "a worker for the other tests"]
async fn worker_process() {
    let Ok(dir) = std::env::var("ROTA_TEST_DIR") else { return };
    let warden = Warden::start(warden_command(), Marker::random("killed")).await.unwrap();
    let lease_ms: u64 = std::env::var("ROTA_TEST_LEASE_MS").unwrap().parse().unwrap();
    warden.set_deadline(BootTime::now().after(Duration::from_millis(lease_ms)));
    let bench = Bench::under(warden);
    let mut job = bench.script(TREE);
    job.cwd = dir.into();
    bench.run(&job).await;
}

fn start_worker(dir: &std::path::Path, lease_ms: &str) -> std::process::Child {
    Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "worker_process", "--ignored", "--nocapture"])
        .env("ROTA_TEST_DIR", dir)
        .env("ROTA_TEST_LEASE_MS", lease_ms)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .expect("a worker")
}

async fn tree_in(dir: &std::path::Path) -> Vec<i32> {
    let file = dir.join("pids");
    eventually("the tree stands", Duration::from_secs(20), || pids(&file).len() == TREE_SIZE).await;
    pids(&file)
}

#[tokio::test]
async fn killed_worker_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let mut worker = start_worker(dir.path(), "60000");
    let tree = tree_in(dir.path()).await;
    assert!(tree.iter().all(|pid| is_alive(*pid)));
    worker.kill().unwrap();
    let limit = Duration::from_secs(1);
    eventually("the tree is gone", limit, || !tree.iter().any(|pid| is_alive(*pid))).await;
    worker.wait().unwrap();
}

#[tokio::test]
async fn dropped_warden_ends_everything() {
    let bench = Bench::guarded().await;
    let (_stop, mut stopped) = stop();
    let (executor, job) = (bench.executor.clone(), bench.script(TREE));
    let running = tokio::spawn(async move { executor.run(&job, &mut stopped, &mut Lines::default()).await });
    let tree = tree_in(bench.dir.path()).await;
    running.abort();
    let _ = running.await;
    drop(bench);
    eventually("the tree is gone", Duration::from_secs(1), || !tree.iter().any(|pid| is_alive(*pid))).await;
}

#[tokio::test]
async fn deadline_ends_tasks_while_the_worker_says_nothing() {
    let warden = Warden::start(warden_command(), Marker::random("late")).await.unwrap();
    let bench = Bench::under(warden.clone());
    warden.set_deadline(BootTime::now().after(Duration::from_secs(30)));
    let (_stop, mut stopped) = stop();
    let (executor, job) = (bench.executor.clone(), bench.script(TREE));
    let running = tokio::spawn(async move { executor.run(&job, &mut stopped, &mut Lines::default()).await });
    let tree = tree_in(bench.dir.path()).await;
    warden.set_deadline(BootTime::now().after(Duration::from_millis(300)));
    let limit = Duration::from_millis(1300);
    let took = eventually("the tree is gone", limit, || !tree.iter().any(|pid| is_alive(*pid))).await;
    assert!(took >= Duration::from_millis(200), "not before the deadline: {took:?}");
    assert_eq!(running.await.unwrap().signal, Some(9));
}

#[tokio::test]
async fn stopped_worker_loses_its_tasks_at_the_deadline_and_the_rest_at_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let mut worker = start_worker(dir.path(), "2000");
    let tree = tree_in(dir.path()).await;
    let pid = Pid::from_raw(worker.id() as i32).unwrap();
    kill_process(pid, Signal::STOP).unwrap();
    eventually("the tree is gone", Duration::from_secs(3), || !tree.iter().any(|pid| is_alive(*pid))).await;
    kill_process(pid, Signal::KILL).unwrap();
    worker.wait().unwrap();
}

#[tokio::test]
async fn killed_warden_is_replaced_and_told_everything() {
    let warden = Warden::start(warden_command(), Marker::random("replaced")).await.unwrap();
    let bench = Bench::under(warden.clone());
    let (_stop, mut stopped) = stop();
    let (executor, job) = (bench.executor.clone(), bench.script(TREE));
    let running = tokio::spawn(async move { executor.run(&job, &mut stopped, &mut Lines::default()).await });
    let tree = tree_in(bench.dir.path()).await;
    let first = warden.pid();
    kill_process(first.and_then(Pid::from_raw).unwrap(), Signal::KILL).unwrap();
    eventually("a new warden stands guard", Duration::from_secs(10), || warden.pid() != first).await;
    let (outcome, _) = bench.run(&bench.script("true")).await;
    assert_eq!(outcome.end, End::Success);
    assert!(tree.iter().all(|pid| is_alive(*pid)), "tasks go on");
    warden.set_deadline(BootTime::now());
    eventually("the tree is gone", Duration::from_secs(1), || !tree.iter().any(|pid| is_alive(*pid))).await;
    assert_eq!(running.await.unwrap().signal, Some(9));
}

#[tokio::test]
async fn next_life_ends_what_an_earlier_one_left() {
    let name = format!("sweep-{}", std::process::id());
    let earlier = Marker::random(&name);
    let (variable, value) = earlier.variable();
    let mut left = Command::new("setsid").args(["sleep", "600"]).env(variable, value).spawn().unwrap();
    let other = Marker::random(&format!("{name}-other"));
    let mut foreign = Command::new("sleep").arg("600").env(variable, other.variable().1).spawn().unwrap();
    let swept =
        tokio::task::spawn_blocking(move || sweep_earlier_lives(&Marker::random(&name))).await.unwrap();
    assert_eq!(swept, 1);
    assert!(!is_alive(left.id() as i32) && is_alive(foreign.id() as i32));
    foreign.kill().unwrap();
    left.wait().unwrap();
    foreign.wait().unwrap();
}
