//! When a change of the settings takes effect.

use std::{
    fmt,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use indexmap::IndexSet;

use crate::settings::{Effective, InForce, Loaded, Pending};

/// When a change of the settings takes effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Adoption {
    /// At once, for live sessions too.
    AtOnce,
    /// For sessions that start after the reload. Live sessions adopt all other changes.
    NewSessions,
    /// For sessions that start after the reload. Live sessions cannot change it, and keep their whole configuration.
    Structure,
    /// When the process starts the next time. The reload reports it and leaves everything as it is.
    NextStart,
}

use Adoption::{AtOnce, NewSessions, NextStart, Structure};

/// Keys that differ from the rest of their section, by the beginning of their name. The first match counts.
const EXCEPTIONS: &[(&str, &str, Adoption)] = &[
    ("server", "workers", NextStart),
    ("log", "level", AtOnce),
    ("log", "access", NewSessions),
    // How messages become events, and the size of mailboxes.
    ("listener", "codec", Structure),
    ("listener", "preprocessors", Structure),
    ("listener", "postprocessors", Structure),
    ("listener", "buffer", Structure),
    ("upstream", "codec", Structure),
    ("upstream", "preprocessors", Structure),
    ("upstream", "postprocessors", Structure),
    ("upstream", "buffer", Structure),
    // What a session expects of its upstream.
    ("upstream", "exchange", Structure),
    ("upstream", "correlation", Structure),
    ("upstream", "recovery.", Structure),
    // The actors of a session.
    ("route", "upstream", Structure),
    ("route", "incoming", AtOnce),
    ("route", "outgoing", AtOnce),
    ("route", "errors", AtOnce),
    // What matters in handshakes with clients only.
    ("listener", "tls.", NewSessions),
    ("listener", "proxy_protocol", NewSessions),
    ("listener", "trusted_", NewSessions),
    ("listener", "max_header", NewSessions),
    ("listener", "handshake_timeout", NewSessions),
    ("listener", "tcp_", NewSessions),
    // What is made of the client's request, for all connections of the session to its upstream.
    ("upstream", "forward_", NewSessions),
    ("upstream", "host", NewSessions),
    ("upstream", "headers", NewSessions),
    ("upstream", "remove_", NewSessions),
    ("upstream", "response_headers", NewSessions),
    ("upstream", "hash", NewSessions),
    ("route", "error_replies", AtOnce),
    ("route", "on_upstream_loss", AtOnce),
    ("route", "stateless", AtOnce),
    ("route", "max_session_age", AtOnce),
    ("route", "session_expiry.", AtOnce),
    ("route", "limits", AtOnce),
    ("route", "log_claims", AtOnce),
    ("admin", "tap_redact", AtOnce),
    ("admin", "tap", NewSessions),
];

/// When the change of a key takes effect. `kind` is the kind of its section, such as `listener`.
pub fn of_key(kind: &str, key: &str) -> Adoption {
    let exception = EXCEPTIONS.iter().find(|(section, start, _)| *section == kind && key.starts_with(start));
    exception.map_or_else(|| of_section(kind), |(_, _, adoption)| *adoption)
}

/// When most keys of a section take effect.
pub fn of_section(kind: &str) -> Adoption {
    match kind {
        "admin" | "log" | "traces" => NextStart,
        "auth" | "route" => NewSessions,
        _ => AtOnce,
    }
}

/// When a section that is added or removed takes effect.
pub fn of_new_section(kind: &str) -> Adoption {
    if kind == "listener" { AtOnce } else { NewSessions }
}

/// Records in the listeners and routes of these settings what live sessions cannot change.
pub fn shape(loaded: &mut Loaded) {
    let effective = &loaded.effective;
    for listener in &mut loaded.settings.listeners {
        let name = format!("listener.{}", listener.name);
        let shape = structure(effective, [(&*name, &name)]);
        Arc::make_mut(listener).shape = shape;
    }
    for route in &mut loaded.settings.routes {
        let section = if route.is_named { format!("route.{}", route.name) } else { route.name.clone() };
        // Without its position, which changes with the routes before it.
        let label = if route.is_named { &section } else { "route" };
        let upstream = route.upstream.as_ref().map(|upstream| format!("upstream.{}", upstream.name));
        let upstream = upstream.iter().map(|name| (&**name, name));
        let shape = structure(effective, [(label, &section)].into_iter().chain(upstream));
        Arc::make_mut(route).shape = shape;
    }
}

