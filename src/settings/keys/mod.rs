//! The table of all keys: what values each takes, and its default.
//!
//! Reading, checking, `towline check` and the tests of the documents all use this table, so they cannot
//! disagree about a key. It replaces structs with optional fields, which would stop at the first error and
//! lose the origin of each value.

mod kind;
mod table;

#[cfg(test)]
pub(crate) use self::kind::Size;
pub(crate) use self::{
    kind::{Kind, Preset, number_or_text},
    table::SECTIONS,
};

/// One section of the settings, or one kind of section.
pub(crate) struct Section {
    /// `server`, or `listener` for all of `[listener.NAME]`.
    pub(crate) name: &'static str,
    pub(crate) shape: Shape,
    /// The keys in the order of the documents. Sections may share a group.
    groups: &'static [&'static [Key]],
}

/// How often a section may occur.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// `[server]`
    Single,
    /// `[listener.NAME]`
    Named,
    /// `[[route]]`
    Listed,
}

/// One key of a section; a dot in its name separates a table in the section from the table's key. Tables may
/// contain tables.
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) preset: Preset,
}

/// The section with this name.
///
/// # Panics
/// When the table has none; all callers pass literal names.
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

// === impl Section ===

impl Section {
    /// All keys of the section.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &'static Key> {
        self.groups.iter().copied().flatten()
    }

    /// The key with this name.
    ///
    /// # Panics
    /// When the section has none; all callers pass literal names.
    pub(crate) fn key(&self, name: &str) -> &'static Key {
        self.keys().find(|key| key.name == name).expect("keys are asked for by literal names")
    }
}
