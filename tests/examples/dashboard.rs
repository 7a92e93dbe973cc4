//! Serves the dashboard over a store full of made-up history, for looking at it:
//! `cargo run -p rota-tests --example dashboard -- 127.0.0.1:7690`. The token is `demonstration-token`. With `longest` as the
//! second argument all names are as long as names may be.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rota_backend::InProcessBroker;
use rota_tests::demo::Demo;
use rota_web::{Options, Ports, Web};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let listen: SocketAddr = std::env::args().nth(1).as_deref().unwrap_or("127.0.0.1:7690").parse()?;
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("demo.db");
    let demo = match std::env::args().nth(2).as_deref() {
        Some("longest") => Demo::with_longest_names(&path).await,
        _ => Demo::new(&path).await,
    };
    let (_process_health, process_health) =
        watch::channel(rota_web::ProcessHealth { leads: true, ..Default::default() });
    let options = Options {
        listen,
        place: "demo".to_owned(),
        timezone: "Europe/Berlin".parse()?,
        admin_token: "demonstration-token".to_owned(),
        hosts: Vec::new(),
        tls: false,
        certificate: None,
    };
    let broker = Arc::new(InProcessBroker::new());
    let ports = Ports { store: demo.store.clone(), broker, clock: demo.clock.clone(), process_health };
    let web = Web::new(options, ports)?;
    println!("{}", web.login_link());
    let shutdown = CancellationToken::new();
    let serving = tokio::spawn(web.run(TcpListener::bind(listen).await?, shutdown.clone()));
    loop {
        demo.beat().await;
        tokio::select! {
            _ = tokio::signal::ctrl_c() => break,
            () = tokio::time::sleep(Duration::from_secs(2)) => {}
        }
    }
    shutdown.cancel();
    serving.await??;
    Ok(())
}
