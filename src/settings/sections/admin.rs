//! The section `[admin]` of the settings.

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use config::Value;

use super::{address, tap};
use crate::{
    auth::operator_token,
    net::Bind,
    router::HostPattern,
    settings::read::{Section, all, list, quoted, text},
    tap::Redaction,
};

/// The section `[admin]`: the address of the admin server, and who may use it.
#[derive(Debug, Clone)]
pub struct Admin {
    /// The address to listen on, or a name with all its addresses.
    pub bind: Bind,
    /// Whether an address in use is an error, which is so if the settings name the address. If false, the
    /// address is only the default, and a free port is used instead.
    pub strict: bool,
    /// The file with the token that actions need; `None` if there are no actions.
    pub token_file: Option<PathBuf>,
    /// The names by which the admin server is reached, besides addresses and `localhost`. The name in `bind` is one.
    pub allowed_hosts: Vec<HostPattern>,
    /// What taps mask; `None` if operators cannot follow the messages of sessions.
    pub tap: Option<Arc<Redaction>>,
}

// === impl Admin ===

impl Admin {
    /// The warning about an admin server that other machines can reach and everybody can read.
    pub fn remark(&self) -> Option<String> {
        let is_local = self.bind.addresses.iter().all(|address| address.ip().is_loopback());
        (!is_local && self.token_file.is_none()).then(|| {
            format!(
                "admin.bind = {} can be reached from other machines: they can see sessions and upstreams; actions \
                 are off without admin.token_file",
                quoted(&self.bind.text)
            )
        })
    }
}

/// Reads the section; `None` when `bind` is empty.
pub(crate) fn read(section: &Section<'_>) -> Option<Admin> {
    let set = section.said("bind");
    if set.is_some_and(|value| text(value) == Ok("")) {
        for key in ["token_file", "allowed_hosts", "tap"].into_iter().chain(tap::REDACTION) {
            if section.said(key).is_some() {
                section.conflict(key, &["bind"], "has no effect without an admin server: bind is empty");
            }
        }
        return None;
    }
    let strict = section.is_of_file() || set.is_some();
    let bind = section.read("bind", |value| address::parse(value, section.host()));
    let mut allowed_hosts = section.read("allowed_hosts", hosts).unwrap_or_default();
    allowed_hosts.extend(bind.as_ref().and_then(name_of));
    let (token_file, tap) = (token_file(section), tap::read(section));
    bind.map(|bind| Admin { bind, strict, token_file, allowed_hosts, tap })
}

/// The name that `bind` has instead of an address.
fn name_of(bind: &Bind) -> Option<HostPattern> {
    let is_name = bind.text.parse::<SocketAddr>().is_err();
    let (name, _) = bind.text.rsplit_once(':').filter(|_| is_name)?;
    HostPattern::parse(name).ok()
}

/// Parses the names of hosts.
fn hosts(value: &Value) -> Result<Vec<HostPattern>, String> {
    all(list(value)?.iter().map(|name| {
        HostPattern::parse(name).map_err(|_| {
            format!("takes names of hosts without port, such as \"admin.example.com\", not {}", quoted(name))
        })
    }))
}

/// Checks the file with the token. The token is not kept: each action reads the file.
fn token_file(section: &Section<'_>) -> Option<PathBuf> {
    let file = section.path_to("token_file")?;
    let read = section.host().read_with_mode(&file).map_err(|error| format!("cannot be read: {error}"));
    let token =
        read.and_then(|(text, mode)| operator_token::parse(&text, mode).map_err(|error| error.to_string()));
    match token {
        Ok(_) => Some(file),
        Err(text) => {
            section.wrong("token_file", text);
            None
        }
    }
}
