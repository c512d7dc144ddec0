//! The table `forward` of a section `[auth.NAME]`.

use std::path::PathBuf;

use actix_http::{Uri, header::HeaderName};
use config::Value;
use url::Url;

use super::Read;
use crate::{
    auth::{ForwardConfig, MethodConfig, forward::is_set_by_proxy},
    authority::MASK,
    header_list::{is_hop_by_hop, is_token},
    net::tls::TlsClient,
    settings::{
        layers::as_table,
        read::{Section, all, list, quoted, text},
        sections::roots,
    },
};

/// Maximum number of headers in one list.
const ITEMS_MAX: usize = 100;

/// Reads the table.
pub(super) fn read(_name: &str, section: &Section<'_>) -> Option<Read> {
    let url = section.read("forward.url", url);
    let ca = section.path_to("forward.ca");
    let tls = url.as_ref().and_then(|(_, is_secure)| tls(section, ca, *is_secure));
    if url.is_none() && section.said("forward.url").is_none() {
        section.missing("forward.url");
    }
    let request_headers = section.read("forward.request_headers", request_headers).unwrap_or_default();
    let claims_from = section.read("forward.claims_from", claims).unwrap_or_default();
    let upstream_headers = section.read("forward.upstream_headers", names).unwrap_or_default();
    let (timeout, max_requests) =
        (section.duration("forward.timeout"), section.count("forward.max_requests"));
    let needs_credential = section.said("from").is_some();
    if section.said("forward_as").is_some() && !needs_credential {
        section.conflict(
            "forward_as",
            &[],
            "needs from: without it, this method does not look for a credential",
        );
    }
    let method = MethodConfig::Forward(ForwardConfig {
        url: url?.0,
        tls,
        request_headers,
        claims_from,
        upstream_headers,
        timeout,
        max_requests,
        needs_credential,
    });
    Some((method, None))
}

/// TLS to the service, if its URL has it.
fn tls(section: &Section<'_>, ca: Option<PathBuf>, is_secure: bool) -> Option<TlsClient> {
    if !is_secure {
        if ca.is_some() {
            section.conflict("forward.ca", &["forward.url"], "has no effect without https in forward.url");
        }
        return None;
    }
    roots::tls(section, ca, ("forward.url", "forward.ca"))
}

/// The URL with the scheme `http` and an explicit port, and whether its scheme is `https`.
fn url(value: &Value) -> Result<(Uri, bool), String> {
    let takes = || "takes the URL of a service, such as \"http://127.0.0.1:9000/verify\"".to_owned();
    let text = text(value)?;
    if text.contains(MASK) {
        return Err(
            "a masked secret is not accepted; write the URL, or set its environment variable".to_owned()
        );
    }
    let url = Url::parse(text).map_err(|_| takes())?;
    let is_secure = url.scheme() == "https";
    let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default().filter(|port| *port > 0))
    else {
        return Err(takes());
    };
    if !is_secure && url.scheme() != "http" {
        return Err(takes());
    }
    if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
        return Err("takes a URL without user, password and fragment".to_owned());
    }
    let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
    let plain = format!("http://{host}:{port}{}{query}", url.path());
    plain.parse().map(|url| (url, is_secure)).map_err(|_| takes())
}

fn request_headers(value: &Value) -> Result<Box<[HeaderName]>, String> {
    let names = names(value)?;
    match names.iter().find(|name| is_set_by_proxy(name)) {
        Some(name) => Err(format!("{}: the proxy sets this header", quoted(name.as_str()))),
        None => Ok(names),
    }
}

fn names(value: &Value) -> Result<Box<[HeaderName]>, String> {
    let texts = list(value)?;
    if texts.len() > ITEMS_MAX {
        return Err(format!("has more than {ITEMS_MAX} entries"));
    }
    let mut names = Vec::new();
    let checked = all(texts.iter().map(|text| {
        let name = name(text)?;
        if names.contains(&name) {
            return Err(format!("{} is listed twice", quoted(text)));
        }
        names.push(name.clone());
        Ok(name)
    }));
    checked.map(Vec::into_boxed_slice)
}

fn claims(value: &Value) -> Result<Box<[(String, HeaderName)]>, String> {
    let takes = || "takes a table of claims and headers, such as { sub = \"X-User\" }".to_owned();
    let table = as_table(value).ok_or_else(takes)?;
    if table.len() > ITEMS_MAX {
        return Err(format!("has more than {ITEMS_MAX} entries"));
    }
    let claim = |(claim, value): (&String, &Value)| {
        let header = text(value).map_err(|_| takes())?;
        name(header).map(|name| (claim.clone(), name))
    };
    table.iter().map(claim).collect()
}

fn name(text: &str) -> Result<HeaderName, String> {
    let lower = text.to_ascii_lowercase();
    if !is_token(lower.as_bytes()) {
        return Err(format!("{}: a header name is a token: letters, digits and dashes", quoted(text)));
    }
    if is_hop_by_hop(&lower) || lower == "host" {
        return Err(format!("{}: this header is part of the connection", quoted(text)));
    }
    HeaderName::try_from(lower).map_err(|_| format!("{}: not a header name", quoted(text)))
}
