//! TLS to the servers of an upstream: the table `tls`.

use rustls::pki_types::ServerName;

use super::{AllowedUrl, EndpointConfig};
use crate::{
    net::tls::{Identity, PemError, Roots, TlsClient, TlsClientError, Trust, pem},
    settings::read::{Section, text},
};

/// All keys of the table.
const KEYS: [&str; 6] = ["tls.roots", "tls.ca", "tls.cert", "tls.key", "tls.server_name", "tls.insecure"];

/// Reads the table. `is_open` is whether the servers may be other ones later.
pub(super) fn read(
    section: &Section<'_>,
    endpoints: Option<&[EndpointConfig]>,
    allowed: Option<&[AllowedUrl]>,
    is_open: bool,
) -> Option<TlsClient> {
    let is_secure = endpoints.into_iter().flatten().any(|endpoint| endpoint.url.is_secure())
        || allowed.into_iter().flatten().any(AllowedUrl::is_secure);
    let name = section.read("tls.server_name", |value| {
        let name = ServerName::try_from(text(value)?.to_owned());
        name.map_err(|_| "takes the name of a host, such as \"chat.example.com\"".to_owned())
    });
    let trust = trust(section, is_secure || is_open);
    let identity = identity(section);
    if !is_secure && !is_open && endpoints.is_some() && allowed.is_some() {
        for name in KEYS.into_iter().filter(|name| section.said(name).is_some()) {
            section.conflict(name, &[name], "needs a server with TLS, such as url = \"wss://host/path\"");
        }
    }
    match TlsClient::new(trust, identity, name) {
        Ok(tls) => {
            if is_secure && tls.accepts_none() && !section.is_wrong("tls.ca") {
                let text = "this machine has no root certificates: set tls.ca, or tls.roots = \"web\"";
                section.conflict("tls.roots", &["tls.ca"], text);
            }
            Some(tls)
        }
        Err(error) => {
            let text = error.to_string();
            match error {
                TlsClientError::BadRoot => section.problem("tls.ca", text),
                TlsClientError::Identity(PemError::Malformed) => section.problem("tls.cert", text),
                TlsClientError::Identity(_) => section.problem("tls.key", text),
                TlsClientError::Setup(_) => section.section_problem(text),
            }
            None
        }
    }
}

/// Which certificates are accepted. `needs_roots`: whether there is, or may be, a server with TLS.
fn trust(section: &Section<'_>, needs_roots: bool) -> Trust {
    let listed = file(section, "tls.ca", pem::certificates);
    let others = section.choice("tls.roots").map(|choice| match choice == "web" {
        true => Roots::Web,
        false => Roots::System,
    });
    if section.flag("tls.insecure") {
        for name in ["tls.ca", "tls.roots"].into_iter().filter(|name| section.said(name).is_some()) {
            let text = "has no effect with tls.insecure = true, which accepts every certificate";
            section.conflict(name, &["tls.insecure"], text);
        }
        return Trust::All;
    }
    let others = match (&listed, others) {
        // Other roots are trusted beside those of a file only if the settings say so.
        (None, None) if needs_roots && section.said("tls.ca").is_none() => Some(Roots::System),
        (_, others) => others,
    };
    Trust::Roots { listed: listed.unwrap_or_default(), others }
}

/// The certificate and the key of the proxy.
fn identity(section: &Section<'_>) -> Option<Identity> {
    let chain = file(section, "tls.cert", pem::certificates);
    let key = file(section, "tls.key", pem::key);
    for (name, other) in [("tls.cert", "tls.key"), ("tls.key", "tls.cert")] {
        if section.said(name).is_some() && section.said(other).is_none() {
            section.conflict(name, &[other], format!("needs {other} too"));
        }
    }
    Some(Identity { chain: chain?, key: key? })
}

/// The content of the file at a key; `None` if the key is not set or the file is invalid, which is reported.
fn file<T>(section: &Section<'_>, name: &str, parse: impl Fn(&str) -> Result<T, PemError>) -> Option<T> {
    let path = section.path_to(name)?;
    let found = match section.host().read(&path) {
        Ok(text) => parse(&text).map_err(|error| error.to_string()),
        Err(error) => Err(format!("cannot read {}: {error}", path.display())),
    };
    found.map_err(|text| section.wrong(name, text)).ok()
}
