//! Real processes under the executor.

mod support;

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rota_worker::{Account, End, Executor, Job, Marker, StopReason, Stream, stop};
use serde_json::json;

use support::{Bench, Lines, MachineClock, eventually, is_alive, pids};

/// How long what comes in milliseconds may take on a machine with other work.
const PATIENCE: Duration = Duration::from_secs(20);

#[test]
#[ignore = "the warden of the other tests"]
fn warden_process() {
    rota_worker::warden_main();
}

#[tokio::test]
async fn exit_code_and_lines_are_told() {
    let bench = Bench::alone();
    let (outcome, lines) = bench.run(&bench.script("echo one; echo two >&2; printf three; exit 3")).await;
    assert_eq!((outcome.end, outcome.exit_code, outcome.signal), (End::Failed, Some(3), None));
    assert_eq!(outcome.error.as_deref(), Some("exit code 3"));
    assert!(outcome.spawned_at.expect("a start") <= outcome.ended_at);
    assert_eq!(lines.of(Stream::Out), ["one", "three"]);
    assert_eq!(lines.of(Stream::Err), ["two"]);
    assert_eq!(lines.of(Stream::Sys), ["exit code 3"]);
}

#[tokio::test]
async fn silent_success_says_nothing() {
    let bench = Bench::alone();
    let (outcome, lines) = bench.run(&bench.script("true")).await;
    assert_eq!((outcome.end, outcome.exit_code, outcome.error), (End::Success, Some(0), None));
    assert!(lines.0.is_empty());
}

#[tokio::test]
async fn death_by_signal_is_told() {
    let bench = Bench::alone();
    let (outcome, _) = bench.run(&bench.script("kill -9 $$")).await;
    assert_eq!((outcome.end, outcome.exit_code, outcome.signal), (End::Failed, None, Some(9)));
    assert_eq!(outcome.error.as_deref(), Some("killed by signal 9 (SIGKILL)"));
}

#[tokio::test]
async fn stdin_is_empty_and_pipe_signal_is_the_default() {
    let bench = Bench::alone();
    let (outcome, lines) = bench.run(&bench.script("cat; readlink /proc/self/fd/0; yes | head -1")).await;
    // `yes` dies of SIGPIPE as in any shell, which `pipefail` notices.
    assert_eq!((outcome.end, outcome.exit_code), (End::Failed, Some(141)));
    assert_eq!(lines.of(Stream::Out), ["/dev/null", "y"]);
}

#[tokio::test]
async fn child_sees_only_its_own_descriptors_and_group() {
    let bench = Bench::alone();
    let text = "ls /proc/$$/fd; cut -d' ' -f5 /proc/$$/stat; echo $$";
    let (outcome, lines) = bench.run(&bench.script(text)).await;
    assert_eq!(outcome.end, End::Success);
    let out = lines.of(Stream::Out);
    let (fds, [group, pid]) = out.split_last_chunk::<2>().unwrap();
    assert_eq!(group, pid, "it leads its own process group");
    let handed_down = handed_down();
    let own: Vec<&str> = fds.iter().copied().filter(|fd| !handed_down.contains(&(*fd).to_owned())).collect();
    assert_eq!(own, ["0", "1", "2"]);
}

/// Descriptors that this program got from whoever started it and that any child of it gets as well.
fn handed_down() -> Vec<String> {
    let is_kept = |fd: &String| {
        let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{fd}")).unwrap_or_default();
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).unwrap_or("02000000");
        u32::from_str_radix(flags.trim(), 8).is_ok_and(|flags| flags & 0o2_000_000 == 0)
    };
    let all = std::fs::read_dir("/proc/self/fd").expect("a process table").flatten();
    let names = all.filter_map(|entry| entry.file_name().into_string().ok());
    names.filter(|fd| fd.parse::<u32>().is_ok_and(|fd| fd > 2)).filter(is_kept).collect()
}

