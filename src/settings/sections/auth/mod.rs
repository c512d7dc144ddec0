//! The sections `[auth.NAME]` of the settings: one file for each method.

mod api_keys;
mod basic;
mod client_certificate;
mod forward;
mod jwt;
mod renewal;

use std::sync::Arc;

use config::Value;

use crate::{
    auth::{AuthConfig, MethodConfig, Source},
    files::Fingerprint,
    settings::{
        keys::{self, Key},
        read::{Section, all, list, quoted},
    },
};

/// A table of a section that makes it a method.
struct Method {
    /// The name of the table.
    name: &'static str,
    /// Reads the table of the section with that name; `None` if it is invalid, which is reported.
    read: fn(&str, &Section<'_>) -> Option<Read>,
}

/// A method, with the text of its file of keys, if it has one.
type Read = (MethodConfig, Option<Fingerprint>);

/// All methods.
const METHODS: [Method; 5] = [
    Method { name: "jwt", read: jwt::read },
    Method { name: "api_keys", read: api_keys::read },
    Method { name: "basic", read: basic::read },
    Method { name: "client_certificate", read: client_certificate::read },
    Method { name: "forward", read: forward::read },
];

impl Method {
    /// The keys of the table that are set.
    fn said<'a>(&'a self, section: &'a Section<'_>) -> impl Iterator<Item = &'static Key> + 'a {
        let of_table =
            |key: &&Key| key.name.strip_prefix(self.name).is_some_and(|rest| rest.starts_with('.'));
        keys::section("auth").keys().filter(of_table).filter(|key| section.said(key.name).is_some())
    }

    /// Whether the section has this method: a key without default is set.
    fn is_of(&self, section: &Section<'_>) -> bool {
        self.said(section).any(|key| key.preset.value().is_none())
    }
}

/// Reads the section; `None` if it is invalid.
pub(crate) fn read(name: &str, section: &Section<'_>) -> Option<Arc<AuthConfig>> {
    let from = section.read("from", sources);
    let forwards = section.choice("forward_as").is_some();
    let renew = renewal::read(section);
    let mut own = METHODS.iter().filter(|method| method.is_of(section));
    let Some(method) = own.next() else {
        let names: Vec<_> = METHODS.iter().map(|method| method.name).collect();
        section.section_problem(format!("needs a method: {}", names.join(", ")));
        return None;
    };
    let read = (method.read)(name, section);
    for other in METHODS.iter().filter(|other| other.name != method.name) {
        for key in other.said(section) {
            section.conflict(
                key.name,
                &[],
                format!("a section has one method, and this one has {}", method.name),
            );
        }
    }
    let (method, fingerprint) = read?;
    // The other methods look where `from` says.
    let from = match &method {
        MethodConfig::Basic(_) | MethodConfig::ClientCertificate(_) => Box::default(),
        MethodConfig::Forward(forward) if !forward.needs_credential => Box::default(),
        _ => from.unwrap_or_else(|| [Source::Authorization].into()),
    };
    let takes_renewals = matches!(method, MethodConfig::ApiKeys(_) | MethodConfig::Jwt(_));
    if let Some(key) = renewal::said(section).filter(|_| !takes_renewals) {
        let text = "has no effect with this method, which needs more than the credential in a message";
        section.conflict(key, &[], text);
    }
    Some(Arc::new(AuthConfig { name: name.into(), from, forwards, renew, method, fingerprint }))
}

fn sources(value: &Value) -> Result<Box<[Source]>, String> {
    let texts = list(value)?;
    if texts.is_empty() {
        return Err("needs at least one source".to_owned());
    }
    let mut sources = Vec::new();
    let checked = all(texts.iter().map(|text| {
        let source = Source::parse(text).map_err(|error| format!("{}: {error}", quoted(text)))?;
        if sources.contains(&source) {
            return Err(format!("{} is listed twice", quoted(text)));
        }
        sources.push(source.clone());
        Ok(source)
    }));
    checked.map(Vec::into_boxed_slice)
}
