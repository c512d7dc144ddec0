//! When a change of the settings takes effect.

use std::fmt;

use crate::settings::Effective;

/// When a change of the settings takes effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Adoption {
    /// At once, for live sessions too.
    AtOnce,
    /// For sessions that start after the reload.
    NewSessions,
    /// When the process starts the next time. The reload reports it and leaves everything as it is.
    NextStart,
}

use Adoption::{AtOnce, NewSessions, NextStart};

/// Keys that differ from the rest of their section, by the beginning of their name.
const EXCEPTIONS: &[(&str, &str, Adoption)] = &[
    // Endpoints and their choice belong to the pool, which all sessions share.
    ("upstream", "url", AtOnce),
    ("upstream", "endpoints", AtOnce),
    ("upstream", "resolve", AtOnce),
    ("upstream", "balance", AtOnce),
    ("upstream", "slow_start", AtOnce),
    ("upstream", "health.", AtOnce),
    ("upstream", "ejection.", AtOnce),
    ("upstream", "breaker.", AtOnce),
    ("upstream", "probe.", AtOnce),
    ("upstream", "max_age", AtOnce),
    ("upstream", "move.rate", AtOnce),
    ("upstream", "move.grace", AtOnce),
    ("upstream", "rebalance.", AtOnce),
    // Limits that sessions share, and sockets.
    ("server", "max_sessions", AtOnce),
    ("server", "max_handshakes", AtOnce),
    ("server", "buffer", AtOnce),
    ("listener", "bind", AtOnce),
    ("listener", "max_sessions", AtOnce),
    ("listener", "max_new_sessions", AtOnce),
    ("listener", "address_rate.", AtOnce),
    ("route", "limits", AtOnce),
    ("admin", "tap", NewSessions),
];

/// When the change of a key takes effect. `kind` is the kind of its section, such as `listener`.
pub fn of_key(kind: &str, key: &str) -> Adoption {
    let exception = EXCEPTIONS.iter().find(|(section, start, _)| *section == kind && key.starts_with(start));
    exception.map_or_else(|| of_section(kind), |(_, _, adoption)| *adoption)
}

/// When most keys of a section take effect, and a section that is added or removed.
pub fn of_section(kind: &str) -> Adoption {
    match kind {
        "drain" => AtOnce,
        "server" | "log" | "admin" => NextStart,
        _ => NewSessions,
    }
}

/// When a listener that is added or removed opens or closes.
pub const LISTENERS: Adoption = AtOnce;

/// The effective settings after a reload: those of `after`, but what takes effect at the next start has still the value
/// of `before`. So each reload reports it until then.
pub fn in_force(before: &Effective, mut after: Effective) -> Effective {
    for (name, section) in &mut after.sections {
        let Some(known) = before.sections.get(name) else { continue };
        let kind = section.kind;
        section.values.retain(|key, _| of_key(kind, key) != NextStart);
        let kept = known.values.iter().filter(|(key, _)| of_key(kind, key) == NextStart);
        section.values.extend(kept.map(|(key, value)| (key.clone(), value.clone())));
    }
    after
}

// === impl Adoption ===

impl Adoption {
    /// The name in the answers of the admin server.
    pub fn name(self) -> &'static str {
        match self {
            AtOnce => "at_once",
            NewSessions => "new_sessions",
            NextStart => "next_start",
        }
    }
}

impl fmt::Display for Adoption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AtOnce => "takes effect at once",
            NewSessions => "takes effect for new sessions",
            NextStart => "takes effect at the next start",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        reload::Difference,
        settings::{
            Loaded, all_keys,
            fixture::{MINIMAL, layers},
        },
    };

    #[test]
    fn what_waits_for_the_next_start_is_reported_until_then() {
        let with = |workers: u32, grace: u32| {
            let text = format!("[server]\nworkers = {workers}\n[drain]\ngrace = \"{grace}s\"\n{MINIMAL}");
            Loaded::check(layers(&text, &[]).unwrap()).unwrap().effective
        };
        let lines = |before: &Effective, after: &Effective| -> Vec<String> {
            Difference::between(before, after).changes.iter().map(ToString::to_string).collect()
        };
        let waits = "changed server.workers 1 → 2 (takes effect at the next start)";
        let (before, after) = (with(1, 1), with(2, 2));
        assert_eq!(lines(&before, &after), [waits, "changed drain.grace \"1s\" → \"2s\""]);
        let before = in_force(&before, after.clone());
        assert_eq!(lines(&before, &after), [waits]);
        assert!(lines(&before, &with(1, 2)).is_empty());
    }

    /// One row of the table in docs/reload.md. A key that all its neighbours with the same first word share is named by
    /// that word.
    fn row(title: &str, kind: &str, keys: &[&str]) -> String {
        let most = of_section(kind);
        let cells = [AtOnce, NewSessions, NextStart].map(|adoption| {
            let mut names: Vec<String> = Vec::new();
            for key in keys.iter().filter(|key| of_key(kind, key) == adoption && adoption != most) {
                let word = key.split('.').next().unwrap_or(key);
                let same = keys.iter().filter(|other| other.starts_with(&format!("{word}.")));
                let all =
                    same.clone().count() > 1 && same.clone().all(|other| of_key(kind, other) == adoption);
                let name = if all { format!("`{word}.*`") } else { format!("`{key}`") };
                if !names.contains(&name) {
                    names.push(name);
                }
            }
            let rest = (adoption == most).then(|| {
                let is_all = keys.iter().all(|key| of_key(kind, key) == most);
                if is_all { "all keys" } else { "all others" }.to_owned()
            });
            names.into_iter().chain(rest).collect::<Vec<_>>().join(", ")
        });
        format!("| `{title}` | {} | {} | {} |", cells[0], cells[1], cells[2])
    }

    #[test]
    fn the_table_of_the_document_is_that_of_the_code() {
        let text = include_str!("../../docs/reload.md");
        let rows = all_keys().map(|(title, kind, keys)| row(&title, kind, &keys));
        let missing: Vec<_> = rows.filter(|row| !text.contains(row.as_str())).collect();
        assert!(missing.is_empty(), "docs/reload.md lacks these rows:\n{}", missing.join("\n"));
    }

    #[test]
    fn each_exception_concerns_a_key() {
        let all: Vec<_> = all_keys().collect();
        for (section, start, _) in EXCEPTIONS {
            let (_, _, keys) = all.iter().find(|(_, kind, _)| kind == section).unwrap();
            assert!(keys.iter().any(|key| key.starts_with(start)), "{section} {start}");
        }
    }
}