#[tokio::test]
async fn environment_is_clean() {
    let bench = Bench::alone();
    let mut job = bench.script("env");
    job.env = vec![("A".into(), "1".into()), ("A".into(), "2".into()), ("ROTA_WORKER".into(), "mine".into())];
    let (_, lines) = bench.run(&job).await;
    let env = lines.of(Stream::Out);
    let names: Vec<&str> =
        env.iter().filter_map(|entry| entry.split_once('=')).map(|(name, _)| name).collect();
    let known =
        ["PATH", "HOME", "LANG", "TZ", "TMPDIR", "USER", "LOGNAME", "SHELL", "A", "PWD", "SHLVL", "_"];
    for name in &names {
        assert!(
            known.contains(name) || name.starts_with("LC_") || name.starts_with("ROTA_"),
            "{name} leaked"
        );
    }
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some() && !names.contains(&"CARGO_MANIFEST_DIR"));
    assert!(env.contains(&"A=2") && env.contains(&"ROTA_FENCE_TOKEN=7"));
    assert!(!env.contains(&"ROTA_WORKER=mine"), "tasks cannot take off the worker's mark");
}

#[tokio::test]
async fn working_directory_and_path_are_the_tasks_own() {
    let bench = Bench::alone();
    std::fs::create_dir(bench.path("bin")).unwrap();
    std::fs::write(bench.path("bin/hello"), "#!/bin/sh\necho hello from $(pwd)\n").unwrap();
    let run = std::process::Command::new("chmod").arg("+x").arg(bench.path("bin/hello")).status().unwrap();
    assert!(run.success());
    let cwd = bench.dir.path().canonicalize().unwrap();
    let expected = format!("hello from {}", cwd.display());
    let (_, lines) = bench.run(&bench.argv(&["./bin/hello"])).await;
    assert_eq!(lines.of(Stream::Out), [expected.as_str()]);
    let mut job = bench.argv(&["hello"]);
    job.env = vec![("PATH".into(), "bin:/usr/bin:/bin".into())];
    let (_, lines) = bench.run(&job).await;
    assert_eq!(lines.of(Stream::Out), [expected.as_str()]);
}

#[tokio::test]
async fn failed_starts_say_why() {
    let bench = Bench::alone();
    std::fs::write(bench.path("plain"), "echo\n").unwrap();
    std::fs::write(bench.path("odd"), "#!/no/such/shell\n").unwrap();
    std::fs::write(bench.path("data"), "just text\n").unwrap();
    let marks =
        std::process::Command::new("chmod").arg("+x").args([bench.path("odd"), bench.path("data")]).status();
    assert!(marks.unwrap().success());
    for (program, reason) in [
        ("./x.sh", "cannot start ./x.sh: no such file"),
        ("./plain", "cannot start ./plain: permission denied (is it executable? try chmod +x)"),
        ("./odd", "cannot start ./odd: the interpreter named in its first line does not exist"),
        ("./outputs", "cannot start ./outputs: it is a directory"),
        ("", "cannot start the command: its program is an empty text"),
    ] {
        let (outcome, lines) = bench.run(&bench.argv(&[program])).await;
        assert_eq!(outcome.error.as_deref(), Some(reason));
        assert_eq!(lines.of(Stream::Sys), [reason]);
        assert_eq!((outcome.end, outcome.spawned_at), (End::Failed, None));
    }
    let (outcome, _) = bench.run(&bench.argv(&["no-such-program"])).await;
    assert!(outcome.error.unwrap().starts_with("cannot start no-such-program: no such program on PATH ("));
    let mut job = bench.script("true");
    job.cwd = bench.path("nowhere");
    let (outcome, _) = bench.run(&job).await;
    let reason = format!("working directory {} does not exist", job.cwd.display());
    assert!(outcome.error.unwrap().ends_with(&reason));
    let (outcome, _) = bench.run(&bench.argv(&["echo", &"x".repeat(200_000)])).await;
    assert!(outcome.error.unwrap().contains("too long"));
    let (outcome, _) = bench.run(&bench.argv(&["echo", "a\0b"])).await;
    assert!(outcome.error.unwrap().contains("NUL"));
}

