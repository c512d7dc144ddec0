//! The keys of `[admin]` about taps.

use std::sync::Arc;

use crate::{settings::read::Section, tap::Redaction};

/// The keys that have an effect only while `tap` is true.
pub(super) const REDACTION: [&str; 2] = ["tap_redact", "tap_redact_patterns"];

/// Reads what taps mask; `None` if the settings forbid taps.
pub(super) fn read(section: &Section<'_>) -> Option<Arc<Redaction>> {
    let is_on = section.flag("tap");
    if is_on && section.said("token_file").is_none() {
        section.conflict("tap", &["token_file"], "needs token_file, because taps show what clients send");
    }
    let mut redaction = Redaction::built_in();
    for key in REDACTION {
        for rule in &section.list(key) {
            let added = match key {
                "tap_redact" => redaction.with_key(rule),
                _ => redaction.with_pattern(rule),
            };
            if let Err(error) = added {
                section.wrong(key, format!("{rule:?} {error}"));
            }
        }
        // With `tap = false`, the rules wait for taps to be on again.
        if section.said("tap").is_none() && section.said(key).is_some() && !section.is_wrong(key) {
            section.conflict(key, &["tap"], "has no effect without tap = true");
        }
    }
    is_on.then(|| Arc::new(redaction))
}
