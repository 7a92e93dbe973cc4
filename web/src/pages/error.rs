//! A refusal as a page: what happened, and what to do.

use askama::Template;

use crate::app::{Ctx, SharedApp};
use crate::error::Problem;
use crate::guard::Visitor;
use crate::pages::{PageFrame, PageTopic};
use crate::show::home::sentence;
use crate::show::look::{FAILED, StateStyle, WARN};

/// What is said.
struct ErrorText {
    look: StateStyle,
    title: &'static str,
    detail: String,
    status: u16,
    steps: &'static [&'static str],
}

/// The page of someone who is signed in: the way to every other page stays.
#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage {
    frame: PageFrame,
    refusal: ErrorText,
}

/// The page of a stranger, which shows nothing of the dashboard.
#[derive(Template)]
#[template(path = "error_stranger.html")]
struct StrangerPage {
    place: String,
    refusal: ErrorText,
}

/// The page for whoever asked.
pub(crate) async fn page(
    app: &SharedApp,
    problem: &Problem,
    who: Option<&Visitor>,
) -> Result<String, askama::Error> {
    let refusal = ErrorText::new(problem);
    match who {
        Some(who) => {
            let ctx = Ctx { app: SharedApp::clone(app), who: who.clone(), moment: app.moment() };
            // A store that has just failed is not asked what every other page shows.
            let pulse = if problem.status >= 500 { None } else { app.pulse().await.ok() };
            ErrorPage { frame: PageFrame::of(&ctx, None, PageTopic::Still, pulse), refusal }.render()
        }
        None => StrangerPage { place: app.options.place.clone(), refusal }.render(),
    }
}

impl ErrorText {
    fn new(problem: &Problem) -> Self {
        let (title, steps): (_, &[_]) = match problem.status {
            401 => ("Sign in first", &["Open the sign-in page and give the token."]),
            403 => (
                "That may not be done from here",
                &[
                    "Go back, reload the page and send the form again.",
                    "Programs use /api/v1 with the token.",
                ],
            ),
            404 => (
                "There is no such page",
                &["Check the address.", "What it names may have been removed when old history was pruned."],
            ),
            405 => ("That address does not work this way", &["Go back and use the page's own buttons."]),
            409 => (
                "That cannot be done now",
                &["Look at the state of what it is about, it may have changed meanwhile."],
            ),
            421 => (
                "This name is not known here",
                &[
                    "Use the address that rota printed at start.",
                    "Add the name to the allowed hosts if it is yours.",
                ],
            ),
            429 => ("Too many attempts", &["Wait a little, then try again."]),
            503 => (
                "The store cannot be used",
                &[
                    "Running tasks go on; nothing that was recorded is lost.",
                    "Look at the log of this process, and whether its disk is full.",
                    "Reload the page: it works again as soon as the store does.",
                ],
            ),
            500..=599 => {
                ("Something broke in rota", &["Look at the log of this process; it names the error."])
            }
            _ => ("That was not understood", &["Go back and check what was sent."]),
        };
        let look = if problem.status >= 500 { FAILED } else { WARN };
        Self { look, title, detail: sentence(&problem.detail), status: problem.status, steps }
    }
}
