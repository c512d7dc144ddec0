//! What all actions share: the body of the request, and the line in the log.

use actix_web::{HttpRequest, http::StatusCode, web};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error as _},
};
use serde_json::{Map, Value};

use crate::{admin::error::ApiError, log::Quoted};

/// Maximum size of a request's body, in bytes: more than any action needs.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// The body of an action that has no parameters.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Plain {}

/// Reads the body of an action, an object in JSON. An empty body is `{}`.
///
/// # Errors
/// When the body is too long, is not an object in JSON, or has something that the action does not take.
pub(super) async fn body<T: DeserializeOwned>(payload: web::Payload) -> Result<T, ApiError> {
    let bytes = match payload.to_bytes_limited(BODY_BYTES_MAX).await {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(error)) => return Err(ApiError::invalid(format!("the body cannot be read: {error}"))),
        Err(_) => {
            let text = format!("the body has more than {BODY_BYTES_MAX} bytes");
            return Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, text));
        }
    };
    let json = if bytes.is_empty() { b"{}" } else { &*bytes };
    parse(json).map_err(|error| ApiError::invalid(format!("wrong body: {error}")))
}

/// Reads a nested object, for `deserialize_with`; see [`parse`].
pub(super) fn object<'de, D: Deserializer<'de>, T: DeserializeOwned>(from: D) -> Result<T, D::Error> {
    let object = Map::<String, Value>::deserialize(from)?;
    T::deserialize(Value::Object(object)).map_err(D::Error::custom)
}

/// Reads an object. A list of the values would be read as one with these fields, in their order.
fn parse<T: DeserializeOwned>(json: &[u8]) -> serde_json::Result<T> {
    serde_json::from_slice::<Map<String, Value>>(json)?;
    // From the text again, so that an error says where it is.
    serde_json::from_slice(json)
}

/// Logs an action. `target` is what it concerns, `detail` what it does.
pub(super) fn log_action(request: &HttpRequest, action: &str, target: &str, detail: &str) {
    let peer = request.peer_addr().map_or_else(String::new, |peer| peer.to_string());
    log::info!("admin action={action} peer={peer} target={} detail={}", Quoted(target), Quoted(detail));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Named {
        name: Option<String>,
    }

    #[derive(Debug, Deserialize)]
    struct Nested {
        #[serde(default, deserialize_with = "object")]
        inner: Option<Named>,
    }

    #[test]
    fn a_nested_object_is_no_list() {
        let inner = |json: &str| parse::<Nested>(json.as_bytes()).map(|nested| nested.inner);
        assert_eq!(inner("{}").unwrap().and_then(|inner| inner.name), None);
        assert!(inner(r#"{"inner": {"name": "a"}}"#).unwrap().is_some_and(|inner| inner.name.is_some()));
        for wrong in [r#"{"inner": ["a"]}"#, r#"{"inner": []}"#, r#"{"inner": {"other": 1}}"#] {
            assert!(inner(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_body_is_an_object() {
        let Plain {} = parse(b"{}").unwrap();
        assert_eq!(parse::<Named>(b" {\"name\": \"a\"}").unwrap().name.as_deref(), Some("a"));
        assert_eq!(parse::<Named>(b"{}").unwrap().name, None);
        for wrong in ["[]", "[\"a\"]", "null", "\"a\"", "1", "{} {}", "{\"other\": 1}", ""] {
            assert!(parse::<Named>(wrong.as_bytes()).is_err(), "{wrong}");
            assert!(parse::<Plain>(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }
}
