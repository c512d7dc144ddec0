//! Errors of the admin server, as JSON: `{"error": "…"}`.

use std::{borrow::Cow, fmt};

use actix_web::{
    HttpResponse, ResponseError,
    http::{
        StatusCode,
        header::{ALLOW, ContentType, WWW_AUTHENTICATE},
    },
};
use serde_json::json;

use super::{
    access::{Denied, challenge},
    answer,
};

/// An answer other than success.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    text: Cow<'static, str>,
    kind: ErrorKind,
}

/// The additional parts of the answer.
#[derive(Debug)]
enum ErrorKind {
    Plain,
    /// The request is refused.
    Denied(Denied),
    /// The page has only these methods.
    Method(&'static str),
}

// === impl ApiError ===

impl ApiError {
    pub(crate) fn new(status: StatusCode, text: impl Into<Cow<'static, str>>) -> Self {
        Self { status, text: text.into(), kind: ErrorKind::Plain }
    }

    /// The request has a part that is not allowed. The text says which, and what is allowed.
    pub(crate) fn invalid(text: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, text)
    }

    /// The requested object does not exist.
    pub(crate) fn not_found(text: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::NOT_FOUND, text)
    }

    /// The page has only the methods `allowed`.
    pub(super) fn method(allowed: &'static str) -> Self {
        let text = format!("this page takes {allowed}");
        let kind = ErrorKind::Method(allowed);
        Self { status: StatusCode::METHOD_NOT_ALLOWED, text: text.into(), kind }
    }
}

impl From<Denied> for ApiError {
    fn from(denied: Denied) -> Self {
        let kind = ErrorKind::Denied(denied);
        Self { status: denied.status(), text: denied.to_string().into(), kind }
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status);
        match self.kind {
            ErrorKind::Plain => {}
            ErrorKind::Denied(denied) => {
                if let Some(challenge) = challenge(denied) {
                    response.insert_header((WWW_AUTHENTICATE, challenge));
                }
            }
            ErrorKind::Method(allowed) => _ = response.insert_header((ALLOW, allowed)),
        }
        response.content_type(ContentType::json()).body(answer::text(&json!({ "error": self.text })))
    }
}
