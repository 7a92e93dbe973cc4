//! `/login` and `/logout`: a session for whoever knows the admin token, or has the link printed at start.

use askama::Template;
use axum::Form;
use axum::extract::{ConnectInfo, Query, State};
use axum::http::StatusCode;
use axum::http::header::SET_COOKIE;
use axum::response::{AppendHeaders, IntoResponse, Redirect, Response};
use rota_core::port::Actor;
use serde::Deserialize;
use std::net::{IpAddr, SocketAddr};

use crate::app::{App, Ctx, SharedApp};
use crate::error::{Error, Outcome};
use crate::guard::{ADMIN, cookie_name};
use crate::journal::{self, stranger};
use crate::pages::Page;
use crate::show::axis::{AxisShape, Drawing, Pct};

/// `?code=&next=`.
#[derive(Debug, Deserialize)]
pub(crate) struct LoginQuery {
    code: Option<String>,
    #[serde(default)]
    next: String,
}

/// The form.
#[derive(Debug, Deserialize)]
pub(crate) struct LoginForm {
    token: String,
    #[serde(default)]
    next: String,
}

/// The page.
#[derive(Template)]
#[template(path = "login.html")]
pub(crate) struct Login {
    place: String,
    next: String,
    error: &'static str,
    rail: Drawing,
}

/// `GET /login`: the form, or with a good one-time code a session at once.
pub(crate) async fn show(
    State(app): State<SharedApp>,
    from: Option<axum::Extension<ConnectInfo<SocketAddr>>>,
    Query(query): Query<LoginQuery>,
) -> Response {
    let address = from.map(|axum::Extension(ConnectInfo(address))| address.ip());
    let now = app.ports.clock.now();
    let error = match query.code {
        Some(code) if app.sessions.code_take(&code, now) => {
            return enter(&app, address, "/");
        }
        Some(_) => {
            failed(&app, address, "a link that was used before or is too old");
            "That link was used before or is too old. Sign in with the token, or start rota again for a new link."
        }
        None => "",
    };
    Page(Login::new(&app, query.next, error)).into_response()
}

/// `POST /login`.
pub(crate) async fn sign_in(
    State(app): State<SharedApp>,
    from: Option<axum::Extension<ConnectInfo<SocketAddr>>>,
    Form(form): Form<LoginForm>,
) -> Outcome<Response> {
    let address = from.map(|axum::Extension(ConnectInfo(address))| address.ip());
    let now = app.ports.clock.now();
    if !app.sessions.token_matches(form.token.trim()) {
        failed(&app, address, "a wrong token");
        if let Some(retry_after_s) = app.sessions.refuse(address, now) {
            return Err(Error::too_many_tokens(retry_after_s));
        }
        let page = Login::new(&app, form.next, "That is not the token.");
        return Ok((StatusCode::UNAUTHORIZED, Page(page)).into_response());
    }
    Ok(enter(&app, address, &form.next))
}

/// `POST /logout`.
pub(crate) async fn sign_out(ctx: Ctx) -> Response {
    if let Some(session) = &ctx.who.session {
        ctx.app.sessions.close(session);
        journal::tell(&ctx.app, ctx.who.actor.clone(), "sign_out", ("", None));
    }
    let cookie = format!("{}=; Path=/; Max-Age=0; {}", cookie_name(&ctx.app), flags(&ctx.app));
    (AppendHeaders([(SET_COOKIE, cookie)]), Redirect::to("/login")).into_response()
}

fn failed(app: &SharedApp, address: Option<IpAddr>, why: &str) {
    journal::tell(app, stranger(address), "sign_in_failed", ("", Some(why.to_owned())));
}

fn enter(app: &SharedApp, address: Option<IpAddr>, next: &str) -> Response {
    let actor = Actor { name: ADMIN.to_owned(), ..stranger(address) };
    journal::tell(app, actor, "sign_in", ("", None));
    let opened = app.sessions.open(app.ports.clock.now());
    let cookie = format!("{}={}; Path=/; Max-Age=604800; {}", cookie_name(app), opened.id, flags(app));
    (AppendHeaders([(SET_COOKIE, cookie)]), Redirect::to(own_path(next))).into_response()
}

fn flags(app: &App) -> &'static str {
    if app.options.tls { "HttpOnly; SameSite=Lax; Secure" } else { "HttpOnly; SameSite=Lax" }
}

/// A path of ours, never an address elsewhere: browsers read `//host` and `/\host` as other sites.
pub(crate) fn own_path(next: &str) -> &str {
    let own = next.starts_with('/')
        && !next[1..].starts_with(['/', '\\'])
        && next.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if own { next } else { "/" }
}

impl Login {
    fn new(app: &App, next: String, error: &'static str) -> Self {
        Self { place: app.options.place.clone(), next, error, rail: rail() }
    }
}

/// An ornament: a day of slots that all fired, and now.
fn rail() -> Drawing {
    const BASE: u32 = 96;
    let mut shapes = Vec::new();
    for place in 0..=144u32 {
        let x = Pct(f64::from(place) * 100.0 / 144.0);
        if place % 6 == 0 {
            shapes.push(AxisShape::Tick { class: "rail-hour", x, y1: BASE, y2: BASE + 6 });
        }
        let high = 8 + (place * 7919 + place * place * 31) % 50;
        let class = match (place < 96, place % 2) {
            (true, 0) => "rail-tick is-success",
            (true, _) => "rail-tick is-success rail-thin",
            (false, _) => "rail-tick is-ahead",
        };
        shapes.push(AxisShape::Tick { class, x, y1: BASE - high, y2: BASE });
    }
    shapes.push(AxisShape::Base { y: BASE });
    shapes.push(AxisShape::Hand { x: Pct(66.67), y1: 8, y2: BASE });
    Drawing { class: "rail", height: 106, label: String::new(), shapes }
}

#[cfg(test)]
mod tests {
    use super::own_path;

    #[test]
    fn sign_in_never_leads_to_another_site() {
        for bad in ["//evil", "/\\evil", "https://evil", "", "javascript:1", "/a\nb", "/a\\b", "/ é"] {
            assert_eq!(own_path(bad), "/", "{bad:?}");
        }
        assert_eq!(own_path("/runs?state=failed"), "/runs?state=failed");
    }
}
