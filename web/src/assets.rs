//! The stylesheet and the scripts, compiled in. Their addresses carry a hash of their content, so they are cached for
//! ever and never stale.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use rota_core::hex::hex;
use sha2::{Digest, Sha256};

use crate::error::Error;

const FILES: &[(&str, &str, &str)] = &[
    ("rota.css", "text/css; charset=utf-8", include_str!("../assets/rota.css")),
    ("theme.js", "text/javascript; charset=utf-8", include_str!("../assets/theme.js")),
    ("live.js", "text/javascript; charset=utf-8", include_str!("../assets/live.js")),
    ("changes.js", "text/javascript; charset=utf-8", include_str!("../assets/changes.js")),
    ("stream.js", "text/javascript; charset=utf-8", include_str!("../assets/stream.js")),
    ("stream-worker.js", "text/javascript; charset=utf-8", include_str!("../assets/stream-worker.js")),
    ("log.js", "text/javascript; charset=utf-8", include_str!("../assets/log.js")),
];

/// One hash over all files: they refer to each other and change together.
static HASH: LazyLock<String> = LazyLock::new(|| {
    let mut hasher = Sha256::new();
    FILES.iter().for_each(|(_, _, text)| hasher.update(text.as_bytes()));
    hex(&hasher.finalize()[..8])
});

/// The hash in the addresses.
pub(crate) fn hash() -> &'static str {
    &HASH
}

/// `GET /static/{hash}/{name}`. An old hash answers with the file of today, uncached.
pub(crate) async fn serve(Path((hash, name)): Path<(String, String)>) -> Response {
    let Some((_, kind, text)) = FILES.iter().find(|(file, _, _)| *file == name) else {
        return Error::missing("file", &name).into_response();
    };
    let cache = if hash == *HASH { "public, max-age=31536000, immutable" } else { "no-cache" };
    ([(CONTENT_TYPE, *kind), (CACHE_CONTROL, cache)], *text).into_response()
}
