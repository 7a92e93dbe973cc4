//! `rota start` and its settings: what is refused, what `--check` prints, and what a process says while its services are
//! away. None of these tests has any service.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use rota_tests::services::free_port;
use tempfile::TempDir;

use crate::support::{Finished, Rota, Running, rota, wait_for};

/// Nobody listens on these.
const DATABASE: &str = "postgres://rota:hunter2@127.0.0.1:1/rota";
const BROKER: &str = "amqp://rota:hunter3@127.0.0.1:2/%2f";
const ETCD: &str = "http://127.0.0.1:3";
const TOKEN: &str = "0123456789-0123456789";

/// A process of a cluster whose services are away.
fn start(role: &str) -> Rota {
    rota()
        .args(["start", role])
        .env("ROTA_DATABASE_URL", DATABASE)
        .env("ROTA_BROKER_URL", BROKER)
        .env("ROTA_ETCD_ENDPOINTS", ETCD)
        .env("ROTA_PEER_LISTEN", "off")
        .env("ROTA_ADMIN_TOKEN", TOKEN)
}

fn refused(end: &Finished, told: &[&str]) {
    assert_eq!((end.code, end.stdout.as_str()), (2, ""), "{end:?}");
    for part in told {
        assert!(end.stderr.contains(part), "it should say `{part}`: {}", end.stderr);
    }
    for secret in ["hunter2", "hunter3", TOKEN] {
        assert!(!end.stderr.contains(secret), "a secret is shown: {}", end.stderr);
    }
}

#[test]
fn wrong_settings_are_refused_with_their_place_and_what_was_expected() {
    let wrong: &[(&str, &str, &str, &[&str])] = &[
        ("worker", "ROTA_WORKER_LEASE", "soon", &["ROTA_WORKER_LEASE", "`soon`", "30s"]),
        ("worker", "ROTA_WORKER_LEASE", "30", &["ROTA_WORKER_LEASE", "`30s`"]),
        ("worker", "ROTA_WORKER_LEASE", "100ms", &["worker.lease", "at least 600ms"]),
        ("worker", "ROTA_WORKER_SLOTS", "0", &["ROTA_WORKER_SLOTS", "1 to 10000"]),
        ("worker", "ROTA_WORKER_QUEUES", "Bad Queue", &["ROTA_WORKER_QUEUES", "lower-case"]),
        ("worker", "ROTA_WORKER_LABELS", "zone", &["zone=a,disk=ssd"]),
        ("worker", "ROTA_DAGS", "/nowhere/at/all", &["ROTA_DAGS", "a directory"]),
        ("worker", "ROTA_NAME", "a/b", &["ROTA_NAME", "without `=` and `/`"]),
        ("worker", "ROTA_LISTEN", "7684", &["ROTA_LISTEN", "127.0.0.1:7682"]),
        ("worker", "ROTA_DATABASE_URL", "mysql://u:hunter2@h/d", &["ROTA_DATABASE_URL", "postgres://"]),
        ("worker", "ROTA_DATABASE_URL", "file:/nowhere/at/all", &["ROTA_DATABASE_URL: /nowhere/at/all"]),
        ("worker", "ROTA_DATABASE_URL", "", &["database.url is not set", "rota.toml"]),
        ("worker", "ROTA_BROKER_URL", "http://u:hunter3@h", &["ROTA_BROKER_URL", "amqp://"]),
        ("worker", "ROTA_BROKER_QUEUES", "lazy", &["ROTA_BROKER_QUEUES", "quorum or classic"]),
        ("worker", "ROTA_BROKER_CA", "/nowhere/at/all", &["/nowhere/at/all"]),
        ("worker", "ROTA_CONFIG", "/nowhere/at/all", &["/nowhere/at/all", "cannot be read"]),
        ("scheduler", "ROTA_LEADER_TTL", "1s", &["ROTA_LEADER_TTL", "at least 2s"]),
        ("scheduler", "ROTA_ETCD_ENDPOINTS", "ftp://h", &["ROTA_ETCD_ENDPOINTS", "http://"]),
        ("scheduler", "ROTA_ETCD_USER", "rota", &["etcd.user is set without etcd.password"]),
        ("scheduler", "ROTA_ETCD_CERT", "/x", &["etcd.cert is set without etcd.key"]),
        ("scheduler", "ROTA_ETCD_PREFIX", "rota", &["the etcd prefix", "/rota/"]),
        ("scheduler", "ROTA_PEER_ADVERTISE", "node-1", &["ROTA_PEER_LISTEN", "ROTA_PEER_ADVERTISE"]),
        ("web", "ROTA_ADMIN_TOKEN", "short", &["ROTA_ADMIN_TOKEN", "at least 20"]),
        ("web", "ROTA_ADMIN_TOKEN", "", &["ROTA_ADMIN_TOKEN", "head -c 24 /dev/urandom"]),
        ("web", "ROTA_TIMEZONE", "berlin", &["ROTA_TIMEZONE", "Europe/Berlin"]),
        ("web", "ROTA_WEB_TLS", "yes", &["true or false"]),
    ];
    for (role, variable, value, told) in wrong {
        let mut command = start(role).env(variable, value);
        let mut told = told.to_vec();
        if *variable == "ROTA_PEER_ADVERTISE" {
            // Without the fast path nobody reads it.
            command = command.env("ROTA_PEER_LISTEN", "127.0.0.1:0");
            told = vec!["ROTA_PEER_ADVERTISE", "host:port"];
        }
        refused(&command.arg("--check").finish(), &told);
    }
    refused(&start("worker").args(["--slots", "many"]).finish(), &["--slots", "`many`", "a whole number"]);
}

