//! The one layer that every request passes: known host, no cross-site writes, signed in. Deny by default: only the
//! routes in [`OPEN`] and [`PROBES`] answer strangers, by the route they matched, never by the text of their path.

use std::net::{IpAddr, SocketAddr};

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::http::StatusCode;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, HOST, ORIGIN};
use axum::http::{HeaderMap, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use rota_core::port::Actor;

use crate::app::{App, SharedApp};
use crate::error::{Error, Problem};
use crate::journal::{self, stranger as nobody};
use crate::session::same_secret;

/// Routes that answer strangers, besides the probes.
const OPEN: [&str; 2] = ["/login", "/static/{hash}/{name}"];

/// Asked by load balancers, which know an address and no name, or send none at all. They say nothing that is secret.
pub(crate) const PROBES: [&str; 3] = ["/healthz", "/readyz", "/leader"];

/// Most bytes of a request's body.
pub(crate) const BODY_BYTES_MAX: usize = 1024 * 1024;

/// The only account there is.
pub(crate) const ADMIN: &str = "admin";

/// Someone who is signed in.
#[derive(Debug, Clone)]
pub(crate) struct Visitor {
    /// For the audit log.
    pub(crate) actor: Actor,
    /// The form token of their session; `None` for a client with a bearer token.
    pub(crate) csrf: Option<String>,
    /// Their session's cookie.
    pub(crate) session: Option<String>,
}

/// The name of the session cookie.
pub(crate) fn cookie_name(app: &App) -> &'static str {
    if app.options.tls { "__Host-rota_session" } else { "rota_session" }
}

/// The layer. The answer says who asked, so that a refusal can be shown as the page of someone who is signed in.
pub(crate) async fn guard(State(app): State<SharedApp>, request: Request, next: Next) -> Response {
    let is_write = is_write(&request);
    let has_bearer = request.headers().contains_key(AUTHORIZATION);
    let (path, address) = (request.uri().path().to_owned(), address(&request));
    let (mut response, visitor, is_told) = match check(&app, request).await {
        Ok(request) => {
            let visitor = request.extensions().get::<Visitor>().cloned();
            let is_told = visitor.is_some();
            (next.run(request).await, visitor, is_told)
        }
        Err(Refusal::Visitor(error, visitor)) => (error.into_response(), Some(visitor), true),
        // A wrong token is a failed sign-in, and written as that.
        Err(Refusal::Error(error)) => (error.into_response(), None, !has_bearer),
        Err(Refusal::Login(to)) => (Redirect::to(&to).into_response(), None, false),
    };
    if is_told && is_write && response.status().is_client_error() {
        let who = visitor.as_ref().map_or_else(|| nobody(address), |visitor| visitor.actor.clone());
        let why = why(&response);
        journal::tell(&app, who, "write_refused", (&path, Some(why)));
    }
    if let Some(visitor) = visitor {
        response.extensions_mut().insert(visitor);
    }
    response
}

enum Refusal {
    /// A stranger, or nobody knows.
    Error(Error),
    /// Somebody who is signed in.
    Visitor(Error, Visitor),
    Login(String),
}

fn is_write(request: &Request) -> bool {
    !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS)
}

/// Why a request was refused, for the audit.
fn why(response: &Response) -> String {
    let status: StatusCode = response.status();
    let detail = response.extensions().get::<Problem>().map_or("", |problem| problem.detail.as_str());
    format!("{} {detail}", status.as_u16())
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

async fn check(app: &SharedApp, mut request: Request) -> Result<Request, Refusal> {
    let matched = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let is_one_of = |routes: &[&str]| matched.as_deref().is_some_and(|path| routes.contains(&path));
    let is_probe = is_one_of(&PROBES);
    if !is_probe {
        host_check(app, request.headers())?;
    }
    let open = is_probe || is_one_of(&OPEN);
    let writes = is_write(&request);
    let bearer = request.headers().contains_key(AUTHORIZATION);
    if writes && !bearer {
        origin_check(request.headers())?;
    }
    if open {
        return Ok(request);
    }
    let Some(visitor) = visitor(app, &request)? else { return Err(stranger(&request)) };
    let refused = |error| Refusal::Visitor(error, visitor.clone());
    if writes && is_api(&request) {
        api_write_check(&request, &visitor).map_err(refused)?;
    } else if writes {
        request = form_write_check(request, &visitor).await.map_err(refused)?;
    }
    request.extensions_mut().insert(visitor);
    Ok(request)
}

/// Signed in by token or by cookie; `None`: not at all. An `Authorization` header is never ignored.
fn visitor(app: &SharedApp, request: &Request) -> Result<Option<Visitor>, Error> {
    let address = address(request);
    let origin = address.map(|address| address.to_string()).unwrap_or_default();
    let actor = Actor { name: ADMIN.to_owned(), origin };
    let now = app.ports.clock.now();
    if let Some(header) = request.headers().get(AUTHORIZATION) {
        let token = header.to_str().ok().and_then(|value| value.strip_prefix("Bearer "));
        if token.is_some_and(|token| app.sessions.token_matches(token.trim())) {
            return Ok(Some(Visitor { actor, csrf: None, session: None }));
        }
        journal::tell(app, nobody(address), "sign_in_failed", ("", Some("a wrong token".to_owned())));
        return Err(app.sessions.refuse(address, now).map_or(Error::Unauthorized, Error::too_many_tokens));
    }
    let Some(session) = cookie(request.headers(), cookie_name(app)) else { return Ok(None) };
    let Some(csrf) = app.sessions.touch(&session, now) else { return Ok(None) };
    Ok(Some(Visitor { actor, csrf: Some(csrf), session: Some(session) }))
}

/// People are sent to the login page and back; programs get 401.
fn stranger(request: &Request) -> Refusal {
    let accepts = request.headers().get(axum::http::header::ACCEPT).and_then(|value| value.to_str().ok());
    let person = accepts.is_some_and(|kinds| kinds.contains("text/html")) && !is_api(request);
    if !person || request.method() != Method::GET {
        return Error::Unauthorized.into();
    }
    let to = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let next: String = to.bytes().map(percent).collect();
    Refusal::Login(if to == "/" { "/login".to_owned() } else { format!("/login?next={next}") })
}

fn percent(byte: u8) -> String {
    match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    }
}