#[tokio::test]
async fn outputs_are_taken_and_promises_kept() {
    let bench = Bench::alone();
    let mut job = bench.script("echo rows=12 >> $ROTA_OUTPUT; echo name=a b >> $ROTA_OUTPUT");
    job.outputs = vec!["rows".into()];
    let (outcome, _) = bench.run(&job).await;
    assert_eq!(outcome.end, End::Success);
    assert_eq!(json!(outcome.outputs), json!({"rows": "12", "name": "a b"}));
    job.outputs = vec!["shops".into()];
    let (outcome, lines) = bench.run(&job).await;
    assert_eq!((outcome.end, outcome.exit_code), (End::Failed, Some(0)));
    assert!(outcome.error.unwrap().contains("`shops`"));
    assert_eq!(lines.of(Stream::Sys).len(), 1);
    let (outcome, _) = bench.run(&bench.script("head -c 70000 /dev/zero | tr '\\0' a > $ROTA_OUTPUT")).await;
    assert!(outcome.error.unwrap().contains("65536"));
    let left = std::fs::read_dir(bench.path("outputs")).unwrap().count();
    assert_eq!(left, 0, "no output file stays");
}

#[tokio::test]
async fn output_file_that_is_no_file_does_not_hang() {
    let bench = Bench::alone();
    for trick in ["mkfifo $ROTA_OUTPUT", "ln -s /etc/passwd $ROTA_OUTPUT", "mkdir $ROTA_OUTPUT"] {
        let (outcome, _) = bench.run(&bench.script(trick)).await;
        assert_eq!(outcome.end, End::Failed, "{trick}");
        assert!(outcome.error.unwrap().contains("ROTA_OUTPUT"), "{trick}");
    }
}

#[tokio::test]
async fn what_a_task_does_to_its_outputs_folder_it_does_to_no_other_task() {
    let bench = Bench::alone();
    let (own, shared) = ("$(dirname $ROTA_OUTPUT)", "$(dirname $(dirname $ROTA_OUTPUT))");
    let deeds =
        ["rm -rf @", "mv @ @.gone", "rm -rf @; ln -s /tmp @", "rm -rf @; touch @", "touch @/x; chmod 0 @"];
    let deeds = deeds.iter().flat_map(|deed| [deed.replace('@', own), deed.replace('@', shared)]);
    let mut speaker = bench.script("echo rows=12 > $ROTA_OUTPUT");
    speaker.outputs = vec!["rows".into()];
    for deed in deeds {
        let (outcome, _) = bench.run(&bench.script(&format!("cd /; {deed}"))).await;
        assert_eq!(outcome.end, End::Success, "{deed}: {:?}", outcome.error);
        let (outcome, _) = bench.run(&speaker).await;
        assert_eq!(outcome.end, End::Success, "after {deed}: {:?}", outcome.error);
        assert_eq!(json!(outcome.outputs), json!({"rows": "12"}), "after {deed}");
    }
    let names = || std::fs::read_dir(bench.path("outputs")).unwrap().map(|entry| entry.unwrap().file_name());
    let is_theirs = |name: std::ffi::OsString| name.to_string_lossy().parse::<u64>().is_err();
    eventually("nothing of ours stays", PATIENCE, || names().all(is_theirs)).await;
}

#[tokio::test]
async fn a_running_task_keeps_its_outputs_folder_whatever_others_do_to_theirs() {
    let bench = Bench::alone();
    let mut slow =
        bench.script("touch up; until [ -e go ]; do sleep 0.01; done; echo rows=12 > $ROTA_OUTPUT");
    slow.outputs = vec!["rows".into()];
    let vandal = async {
        eventually("the other runs", PATIENCE, || bench.path("up").exists()).await;
        bench.run(&bench.script("rm -rf $(dirname $ROTA_OUTPUT); ln -s /tmp $(dirname $ROTA_OUTPUT)")).await;
        std::fs::write(bench.path("go"), "").unwrap();
    };
    let ((outcome, _), ()) = tokio::join!(bench.run(&slow), vandal);
    assert_eq!(json!(outcome.outputs), json!({"rows": "12"}), "{:?}", outcome.error);
}

