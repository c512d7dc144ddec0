//! The section `[traces]` of the settings.

use std::sync::Arc;

use actix_http::header::{HeaderName, HeaderValue};
use config::Value;

use super::roots;
use crate::{
    authority::{MASK, is_masked},
    header_list::{is_hop_by_hop, is_token},
    http_url::HttpUrl,
    settings::{
        layers::as_table,
        read::{Section, text},
    },
    traces::{ClientContext, Ratio, TracesConfig},
};

/// All keys besides `url`, which have no effect without it.
const OTHERS: [&str; 9] = [
    "ca",
    "headers",
    "service_name",
    "sample",
    "sample_events",
    "client_context",
    "queue",
    "export_interval",
    "export_timeout",
];

/// The headers that the exporter sets.
const OF_EXPORTER: [&str; 4] = ["host", "content-type", "content-length", "content-encoding"];

/// Reads the section; `None` without `url`.
pub(crate) fn read(section: &Section<'_>) -> Option<Arc<TracesConfig>> {
    let url = section.read("url", |value| match text(value)? {
        masked if is_masked(masked) => Err("a masked secret is not accepted; write the whole URL".to_owned()),
        text => HttpUrl::parse(text).map_err(|_| {
            "takes the URL of a collector for spans, such as \"http://127.0.0.1:4318/v1/traces\", without user, \
             password and fragment"
                .to_owned()
        }),
    });
    let is_set = section.said("url").is_some();
    if is_set && !cfg!(feature = "traces") {
        let text = "this program is built without traces: build it with cargo build --features traces";
        section.conflict("url", &[], text);
    }
    let ca = section.path_to("ca");
    let (headers, service) = (headers(section), section.read("service_name", service));
    let (sessions, events) = (section.ratio("sample"), section.ratio("sample_events"));
    let client_context = match section.chooses("client_context", "ignore") {
        true => ClientContext::Ignore,
        false => ClientContext::Continue,
    };
    let (queue, interval, timeout) =
        (section.count("queue"), section.duration("export_interval"), section.duration("export_timeout"));
    if !is_set {
        for key in OTHERS.into_iter().filter(|key| section.said(key).is_some()) {
            section.conflict(key, &[], "has no effect without url");
        }
    }
    let url = url?;
    let tls = match url.is_secure {
        true => Some(roots::tls(section, ca, ("url", "ca"))?),
        false => {
            if ca.is_some() {
                section.conflict("ca", &["url"], "has no effect without https in url");
            }
            None
        }
    };
    Some(Arc::new(TracesConfig {
        url,
        tls,
        headers,
        service: service?,
        sessions: sessions.unwrap_or(Ratio::ALL),
        events: events.unwrap_or(Ratio::ALL),
        client_context,
        queue,
        interval,
        timeout,
    }))
}

fn service(value: &Value) -> Result<Arc<str>, String> {
    match text(value)? {
        "" => Err("takes the name of the service, such as \"towline\"".to_owned()),
        name => Ok(name.into()),
    }
}

/// Reads the headers. Problems do not show the values, which are secret.
fn headers(section: &Section<'_>) -> Box<[(HeaderName, HeaderValue)]> {
    let mut headers: Vec<(HeaderName, HeaderValue)> = Vec::new();
    let set = section.said("headers");
    let table = set.and_then(as_table);
    if set.is_some() && table.is_none() {
        section.problem("headers", "takes a table of header names and values");
    }
    for (name, value) in table.into_iter().flatten() {
        match header(name, value) {
            Ok((name, _)) if headers.iter().any(|(other, _)| *other == name) => {
                section.entry_problem("headers", name.as_str(), value, "is set twice".to_owned());
            }
            Ok(header) => headers.push(header),
            Err(problem) => section.entry_problem("headers", name, value, problem),
        }
    }
    headers.into()
}

fn header(name: &str, value: &Value) -> Result<(HeaderName, HeaderValue), String> {
    let lower = name.to_ascii_lowercase();
    if !is_token(lower.as_bytes()) {
        return Err("a header name is a token: letters, digits and dashes".to_owned());
    }
    if is_hop_by_hop(&lower) || OF_EXPORTER.contains(&&*lower) {
        return Err("the exporter sets this header".to_owned());
    }
    let text = text(value)?;
    if text == MASK {
        return Err(
            "a masked secret is not accepted; write the text, or set the header's environment variable"
                .to_owned(),
        );
    }
    let name = HeaderName::try_from(lower).map_err(|_| "not a header name".to_owned())?;
    let mut value = HeaderValue::try_from(text).map_err(|_| "the value has control characters".to_owned())?;
    value.set_sensitive(true);
    Ok((name, value))
}
