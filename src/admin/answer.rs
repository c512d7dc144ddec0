//! Answers in JSON.

use actix_web::{
    HttpResponse,
    http::{StatusCode, header::ContentType},
};
use serde_json::Value;

/// An answer in JSON, with a newline at its end for terminals.
pub(super) fn json(status: StatusCode, value: &Value) -> HttpResponse {
    HttpResponse::build(status).content_type(ContentType::json()).body(text(value))
}

/// The text of an answer in JSON.
pub(super) fn text(value: &Value) -> String {
    format!("{value}\n")
}

/// The answer to a request that is served.
pub(super) fn ok(value: &Value) -> HttpResponse {
    json(StatusCode::OK, value)
}

/// The answer to an action that goes on.
pub(super) fn accepted(value: &Value) -> HttpResponse {
    json(StatusCode::ACCEPTED, value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_ends_its_line() {
        assert_eq!(text(&serde_json::json!({ "error": "x" })), "{\"error\":\"x\"}\n");
    }
}