#[tokio::test]
async fn timeout_ends_a_task_that_ignores_term() {
    let bench = Bench::alone();
    let mut job = bench.script("trap '' TERM; echo $$ > pids; sleep 600 & echo $! >> pids; wait; sleep 600");
    job.timeout = Some(Duration::from_millis(400));
    job.grace = Duration::from_millis(300);
    let start = Instant::now();
    let (outcome, _) = bench.run(&job).await;
    let took = start.elapsed();
    assert!(took >= Duration::from_millis(700) && took < Duration::from_millis(1700), "{took:?}");
    assert_eq!((outcome.end, outcome.signal), (End::Failed, Some(9)));
    assert_eq!(outcome.error.as_deref(), Some("time limit of 400ms was up"));
    let started = pids(&bench.path("pids"));
    assert!(started.len() == 2 && !started.into_iter().any(is_alive));
}

#[tokio::test]
async fn cancel_is_told_by_term_and_waits_for_the_whole_tree() {
    let bench = Bench::alone();
    let tree =
        "trap 'echo bye; exit 0' TERM; setsid sleep 600 & echo $! > pids; sleep 600 & echo $! >> pids; wait";
    let job = bench.script(tree);
    let (stop, mut stopped) = stop();
    let executor = bench.executor.clone();
    let running = tokio::spawn(async move {
        let mut lines = Lines::default();
        (executor.run(&job, &mut stopped, &mut lines).await, lines)
    });
    let file = bench.path("pids");
    eventually("the tree stands", Duration::from_secs(10), || pids(&file).len() == 2).await;
    stop.end(StopReason::Cancelled);
    let (outcome, lines) = running.await.unwrap();
    assert_eq!((outcome.end, outcome.exit_code), (End::Cancelled, Some(0)));
    assert_eq!(lines.of(Stream::Out), ["bye"]);
    assert!(!pids(&file).into_iter().any(is_alive), "what left the group is gone as well");
}

#[tokio::test]
async fn stop_of_the_worker_is_no_result() {
    let bench = Bench::alone();
    for (reason, end) in [(StopReason::Shutdown, End::Lost), (StopReason::LeaseLost, End::Lost)] {
        let (stop, mut stopped) = stop();
        stop.kill(reason);
        let outcome = bench.executor.run(&bench.script("true"), &mut stopped, &mut Lines::default()).await;
        assert_eq!((outcome.end, outcome.spawned_at), (end, None));
    }
}

#[tokio::test]
async fn background_children_end_with_the_task() {
    let bench = Bench::alone();
    let (outcome, _) = bench.run(&bench.script("sleep 600 >/dev/null 2>&1 & echo $! > pids")).await;
    assert_eq!(outcome.end, End::Success);
    eventually("it is gone", Duration::from_secs(1), || !pids(&bench.path("pids")).into_iter().any(is_alive))
        .await;
}

#[tokio::test]
async fn daemon_that_holds_stdout_does_not_block() {
    let bench = Bench::alone();
    let start = Instant::now();
    let (outcome, lines) = bench.run(&bench.script("setsid sleep 600 & echo $! > pids; echo done")).await;
    assert!(start.elapsed() < Duration::from_secs(300), "it was waited for: {:?}", start.elapsed());
    assert_eq!(outcome.end, End::Success);
    assert_eq!(lines.of(Stream::Out), ["done"]);
    assert!(!pids(&bench.path("pids")).into_iter().any(is_alive));
}

#[tokio::test]
async fn output_of_a_late_tee_is_not_lost() {
    let bench = Bench::alone();
    let (_, lines) = bench.run(&bench.script("exec > >(sleep 0.05; tee copy); echo late")).await;
    assert_eq!(lines.of(Stream::Out), ["late"]);
}

