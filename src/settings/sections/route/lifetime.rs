//! The keys of a route that limit how long its sessions last.

use config::Value;

use crate::{
    policy::LifetimePolicy,
    settings::read::{Section, text},
    wire::{self, REASON_MAX},
};

/// The keys about sessions whose token has expired.
const OF_TOKENS: [&str; 4] =
    ["session_expiry.lead", "session_expiry.skew", "session_expiry.code", "session_expiry.reason"];

/// Reads the keys from a route's section.
pub(super) fn read(section: &Section<'_>) -> LifetimePolicy {
    let max_age = section.timeout("max_session_age");
    if max_age.is_none() && section.said("max_session_age_jitter").is_some() {
        let text = "has no effect with max_session_age = \"never\"";
        section.conflict("max_session_age_jitter", &["max_session_age"], text);
    }
    if section.list("auth").is_empty() {
        for key in OF_TOKENS.into_iter().filter(|key| section.said(key).is_some()) {
            section.conflict(key, &["auth"], "has no effect without auth");
        }
    }
    let code = section.count("session_expiry.code");
    if !wire::is_sendable(code) {
        section.conflict("session_expiry.code", &[], "is not a code that a close frame may carry");
    }
    LifetimePolicy {
        max_age,
        max_age_jitter: section.count("max_session_age_jitter"),
        lead: section.duration("session_expiry.lead"),
        skew: section.duration("session_expiry.skew"),
        code,
        reason: section.read("session_expiry.reason", reason).unwrap_or_default(),
    }
}

fn reason(value: &Value) -> Result<String, String> {
    let reason = text(value)?;
    match reason.len() {
        ..=REASON_MAX => Ok(reason.to_owned()),
        _ => Err(format!("takes at most {REASON_MAX} bytes, as many as a close frame has for a reason")),
    }
}
