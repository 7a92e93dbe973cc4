//! `https://` between the commands and the dashboard: who is believed, who is not, what happens while certificates change, and
//! where tokens never go.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rota_tests::lab::PATIENCE;
use tempfile::TempDir;

use crate::support::{Finished, Rota, Running, rota, wait_for};

const TOKEN: &str = "63f0b1c2a59e4d7788aa63f0";

/// Whoever signs certificates.
struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new(name: &str) -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let pem = params.self_signed(&key).expect("a certificate").pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }
}

/// A standalone that speaks TLS as `localhost`, and the files around it.
struct Secure {
    dir: TempDir,
    running: Option<Running>,
}

impl Secure {
    fn start(authority: &Authority) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        fs::create_dir(dir.path().join("dags")).expect("a directory");
        let mut secure = Self { dir, running: None };
        secure.certify(authority, 2999);
        let command = rota().args(["standalone", "--listen", "127.0.0.1:0", "--host", "localhost"]);
        let command = command.arg("--dags").arg(secure.path("dags")).arg("--data").arg(secure.path("data"));
        let command =
            command.arg("--cert").arg(secure.path("cert.pem")).arg("--key").arg(secure.path("key.pem"));
        secure.running =
            Some(command.env("ROTA_ADMIN_TOKEN", TOKEN).env("RUST_LOG", "rota_web=info").start());
        wait_for("the server's address", || secure.path("data/server.json").exists());
        secure
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Gives it a certificate, the key first, as some who renew do.
    fn certify(&self, authority: &Authority, last_year: i32) {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a good name");
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(last_year, 1, 1);
        let certificate = params.signed_by(&key, &authority.issuer).expect("a certificate");
        for (name, text) in [("key.pem", key.serialize_pem()), ("cert.pem", certificate.pem())] {
            fs::write(self.path("new"), text).expect("written");
            fs::rename(self.path("new"), self.path(name)).expect("renamed");
        }
    }

    fn url(&self) -> String {
        let text = fs::read_to_string(self.path("data/server.json")).expect("it runs");
        let beacon: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        beacon["url"].as_str().expect("an address").to_owned()
    }

    fn address(&self) -> String {
        self.url().replace("https://localhost", "127.0.0.1")
    }

    /// A file with what `authority` is known by.
    fn trust(&self, authority: &Authority) -> PathBuf {
        let path = self.path("ca.pem");
        fs::write(&path, &authority.pem).expect("written");
        path
    }

    /// `rota dag list` as somebody elsewhere calls it.
    fn list(&self, url: &str) -> Rota {
        rota()
            .args(["dag", "list", "-o", "json", "--data", "/nowhere", "--url", url])
            .env("ROTA_TOKEN", TOKEN)
    }

    fn list_trusting(&self, authority: &Authority) -> Finished {
        self.list(&self.url()).arg("--ca").arg(self.trust(authority)).finish()
    }
}

fn refused(end: &Finished, words: &[&str]) {
    assert_eq!((end.code, end.stdout.as_str()), (1, ""), "{end:?}");
    for word in words {
        assert!(end.stderr.contains(word), "it should say `{word}`: {end:?}");
    }
}

#[test]
fn a_server_is_believed_by_its_name_and_who_signed_it_and_by_nothing_else() {
    let (ours, others) = (Authority::new("ours"), Authority::new("others"));
    let server = Secure::start(&ours);
    assert!(server.url().starts_with("https://localhost:"), "{}", server.url());
    let end = server.list_trusting(&ours);
    assert_eq!((end.code, end.stdout.trim()), (0, "[]"), "{end:?}");
    let beside = rota().args(["dag", "list", "--data"]).arg(server.path("data"));
    let beside = beside.env("ROTA_CA", &server.trust(&ours).to_string_lossy()).finish();
    assert_eq!(beside.code, 0, "{beside:?}");
    let system =
        server.list(&server.url()).env("SSL_CERT_FILE", &server.trust(&ours).to_string_lossy()).finish();
    assert_eq!(system.code, 0, "the system's authorities are asked by default: {system:?}");

    refused(&server.list_trusting(&others), &["UnknownIssuer", "--ca"]);
    let by_address = format!("https://{}", server.address());
    let end = server.list(&by_address).arg("--ca").arg(server.trust(&ours)).finish();
    refused(&end, &["not believed", "localhost"]);
    server.certify(&ours, 2021);
    let deadline = Instant::now() + PATIENCE;
    let expired = loop {
        let end = server.list_trusting(&ours);
        if end.code != 0 || Instant::now() > deadline {
            break end;
        }
    };
    refused(&expired, &["not believed", "expired"]);
    let plain = server.list(&server.url().replace("https", "http")).finish();
    assert_eq!(plain.code, 1, "{plain:?}");
}

