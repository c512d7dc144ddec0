//! The sections `[auth.NAME]` of the settings: one file for each method.

mod api_keys;
mod renewal;

use std::sync::Arc;

use config::Value;

use crate::{
    auth::{AuthConfig, MethodConfig, Source},
    settings::{
        keys,
        read::{Section, all, list, quoted},
    },
};

/// A table of a section that makes it a method.
struct Method {
    /// The name of the table.
    name: &'static str,
    /// Reads the table; `None` if it is invalid, which is reported.
    read: fn(&Section<'_>) -> Option<MethodConfig>,
}

/// All methods.
const METHODS: [Method; 1] = [Method { name: "api_keys", read: api_keys::read }];

impl Method {
    /// A key of the table that is set; `None` if the section does not have this method.
    fn said(&self, section: &Section<'_>) -> Option<&'static str> {
        let names = keys::section("auth").keys().map(|key| key.name);
        let mut of_table =
            names.filter(|name| name.strip_prefix(self.name).is_some_and(|rest| rest.starts_with('.')));
        of_table.find(|name| section.said(name).is_some())
    }
}

/// Reads the section; `None` if it is invalid.
pub(crate) fn read(name: &str, section: &Section<'_>) -> Option<Arc<AuthConfig>> {
    let from = section.read("from", sources).unwrap_or_default();
    let forwards = section.choice("forward_as").is_some();
    let said: Vec<_> =
        METHODS.iter().filter_map(|method| method.said(section).map(|key| (method, key))).collect();
    let read: Vec<_> = said.iter().map(|(method, _)| (method.read)(section)).collect();
    match said.as_slice() {
        [_] => {}
        [] => {
            let names: Vec<_> = METHODS.iter().map(|method| method.name).collect();
            section.section_problem(format!("needs a method: {}", names.join(", ")));
        }
        [(first, _), rest @ ..] => {
            for (_, key) in rest {
                section.conflict(
                    key,
                    &[],
                    format!("a section has one method, and {} is set too", first.name),
                );
            }
        }
    }
    let method = read.into_iter().next().flatten()?;
    Some(Arc::new(AuthConfig { name: name.into(), from, forwards, renew: renewal::read(section), method }))
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
