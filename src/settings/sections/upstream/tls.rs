//! TLS to the servers of an upstream: the table `tls`.

use rustls::pki_types::ServerName;

use super::{AllowedUrl, EndpointConfig};
use crate::{
    net::tls::{ClientFileRole, ClientFiles, Roots, TlsClient},
    settings::read::{Section, text},
};

/// All keys of the table.
const KEYS: [&str; 6] = ["tls.roots", "tls.ca", "tls.cert", "tls.key", "tls.server_name", "tls.insecure"];

/// Reads the table. `is_open` is whether servers may be added while the program runs.
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
    let mut files = ClientFiles { name, identity: identity(section), ..ClientFiles::default() };
    trust(section, is_secure || is_open, &mut files);
    if !is_secure && !is_open && endpoints.is_some() && allowed.is_some() {
        for name in KEYS.into_iter().filter(|name| section.said(name).is_some()) {
            section.conflict(name, &[name], "needs a server with TLS, such as url = \"wss://host/path\"");
        }
    }
    match TlsClient::load(files, |path| section.host().read(path)) {
        Ok(tls) => {
            if is_secure && tls.accepts_none() && !section.is_wrong("tls.ca") {
                let text = "this machine has no root certificates: set tls.ca, or tls.roots = \"web\"";
                section.conflict("tls.roots", &["tls.ca"], text);
            }
            Some(tls)
        }
        Err(problems) => {
            for (role, text) in problems {
                match role {
                    ClientFileRole::Ca => section.wrong("tls.ca", text),
                    ClientFileRole::Certificate => section.wrong("tls.cert", text),
                    ClientFileRole::Key => section.wrong("tls.key", text),
                    ClientFileRole::Setup => section.section_problem(text),
                }
            }
            None
        }
    }
}

/// Which certificates are accepted. `needs_roots`: whether there is, or may be, a server with TLS.
fn trust(section: &Section<'_>, needs_roots: bool, files: &mut ClientFiles) {
    let others = section.choice("tls.roots").map(|choice| match choice == "web" {
        true => Roots::Web,
        false => Roots::System,
    });
    files.accepts_all = section.flag("tls.insecure");
    files.ca = section.path_to("tls.ca");
    if files.accepts_all {
        for name in ["tls.ca", "tls.roots"].into_iter().filter(|name| section.said(name).is_some()) {
            let text = "has no effect with tls.insecure = true, which accepts every certificate";
            section.conflict(name, &["tls.insecure"], text);
        }
        return;
    }
    files.roots = match others {
        // Other roots are trusted beside those of a file only if the settings say so.
        None if needs_roots && section.said("tls.ca").is_none() => Some(Roots::System),
        others => others,
    };
}

/// The files of the certificate and of the key of the proxy.
fn identity(section: &Section<'_>) -> Option<(std::path::PathBuf, std::path::PathBuf)> {
    for (name, other) in [("tls.cert", "tls.key"), ("tls.key", "tls.cert")] {
        if section.said(name).is_some() && section.said(other).is_none() {
            section.conflict(name, &[other], format!("needs {other} too"));
        }
    }
    let (cert, key) = (section.path_to("tls.cert"), section.path_to("tls.key"));
    Some((cert?, key?))
}