fn is_api(request: &Request) -> bool {
    request.uri().path().starts_with("/api/")
}

/// Against DNS rebinding: a page of another site cannot make its own name ours.
fn host_check(app: &App, headers: &HeaderMap) -> Result<(), Error> {
    let given = headers.get(HOST).and_then(|value| value.to_str().ok()).unwrap_or("");
    let name = host_name(given);
    let known = name.eq_ignore_ascii_case("localhost")
        || app.options.hosts.iter().any(|host| host.eq_ignore_ascii_case(name));
    // An address in the Host header cannot be rebound: the browser was sent to that very address.
    let is_address = name.trim_matches(['[', ']']).parse::<IpAddr>();
    let reachable =
        is_address.is_ok_and(|address| address.is_loopback() || !app.options.listen.ip().is_loopback());
    if known || reachable { Ok(()) } else { Err(Error::Misdirected(given.chars().take(130).collect())) }
}

fn host_name(host: &str) -> &str {
    if host.starts_with('[') {
        return host.find(']').map_or(host, |end| &host[..=end]);
    }
    host.split_once(':').map_or(host, |(name, _)| name)
}

/// A write that a browser sends says where it comes from. It must come from a page of ours.
fn origin_check(headers: &HeaderMap) -> Result<(), Error> {
    let text = |name| headers.get(name).and_then(|value: &axum::http::HeaderValue| value.to_str().ok());
    let refused =
        || Error::Forbidden("this request came from another site; open the page here and try again".into());
    if let Some(site) = headers.get("sec-fetch-site")
        && site != "same-origin"
    {
        return Err(refused());
    }
    match (text(ORIGIN), headers.contains_key("sec-fetch-site")) {
        (Some(origin), _) => {
            let authority = origin.split_once("://").map(|(_, authority)| authority);
            if authority.is_some() && authority == text(HOST) { Ok(()) } else { Err(refused()) }
        }
        (None, true) => Ok(()),
        (None, false) => Err(refused()),
    }
}

/// Writes to the API are JSON (which no foreign form can send), and from a browser carry the session's token.
fn api_write_check(request: &Request, visitor: &Visitor) -> Result<(), Error> {
    let headers = request.headers();
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let json =
        kind.is_some_and(|kind| kind.split(';').next().is_some_and(|kind| kind.trim() == "application/json"));
    let empty = kind.is_none() && visitor.csrf.is_none();
    if !json && !empty {
        return Err(Error::UnsupportedMedia);
    }
    let given = headers.get("x-csrf-token").and_then(|value| value.to_str().ok());
    csrf_check(visitor, given)
}

/// Writes of pages are forms that carry the session's token.
async fn form_write_check(request: Request, visitor: &Visitor) -> Result<Request, Error> {
    let (parts, body) = request.into_parts();
    let kind = parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    if !kind.starts_with("application/x-www-form-urlencoded") {
        return Err(Error::Forbidden(
            "this address takes the dashboard's own forms; programs use /api/v1".into(),
        ));
    }
    let bytes = body_read(body).await?;
    let given = bytes
        .split(|byte| *byte == b'&')
        .find_map(|field| field.strip_prefix(b"csrf="))
        .and_then(|value| std::str::from_utf8(value).ok());
    csrf_check(visitor, given)?;
    Ok(Request::from_parts(parts, Body::from(bytes)))
}

async fn body_read(body: Body) -> Result<Bytes, Error> {
    to_bytes(body, BODY_BYTES_MAX).await.map_err(|_| {
        Error::BadRequest(format!("the body could not be read; at most {BODY_BYTES_MAX} bytes are taken"))
    })
}

fn csrf_check(visitor: &Visitor, given: Option<&str>) -> Result<(), Error> {
    match (&visitor.csrf, given) {
        (None, _) => Ok(()),
        (Some(expected), Some(given)) if same_secret(expected, given) => Ok(()),
        (Some(_), _) => Err(Error::Forbidden(
            "the form's token is not this session's; reload the page and send it again".into(),
        )),
    }
}

/// The client's address; `None` in a test without a network.
pub(crate) fn address(request: &Request) -> Option<IpAddr> {
    request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(address)| address.ip())
}

fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let all = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = all.flat_map(|value| value.split(';'));
    pairs.find_map(|pair| {
        let (key, value) = pair.trim().split_once('=')?;
        (key == name).then(|| value.to_owned())
    })
}
