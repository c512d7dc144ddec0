//! What changes from one load of the settings to the next.

use std::{fmt, sync::Arc};

use super::adoption::{self, Adoption};
use crate::settings::{Effective, EffectiveSection, EffectiveValue};

/// Maximum number of changes that a difference lists. It has the number of all.
pub const CHANGES_MAX: usize = 256;

/// The difference between two loads of the settings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Difference {
    /// The changes in the order of the documents, at most [`CHANGES_MAX`].
    pub changes: Vec<Change>,
    /// The number of all changes.
    pub count: usize,
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// What has changed: a section such as `listener.ws`, or a key such as `upstream.chat.url`.
    pub name: String,
    /// How it has changed.
    pub what: What,
    /// When the change takes effect.
    pub adoption: Adoption,
}

/// How something has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// A section is new.
    Added,
    /// A section is gone.
    Removed,
    /// A key has another value; `None` if it has none.
    Value(Option<Arc<str>>, Option<Arc<str>>),
    /// A secret has another value, or one that is too long to be shown.
    Hidden(Hidden),
    /// A file has another content.
    Content,
    /// The routes have another order, which is this one.
    Order(Arc<str>),
}

/// Why the values of a change are not shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hidden {
    /// They are secret.
    Secret,
    /// They are too long.
    Long,
}

// === impl Difference ===

impl Difference {
    /// The difference between two loads.
    pub fn between(before: &Effective, after: &Effective) -> Self {
        let mut difference = Self::default();
        for (name, section) in &before.sections {
            match after.sections.get(name) {
                Some(other) => difference.compare(name, section, other),
                None => difference.add_section(name, section.kind, What::Removed),
            }
        }
        for (name, section) in &after.sections {
            if !before.sections.contains_key(name) {
                difference.add_section(name, section.kind, What::Added);
            }
        }
        difference.compare_order(before, after);
        for (path, digest) in &after.files {
            if before.files.get(path).is_some_and(|known| known != digest) {
                let name = format!("file {}", path.display());
                difference.add(Change { name, what: What::Content, adoption: Adoption::AtOnce });
            }
        }
        difference
    }

    /// Whether nothing has changed.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    fn compare(&mut self, section: &str, before: &EffectiveSection, after: &EffectiveSection) {
        let added = after.values.keys().filter(|key| !before.values.contains_key(*key));
        for key in before.values.keys().chain(added) {
            let (one, other) = (before.values.get(key), after.values.get(key));
            // An empty table that gets its first keys, or a table that loses its last one: its keys are the change.
            let is_table = one.is_none() && has_keys(before, key) || other.is_none() && has_keys(after, key);
            if is_table || one.map(|value| value.digest) == other.map(|value| value.digest) {
                continue;
            }
            let adoption = adoption::of_key(before.kind, key);
            self.add(Change { name: format!("{section}.{key}"), what: changed(one, other), adoption });
        }
    }

    fn add_section(&mut self, name: &str, kind: &str, what: What) {
        let adoption = adoption::of_new_section(kind);
        self.add(Change { name: name.to_owned(), what, adoption });
    }

    /// Routes are tried in order, so another order of the same routes is a change.
    fn compare_order(&mut self, before: &Effective, after: &Effective) {
        let routes = |of: &Effective, other: &Effective| -> Vec<String> {
            let common = of.sections.iter().filter(|(name, _)| other.sections.contains_key(*name));
            common.filter(|(_, section)| section.kind == "route").map(|(name, _)| name.clone()).collect()
        };
        let order = routes(after, before);
        if routes(before, after) != order {
            let what = What::Order(order.join(", ").into());
            let adoption = adoption::of_section("route");
            self.add(Change { name: "order of routes".to_owned(), what, adoption });
        }
    }

    fn add(&mut self, change: Change) {
        self.count += 1;
        if self.changes.len() < CHANGES_MAX {
            self.changes.push(change);
        }
    }
}

/// Whether a section has keys below this one: `headers.x-token` below `headers`.
fn has_keys(section: &EffectiveSection, table: &str) -> bool {
    let is_below = |key: &String| key.strip_prefix(table).is_some_and(|rest| rest.starts_with('.'));
    section.values.keys().any(is_below)
}

fn changed(before: Option<&EffectiveValue>, after: Option<&EffectiveValue>) -> What {
    let shown = |value: Option<&EffectiveValue>| value.map(|value| value.shown.clone());
    match (shown(before), shown(after)) {
        (Some(None), _) | (_, Some(None)) => What::Hidden(Hidden::Long),
        (before, after) if before == after => What::Hidden(Hidden::Secret),
        (before, after) => What::Value(before.flatten(), after.flatten()),
    }
}

