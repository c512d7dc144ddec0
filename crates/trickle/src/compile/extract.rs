//! Compiles the extractors of patterns.

use std::{collections::HashMap, sync::Arc};

use super::{Compiler, world::World};
use crate::{
    ast::Extract,
    code::PatternOp,
    diagnostic::{Diagnostic, nearest},
    extract::{self, Budget, Extractor, FormatError, KINDS},
    source::Span,
};

/// Names that other languages use for some of the extractors, each with its name here.
const OTHER_NAMES: [(&str, &str); 2] = [("regex", "re"), ("regexp", "re")];

/// The extractors of a program. Extractors of the same kind and format are shared, even when the definition
/// that contains them is created several times.
pub(super) struct Extractors {
    compiled: HashMap<(String, String), Arc<Extractor>>,
    budget: Budget,
}

impl Extractors {
    /// No extractors yet. Their regular expressions take at most `max` bytes.
    pub(super) fn new(max: usize) -> Self {
        Self { compiled: HashMap::new(), budget: Budget::new(max) }
    }
}

impl Compiler<'_, '_> {
    pub(super) fn extract(&mut self, extract: &Extract) -> PatternOp {
        let kind = extract.kind.text.to_ascii_lowercase();
        if !KINDS.contains(&kind.as_str()) {
            self.error(unknown(&kind, extract.kind.span));
            return PatternOp::Any;
        }
        match self.world.extractor(kind, extract) {
            Some(extractor) => PatternOp::Extract(extractor, extract.span),
            None => PatternOp::Any,
        }
    }
}

impl World<'_> {
    /// The extractor of a known kind. Returns `None` if it has errors, which are reported, or if the error
    /// list is full.
    fn extractor(&mut self, kind: String, extract: &Extract) -> Option<Arc<Extractor>> {
        let key = (kind, extract.format.clone());
        if let Some(known) = self.extractors.compiled.get(&key) {
            return Some(Arc::clone(known));
        }
        if self.is_crowded() || self.extractors.budget.is_spent() {
            return None;
        }
        match Extractor::compile(&key.0, &key.1, &mut self.extractors.budget) {
            Ok(extractor) => {
                let extractor = Arc::new(extractor);
                self.extractors.compiled.insert(key, Arc::clone(&extractor));
                Some(extractor)
            }
            Err(wrong) => {
                self.errors.push(refused(extract, &key.0, wrong));
                None
            }
        }
    }
}

fn refused(extract: &Extract, kind: &str, wrong: FormatError) -> Diagnostic {
    match wrong {
        FormatError::OverBudget(message) => Diagnostic::new(extract.span, message, "with this one"),
        FormatError::Format { message, range } => {
            let place = range.map_or(extract.span, |range| {
                let inside = extract::written(&extract.format, &range);
                let start = extract.span.end as usize - 1 - extract.format.len();
                Span::new(start + inside.start, start + inside.end)
            });
            Diagnostic::new(place, format!("`{kind}` {message}"), "")
        }
    }
}

fn unknown(kind: &str, span: Span) -> Diagnostic {
    let error = Diagnostic::new(span, format!("there is no extractor `{kind}`"), "");
    let other = OTHER_NAMES.iter().find(|(other, _)| *other == kind).map(|(_, known)| *known);
    match other.or_else(|| nearest(kind, KINDS)) {
        Some(near) => error.help(format!("did you mean `{near}`?")),
        None => error.help(format!("known ones are {}", KINDS.map(|kind| format!("`{kind}`")).join(", "))),
    }
}