#[test]
fn an_unknown_key_of_the_file_is_refused_with_line_column_and_the_nearest_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rota.toml");
    fs::write(&path, "name = 'a'\n\n[worker]\n  slot = 4\n").unwrap();
    let end = start("worker").arg("--config").arg(&path).finish();
    refused(&end, &[&format!("{}:4:3", path.display()), "`worker.slot`", "did you mean `worker.slots`?"]);
    fs::write(&path, "[worker\n").unwrap();
    refused(&start("worker").arg("--config").arg(&path).finish(), &["rota.toml:1:", "TOML"]);
}

#[test]
fn a_check_prints_where_each_setting_comes_from_and_no_secret() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rota.toml");
    let text = "[leader]\nttl = '9s'\n[worker]\nslots = 4\nlabels = {zone = 'a'}\nlease = '20s'\n\
                [web]\nadmin-token = 'file:/nowhere/at/all'\n[etcd]\npassword = 'file:/nowhere/at/all'\n";
    fs::write(&path, text).unwrap();
    let check = start("worker").env("ROTA_WORKER_LEASE", "10s").args(["--check", "--slots", "7"]);
    let end = check.env("ROTA_ADMIN_TOKEN", "").arg("--config").arg(&path).finish();
    assert_eq!(end.code, 0, "a worker need not be able to read the secrets of others: {end:?}");
    let line = |start: &str| end.stdout.lines().find(|line| line.starts_with(start)).unwrap_or_default();
    assert!(line("worker.slots").ends_with(" 7  (--slots)"), "{end:?}");
    assert!(line("worker.lease").ends_with(" 10s  (ROTA_WORKER_LEASE)"), "{end:?}");
    assert!(line("worker.labels").ends_with(&format!(" zone=a  ({}:5:1)", path.display())), "{end:?}");
    assert!(line("worker.queues").ends_with(" default  (default)"), "{end:?}");
    assert!(line("database.url").ends_with(" (secret)  (ROTA_DATABASE_URL)"), "{end:?}");
    assert!(!end.stdout.contains("hunter") && !end.stdout.contains("leader."), "{end:?}");

    let end = start("scheduler").args(["--check", "--config"]).arg(&path).finish();
    assert_eq!(end.code, 2, "{end:?}");
    assert!(end.stderr.contains("etcd.password") && end.stderr.contains("/nowhere/at/all"), "{end:?}");
}