// === impl Change ===

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, what, adoption } = self;
        let value = |value: &Option<Arc<str>>| value.clone().unwrap_or_else(|| "unset".into());
        match what {
            What::Added => write!(f, "added {name}")?,
            What::Removed => write!(f, "removed {name}")?,
            What::Value(before, after) => write!(f, "changed {name} {} → {}", value(before), value(after))?,
            What::Hidden(Hidden::Secret) => write!(f, "changed {name} (secret)")?,
            What::Hidden(Hidden::Long) => write!(f, "changed {name} (long value)")?,
            What::Content => write!(f, "changed {name}")?,
            What::Order(order) => write!(f, "changed {name}: {order}")?,
        }
        match adoption {
            Adoption::AtOnce => Ok(()),
            adoption => write!(f, " ({adoption})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{
        Loaded,
        fixture::{MINIMAL, layers},
    };

    fn effective(text: &str) -> Effective {
        Loaded::check(layers(text, &[]).unwrap()).unwrap().effective
    }

    fn lines(before: &str, after: &str) -> Vec<String> {
        let difference = Difference::between(&effective(before), &effective(after));
        assert_eq!(difference.count, difference.changes.len());
        difference.changes.iter().map(|change| format!("{change}")).collect()
    }

    #[test]
    fn a_difference_lists_each_key() {
        let before = format!("{MINIMAL}name = \"chat\"\norigins = [\"*\"]\n");
        let after = before
            .replace("[upstream.echo]", "[upstream.echo]\nconnect_timeout = \"7s\"\nbreaker.sessions = 3")
            .replace("origins = [\"*\"]", "path = \"/a\"");
        assert_eq!(
            lines(&before, &after),
            [
                "changed upstream.echo.connect_timeout \"5s\" → \"7s\"",
                "changed upstream.echo.breaker.sessions 0 → 3",
                "changed route.chat.path \"/\" → \"/a\" (takes effect for new sessions)",
                "changed route.chat.origins [\"*\"] → unset (takes effect for new sessions)",
            ]
        );
        assert!(lines(&before, &before).is_empty());
    }

    /// It listed `headers: {} → unset` beside the header that is new.
    #[test]
    fn the_first_key_of_a_table_is_the_only_change() {
        let with = MINIMAL.replace("[upstream.echo]", "[upstream.echo]\nheaders = { x-a = \"1\" }");
        for (before, after) in [(MINIMAL, with.as_str()), (with.as_str(), MINIMAL)] {
            let difference = lines(before, after);
            assert!(difference.len() == 1 && difference[0].contains("headers.x-a"), "{difference:?}");
        }
    }

    #[test]
    fn sections_come_and_go() {
        let with = format!(
            "{MINIMAL}name = \"chat\"\npath = \"/a\"\n[[route]]\nname = \"rest\"\nupstream = \"echo\"\n"
        );
        let without = format!("{MINIMAL}name = \"rest\"\n");
        let route = "route.chat (takes effect for new sessions)";
        assert_eq!(lines(&with, &without), [format!("removed {route}")]);
        assert_eq!(lines(&without, &with), [format!("added {route}")]);
        let more = format!(
            "[drain]\ngrace = \"1s\"\n{}",
            MINIMAL.replace("[upstream", "[listener.b]\nbind = \"127.0.0.1:0\"\n[upstream")
        );
        let difference = lines(MINIMAL, &more);
        assert_eq!(difference[0], "changed drain.grace \"30s\" → \"1s\"");
        assert!(difference[1].starts_with("added listener.b"), "{difference:?}");
    }

    #[test]
    fn another_order_of_the_same_routes_is_a_change() {
        let [one, other] = ["a", "b"]
            .map(|name| format!("[[route]]\nname = \"{name}\"\npath = \"/{name}\"\nupstream = \"echo\"\n"));
        let base = MINIMAL.replace("[[route]]\nupstream = \"echo\"\n", "");
        let [before, after] = [format!("{base}{one}{other}"), format!("{base}{other}{one}")];
        assert_eq!(
            lines(&before, &after),
            ["changed order of routes: route.b, route.a (takes effect for new sessions)"]
        );
        assert!(lines(&before, &format!("{base}{one}")).iter().all(|line| !line.contains("order")));
    }

    #[test]
    fn secrets_and_long_values_are_not_shown() {
        let with = |secret: &str, spaces: usize| {
            let headers = format!("headers.x-token = \"{secret}\"\n[pipeline");
            let text = MINIMAL.replace("[pipeline", &headers);
            text.replace("into out;", &format!("into out;{}", " ".repeat(spaces)))
        };
        let difference = lines(&with("SECRET1", 0), &with("SECRET2", 200));
        assert_eq!(
            difference,
            [
                "changed upstream.echo.headers.x-token (secret) (takes effect for new sessions)",
                "changed pipeline.pass.source (long value)",
            ]
        );
    }

    #[test]
    fn a_long_difference_has_the_number_of_all_changes() {
        let routes: String = (0..CHANGES_MAX + 9)
            .map(|number| {
                format!("[[route]]\npath = \"/{number}\"\nname = \"r{number}\"\nupstream = \"echo\"\n")
            })
            .collect();
        let text = MINIMAL.replace("[[route]]", &format!("{routes}[[route]]"));
        let difference = Difference::between(&effective(MINIMAL), &effective(&text));
        // The route without name has another position.
        assert_eq!((difference.changes.len(), difference.count), (CHANGES_MAX, CHANGES_MAX + 11));
    }
}
