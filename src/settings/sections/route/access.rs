//! The keys of a route that determine who may use it.

use std::sync::Arc;

use config::{Value, ValueKind};

use super::{Known, no_such};
use crate::{
    auth::{AuthConfig, MethodConfig, Requirement, Source},
    event,
    settings::{
        layers::as_table,
        read::{Section, quoted},
    },
};

/// Who may use a route.
pub(super) struct Access {
    pub(super) auth: Vec<Arc<AuthConfig>>,
    pub(super) require: Box<[Requirement]>,
    /// All places in which the route's methods look for credentials.
    pub(super) credentials: Box<[Source]>,
}

/// Maximum number of claims, and of values of one claim.
const ITEMS_MAX: usize = 1000;

pub(super) fn read(section: &Section<'_>, known: &Known<'_>) -> Access {
    let mut auth: Vec<Arc<AuthConfig>> = Vec::new();
    for name in section.list("auth") {
        match known.auth.get(&name) {
            Some(Some(method)) if auth.iter().any(|other| other.name == method.name) => {
                section.problem("auth", format!("{} is listed twice", quoted(&name)));
            }
            Some(method) => auth.extend(method.clone()),
            None => section.problem("auth", no_such("auth", &name, known.auth.keys().map(String::as_str))),
        }
    }
    if let [before @ .., _] = auth.as_slice()
        && let Some(method) = before.iter().find(|method| !method.needs_credential())
    {
        let text = format!(
            "{} decides about every request, so it is the last one; with from, it decides about requests with a \
             credential",
            quoted(&method.name)
        );
        section.conflict("auth", &[], text);
    }
    let listener = section.text("listener");
    let asks = |name: &&str| listener.as_ref().is_none_or(|own| own == name);
    if let Some(method) =
        auth.iter().find(|method| matches!(method.method, MethodConfig::ClientCertificate(_)))
        && !known.certificate_listeners.iter().any(asks)
    {
        let text = format!("{} needs tls.client_ca on a listener of this route", quoted(&method.name));
        section.conflict("auth", &["listener"], text);
    }
    let require = section.read("require", requirements).unwrap_or_default();
    if !require.is_empty() && section.list("auth").is_empty() {
        section.conflict("require", &["auth"], "needs auth: nothing is known of the clients of this route");
    }
    let mut credentials: Vec<Source> = Vec::new();
    for source in auth.iter().flat_map(|method| method.sources()) {
        if !credentials.contains(&source) {
            credentials.push(source);
        }
    }
    Access { auth, require, credentials: credentials.into() }
}

fn requirements(value: &Value) -> Result<Box<[Requirement]>, String> {
    let takes = || {
        "takes a table of claims, each with a list of values, such as { scope = [\"read\"], admin = [true] }"
            .to_owned()
    };
    let table = as_table(value).ok_or_else(takes)?;
    let requirement = |(claim, value): (&String, &Value)| {
        let ValueKind::Array(items) = &value.kind else { return Err(takes()) };
        let values: Option<Box<[_]>> = items.iter().map(scalar).collect();
        match values {
            Some(values) if !values.is_empty() && values.len() <= ITEMS_MAX => {
                Ok(Requirement { claim: claim.clone(), values })
            }
            _ => Err(takes()),
        }
    };
    if table.len() > ITEMS_MAX {
        return Err(format!("has more than {ITEMS_MAX} entries"));
    }
    table.iter().map(requirement).collect()
}

/// A text, a number or a flag.
fn scalar(value: &Value) -> Option<event::Value> {
    match &value.kind {
        ValueKind::String(text) => Some(event::Value::string(text.as_str())),
        ValueKind::Boolean(flag) => Some(event::Value::Bool(*flag)),
        ValueKind::I64(number) => Some(event::Value::Int(*number)),
        _ => None,
    }
}
