//! The log's page in a browser: it grows by itself without a stream of its own, and every line is a link.

use rota_core::id::{RunId, TaskKey, TaskNo};
use rota_core::port::{Broker, Change, LogChunk, LogFacts};
use rota_tests::browser::Browser;
use serde_json::json;

use super::{DagId, Served, served};

/// A task that runs on and on, in the demonstration.
const PAGE: &str = "/runs/30/tasks/load_payments";
const LAST: &str = "return document.querySelector('.log-lines li:last-child .tx')?.textContent";

impl Served {
    /// The number of that task: its place in the file.
    async fn task_of_page(&self) -> TaskKey {
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let request = client.get(format!("{}/api/v1/runs/30/tasks", self.address));
        let answer = request.bearer_auth("demonstration-token").send().await.expect("an answer");
        let tasks: serde_json::Value = answer.json().await.expect("JSON");
        let mut names = tasks["items"].as_array().expect("tasks").iter().map(|task| &task["task"]);
        let no = names.position(|name| name == "load_payments").expect("the task");
        TaskKey { run: RunId(30), task: TaskNo(no as u32), index: 0 }
    }

    async fn print(&self, seq: u32, text: &str) {
        let key = self.task_of_page().await.attempt(1);
        self.demo.store.log_append(&[LogChunk { key, seq, text: text.to_owned() }]).await.expect("appended");
        let change = Change::Run { run: RunId(30), dag: DagId::trusted("warehouse_nightly") };
        self.broker.announce(&[change]).await.expect("announced");
    }
}

fn lines(word: &str, count: u32) -> String {
    (1..=count).map(|no| format!("2026-11-20T13:00:00.123456Z out {word} {no}\n")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_log_grows_by_itself_without_a_stream_of_its_own() {
    let served = served().await;
    let browser = Browser::start().await;
    browser.open(&served.link).await;
    browser.open(&format!("{}{PAGE}", served.address)).await;
    let before = browser.eval("return document.querySelectorAll('.log-lines li').length").await;
    served.print(1, &(lines("more", 5_200) + "2026-11-20T13:00:00.123456Z err no en")).await;
    browser.until("the last line that has an end", &format!("{LAST} === 'more 5200'")).await;
    served.print(2, "d\n2026-11-20T13:00:00.123456Z sys \u{1b}[31m<b>\n").await;
    browser.until("the next lines", &format!("{LAST} === '<b>'")).await;
    let cut = "return [...document.querySelectorAll('.log-lines .tx')].at(-2).textContent";
    assert_eq!(browser.eval(cut).await, json!("no end"));
    let number = "return document.querySelector('.log-lines li:last-child').id";
    let last = before.as_u64().expect("a count") + 5_202;
    assert_eq!(browser.eval(number).await, json!(format!("L{last}")));
    let bottom = "const list = document.querySelector('[data-log]');
                  return list.scrollHeight - list.scrollTop - list.clientHeight < 2";
    browser.until("the end is in sight", bottom).await;
    assert_eq!(served.streams().await, 1);
    // What went at the top is within reach.
    browser.click("[data-log-before] a").await;
    browser.until("the first line", "return document.querySelector('.log-lines li')?.id === 'L1'").await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn search_and_links_lead_to_lines() {
    let served = served().await;
    let browser = Browser::start().await;
    browser.open(&served.link).await;
    served.print(1, &(lines("row", 2_000) + &lines("needle", 2) + &lines("row", 2_000))).await;
    browser.open(&format!("{}{PAGE}", served.address)).await;
    browser.eval("document.querySelector('.log-tools input[name=find]').value = 'NEEDLE'").await;
    browser.eval("document.querySelector('.log-tools').requestSubmit()").await;
    let at = |text: &str| {
        format!(
            "const line = document.querySelector('.log-lines li:target');
             if (line?.querySelector('.tx').textContent !== '{text}') return false;
             const [box, list] = [line.getBoundingClientRect(), line.closest('ol').getBoundingClientRect()];
             return box.top >= list.top - 1 && box.bottom <= list.bottom + 1 && !!line.querySelector('mark')"
        )
    };
    browser.until("the first one, in sight", &at("needle 1")).await;
    browser.click(".log-tools a[rel=next]").await;
    browser.until("the next one", &at("needle 2")).await;
    browser.click(".log-tools a[rel=prev]").await;
    browser.until("the previous one", &at("needle 1")).await;
    browser.click(".log-lines li:target .no").await;
    browser.until("a link to the line alone", "return /[?&]line=\\d+.*#L\\d+$/.test(location.href)").await;
    browser.until("the line, marked", &at("needle 1")).await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_came_for_a_line_is_not_taken_to_the_end() {
    let served = served().await;
    let browser = Browser::start().await;
    browser.open(&served.link).await;
    served.print(1, &lines("row", 300)).await;
    browser.open(&format!("{}{PAGE}?line=1#L40", served.address)).await;
    served.print(2, &lines("later", 1)).await;
    browser.until("a line that came later", &format!("{LAST} === 'later 1'")).await;
    let in_sight = "const [box, list] = ['#L40', '.log-lines'].map((it) => document.querySelector(it).getBoundingClientRect());
                    return box.top >= list.top - 1 && box.bottom <= list.bottom + 1";
    assert_eq!(browser.eval(in_sight).await, json!(true));
}
