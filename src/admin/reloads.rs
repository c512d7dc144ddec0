//! The latest reloads as the API and the page show them.

use std::time::UNIX_EPOCH;

use serde::Serialize;

use crate::reload::{Change, Handle, Hidden, Outcome, Record, What};

/// A reload.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ReloadView {
    /// Its number, from 1.
    pub number: u64,
    /// When it ended, in milliseconds since the Unix epoch.
    pub at: u64,
    /// Who asked for it.
    pub by: String,
    /// The number of the configuration in force since; `None` if nothing changed because of a problem.
    pub configuration: Option<u64>,
    /// What changed.
    pub changes: Vec<ChangeView>,
    /// The problems.
    pub problems: Vec<String>,
    /// The number of changes or problems that are not shown.
    pub left_out: usize,
}

/// A change of the settings.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ChangeView {
    /// What changed.
    pub name: String,
    /// How, if there are no values.
    pub what: Option<&'static str>,
    /// The value before.
    pub before: Option<String>,
    /// The value since.
    pub after: Option<String>,
    /// When it takes effect.
    pub effect: String,
}

/// The latest reloads, the last one first: at most `reloads_max`, with at most `lines_max` changes or problems each.
pub(super) fn reloads(handle: &Handle, reloads_max: usize, lines_max: usize) -> Vec<ReloadView> {
    handle.history().iter().take(reloads_max).map(|record| reload(record, lines_max)).collect()
}

/// One reload, with at most `lines_max` changes or problems.
pub(super) fn reload(record: &Record, lines_max: usize) -> ReloadView {
    let view = ReloadView {
        number: record.number,
        at: record.time.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64,
        by: record.by.to_string(),
        ..ReloadView::default()
    };
    match &record.outcome {
        Outcome::Done { generation, difference } => {
            let changes: Vec<_> = difference.changes.iter().take(lines_max).map(change).collect();
            let left_out = difference.count - changes.len();
            ReloadView { configuration: Some(*generation), changes, left_out, ..view }
        }
        Outcome::Failed(problems) => {
            let texts: Vec<_> = problems.texts.iter().take(lines_max).cloned().collect();
            let left_out = problems.count - texts.len();
            ReloadView { problems: texts, left_out, ..view }
        }
    }
}

fn change(Change { name, what, adoption }: &Change) -> ChangeView {
    let view = ChangeView { name: name.clone(), effect: adoption.to_string(), ..ChangeView::default() };
    let text = |value: &Option<std::sync::Arc<str>>| value.as_ref().map(ToString::to_string);
    match what {
        What::Added => ChangeView { what: Some("added"), ..view },
        What::Removed => ChangeView { what: Some("removed"), ..view },
        What::Hidden(Hidden::Secret) => ChangeView { what: Some("changed, secret"), ..view },
        What::Hidden(Hidden::Long) => ChangeView { what: Some("changed, too long to show"), ..view },
        What::Content => ChangeView { what: Some("changed"), ..view },
        What::Value(before, after) => ChangeView { before: text(before), after: text(after), ..view },
        What::Order(order) => ChangeView { after: Some(order.to_string()), ..view },
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::reload::{Adoption, By, Difference, Problems};

    const LINES_SHOWN: usize = 40;

    fn record(outcome: Outcome) -> Record {
        Record { number: 3, time: SystemTime::UNIX_EPOCH, by: By::Signal, outcome }
    }

    #[test]
    fn a_reload_has_its_changes_or_its_problems_within_limits() {
        let changed = |at: usize| Change {
            name: format!("upstream.chat.key{at}"),
            what: What::Value(None, Some("2s".into())),
            adoption: Adoption::AtOnce,
        };
        let changes: Vec<_> = (0..LINES_SHOWN + 2).map(changed).collect();
        let difference = Difference { count: changes.len(), changes };
        let view = reload(&record(Outcome::Done { generation: 7, difference }), LINES_SHOWN);
        assert_eq!((view.configuration, view.changes.len(), view.left_out), (Some(7), LINES_SHOWN, 2));
        assert_eq!((view.changes[0].before.as_deref(), view.changes[0].after.as_deref()), (None, Some("2s")));
        let view = reload(&record(Outcome::Failed(Problems::new(["no file".to_owned()]))), LINES_SHOWN);
        assert_eq!((view.configuration, view.problems, view.left_out), (None, vec!["no file".to_owned()], 0));
    }

    #[test]
    fn a_secret_has_no_value() {
        let secret = Change {
            name: "upstream.chat.url".to_owned(),
            what: What::Hidden(Hidden::Secret),
            adoption: Adoption::NewSessions,
        };
        let view = change(&secret);
        assert_eq!((view.what, view.before, view.after), (Some("changed, secret"), None, None));
    }
}
