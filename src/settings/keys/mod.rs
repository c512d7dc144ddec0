//! The table of all keys: the values that each accepts, and its default.
//!
//! Reading, checking, `towline check` and the tests of the documents all use this table, so they cannot
//! disagree about a key. The table replaces structs with optional fields, which would stop at the first error
//! and lose the origin of each value.

mod auth;
mod kind;
mod recovery;
mod table;

#[cfg(test)]
pub(crate) use self::kind::Size;
pub(crate) use self::{
    kind::{Kind, Preset, number_or_text},
    table::{ENDPOINTS_FILE, SECTIONS},
};

/// One section such as `[server]`, all sections of one kind such as `[listener.NAME]`, or the tables in a list such as
/// `endpoints`.
#[derive(Debug)]
pub(crate) struct Section {
    /// The name: `server`, or `listener` for all of `[listener.NAME]`.
    pub(crate) name: &'static str,
    pub(crate) shape: Shape,
    /// The keys in the order of the documents. Sections may share a group.
    groups: &'static [&'static [Key]],
}

/// How often a section of this name may occur.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Once: `[server]`.
    Single,
    /// Any number of times, with a name: `[listener.NAME]`.
    Named,
    /// Any number of times, in a list: `[[route]]`.
    Listed,
}

/// One key of a section. A dot in its name separates the name of a table in the section from the key in that
/// table. Tables may contain tables.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) preset: Preset,
}

/// The section of that name.
///
/// # Panics
/// When the table has no such section. All callers pass literal names.
pub(crate) fn section(name: &str) -> &'static Section {
    SECTIONS.iter().find(|section| section.name == name).expect("sections are asked for by literal names")
}

/// The key at a path such as `["listener", "ws", "bind"]`; `None` if there is none.
pub(crate) fn find(path: &[String]) -> Option<&'static Key> {
    let section = SECTIONS.iter().find(|section| path.first().is_some_and(|name| name == section.name))?;
    let skipped = if section.shape == Shape::Single { 1 } else { 2 };
    let name = path.get(skipped..)?.join(".");
    section.keys().find(|key| key.name == name)
}

/// The error text for a key that only sections of another name have; `None` if there is no such key.
pub(crate) fn elsewhere(name: &str) -> Option<String> {
    let has_key = |section: &&Section| section.keys().any(|key| key.name == name);
    let titles: Vec<_> = SECTIONS.iter().filter(has_key).map(Section::title).collect();
    (!titles.is_empty()).then(|| format!("unknown key here; it belongs to {}", titles.join(" or ")))
}

// === impl Section ===

impl Section {
    /// All keys of the section.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &'static Key> {
        self.groups.iter().copied().flatten()
    }

    /// The section as a file has it: `[server]`, `[listener.NAME]` or `[[route]]`.
    fn title(&self) -> String {
        match self.shape {
            Shape::Single => format!("[{}]", self.name),
            Shape::Named => format!("[{}.NAME]", self.name),
            Shape::Listed => format!("[[{}]]", self.name),
        }
    }

    /// The key of that name.
    ///
    /// # Panics
    /// When the section has no such key. All callers pass literal names.
    pub(crate) fn key(&self, name: &str) -> &'static Key {
        self.keys().find(|key| key.name == name).expect("keys are asked for by literal names")
    }
}
