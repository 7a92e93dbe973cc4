//! What can go wrong while a request is answered: one enum, one mapping to a status and a problem document (RFC 9457).
//! [`present`] turns the document into a page for people.

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{ACCEPT, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Response};
use rota_core::port::StoreError;
use serde::Serialize;
use tracing::error;

use crate::app::SharedApp;
use crate::guard::Visitor;
use crate::pages::error::page;

/// Most bytes of a refusal's text that are taken over as a problem's detail.
const DETAIL_BYTES_MAX: usize = 2048;

/// Why a request was not answered as asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// No such thing.
    #[error("{0}")]
    NotFound(String),
    /// The request itself is wrong.
    #[error("{0}")]
    BadRequest(String),
    /// The request is well-formed, but its values are not.
    #[error("{0}")]
    Invalid(String),
    /// It cannot be done in the present state.
    #[error("{0}")]
    Conflict(String),
    /// Not signed in.
    #[error("sign in, or send the token as `Authorization: Bearer …`")]
    Unauthorized,
    /// Signed in, but this request may not come from where it came from.
    #[error("{0}")]
    Forbidden(String),
    /// The `Host` header names no host of ours.
    #[error("`{0}` is not a host name of this dashboard; add it to the allowed hosts if it should be")]
    Misdirected(String),
    /// A body of another type than the endpoint takes.
    #[error("send JSON with `Content-Type: application/json`")]
    UnsupportedMedia,
    /// Too many attempts or streams.
    #[error("{what}; try again in {retry_after_s} s")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// For how long.
        retry_after_s: u64,
    },
    /// The store does not answer.
    #[error("the store cannot be used: {0}")]
    StoreAway(String),
    /// The store takes it, but nobody would act on it.
    #[error("nothing was started: {0}; ask again when that is mended")]
    Stuck(String),
    /// A fault of rota.
    #[error("{0}")]
    Internal(String),
}

/// The result of a handler.
pub(crate) type Outcome<T> = Result<T, Error>;

/// A problem document.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Problem {
    /// Always `about:blank`: the status says the kind.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The status in words.
    pub(crate) title: String,
    /// The HTTP status.
    pub(crate) status: u16,
    /// What happened and what to do.
    pub(crate) detail: String,
}

impl Error {
    /// A run, task or DAG that does not exist.
    pub(crate) fn missing(what: &str, name: &str) -> Self {
        let name: String = name.chars().take(130).collect();
        Self::NotFound(format!("there is no {what} `{name}`"))
    }

    /// Too many wrong tokens came from one address.
    pub(crate) const fn too_many_tokens(retry_after_s: u64) -> Self {
        Self::TooMany { what: "too many failed attempts to sign in", retry_after_s }
    }

    const fn status(&self) -> StatusCode {
        match self {
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::Misdirected(_) => StatusCode::MISDIRECTED_REQUEST,
            Self::UnsupportedMedia => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooMany { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::StoreAway(_) | Self::Stuck(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound(what) => Self::NotFound(format!("{what} does not exist")),
            StoreError::Conflict(what) => Self::Conflict(what),
            StoreError::Refused(why) => Self::Conflict(why),
            StoreError::Fenced(_) => Self::Internal(error.to_string()),
            StoreError::Data(why) => {
                // The database's words name tables and values: they are for whoever reads the log.
                error!("the store does not take a value of a request: {why}");
                Self::Invalid(
                    "the store does not take a value of this request: it is out of range, too large or of another \
                     kind; the log of this process says which"
                        .to_owned(),
                )
            }
            StoreError::Damaged(_) => Self::StoreAway(error.to_string()),
            StoreError::Unavailable(why) | StoreError::Undone(why) => Self::StoreAway(why),
        }
    }
}

impl From<askama::Error> for Error {
    fn from(error: askama::Error) -> Self {
        Self::Internal(format!("a page could not be drawn: {error}"))
    }
}

impl Problem {
    fn new(status: StatusCode, detail: String) -> Self {
        let title = status.canonical_reason().unwrap_or("Error").to_owned();
        Self { kind: "about:blank", title, status: status.as_u16(), detail }
    }

    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = (status, [(CONTENT_TYPE, "application/problem+json")], body).into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        if matches!(self, Self::Internal(_) | Self::StoreAway(_)) {
            error!(error = %self, "a request failed");
        }
        let mut response = Problem::new(self.status(), self.to_string()).into_response();
        if let Self::TooMany { retry_after_s, .. } = self {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(retry_after_s));
        }
        if matches!(self, Self::Unauthorized) {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// Marks an answer whose text is part of its contract (a probe's): it is no problem document, whatever its status.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AsItIs;

/// Layer: every refusal leaves as a problem document to programs, and as a page to people.
pub(crate) async fn present(State(app): State<SharedApp>, request: Request, next: Next) -> Response {
    let for_people = wants_page(&request);
    let response = next.run(request).await;
    let status = response.status();
    let is_settled = is_page(&response) || response.extensions().get::<AsItIs>().is_some();
    if !(status.is_client_error() || status.is_server_error()) || is_settled {
        return response;
    }
    let response = with_problem(response).await;
    let Some(problem) = response.extensions().get::<Problem>().cloned() else { return response };
    if !for_people {
        return response;
    }
    let (parts, _) = response.into_parts();
    let page = match page(&app, &problem, parts.extensions.get::<Visitor>()).await {
        Ok(page) => page,
        Err(error) => return Error::from(error).into_response(),
    };
    let mut out = (status, Html(page)).into_response();
    for name in [RETRY_AFTER, WWW_AUTHENTICATE] {
        if let Some(value) = parts.headers.get(&name) {
            out.headers_mut().insert(name, value.clone());
        }
    }
    out
}

fn wants_page(request: &Request) -> bool {
    let accepts = request.headers().get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("");
    accepts.contains("text/html") && !request.uri().path().starts_with("/api/")
}

fn is_page(response: &Response) -> bool {
    let kind = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    kind.is_some_and(|kind| kind.starts_with("text/html"))
}

/// Gives a refusal of the framework (404, 405, 413, 415, 422 with a line of text) its problem document.
async fn with_problem(response: Response) -> Response {
    if response.extensions().get::<Problem>().is_some() {
        return response;
    }
    let (parts, body) = response.into_parts();
    let text = read_text(body).await;
    let detail = match (text.is_empty(), parts.status) {
        (false, _) => text,
        (true, StatusCode::NOT_FOUND) => "there is no such address".to_owned(),
        (true, StatusCode::METHOD_NOT_ALLOWED) => "this address does not take that method".to_owned(),
        (true, status) => status.canonical_reason().unwrap_or("error").to_lowercase(),
    };
    let mut out = Problem::new(parts.status, detail).into_response();
    out.extensions_mut().extend(parts.extensions);
    if let Some(allow) = parts.headers.get(axum::http::header::ALLOW) {
        out.headers_mut().insert(axum::http::header::ALLOW, allow.clone());
    }
    out
}

async fn read_text(body: Body) -> String {
    match to_bytes(body, DETAIL_BYTES_MAX).await {
        Ok(bytes) => String::from_utf8_lossy(&bytes).trim().to_owned(),
        Err(_) => String::new(),
    }
}