#[test]
fn a_renewed_certificate_is_used_without_a_restart_and_a_broken_one_is_not() {
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let mut server = Secure::start(&old);
    assert_eq!(server.list_trusting(&old).code, 0);
    server.certify(&new, 2999);
    wait_for("the new certificate", || server.list_trusting(&new).code == 0);
    refused(&server.list_trusting(&old), &["UnknownIssuer"]);
    fs::write(server.path("cert.pem"), "not a certificate").expect("written");
    // Longer than it takes the server to look again.
    let until = Instant::now() + Duration::from_secs(3);
    while Instant::now() < until {
        let end = server.list_trusting(&new);
        assert_eq!(end.code, 0, "{end:?}");
    }
    let said = server.running.take().expect("it runs").terminated().stderr;
    assert!(said.contains("certificate from before is kept"), "{said}");
}

#[test]
fn the_session_cookie_goes_over_tls_only() {
    let authority = Authority::new("ours");
    let server = Secure::start(&authority);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let trusted = reqwest::Certificate::from_pem(authority.pem.as_bytes()).expect("a certificate");
    let client = rota_tests::lab::api::http().tls_certs_only([trusted]);
    let client = client.redirect(reqwest::redirect::Policy::none()).build().expect("a client");
    let origin = server.url();
    let answer = client.post(format!("{origin}/login")).header("origin", &origin);
    let answer =
        answer.header("content-type", "application/x-www-form-urlencoded").body(format!("token={TOKEN}"));
    let answer = runtime.block_on(answer.send()).expect("an answer");
    let cookie = answer.headers()["set-cookie"].to_str().expect("a text");
    assert!(cookie.starts_with("__Host-rota_session=") && cookie.contains("; Secure"), "{cookie}");
}

#[test]
fn half_finished_handshakes_take_no_room_from_others() {
    let authority = Authority::new("ours");
    let server = Secure::start(&authority);
    for half in [&b""[..], b"\x16\x03\x01", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"] {
        let mut flood = Vec::new();
        for _ in 0..700 {
            let mut stream = TcpStream::connect(server.address()).expect("a server that answers");
            // The server may have closed it already to make room.
            let _closed = stream.write_all(half);
            flood.push(stream);
        }
        let end = server.list_trusting(&authority);
        assert_eq!(end.code, 0, "{half:?}: {end:?}");
        // The first one does not wait for ever.
        flood[0].set_read_timeout(Some(PATIENCE)).expect("a socket");
        let ended = flood[0].read_to_end(&mut Vec::new());
        let is_reset = |error: &std::io::Error| error.kind() == std::io::ErrorKind::ConnectionReset;
        assert!(ended.is_ok() || ended.as_ref().is_err_and(is_reset), "{half:?}: {ended:?}");
    }
}

#[test]
fn a_certificate_that_cannot_be_used_is_refused_at_start_with_its_place() {
    let server = Secure::start(&Authority::new("ours"));
    let key = KeyPair::generate().expect("a key").serialize_pem();
    let files = [("empty.pem", String::new()), ("other.pem", key)];
    for (name, text) in files {
        fs::write(server.path(name), text).expect("written");
    }
    let wrong = [
        ("nowhere.pem", "key.pem"),
        ("empty.pem", "key.pem"),
        ("cert.pem", "other.pem"),
        ("cert.pem", "cert.pem"),
    ];
    for (certificate, key) in wrong {
        let (certificate, key) = (server.path(certificate), server.path(key));
        let web =
            rota().args(["start", "web", "--check"]).env("ROTA_DATABASE_URL", "postgres://u@127.0.0.1:1/d");
        let web = web.env("ROTA_BROKER_URL", "amqp://u:p@127.0.0.1:1").env("ROTA_ADMIN_TOKEN", TOKEN);
        let web = web.env("ROTA_WEB_CERT", &certificate.to_string_lossy());
        let end = web.env("ROTA_WEB_KEY", &key.to_string_lossy()).finish();
        assert_eq!(end.code, 2, "{end:?}");
        assert!(end.stderr.contains("ROTA_WEB_CERT and ROTA_WEB_KEY"), "{end:?}");
    }
}

