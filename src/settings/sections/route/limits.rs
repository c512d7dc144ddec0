//! The key `limits` of a route: limits on all clients with the same claim or header.

use config::Value;

use crate::{
    header_list::is_token,
    policy::{KeyLimit, LimitKey},
    settings::{
        read::{Item, Section, quoted, text},
        sections::rate,
    },
};

/// Maximum number of limits of a route. Each is looked up for each session, and asked for each message.
const LIMITS_MAX: usize = 4;

/// Reads the limits from a route's section.
pub(super) fn read(section: &Section<'_>) -> Vec<KeyLimit> {
    let items = section.items("limits");
    if items.len() > LIMITS_MAX {
        section.problem("limits", format!("takes at most {LIMITS_MAX} limits"));
    }
    let limits: Vec<_> = items.iter().filter_map(limit).collect();
    let by_claim = limits.iter().any(|limit| matches!(limit.by, LimitKey::Claim(_)));
    if by_claim && section.list("auth").is_empty() {
        let text = "limits by claim need auth: nothing is known of the clients of this route";
        section.conflict("limits", &["auth"], text);
    }
    limits
}

fn limit(item: &Item<'_>) -> Option<KeyLimit> {
    // The reader of the list has reported anything but tables.
    let Item::Table(section) = item else { return None };
    let by = section.read("by", key);
    let limit =
        KeyLimit { by: by?, max_sessions: section.cap("max_sessions"), rate: rate::read(section, "") };
    if limit.max_sessions.is_none() && limit.rate.messages.is_none() && limit.rate.bytes.is_none() {
        section.section_problem("limits nothing: set max_sessions, messages or bytes".to_owned());
    }
    Some(limit)
}

fn key(value: &Value) -> Result<LimitKey, String> {
    let by = text(value)?;
    match by.split_once(':') {
        Some(("header", name)) if is_token(name.as_bytes()) => {
            Ok(LimitKey::Header(name.to_ascii_lowercase()))
        }
        Some(("header", name)) => Err(format!("{} is not the name of a header", quoted(name))),
        Some(("claim", name)) if !name.is_empty() => Ok(LimitKey::Claim(name.to_owned())),
        _ => Err("takes \"claim:NAME\" and \"header:NAME\"".to_owned()),
    }
}
