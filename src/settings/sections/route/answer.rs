//! The keys `answer` of a route: a fixed answer to requests that do not ask for a WebSocket.

use bytes::Bytes;
use config::Value;

use crate::{
    settings::read::{Section, text},
    template::Template,
};

/// The keys of which one makes a route answer.
const KEYS: [&str; 4] = ["answer.status", "answer.body", "answer.content_type", "answer.redirect"];

/// Keys that concern sessions only. Those that need an upstream are refused without one anyway.
const OF_SESSIONS: [&str; 14] = [
    "incoming",
    "upstream",
    "errors",
    "error_replies",
    "subprotocols",
    "strip_prefix",
    "origins",
    "auth",
    "require",
    "match.subprotocol",
    "forward_http",
    "max_session_age",
    "limits",
    "log_claims",
];

/// Maximum length of a body, in bytes: a page of text. Files are the task of a web server.
const BODY_MAX: usize = 64 * 1024;

/// The statuses of a redirect.
const REDIRECTS: [u16; 5] = [301, 302, 303, 307, 308];

/// The answer of a route to requests that do not ask for a WebSocket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FixedAnswer {
    /// The HTTP status, from 200.
    pub status: u16,
    /// The header `Content-Type`; `None` without a body.
    pub content_type: Option<String>,
    /// The body, at most 64 KiB.
    pub body: Bytes,
    /// The header `Location` of a redirect.
    pub location: Option<Template>,
}

/// Whether the route answers.
pub(super) fn is_set(section: &Section<'_>) -> bool {
    KEYS.iter().any(|key| section.said(key).is_some())
}

/// Reads the answer; `None` if the route has sessions instead.
pub(super) fn read(section: &Section<'_>) -> Option<FixedAnswer> {
    let location = section.read("answer.redirect", redirect);
    let default = if location.is_some() { 302 } else { 200 };
    let status = section.said("answer.status").map(|_| section.count("answer.status"));
    let body = section.read("answer.body", body);
    let content_type = section.read("answer.content_type", content_type);
    if !is_set(section) {
        return None;
    }
    for key in OF_SESSIONS.into_iter().filter(|key| section.said(key).is_some()) {
        section.conflict(
            key,
            &[],
            "has no effect: the route answers requests that do not ask for a WebSocket",
        );
    }
    let status = status.unwrap_or(default);
    let is_redirect = REDIRECTS.contains(&status);
    if location.is_some() && !is_redirect {
        section.conflict(
            "answer.status",
            &["answer.redirect"],
            "a redirect has the status 301, 302, 303, 307 or 308",
        );
    }
    if location.is_none() && (300..400).contains(&status) {
        section.conflict("answer.status", &["answer.redirect"], "needs answer.redirect");
    }
    if body.is_some() && matches!(status, 204 | 205) {
        section.conflict(
            "answer.body",
            &["answer.status"],
            format!("an answer with the status {status} has no body"),
        );
    }
    if body.is_none() && content_type.is_some() {
        section.conflict("answer.content_type", &["answer.body"], "needs answer.body");
    }
    let text = || "text/plain; charset=utf-8".to_owned();
    let content_type = body.as_ref().map(|_| content_type.unwrap_or_else(text));
    Some(FixedAnswer { status, content_type, body: body.unwrap_or_default(), location })
}

fn body(value: &Value) -> Result<Bytes, String> {
    let body = text(value)?;
    if body.len() > BODY_MAX {
        return Err("takes a text of at most 64 KiB".to_owned());
    }
    Ok(Bytes::copy_from_slice(body.as_bytes()))
}

fn content_type(value: &Value) -> Result<String, String> {
    let name = text(value)?;
    match name.contains('/') && name.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        true => Ok(name.to_owned()),
        false => Err("takes a media type such as \"text/html; charset=utf-8\"".to_owned()),
    }
}

fn redirect(value: &Value) -> Result<Template, String> {
    let target = text(value)?;
    let begins = ["/", "http://", "https://"].iter().any(|start| target.starts_with(start));
    if !begins || !target.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(
            "takes a path or a URL of http or https, such as \"https://${request.host}${request.path}\""
                .to_owned(),
        );
    }
    Template::parse(target).map_err(|error| error.to_string())
}