#[test]
fn an_address_for_others_needs_tls_a_proxy_or_a_word_that_it_does_not() {
    let dir = tempfile::tempdir().expect("a directory");
    let web = || {
        let web = rota().args(["start", "web", "--check", "--listen", "0.0.0.0:7682"]);
        let web = web.env("ROTA_DATABASE_URL", "postgres://u@127.0.0.1:1/d").env("ROTA_ADMIN_TOKEN", TOKEN);
        web.env("ROTA_BROKER_URL", "amqp://u:p@127.0.0.1:1")
    };
    let standalone = rota().args(["standalone", "--listen", "0.0.0.0:0", "--dags"]).arg(dir.path());
    let standalone = standalone.arg("--data").arg(dir.path().join("data")).env("ROTA_ADMIN_TOKEN", TOKEN);
    for end in [web().finish(), standalone.finish()] {
        assert_eq!(end.code, 2, "{end:?}");
        for way_out in ["ROTA_WEB_CERT", "ROTA_WEB_TLS=true", "ROTA_WEB_INSECURE=true"] {
            assert!(end.stderr.contains(way_out), "{end:?}");
        }
    }
    for way_out in ["ROTA_WEB_TLS", "ROTA_WEB_INSECURE"] {
        let end = web().env(way_out, "true").finish();
        assert_eq!(end.code, 0, "{way_out}: {end:?}");
    }
}

/// What the only client of a server that answers nothing sends, while `command` runs.
fn overheard(command: impl FnOnce(&str) -> Rota) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let running = command(&url).start();
    let (mut stream, _) = listener.accept().expect("a client");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let mut text = Vec::new();
    let mut some = [0; 1024];
    while !String::from_utf8_lossy(&text).contains("\r\n\r\n") {
        let count = stream.read(&mut some).expect("a request");
        assert_ne!(count, 0, "the request has an end");
        text.extend_from_slice(&some[..count]);
    }
    drop(stream);
    running.finish();
    String::from_utf8_lossy(&text).to_lowercase()
}

#[test]
fn a_token_of_the_environment_is_not_for_the_address_of_a_directory() {
    let dir = tempfile::tempdir().expect("a directory");
    let said = overheard(|url| {
        fs::write(dir.path().join("server.json"), format!("{{\"url\": \"{url}\", \"pid\": 1}}"))
            .expect("written");
        rota().args(["dag", "list", "--data"]).arg(dir.path()).env("ROTA_TOKEN", TOKEN)
    });
    assert!(!said.contains("authorization"), "{said}");
    let said = overheard(|url| {
        let list = rota().args(["dag", "list", "--data"]).arg(dir.path());
        list.env("ROTA_TOKEN", TOKEN).env("ROTA_URL", url)
    });
    assert!(said.contains(&format!("authorization: bearer {TOKEN}")), "{said}");
}

#[test]
fn a_token_goes_to_no_other_machine_in_the_clear() {
    // An address for documentation: nobody has it.
    let list = || rota().args(["dag", "list", "--data", "/nowhere", "--url", "http://192.0.2.7:7682"]);
    let end = list().env("ROTA_TOKEN", TOKEN).finish();
    assert_eq!(end.code, 2, "{end:?}");
    assert!(end.stderr.contains("unencrypted") && end.stderr.contains("--insecure"), "{end:?}");
    assert!(!end.stderr.contains(TOKEN), "{end:?}");
    for url in ["ftp://h", "rota.example.org", "https://", ""] {
        let end = rota().args(["dag", "list", "--data", "/nowhere", "--url", url]).finish();
        assert_eq!(end.code, 2, "{url}: {end:?}");
        assert!(end.stderr.contains("https://rota.example.org"), "{url}: {end:?}");
    }
}
