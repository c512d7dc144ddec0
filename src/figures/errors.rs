//! Failures, by stage and kind.

use super::count::Count;
use crate::failure::{FailureKind, FailureLocation};

/// Number of failures by location and kind. One thread writes it; see [`Count`].
#[derive(Debug, Default)]
pub struct Errors([Kinds; FailureLocation::ALL.len()]);

/// A count for each kind of failure.
#[derive(Debug)]
pub struct Kinds(Box<[Count]>);

// === impl Errors ===

impl Errors {
    /// Counts a failure. Only the writer may call it.
    pub fn count(&self, location: FailureLocation, kind: FailureKind) {
        self.0[location as usize].count(kind);
    }

    /// The numbers for each location and each label of a kind.
    pub fn totals(&self) -> impl Iterator<Item = (FailureLocation, &'static str, u64)> {
        let locations = FailureLocation::ALL.into_iter().zip(&self.0);
        locations
            .flat_map(|(location, kinds)| kinds.totals().map(move |(label, count)| (location, label, count)))
    }
}

// === impl Kinds ===

impl Kinds {
    /// Counts a failure. Only the writer may call it.
    pub fn count(&self, kind: FailureKind) {
        let label = kind.label();
        // Failures are rare, and the list is short.
        if let Some(at) = FailureKind::LABELS.iter().position(|known| *known == label) {
            self.0[at].add(1);
        }
    }

    /// The number for each label of a kind.
    pub fn totals(&self) -> impl Iterator<Item = (&'static str, u64)> {
        FailureKind::LABELS.into_iter().zip(&self.0).map(|(label, count)| (label, count.get()))
    }
}

impl Default for Kinds {
    fn default() -> Self {
        Self(FailureKind::LABELS.iter().map(|_| Count::default()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_counts_at_its_location_and_kind() {
        let errors = Errors::default();
        errors.count(FailureLocation::Program, FailureKind::Rejected);
        errors.count(FailureLocation::Program, FailureKind::Rejected);
        let counted: Vec<_> = errors.totals().filter(|(.., count)| *count > 0).collect();
        assert_eq!(counted, [(FailureLocation::Program, "rejected", 2)]);
    }
}
