//! The headers of the handshake with an upstream: forwarded headers and added headers.

use std::{fmt, ops::Deref};

use actix_http::header::HeaderName;
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
    template::Template,
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

/// Headers that a setting adds to every handshake, names in lower case.
///
/// # Security
/// The values may be secrets, so they do not appear in the `Debug` form.
#[derive(Clone, PartialEq, Eq)]
pub struct AddedHeaders(Vec<(String, Template)>);

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

/// The headers of a response that describe the response itself.
const OF_RESPONSE: [&str; 4] = ["date", "content-type", "content-encoding", "content-language"];

/// The headers of an upstream's refusal that reach the client in any case, and can be removed.
pub(crate) const OF_REFUSAL: [&str; 4] = ["www-authenticate", "retry-after", "allow", "location"];

/// Reads a key with headers to add: `headers` or `response_headers`.
pub(super) fn added(section: &Section<'_>, key: &str) -> AddedHeaders {
    let mut headers: Vec<(String, Template)> = Vec::new();
    let set = section.said(key);
    let table = set.and_then(as_table);
    if set.is_some() && table.is_none() {
        section.problem(key, "takes a table of header names and values");
    }
    for (name, value) in table.into_iter().flatten() {
        let lower = name.to_ascii_lowercase();
        let twice = headers.iter().any(|(other, _)| *other == lower);
        let checked = match twice {
            true => Err("is set twice".to_owned()),
            false if key == "response_headers" && OF_RESPONSE.contains(&&*lower) => {
                Err("the response sets this header".to_owned())
            }
            false => name_and_template(&lower, value),
        };
        match checked {
            Ok(template) => headers.push((lower, template)),
            Err(problem) => section.entry_problem(key, name, value, problem),
        }
    }
    AddedHeaders(headers)
}

fn name_and_template(name: &str, value: &Value) -> Result<Template, String> {
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
    Template::parse(text).map_err(|error| error.to_string())
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

/// The headers forwarded to the upstream, without those that `added` replaces.
pub(super) fn forwarded(section: &Section<'_>, added: &AddedHeaders) -> Vec<HeaderName> {
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
    remove(section, "remove_headers", &mut names, "forward_headers", added, Some(&[]));
    header_names(&names)
}

/// The names, which are checked already, as they are compared with those of a request.
fn header_names(names: &[String]) -> Vec<HeaderName> {
    names.iter().filter_map(|name| name.parse().ok()).collect()
}

/// What the client gets of an upstream's response.
pub(super) struct ResponseHeaders {
    /// The headers that are forwarded.
    pub(super) forwarded: Vec<HeaderName>,
    /// The headers that are not forwarded, among them those of a refusal.
    pub(super) removed: Vec<String>,
    /// The headers that are added.
    pub(super) added: AddedHeaders,
}

/// Reads the keys about headers of the response to the client.
pub(super) fn of_response(section: &Section<'_>, is_http: bool) -> ResponseHeaders {
    let mut forwarded = section.read("forward_response_headers", names).unwrap_or_default();
    let added = added(section, "response_headers");
    let removed = remove(
        section,
        "remove_response_headers",
        &mut forwarded,
        "forward_response_headers",
        &added,
        // Responses to other requests than handshakes have any headers.
        if is_http { None } else { Some(&OF_REFUSAL) },
    );
    ResponseHeaders { forwarded: header_names(&forwarded), removed, added }
}

/// Reads the key `key`, a list of headers, and removes them from `names`, which `list` sets. Reports a header that is
/// neither there nor in `others`, unless that is `None`, and one that is added too. Returns the headers of the key.
fn remove(
    section: &Section<'_>,
    key: &str,
    names: &mut Vec<String>,
    list: &str,
    added: &AddedHeaders,
    others: Option<&[&str]>,
) -> Vec<String> {
    let removed = section.read(key, self::names).unwrap_or_default();
    for name in &removed {
        if added.iter().any(|(other, _)| other == name) {
            section.conflict(
                key,
                &[],
                format!("{} is set by this upstream too, which replaces it", quoted(name)),
            );
        } else if !names.contains(name) && others.is_some_and(|others| !others.contains(&&**name)) {
            section.conflict(
                key,
                &[list],
                format!("{} is not forwarded: {list} does not list it", quoted(name)),
            );
        }
    }
    names.retain(|name| !removed.contains(name));
    removed
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
    pub fn has_authorization(&self) -> bool {
        self.iter().any(|(name, _)| name == "authorization")
    }
}

impl Deref for AddedHeaders {
    type Target = [(String, Template)];

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl fmt::Debug for AddedHeaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.0.iter().map(|(name, _)| (name, MASK))).finish()
    }
}
