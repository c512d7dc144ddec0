//! The headers of the handshake with an upstream: forwarded headers and added headers.

use std::{fmt, ops::Deref};

use config::Value;
use url::Url;

use super::{AllowedUrl, EndpointConfig};
use crate::{
    authority::MASK,
    header_list::{is_hop_by_hop, is_token},
    settings::{
        layers::as_table,
        read::{Section, all, list, quoted, text},
    },
    userinfo,
};

/// The `Host` header of handshakes with an upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostHeader {
    /// Host and port of the upstream's URL.
    Upstream,
    /// The client's `Host` header.
    Client,
    /// This name, with or without a port.
    Name(String),
}

/// The headers that the setting `headers` adds to every handshake, names in lower case.
///
/// # Security
/// The values may be secrets, so they do not appear in the `Debug` form.
#[derive(Clone, PartialEq, Eq)]
pub struct AddedHeaders(Vec<(String, String)>);

/// Reads the key `host`.
pub(super) fn host(section: &Section<'_>) -> HostHeader {
    let host = section.read("host", |value| match text(value)? {
        "upstream" => Ok(HostHeader::Upstream),
        "client" => Ok(HostHeader::Client),
        name if is_host(name) => Ok(HostHeader::Name(name.to_owned())),
        _ => Err("takes \"upstream\", \"client\", or a host with or without a port, such as \"chat.example.com:8080\""
            .to_owned()),
    });
    host.unwrap_or(HostHeader::Upstream)
}

/// Whether the text is a host name or an address, with or without a port.
fn is_host(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
    text.bytes().all(fits)
        && !text.ends_with(':')
        && Url::parse(&format!("ws://{text}/")).is_ok_and(|url| url.has_host() && url.port() != Some(0))
}

/// Reads the key `headers`.
pub(super) fn added(section: &Section<'_>) -> AddedHeaders {
    let mut headers: Vec<(String, String)> = Vec::new();
    let set = section.said("headers");
    let table = set.and_then(as_table);
    if set.is_some() && table.is_none() {
        section.problem("headers", "takes a table of header names and values");
    }
    for (name, value) in table.into_iter().flatten() {
        let lower = name.to_ascii_lowercase();
        let twice = headers.iter().any(|(other, _)| *other == lower);
        let checked = if twice { Err("is set twice".to_owned()) } else { name_and_text(&lower, value) };
        match checked {
            Ok(text) => headers.push((lower, text)),
            Err(problem) => section.entry_problem("headers", name, value, problem),
        }
    }
    AddedHeaders(headers)
}

fn name_and_text(name: &str, value: &Value) -> Result<String, String> {
    check_name(name)?;
    let text = text(value)?;
    if text == MASK {
        return Err(
            "a masked secret is not accepted; write the text, or set the header's environment variable"
                .to_owned(),
        );
    }
    if text.chars().any(|letter| letter.is_control() && letter != '\t') {
        return Err("the value has control characters".to_owned());
    }
    Ok(text.to_owned())
}

/// Reports user and password in a URL when `headers` sets `Authorization`, because only one of them can be
/// sent.
pub(super) fn check_credentials(
    section: &Section<'_>,
    added: &AddedHeaders,
    endpoints: Option<&[EndpointConfig]>,
    allowed: Option<&[AllowedUrl]>,
) {
    if !added.has_authorization() {
        return;
    }
    let text = "has user and password, and headers has authorization: only one of them can be sent";
    let has_secret = |endpoint: &EndpointConfig| userinfo::split(&endpoint.url.text).1.is_some();
    if endpoints.into_iter().flatten().any(has_secret) {
        section.problem(if section.said("url").is_some() { "url" } else { "endpoints" }, text);
    }
    if allowed.into_iter().flatten().any(|url| url.userinfo().is_some()) {
        section.problem("allow_urls", text);
    }
}

/// The headers forwarded to the upstream, names in lower case, without those that `added` replaces.
pub(super) fn forwarded(section: &Section<'_>, added: &AddedHeaders) -> Vec<String> {
    let mut names = section.read("forward_headers", names).unwrap_or_default();
    let replaced = |name: &String| added.iter().any(|(other, _)| other == name);
    if section.said("forward_headers").is_some()
        && let Some(name) = names.iter().find(|name| replaced(name))
    {
        let text =
            format!("{} is set in headers too: send either the client's value or this one", quoted(name));
        section.conflict("forward_headers", &[], text);
    }
    names.retain(|name| !replaced(name));
    names
}

/// The headers of an upstream's response that are forwarded to the client, names in lower case.
pub(super) fn of_answers(section: &Section<'_>) -> Vec<String> {
    section.read("forward_response_headers", names).unwrap_or_default()
}

fn names(value: &Value) -> Result<Vec<String>, String> {
    let mut names: Vec<String> = Vec::new();
    all(list(value)?.iter().map(|name| {
        let lower = name.to_ascii_lowercase();
        check_name(&lower).map_err(|text| format!("{}: {text}", quoted(name)))?;
        if names.contains(&lower) {
            return Err(format!("{} is listed twice", quoted(name)));
        }
        names.push(lower.clone());
        Ok(lower)
    }))
}

fn check_name(lower: &str) -> Result<(), String> {
    if !is_token(lower.as_bytes()) {
        return Err("a header name is a token: letters, digits and dashes".to_owned());
    }
    if is_hop_by_hop(lower) || lower == "host" {
        return Err("the handshake sets this header".to_owned());
    }
    Ok(())
}

// === impl AddedHeaders ===

impl AddedHeaders {
    /// Whether the headers include `Authorization`.
    pub(super) fn has_authorization(&self) -> bool {
        self.iter().any(|(name, _)| name == "authorization")
    }
}

impl Deref for AddedHeaders {
    type Target = [(String, String)];

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl fmt::Debug for AddedHeaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.0.iter().map(|(name, _)| (name, MASK))).finish()
    }
}
