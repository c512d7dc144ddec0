//! The effective settings, key by key, so that two loads of the settings can be compared.
//!
//! Values are kept as the report shows them, with secrets masked, and as digests of what they mean. So a changed secret
//! is noticed, and neither the old one nor the new one is shown.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    hash::{BuildHasher, Hash, Hasher, RandomState},
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, LazyLock},
};

use config::{Value, ValueKind};
use indexmap::IndexMap;

use super::{
    host::{Host, Machine},
    keys::{Key, Kind, SECTIONS, Section, Shape},
    layers::{Layers, Table, as_table, lookup},
    load::check_on,
    model::Settings,
    problem::SettingsError,
    read::{bare_or_quoted, shown},
    report::{absolute, sections, typed},
};
use crate::authority::MASK;

/// Maximum number of bytes of a value that is shown. Programs are longer, and of no use in one line.
const SHOWN_MAX: usize = 120;

/// Makes the digests of this process. An attacker who sees one cannot try out secrets.
static DIGESTS: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// Checked settings, with what is needed to compare them with others.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The settings.
    pub settings: Settings,
    /// Their effective values.
    pub effective: Effective,
    /// The file and the environment that they come from.
    pub layers: Layers,
}

/// The effective settings, key by key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Effective {
    /// The sections by their names in differences, such as `server`, `listener.ws` or `route.chat`.
    pub sections: IndexMap<String, EffectiveSection>,
    /// Digests of the files that the check has read, such as programs and certificates.
    pub files: BTreeMap<PathBuf, u64>,
}

/// The keys of one section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EffectiveSection {
    /// The kind of the section, such as `listener`.
    pub kind: &'static str,
    /// The values by key. A key without value and default is not included.
    pub values: IndexMap<String, EffectiveValue>,
}

/// The value of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EffectiveValue {
    /// The value as TOML with secrets masked; `None` if it is too long to be shown.
    pub shown: Option<Arc<str>>,
    /// A digest of what the value means: "1m" and "60s" have the same.
    pub digest: u64,
}

/// A machine that notes which files are read.
struct Noting<'a> {
    host: &'a dyn Host,
    files: RefCell<BTreeMap<PathBuf, u64>>,
}

/// All sections as a file has them, such as `[upstream.NAME]`, each with its kind and its keys.
#[cfg(test)]
pub(crate) fn all_keys() -> impl Iterator<Item = (String, &'static str, Vec<&'static str>)> {
    SECTIONS.iter().map(|section| {
        let title = match section.shape {
            Shape::Single => format!("[{}]", section.name),
            Shape::Named => format!("[{}.NAME]", section.name),
            Shape::Listed => format!("[[{}]]", section.name),
        };
        (title, section.name, section.keys().map(|key| key.name).collect())
    })
}

// === impl Loaded ===

impl Loaded {
    /// Checks settings.
    ///
    /// # Errors
    /// [`SettingsError::Invalid`] with all problems.
    pub fn check(layers: Layers) -> Result<Self, SettingsError> {
        Self::check_on(layers, &Machine)
    }

    /// The same as [`Loaded::check`], with the files and names of another machine.
    ///
    /// # Errors
    /// The same errors as [`Loaded::check`].
    pub fn check_on(layers: Layers, host: &dyn Host) -> Result<Self, SettingsError> {
        let noting = Noting { host, files: RefCell::default() };
        let settings = check_on(&layers, &noting)?;
        let effective = Effective { sections: all(&layers, &settings), files: noting.files.into_inner() };
        Ok(Self { settings, effective, layers })
    }
}

/// All sections by name. A route without a name is called by its position.
fn all(layers: &Layers, settings: &Settings) -> IndexMap<String, EffectiveSection> {
    let mut all = IndexMap::new();
    for section in &SECTIONS {
        for (at, (path, _, table)) in sections(layers, section).into_iter().enumerate() {
            let name = match settings.routes.get(at).filter(|_| section.shape == Shape::Listed) {
                Some(route) if route.name != path => format!("{}.{}", section.name, route.name),
                _ => path,
            };
            let values = values(layers, section, table);
            all.insert(name, EffectiveSection { kind: section.name, values });
        }
    }
    all
}

fn values(layers: &Layers, section: &Section, table: Option<&Table>) -> IndexMap<String, EffectiveValue> {
    let mut values = IndexMap::new();
    for key in section.keys() {
        let set = table.and_then(|table| lookup(table, key.name));
        match set {
            Some(value) if key.kind.is_secret_table() => {
                values.extend(secrets(key, value));
            }
            Some(value) => {
                let value = absolute(typed(value, key.kind), key.kind, layers.folder());
                values.insert(key.name.to_owned(), EffectiveValue::new(&value, key.kind));
            }
            None => {
                let preset = key.preset.value();
                values
                    .extend(preset.map(|value| (key.name.to_owned(), EffectiveValue::new(&value, key.kind))));
            }
        }
    }
    values
}

/// The entries of a table of secrets. Each is a separate key, so that a difference names it.
fn secrets<'a>(key: &'a Key, value: &'a Value) -> impl Iterator<Item = (String, EffectiveValue)> + 'a {
    as_table(value).into_iter().flatten().map(|(name, value)| {
        let name = format!("{}.{}", key.name, bare_or_quoted(name));
        (name, EffectiveValue { shown: Some(format!("{MASK:?}").into()), digest: digest(value, Kind::Text) })
    })
}

