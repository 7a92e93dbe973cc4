//! JSON bodies whose numbers keep their digits.

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Request};
use axum::response::{IntoResponse, Response};
use rota_core::dag::too_wide;
use serde::de::DeserializeOwned;

use crate::error::Error;

/// A body as [`Json`] reads it, refused if a number in it would lose digits.
pub(crate) struct Exact<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Exact<T> {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        let (head, body) = request.into_parts();
        let whole = Request::from_parts(head.clone(), body);
        let bytes = Bytes::from_request(whole, state).await.map_err(IntoResponse::into_response)?;
        let again = Request::from_parts(head, Body::from(bytes.clone()));
        let Json(read) = Json::from_request(again, state).await.map_err(IntoResponse::into_response)?;
        if let Some(message) = std::str::from_utf8(&bytes).ok().and_then(too_wide) {
            return Err(Error::Invalid(message).into_response());
        }
        Ok(Self(read))
    }
}