#[test]
fn what_is_dangerous_is_said_by_a_check_and_at_start_with_the_way_to_mend_it() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let set =
        |path: &std::path::Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let (config, token, dags) =
        (dir.path().join("rota.toml"), dir.path().join("token"), dir.path().join("dags"));
    fs::write(&token, "change-me-change-me-now").unwrap();
    fs::create_dir(&dags).unwrap();
    let text = "[broker]\nurls = ['amqp://guest:guest@mq.example']\n[etcd]\npassword = 'x'\nuser = 'rota'\n";
    fs::write(&config, text).unwrap();
    for path in [&config, &token] {
        set(path, 0o644);
    }
    set(&dags, 0o777);
    let process = |role| {
        let process = start(role).env("ROTA_BROKER_URL", "").arg("--config").arg(&config);
        process.env("ROTA_ADMIN_TOKEN", &format!("file:{}", token.display()))
    };
    let in_file = format!("chmod o-rwx {}", config.display());
    let expected = [
        (
            "scheduler",
            vec!["account `guest`".to_owned(), in_file.clone(), format!("chmod o-w {}", dags.display())],
        ),
        ("worker", vec!["mq.example".to_owned(), in_file.clone(), format!("chmod o-w {}", dags.display())]),
        ("web", vec![in_file, format!("chmod o-rwx {}", token.display()), "can be guessed".to_owned()]),
    ];
    for (role, told) in &expected {
        let dags = if *role == "web" { String::new() } else { dags.display().to_string() };
        let end = process(role).env("ROTA_DAGS", &dags).arg("--check").finish();
        assert_eq!(end.code, 0, "a caution is no error: {end:?}");
        for part in told {
            assert!(end.stderr.contains(part), "{role} should say `{part}`: {}", end.stderr);
        }
        assert!(!end.stderr.contains("change-me-change"), "a secret is shown: {}", end.stderr);
    }
    let port = free_port().to_string();
    let web = process("web").args(["--listen", &format!("127.0.0.1:{port}")]).start();
    wait_for("an answer of the process", || page(port.parse().unwrap(), "/healthz").is_some());
    let said = web.terminated().stderr;
    assert!(expected[2].1.iter().all(|part| said.contains(part)), "{said}");
    for path in [&config, &token] {
        set(path, 0o640);
    }
    let end = process("web").arg("--check").finish();
    assert!(!end.stderr.contains("chmod"), "a group may have it: {}", end.stderr);
}

#[test]
fn the_file_of_the_guide_is_a_good_one() {
    let guide = super::dags_of_this_repository().parent().unwrap().join("docs/deploy/rota.toml");
    let dir = tempfile::tempdir().unwrap();
    let text = fs::read_to_string(guide).unwrap();
    // What only a node of that cluster has.
    let text = text.replace("/srv/dags", dir.path().to_str().unwrap());
    let text = text.lines().filter(|line| !line.contains("/etc/rota/")).collect::<Vec<_>>().join("\n");
    let path = dir.path().join("rota.toml");
    fs::write(&path, text).unwrap();
    for role in ["scheduler", "worker", "web"] {
        let check = rota().args(["start", role, "--check", "--config"]).arg(&path);
        let check = check.env("ROTA_DATABASE_URL", DATABASE).env("ROTA_BROKER_URL", BROKER);
        let end = check.env("ROTA_ADMIN_TOKEN", TOKEN).finish();
        assert_eq!(end.code, 0, "{role}: {end:?}");
    }
}

/// A process that was started on a port of its own.
struct Away {
    running: Running,
    port: u16,
    _dir: TempDir,
}

fn away(role: &str) -> Away {
    let (port, dir) = (free_port(), tempfile::tempdir().expect("a directory"));
    let command = start(role).env("ROTA_DATA", &dir.path().join("data").to_string_lossy());
    let running = command.arg("--listen").arg(format!("127.0.0.1:{port}")).start();
    wait_for("an answer of the process", || page(port, "/healthz").is_some());
    Away { running, port, _dir: dir }
}

/// Status and text of a page; nothing if there is no answer.
pub(crate) fn page(port: u16, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n\r\n").ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
}

