//! Reads the sections of the layers: finds values, parses them, and collects problems.

mod section;
mod shown;
mod values;

use std::cell::RefCell;

use config::{Value, ValueKind};

pub(crate) use self::{
    section::{Item, Section},
    shown::{bare_or_quoted, quoted, shown},
    values::{all, commas, flag, list, text, urls},
};
use super::{
    host::Host,
    keys,
    layers::Layers,
    problem::{Origin, Problem, unknown},
};
use crate::authority::MASK;

/// All sections of the layers, and the problems found so far.
pub(crate) struct Reader<'a> {
    pub(crate) layers: &'a Layers,
    host: &'a dyn Host,
    problems: RefCell<Vec<Problem>>,
    /// Keys with invalid values. Further checks ignore the defaults that these keys have instead.
    wrong: RefCell<Vec<String>>,
}

// === impl Reader ===

impl<'a> Reader<'a> {
    pub(crate) fn new(layers: &'a Layers, host: &'a dyn Host) -> Self {
        let problems = RefCell::new(layers.problems.clone());
        Self { layers, host, problems, wrong: RefCell::default() }
    }

    /// All problems, at the end of the check.
    pub(crate) fn into_problems(self) -> Vec<Problem> {
        self.problems.into_inner()
    }

    pub(crate) fn is_clean(&self) -> bool {
        self.problems.borrow().is_empty()
    }

    /// Whether a key that begins with `prefix` has an invalid value.
    pub(crate) fn has_wrong(&self, prefix: &str) -> bool {
        self.wrong.borrow().iter().any(|key| key.starts_with(prefix))
    }

    /// Whether the settings have sections of this kind, valid or not.
    pub(crate) fn mentions(&self, kind: &str) -> bool {
        let is_empty = |kind: &ValueKind| match kind {
            ValueKind::Table(table) => table.is_empty(),
            ValueKind::Array(items) => items.is_empty(),
            _ => false,
        };
        self.layers.root.get(kind).is_some_and(|value| !is_empty(&value.kind))
    }

    /// Reports a problem with something that is not a key of a section.
    pub(crate) fn problem(&self, key: &str, value: Option<&Value>, text: String) {
        let (shown, origin) = match value {
            Some(value) if matches!(value.kind, ValueKind::Table(_)) => (None, self.origin(value)),
            // The value replaces tables, so any part of it may be secret.
            Some(value) => (Some(MASK.to_owned()), self.origin(value)),
            None => (None, self.layers.base.clone()),
        };
        self.note(Problem { key: key.to_owned(), value: shown, origin, text });
    }

    /// Adds a problem, unless it is listed already: several checks may read the same wrong value.
    fn note(&self, problem: Problem) {
        let mut problems = self.problems.borrow_mut();
        if !problems.contains(&problem) {
            problems.push(problem);
        }
    }

    fn origin(&self, value: &Value) -> Origin {
        self.layers.origin(value)
    }

    /// Refuses top-level keys that are not sections.
    pub(crate) fn check_sections(&self) {
        let names: Vec<_> = keys::SECTIONS.iter().map(|section| section.name).collect();
        for (name, value) in &self.layers.root {
            if !names.contains(&name.as_str()) {
                self.problem(name, Some(value), unknown("section", name, &names));
            }
        }
    }

    /// The section `[NAME]`. It is empty if the settings do not have it.
    pub(crate) fn single(&'a self, name: &'static str) -> Section<'a> {
        let value = self.layers.root.get(name);
        Section::new(self, name.to_owned(), keys::section(name), value)
    }

    /// The layers as a section themselves, for a file without sections. Its keys begin with a dot in problems.
    pub(crate) fn whole(&'a self, keys: &'static keys::Section) -> Section<'a> {
        Section::whole(self, keys, &self.layers.root)
    }

    /// All sections `[KIND.NAME]`, with `NAME`.
    pub(crate) fn named(&'a self, kind: &'static str) -> Vec<(&'a str, Section<'a>)> {
        let shape = keys::section(kind);
        let Some(value) = self.layers.root.get(kind) else { return Vec::new() };
        let ValueKind::Table(table) = &value.kind else {
            self.problem(kind, Some(value), format!("takes tables: [{kind}.NAME]"));
            return Vec::new();
        };
        let mut sections = Vec::new();
        for (name, value) in table {
            let path = format!("{kind}.{name}");
            if let Some(wrong) = wrong_name(name) {
                self.problem(&path, Some(value), wrong.to_owned());
            }
            sections.push((name.as_str(), Section::new(self, path, shape, Some(value))));
        }
        sections
    }

    /// All sections `[[KIND]]`.
    pub(crate) fn listed(&'a self, kind: &'static str) -> Vec<Section<'a>> {
        let shape = keys::section(kind);
        let Some(value) = self.layers.root.get(kind) else { return Vec::new() };
        let ValueKind::Array(items) = &value.kind else {
            self.problem(kind, Some(value), format!("write [[{kind}]] with double brackets"));
            return Vec::new();
        };
        let number = |at: usize| format!("{kind}[{}]", at + 1);
        items.iter().enumerate().map(|(at, item)| Section::new(self, number(at), shape, Some(item))).collect()
    }
}

/// The reason why a text is not a valid name of a listener, upstream or pipeline; `None` if it is valid.
fn wrong_name(name: &str) -> Option<&'static str> {
    let letters = |letter: char| matches!(letter, 'a'..='z' | '0'..='9' | '_' | '-');
    if name.is_empty() || !name.chars().all(letters) {
        return Some("a name consists of a-z, 0-9, _ and -");
    }
    name.contains("__").then_some(
        "a name cannot contain two underscores in a row: they separate the parts of an environment variable",
    )
}