/// A digest of what a value means.
fn digest(value: &Value, kind: Kind) -> u64 {
    let mut hasher = DIGESTS.build_hasher();
    feed(value, kind, &mut hasher);
    hasher.finish()
}

fn feed(value: &Value, kind: Kind, hasher: &mut impl Hasher) {
    match &value.kind {
        ValueKind::String(text) => match kind {
            Kind::Duration(..) | Kind::Timeout(..) => match humantime::parse_duration(text) {
                Ok(time) => time.hash(hasher),
                Err(_) => text.hash(hasher),
            },
            Kind::Size(..) => match text.parse::<bytesize::ByteSize>() {
                Ok(size) => size.as_u64().hash(hasher),
                Err(_) => text.hash(hasher),
            },
            _ => text.hash(hasher),
        },
        ValueKind::Array(items) => {
            items.len().hash(hasher);
            items.iter().for_each(|item| feed(item, kind, hasher));
        }
        ValueKind::Table(table) => {
            let mut entries: Vec<_> = table.iter().collect();
            entries.sort_by_key(|(name, _)| *name);
            entries.len().hash(hasher);
            for (name, value) in entries {
                name.hash(hasher);
                feed(value, kind, hasher);
            }
        }
        scalar => scalar.to_string().hash(hasher),
    }
}

// === impl EffectiveValue ===

impl EffectiveValue {
    fn new(value: &Value, kind: Kind) -> Self {
        let text = shown(value, kind);
        let fits = text.len() <= SHOWN_MAX && !text.contains('\n');
        Self { shown: fits.then(|| text.into()), digest: digest(value, kind) }
    }
}

// === impl Noting ===

impl Host for Noting<'_> {
    fn read(&self, path: &Path) -> io::Result<String> {
        let text = self.host.read(path)?;
        self.files.borrow_mut().insert(path.to_owned(), DIGESTS.hash_one(&text));
        Ok(text)
    }

    fn read_with_mode(&self, path: &Path) -> io::Result<(String, u32)> {
        let (text, mode) = self.host.read_with_mode(path)?;
        self.files.borrow_mut().insert(path.to_owned(), DIGESTS.hash_one(&text));
        Ok((text, mode))
    }

    fn resolve(&self, address: &str) -> io::Result<Vec<SocketAddr>> {
        self.host.resolve(address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::fixture::{MINIMAL, layers};

    fn effective(text: &str) -> Effective {
        Loaded::check(layers(text, &[]).unwrap()).unwrap().effective
    }

    fn value(text: &str, section: &str, key: &str) -> EffectiveValue {
        effective(text).sections[section].values[key].clone()
    }

    #[test]
    fn a_value_has_the_same_digest_if_it_means_the_same() {
        let of = |line: &str| {
            let text = MINIMAL.replace("[upstream.echo]", &format!("[upstream.echo]\n{line}"));
            value(&text, "upstream.echo", "connect_timeout")
        };
        let (minute, seconds) = (of("connect_timeout = \"1m\""), of("connect_timeout = \"60s\""));
        assert_eq!((minute.digest, minute.shown.as_deref()), (seconds.digest, Some("\"1m\"")));
        assert_ne!(minute.digest, of("").digest);
        assert_eq!(of(""), of("connect_timeout = \"5s\""), "the default");
    }

    #[test]
    fn secrets_are_masked_and_compared() {
        let of = |secret: &str| {
            let url = format!("url = \"ws://me:{secret}@h/\"\nheaders.x-token = \"{secret}\"");
            effective(&MINIMAL.replace("url = \"ws://127.0.0.1:8139\"", &url))
        };
        let (one, other) = (of("SECRET1"), of("SECRET2"));
        for key in ["url", "headers.x-token"] {
            let [one, other] = [&one, &other].map(|all| &all.sections["upstream.echo"].values[key]);
            assert_eq!(one.shown, other.shown, "{key}");
            assert_ne!(one.digest, other.digest, "{key}");
        }
        assert!(!format!("{one:?}").contains("SECRET"));
    }

    #[test]
    fn routes_are_called_by_name_or_position() {
        let text = format!("{MINIMAL}path = \"/a\"\nname = \"chat\"\n[[route]]\nupstream = \"echo\"\n");
        let sections = effective(&text).sections;
        assert!(sections.contains_key("route.chat") && sections.contains_key("route[2]"));
    }

    #[test]
    fn long_values_are_not_shown() {
        let text = MINIMAL.replace("into out;", &format!("into out;{}", " ".repeat(SHOWN_MAX)));
        assert_eq!(value(&text, "pipeline.pass", "source").shown, None);
    }

    #[test]
    fn files_are_noted() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.trickle");
        let text =
            MINIMAL.replace("source = \"select event from in into out;\"", &format!("file = {file:?}"));
        let mut digests = Vec::new();
        for program in ["select event from in into out;", "select 1 from in into out;"] {
            std::fs::write(&file, program).unwrap();
            digests.push(effective(&text).files[&file]);
        }
        assert_ne!(digests[0], digests[1]);
    }
}