#[test]
fn a_process_whose_services_are_away_answers_its_probes_and_names_what_it_waits_for() {
    for (role, services) in [
        ("scheduler", vec!["postgres", "rabbitmq", "etcd"]),
        ("worker", vec!["postgres", "rabbitmq"]),
        ("web", vec!["postgres", "rabbitmq"]),
    ] {
        let process = away(role);
        let mut told = Vec::new();
        wait_for("a line for each service that is away", || {
            let (status, text) = page(process.port, "/readyz").expect("an answer");
            assert_eq!(status, 503, "{role}: {text}");
            told = text.lines().map(str::to_owned).collect();
            services.iter().all(|service| {
                let start = format!("waits for {service}: ");
                told.iter().any(|line| line.starts_with(&start) && line.contains("refused"))
            })
        });
        assert_eq!(told.len(), services.len(), "{role}: {told:?}");
        assert_eq!(page(process.port, "/healthz"), Some((200, "ok\n".to_owned())), "{role}");
        assert_eq!(page(process.port, "/leader"), Some((503, "not the leader\n".to_owned())), "{role}");
        let (status, metrics) = page(process.port, "/metrics").unwrap();
        if role == "web" {
            assert_eq!(status, 401, "the dashboard's numbers are behind its login: {metrics}");
        } else {
            let lines: Vec<&str> = metrics.lines().collect();
            assert!(lines.contains(&"rota_ready 0") && lines.contains(&"rota_leader 0"), "{role}: {metrics}");
            for service in &services {
                let line = format!("rota_service_up{{service=\"{service}\"}} 0");
                assert!(lines.contains(&line.as_str()), "{role}: {metrics}");
            }
        }
        let end = process.running.terminated();
        assert_eq!(end.code, 0, "{role}: {end:?}");
        assert!(end.stderr.contains(&format!("{role} ")) && !end.stderr.contains("hunter"), "{end:?}");
        for port in ["127.0.0.1:1: ", "127.0.0.1:2: ", "127.0.0.1:3: "].iter().take(services.len()) {
            let lines = end.stderr.lines().filter(|line| line.contains(port)).count();
            assert_eq!(lines, 1, "one line about {port} is enough: {}", end.stderr);
        }
    }
}

#[test]
fn half_a_request_does_not_hold_a_process_that_is_told_to_stop() {
    let process = away("worker");
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, process.port)).unwrap();
    stream.write_all(b"GET /hea").unwrap();
    let end = process.running.terminated();
    assert_eq!(end.code, 0, "{end:?}");
}

#[test]
fn a_second_worker_in_the_same_directory_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let worker = || start("worker").args(["--listen", "127.0.0.1:0", "--data"]).arg(dir.path().join("data"));
    let first = worker().start();
    wait_for("the first worker's lock", || dir.path().join("data/lock").exists());
    wait_for("the first worker in the lock's text", || {
        fs::read_to_string(dir.path().join("data/lock")).is_ok_and(|text| text.contains("pid"))
    });
    let end = worker().finish();
    assert_eq!(end.code, 1, "{end:?}");
    assert!(end.stderr.contains("in use by process") && end.stderr.contains("--data"), "{end:?}");
    assert_eq!(first.terminated().code, 0);
}

#[test]
fn an_address_for_other_schedulers_that_is_taken_says_what_to_do() {
    let taken = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let command = start("scheduler").args(["--listen", "127.0.0.1:0", "--peer-listen", &address]);
    let end = command.finish();
    assert_eq!(end.code, 1, "{end:?}");
    assert!(end.stderr.contains(&address) && end.stderr.contains("`off`"), "{end:?}");
}

#[test]
fn a_migration_without_a_database_fails_and_says_why() {
    let end = rota().arg("migrate").env("ROTA_DATABASE_URL", DATABASE).finish();
    assert_eq!((end.code, end.stdout.as_str()), (1, ""), "{end:?}");
    assert!(end.stderr.contains("127.0.0.1:1") && end.stderr.contains("rota migrate"), "{end:?}");
    refused(&rota().arg("migrate").finish(), &["database.url is not set", "ROTA_DATABASE_URL"]);
    let end = rota().args(["migrate", "--database-url", "mysql://h/d"]).finish();
    refused(&end, &["--database-url", "postgres://"]);
}
