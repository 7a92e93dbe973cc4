//! Every page that links lead to, at every width, with the longest names: nothing lies beyond the edge, and on a phone the
//! state of things comes first.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::*;

const WIDTHS: [u32; 4] = [390, 768, 1280, 1920];
/// Pages of one kind that are looked at.
const OF_A_KIND: usize = 2;
/// Answer with a page, but are none to look at, or no link leads to them.
const NO_PAGES: [&str; 8] =
    ["/healthz", "/readyz", "/leader", "/metrics", "/static/{hash}/{name}", "/login", "/go", "/logout"];

/// What sticks out of a page to the right, if anything does.
const BEYOND: &str = "
    const edge = document.documentElement.clientWidth;
    if (document.documentElement.scrollWidth <= edge) return [];
    return [...document.querySelectorAll('body *')]
        .filter((e) => e.getBoundingClientRect().right > edge + 1)
        .map((e) => e.outerHTML.slice(0, 100));";

const LINKS: &str = "
    return [...document.querySelectorAll('a[href^=\"/\"]')].map((a) => a.getAttribute('href').split('#')[0])";

/// The route that a path belongs to.
fn kind(path: &str) -> Option<&'static str> {
    let path = path.split('?').next().unwrap_or(path);
    let fits = |pattern: &str| {
        let (parts, given) = (pattern.split('/'), path.split('/'));
        parts.clone().count() == given.clone().count()
            && parts
                .zip(given)
                .all(|(part, given)| part == given || (part.starts_with('{') && !given.is_empty()))
    };
    let routes = Web::addresses().into_iter().filter(|(_, methods)| methods.contains(&"GET"));
    // What answers programs is no page.
    let mut patterns = routes.map(|(pattern, _)| pattern).filter(|pattern| !pattern.starts_with("/api/"));
    patterns.find(|pattern| fits(pattern))
}

/// Opens pages from the first one on, at most so many of a kind, and looks at each. Returns the kinds that were seen.
async fn walk(served: &Served, browser: &Browser, look: impl AsyncFn(&str)) -> BTreeSet<&'static str> {
    let mut seen: BTreeMap<(&str, Vec<String>), usize> = BTreeMap::new();
    let mut known = BTreeSet::from(["/".to_owned()]);
    let mut next = VecDeque::from(["/".to_owned()]);
    while let Some(path) = next.pop_front() {
        browser.open(&format!("{}{path}", served.address)).await;
        look(&path).await;
        let links = browser.eval(LINKS).await;
        for link in links.as_array().into_iter().flatten().filter_map(|link| link.as_str()) {
            let Some(kind) = kind(link).filter(|kind| !NO_PAGES.contains(kind)) else { continue };
            let query = link.split_once('?').map_or("", |(_, query)| query);
            let keys = query.split('&').map(|pair| pair.split('=').next().unwrap_or_default().to_owned());
            let count = seen.entry((kind, keys.collect())).or_default();
            if *count < OF_A_KIND && known.insert(link.to_owned()) {
                *count += 1;
                next.push_back(link.to_owned());
            }
        }
    }
    known.iter().filter_map(|path| kind(path)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_longest_names_break_no_page_at_any_width() {
    let folder = tempfile::tempdir().expect("a folder");
    let demo = Demo::with_longest_names(&folder.path().join("demo.db")).await;
    let served = serve(folder, demo).await;
    let browser = Browser::start().await;
    browser.open(&served.link).await;
    let seen = walk(&served, &browser, async |path| {
        for width in WIDTHS {
            browser.emulate(width, 900).await;
            assert_eq!(browser.eval(BEYOND).await, json!([]), "{path} is wider than {width} pixels");
        }
    })
    .await;
    let pages = Web::addresses().into_iter().filter(|(path, methods)| {
        methods.contains(&"GET") && !path.starts_with("/api/") && !NO_PAGES.contains(path)
    });
    let all: BTreeSet<&str> = pages.map(|(path, _)| path).collect();
    assert_eq!(seen, all, "a page that no link leads to was not looked at");
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_phone_the_state_comes_first() {
    let folder = tempfile::tempdir().expect("a folder");
    let demo = Demo::with_longest_names(&folder.path().join("demo.db")).await;
    let served = serve(folder, demo).await;
    let browser = Browser::start().await;
    browser.open(&served.link).await;
    browser.emulate(390, 844).await;
    let failed = "/runs?state=failed";
    for (path, state, name) in [
        ("/", ".rota-name:has(.is-failed) .glyph", ".rota-name:has(.is-failed) a"),
        ("/", ".when-past .item .glyph", ".when-past .item-title"),
        ("/runs", "tbody tr .says", "tbody tr .name a"),
        (failed, "tbody tr .says", "tbody tr .name a"),
        ("/ledger", "tbody tr .says", "tbody tr .name a"),
    ] {
        browser.open(&format!("{}{path}", served.address)).await;
        let script = format!(
            "const box = (s) => document.querySelector(s).getBoundingClientRect();
             const [state, name] = [box('{state}'), box('{name}')];
             return state.width > 0 && state.left >= 0 && state.right <= innerWidth && name.right <= innerWidth
                 && (state.bottom <= name.top + 1 || (state.top < name.bottom && state.right <= name.left + 1))"
        );
        assert_eq!(browser.eval(&script).await, json!(true), "{path}: {state} before {name}");
    }
    let run = "return document.querySelector('tbody tr a[href^=\"/runs/\"]').getAttribute('href')";
    let run = browser.eval(run).await;
    browser.open(&format!("{}{}", served.address, run.as_str().expect("a run"))).await;
    let head = "const box = (s) => document.querySelector(s).getBoundingClientRect();
        return box('.head-line .pill').bottom <= box('.head-line h1').top";
    assert_eq!(browser.eval(head).await, json!(true), "the run's state stands before its name");
}
