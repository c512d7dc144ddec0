//! The tables `on_upstream_close` and `on_refused` of upstreams, and lists of codes.

use config::{Value, ValueKind};

use crate::{
    policy::{OnEnd, Otherwise, Range},
    settings::{
        keys::Kind,
        read::{Section, all, commas, quoted},
    },
    wire,
};

/// Reads the keys `NAME.pass` and `NAME.else`, where `NAME` is `name`.
pub(crate) fn read(section: &Section<'_>, name: &str) -> OnEnd {
    let [pass, otherwise] = [format!("{name}.pass"), format!("{name}.else")];
    OnEnd {
        pass: ranges(section, &pass),
        otherwise: match section.chooses(&otherwise, "pass") {
            true => Otherwise::Pass,
            false => Otherwise::Reconnect,
        },
    }
}

/// Reads the key `name`, a list of codes.
pub(crate) fn ranges(section: &Section<'_>, name: &str) -> Vec<Range> {
    let kind = section.kind(name);
    section.read(name, |value| codes(value, kind)).unwrap_or_default()
}

/// Parses numbers, or texts such as "4000-4999", which are comma-separated in the environment. `kind`
/// describes the allowed values in errors.
fn codes(value: &Value, kind: Kind) -> Result<Vec<Range>, String> {
    let codes = match &value.kind {
        ValueKind::Array(items) => all(items.iter().map(|item| code(item, kind))),
        ValueKind::String(text) if value.origin().is_some() => {
            all(commas(text).iter().map(|part| range(part, kind)))
        }
        other => return Err(format!("takes a list of {kind}, not {other}")),
    };
    codes.map_err(|wrong| format!("takes {kind}, not {wrong}"))
}

/// Parses a code or a range. `kind` describes the allowed values in the error.
fn code(item: &Value, kind: Kind) -> Result<Range, String> {
    match &item.kind {
        ValueKind::String(text) => range(text, kind),
        other => range(&other.to_string(), kind),
    }
}

fn range(text: &str, kind: Kind) -> Result<Range, String> {
    let range = Range::parse(text).filter(|range| range.ends().into_iter().all(|end| allowed(end, kind)));
    range.ok_or_else(|| quoted(text))
}

fn allowed(end: u16, kind: Kind) -> bool {
    match kind {
        Kind::Statuses(min) => (min..=599).contains(&end),
        _ => wire::is_sendable(end),
    }
}