/// A digest of what live sessions cannot change in these sections. Each has a label, which it keeps as long as it is the
/// same section.
fn structure<'a>(effective: &Effective, sections: impl IntoIterator<Item = (&'a str, &'a String)>) -> u64 {
    let mut hasher = DefaultHasher::new();
    for (label, name) in sections {
        let Some(section) = effective.sections.get(name) else { continue };
        let fixed = section.values.iter().filter(|(key, _)| of_key(section.kind, key) == Structure);
        fixed.for_each(|(key, value)| (label, key, value.digest).hash(&mut hasher));
    }
    hasher.finish()
}

/// The keys whose values in `after` take effect at the next start, and their values in `before`.
pub fn pending(before: &Effective, after: &Effective) -> Vec<Pending> {
    let mut pending = Vec::new();
    for (name, section) in &after.sections {
        let Some(known) = before.sections.get(name) else { continue };
        let keys: IndexSet<_> = known.values.keys().chain(section.values.keys()).collect();
        for key in keys.into_iter().filter(|key| of_key(section.kind, key) == NextStart) {
            let (value, next) = (known.values.get(key), section.values.get(key));
            if value.map(|value| value.digest) == next.map(|next| next.digest) {
                continue;
            }
            let in_force = match value {
                None => InForce::Unset,
                Some(value) => value.shown.clone().map_or(InForce::Long, InForce::Value),
            };
            pending.push(Pending { section: name.clone(), key: key.clone(), in_force });
        }
    }
    pending
}

/// The effective settings after a reload: the values of `after`, except that keys which take effect at the next start
/// keep the values of `before`. So each reload reports such a change until the next start.
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
            Structure => "new_sessions_only",
            NextStart => "next_start",
        }
    }
}

impl fmt::Display for Adoption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AtOnce => "takes effect at once",
            NewSessions => "takes effect for new sessions",
            Structure => "takes effect for new sessions; live ones keep their configuration",
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
        let workers = |value: &str| Pending {
            section: "server".to_owned(),
            key: "workers".to_owned(),
            in_force: InForce::Value(value.into()),
        };
        assert_eq!(pending(&before, &after), [workers("1")]);
        let before = in_force(&before, after.clone());
        assert_eq!(pending(&before, &after), [workers("1")]);
        assert_eq!(pending(&before, &with(1, 2)), []);
        assert_eq!(lines(&before, &after), [waits]);
        assert!(lines(&before, &with(1, 2)).is_empty());
    }

    /// One row of the table in docs/reload.md. A key that all its neighbours with the same first word share is named by
    /// that word.
    fn row(title: &str, kind: &str, keys: &[&str]) -> String {
        let most = of_section(kind);
        let cells = [AtOnce, NewSessions, Structure, NextStart].map(|adoption| {
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
        format!("| `{title}` | {} |", cells.join(" | "))
    }

    #[test]
    fn the_table_of_the_document_is_that_of_the_code() {
        let text = include_str!("../../docs/reload.md");
        let rows = all_keys().map(|(title, kind, keys)| row(&title, kind, &keys));
        let missing: Vec<_> = rows.filter(|row| !text.contains(row.as_str())).collect();
        assert!(missing.is_empty(), "docs/reload.md lacks these rows:\n{}", missing.join("\n"));
    }

    #[test]
    fn the_shape_of_a_route_changes_with_what_its_sessions_cannot_change() {
        let shapes = |upstream: &str, route: &str, listener: &str| {
            let text = MINIMAL.replace("[upstream.echo]", &format!("[upstream.echo]\n{upstream}"));
            let text = text.replace("[listener.ws]", &format!("[listener.ws]\n{listener}"));
            let mut loaded = Loaded::check(layers(&format!("{text}{route}"), &[]).unwrap()).unwrap();
            shape(&mut loaded);
            (loaded.settings.routes[0].shape, loaded.settings.listeners[0].shape)
        };
        let first = shapes("", "", "");
        assert_eq!(first, shapes("max_in_flight = 5", "max_session_age = \"1h\"", "max_message = \"2MiB\""));
        assert_ne!(first.0, shapes("exchange = \"request\"", "", "").0);
        assert_eq!(first.0, shapes("", "incoming = [\"pass\"]", "").0);
        assert_ne!(first.0, shapes("", "name = \"other\"", "").0, "it is another route");
        assert_ne!(first.1, shapes("", "", "codec = \"json\"").1);
        let before = "[[route]]\npath = \"/other\"\nupstream = \"echo\"\n[[route]]";
        let mut moved = Loaded::check(layers(&MINIMAL.replace("[[route]]", before), &[]).unwrap()).unwrap();
        shape(&mut moved);
        assert_eq!(first.0, moved.settings.routes[1].shape, "its position changes nothing");
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
