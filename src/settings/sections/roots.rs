//! TLS to a server that the proxy itself asks: for keys, for who a client is, or to take traces.

use std::path::PathBuf;

use crate::{
    net::tls::{ClientFiles, Roots, TlsClient},
    settings::read::Section,
};

/// TLS with the roots in the file `ca`, or those of the machine. Reports a file that cannot be used. `url` and `key` are
/// the keys of the server's URL and of the file.
pub(super) fn tls(section: &Section<'_>, ca: Option<PathBuf>, (url, key): (&str, &str)) -> Option<TlsClient> {
    let roots = ca.is_none().then_some(Roots::System);
    let files = ClientFiles { ca, roots, ..ClientFiles::default() };
    match TlsClient::load(files, |path| section.host().read(path)) {
        Ok(tls) => {
            if tls.accepts_none() {
                section.conflict(url, &[key], format!("this machine has no root certificates: set {key}"));
            }
            Some(tls)
        }
        Err(problems) => {
            problems.into_iter().for_each(|(_, text)| section.wrong(key, text));
            None
        }
    }
}