#[tokio::test]
async fn a_hundred_at_once_leave_no_zombie() {
    let bench = Bench::guarded().await;
    let tasks: Vec<_> = (0..100)
        .map(|no| {
            let (executor, mut job) = (bench.executor.clone(), bench.script(&format!("echo {no}")));
            job.token = no;
            tokio::spawn(async move {
                let (_stop, mut stopped) = stop();
                let mut lines = Lines::default();
                let outcome = executor.run(&job, &mut stopped, &mut lines).await;
                assert_eq!(
                    (outcome.end, lines.of(Stream::Out)),
                    (End::Success, vec![no.to_string().as_str()])
                );
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let own = std::process::id();
    let children = std::fs::read_to_string(format!("/proc/{own}/task/{own}/children")).unwrap_or_default();
    let zombies = children.split_whitespace().filter(|pid| !is_alive(pid.parse().unwrap())).count();
    assert_eq!(zombies, 0);
}

#[tokio::test]
async fn plain_command_runs_without_a_shell_and_falls_back_to_one() {
    let bench = Bench::alone();
    let direct = |words: &[&str], script: &str| {
        let direct = Some(words.iter().map(|word| (*word).to_owned()).collect());
        Job { direct, ..bench.script(script) }
    };
    let (outcome, lines) = bench.run(&direct(&["printenv", "PWD"], "echo shell")).await;
    assert_eq!((outcome.end, outcome.exit_code), (End::Success, Some(0)));
    assert_eq!(lines.of(Stream::Out), [bench.path("").display().to_string().trim_end_matches('/')]);
    // A file without `#!` is something that only a shell can run.
    std::fs::write(bench.path("bare"), "echo from a shell\n").expect("a file");
    std::fs::set_permissions(bench.path("bare"), std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .expect("its mode");
    let (outcome, lines) = bench.run(&direct(&["./bare"], "./bare")).await;
    assert_eq!((outcome.end, lines.of(Stream::Out)), (End::Success, vec!["from a shell"]));
    let (outcome, lines) = bench.run(&direct(&["no-such-program"], "no-such-program")).await;
    assert_eq!(outcome.exit_code, Some(127), "the shell's own word for it");
    assert!(lines.of(Stream::Err).concat().contains("not found"));
}

/// A bench for tasks of another user, who may pass through its directory.
fn bench_of(account: Account) -> Bench {
    let mut bench = Bench::alone();
    std::fs::set_permissions(bench.dir.path(), std::fs::Permissions::from_mode(0o711))
        .expect("our own directory");
    let clock = Arc::new(MachineClock);
    let executor = Executor::new(&bench.path("outputs"), Marker::random("test"), None, clock);
    let executor = executor.and_then(|executor| executor.run_as(account).map_err(std::io::Error::other));
    bench.executor = Arc::new(executor.expect("a passable place"));
    bench
}

#[tokio::test]
async fn a_task_of_another_user_has_its_own_place_and_none_of_ours() {
    if !rustix::process::geteuid().is_root() {
        let refused = Account::find("nobody").unwrap_err();
        assert!(refused.contains("only root"), "{refused}");
        return;
    }
    let nobody = Account::find("nobody").unwrap();
    let bench = bench_of(nobody.clone());
    std::fs::write(bench.path("token"), "secret").unwrap();
    std::fs::set_permissions(bench.path("token"), std::fs::Permissions::from_mode(0o600)).unwrap();
    let script = "id -u; id -G; echo $USER $HOME; cat token && exit 3; cat /proc/$PPID/environ && exit 4
        ls outputs && exit 5; touch $(dirname $(dirname $ROTA_OUTPUT))/x && exit 6; kill -0 $PPID && exit 7
        echo rows=12 > $ROTA_OUTPUT";
    let (outcome, lines) = bench.run(&bench.argv(&["bash", "-c", script])).await;
    assert_eq!(outcome.end, End::Success, "{:?} {:?}", outcome.error, lines.0);
    assert_eq!(json!(outcome.outputs), json!({"rows": "12"}));
    let own = [nobody.uid.to_string(), nobody.gid.to_string(), format!("nobody {}", nobody.home.display())];
    assert_eq!(lines.of(Stream::Out), own);
    // Where the system lets one link another's file at all.
    let (outcome, _) = bench.run(&bench.argv(&["bash", "-c", "ln /etc/passwd $ROTA_OUTPUT || true"])).await;
    assert_eq!(outcome.outputs, None);
    assert_eq!(std::fs::read_dir(bench.path("outputs")).unwrap().count(), 0, "what was theirs is removed");
}
