//! A browser to look at the dashboard with: headless Chromium through its WebDriver.

use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::Instant;

/// Longest wait for anything on a page.
const PATIENCE: Duration = Duration::from_secs(20);

/// A browser with one window.
pub struct Browser {
    client: reqwest::Client,
    session: String,
    driver: Child,
    _profile: TempDir,
}

impl Drop for Browser {
    fn drop(&mut self) {
        let group = self.driver.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        if let Some(group) = group {
            // An error means that it has ended already.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

impl Browser {
    /// Starts one.
    ///
    /// # Panics
    /// Where there is no chromedriver: the message says which package has it.
    pub async fn start() -> Self {
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            // A group of its own, so that the browser ends with its driver.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| {
                panic!("chromedriver: {error}; install the packages chromium and chromium-driver")
            });
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        let port = loop {
            let line = lines.next_line().await.unwrap().expect("chromedriver says its port");
            if let Some(port) =
                line.strip_suffix('.').and_then(|line| line.rsplit("port ").next()?.parse::<u16>().ok())
            {
                break port;
            }
        };
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let profile = tempfile::tempdir().unwrap();
        let client = crate::lab::api::http().build().unwrap();
        let mut browser =
            Self { client, session: format!("http://127.0.0.1:{port}/session"), driver, _profile: profile };
        let arguments = [
            "--headless=new".to_owned(),
            "--no-sandbox".to_owned(),
            "--disable-gpu".to_owned(),
            "--disable-quic".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            "--disable-background-networking".to_owned(),
            "--disable-component-update".to_owned(),
            "--disable-sync".to_owned(),
            "--no-first-run".to_owned(),
            format!("--user-data-dir={}", browser._profile.path().display()),
        ];
        let capabilities = json!({"capabilities": {"alwaysMatch": {
            "goog:chromeOptions": {"args": arguments},
            "goog:loggingPrefs": {"browser": "ALL"},
            "unhandledPromptBehavior": "ignore",
        }}});
        let answer = browser.call("POST", "", &capabilities).await.expect("a session");
        browser.session = format!("{}/{}", browser.session, answer["sessionId"].as_str().unwrap());
        browser
    }

    async fn call(&self, method: &str, path: &str, body: &Value) -> Result<Value, String> {
        let url = format!("{}{path}", self.session);
        let request = match method {
            "GET" => self.client.get(url),
            "DELETE" => self.client.delete(url),
            _ => self.client.post(url).body(body.to_string()).header("content-type", "application/json"),
        };
        let answer: Value = request.send().await.unwrap().json().await.unwrap();
        match answer["value"].get("error") {
            Some(error) => Err(format!("{error}: {}", answer["value"]["message"])),
            None => Ok(answer["value"].clone()),
        }
    }

    /// Opens an address.
    pub async fn open(&self, url: &str) {
        self.call("POST", "/url", &json!({"url": url})).await.unwrap();
    }

    /// Opens an address in a new tab, which is then the one that the other calls are about.
    pub async fn open_tab(&self, url: &str) {
        let tab = self.call("POST", "/window/new", &json!({"type": "tab"})).await.unwrap();
        self.call("POST", "/window", &json!({"handle": tab["handle"]})).await.unwrap();
        self.open(url).await;
    }

    /// Goes back by one page, as the button does.
    pub async fn back(&self) {
        self.call("POST", "/back", &json!({})).await.unwrap();
    }

    /// Runs a script in every page that is opened from now on in this tab, before the page's own.
    pub async fn before_each_page(&self, script: &str) {
        let params = json!({"cmd": "Page.addScriptToEvaluateOnNewDocument", "params": {"source": script}});
        self.call("POST", "/goog/cdp/execute", &params).await.unwrap();
    }

    /// What a script returns.
    pub async fn eval(&self, script: &str) -> Value {
        self.call("POST", "/execute/sync", &json!({"script": script, "args": []})).await.unwrap()
    }

    /// Waits until a script returns `true`.
    pub async fn until(&self, what: &str, script: &str) {
        let deadline = Instant::now() + PATIENCE;
        while self.eval(script).await != json!(true) {
            assert!(Instant::now() < deadline, "{what}: not within {PATIENCE:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Clicks the first element that a CSS selector finds.
    pub async fn click(&self, selector: &str) {
        let using = json!({"using": "css selector", "value": selector});
        let element = self.call("POST", "/element", &using).await.unwrap();
        let id = element.as_object().unwrap().values().next().unwrap().as_str().unwrap().to_owned();
        self.call("POST", &format!("/element/{id}/click"), &json!({})).await.unwrap();
    }

    /// Gives the window this size.
    pub async fn resize(&self, width: u32, height: u32) {
        self.call("POST", "/window/rect", &json!({"width": width, "height": height})).await.unwrap();
    }

    /// Lays pages out for a screen of this size, also one that is narrower than any window can be.
    pub async fn emulate(&self, width: u32, height: u32) {
        let metrics = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        let command = json!({"cmd": "Emulation.setDeviceMetricsOverride", "params": metrics});
        self.call("POST", "/goog/cdp/execute", &command).await.unwrap();
    }

    /// Asks for dark or light pages.
    pub async fn prefer(&self, scheme: &str) {
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        let command = json!({"cmd": "Emulation.setEmulatedMedia", "params": {"features": features}});
        self.call("POST", "/goog/cdp/execute", &command).await.unwrap();
    }

    /// The whole page as a PNG, in Base64.
    pub async fn picture(&self) -> String {
        let params = json!({"captureBeyondViewport": true});
        let command = json!({"cmd": "Page.captureScreenshot", "params": params});
        let answer = self.call("POST", "/goog/cdp/execute", &command).await.unwrap();
        answer["data"].as_str().unwrap().to_owned()
    }

    /// Whether a dialog is open.
    pub async fn has_dialog(&self) -> bool {
        self.call("GET", "/alert/text", &Value::Null).await.is_ok()
    }

    /// What the browser complained of since the last call: script errors, refused resources, broken rules.
    pub async fn complaints(&self) -> Vec<String> {
        let log = self.call("POST", "/se/log", &json!({"type": "browser"})).await.unwrap();
        let entries = log.as_array().cloned().unwrap_or_default();
        let severe = entries.iter().filter(|entry| entry["level"] == "SEVERE");
        severe.map(|entry| entry["message"].to_string()).collect()
    }
}
