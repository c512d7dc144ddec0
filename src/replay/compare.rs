//! Compares what a client gets in a replay with what it got in the record.

use serde_json::Value;

use super::plan::{Exchanged, Role, SessionPlan};
use crate::tap::MASK;

/// Maximum number of cells of the table that aligns two sequences. Longer ones are compared position by position.
const CELLS_MAX: usize = 4_000_000;

/// A difference between record and replay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The session in the record.
    pub session: String,
    /// The event in the record, if it is known.
    pub event: Option<String>,
    /// What differs.
    pub kind: DifferenceKind,
    /// What the record has.
    pub recorded: String,
    /// What the replay has.
    pub replayed: String,
}

/// What differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DifferenceKind {
    /// The outcome of an event: a reply or an error.
    Outcome,
    /// The content of a reply or of a push.
    Content,
    /// A message did not come.
    Missing,
    /// A message came in addition.
    Unexpected,
    /// A reply came at another place.
    Order,
    /// The connection.
    Connection,
}

// === impl DifferenceKind ===

impl DifferenceKind {
    /// The name in the report.
    pub fn name(self) -> &'static str {
        match self {
            Self::Outcome => "outcome",
            Self::Content => "content",
            Self::Missing => "missing",
            Self::Unexpected => "unexpected",
            Self::Order => "order",
            Self::Connection => "connection",
        }
    }
}

/// The differences of one session. `received` are the messages of the replay, whose roles and events are not known.
pub fn compare(plan: &SessionPlan, received: &[Exchanged]) -> Vec<Difference> {
    let (mut missing, mut unexpected) = unmatched(&plan.received, received);
    let mut differences = Vec::new();
    // The same message at another place: a push may come at any moment.
    missing.retain(|&expected| {
        let expected = &plan.received[expected];
        let Some(at) = unexpected.iter().position(|&got| is_same(expected, &received[got])) else {
            return true;
        };
        unexpected.remove(at);
        if expected.role != Role::Push {
            let text = shown(expected);
            differences.push(difference(plan, expected, DifferenceKind::Order, text.clone(), text));
        }
        false
    });
    // Replies and errors come in the same order, so the first that is left belongs to the first that is missing.
    let mut unexpected = unexpected.into_iter().map(|got| &received[got]);
    for expected in missing.into_iter().map(|expected| &plan.received[expected]) {
        let Some(got) = unexpected.next() else {
            differences.push(difference(
                plan,
                expected,
                DifferenceKind::Missing,
                shown(expected),
                String::new(),
            ));
            continue;
        };
        let (recorded, replayed) = (outcome(expected), outcome(got));
        let kind = if recorded == replayed { DifferenceKind::Content } else { DifferenceKind::Outcome };
        differences.push(difference(plan, expected, kind, shown(expected), shown(got)));
    }
    for got in unexpected {
        differences.push(difference(plan, got, DifferenceKind::Unexpected, String::new(), shown(got)));
    }
    differences
}

fn difference(
    plan: &SessionPlan,
    message: &Exchanged,
    kind: DifferenceKind,
    recorded: String,
    replayed: String,
) -> Difference {
    Difference { session: plan.session.clone(), event: message.event.clone(), kind, recorded, replayed }
}

/// The positions of the messages that have no counterpart in the same order.
fn unmatched(expected: &[Exchanged], got: &[Exchanged]) -> (Vec<usize>, Vec<usize>) {
    let begin = expected.iter().zip(got).take_while(|(expected, got)| is_same(expected, got)).count();
    let (rest, rest_got) = (&expected[begin..], &got[begin..]);
    if rest.len().saturating_mul(rest_got.len()) > CELLS_MAX {
        let differs = |at: &usize| match (expected.get(*at), got.get(*at)) {
            (Some(expected), Some(got)) => !is_same(expected, got),
            _ => true,
        };
        return (
            (begin..expected.len()).filter(differs).collect(),
            (begin..got.len()).filter(differs).collect(),
        );
    }
    let lengths = lengths(rest, rest_got);
    let (mut missing, mut unexpected) = (Vec::new(), Vec::new());
    let (mut i, mut j) = (0, 0);
    while i < rest.len() || j < rest_got.len() {
        let is_match = i < rest.len() && j < rest_got.len() && is_same(&rest[i], &rest_got[j]);
        if is_match {
            (i, j) = (i + 1, j + 1);
        } else if j == rest_got.len() || i < rest.len() && lengths[i + 1][j] >= lengths[i][j + 1] {
            missing.push(begin + i);
            i += 1;
        } else {
            unexpected.push(begin + j);
            j += 1;
        }
    }
    (missing, unexpected)
}

/// For each pair of positions, the length of the longest common sequence from there on.
fn lengths(expected: &[Exchanged], got: &[Exchanged]) -> Vec<Vec<u32>> {
    let mut lengths = vec![vec![0; got.len() + 1]; expected.len() + 1];
    for i in (0..expected.len()).rev() {
        for j in (0..got.len()).rev() {
            lengths[i][j] = match is_same(&expected[i], &got[j]) {
                true => lengths[i + 1][j + 1] + 1,
                false => lengths[i + 1][j].max(lengths[i][j + 1]),
            };
        }
    }
    lengths
}

/// Whether a message of the replay is that of the record. Error replies are compared without the ids of their events,
/// which count sessions since the start of the process.
fn is_same(expected: &Exchanged, got: &Exchanged) -> bool {
    if expected.binary != got.binary {
        return false;
    }
    if expected.payload == got.payload {
        return true;
    }
    if let (Some(expected), Some(got)) = (error_text(expected), error_text(got)) {
        return expected == got;
    }
    expected.is_redacted
        && fits(&String::from_utf8_lossy(&expected.payload), &String::from_utf8_lossy(&got.payload))
}

/// Whether a text is one with masked values, where each mask stands for anything.
fn fits(masked: &str, text: &str) -> bool {
    // A masked value that was not a text has got quotes.
    let masked = masked.replace(&format!("\"{MASK}\""), MASK);
    let mut parts = masked.split(MASK);
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut parts = parts.peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.is_empty()
}

/// The text of an error reply, without the URL of the server; `None` for another message.
fn error_text(message: &Exchanged) -> Option<String> {
    let value: Value = serde_json::from_slice(&message.payload).ok()?;
    let (error, _) = (value.get("error")?.as_str()?, value.get("event_id")?);
    let words = error.split(' ').map(|word| if word.contains("://") { "URL" } else { word });
    Some(words.collect::<Vec<_>>().join(" "))
}

fn outcome(message: &Exchanged) -> &'static str {
    match message.role {
        Role::Error => "errored",
        Role::Push => "push",
        _ if error_text(message).is_some() => "errored",
        _ => "answered",
    }
}

/// The message for the report, on one line.
fn shown(message: &Exchanged) -> String {
    const SHOWN_MAX: usize = 60;
    let content = match std::str::from_utf8(&message.payload) {
        Ok(text) if !message.binary => {
            let letters = text.chars().take(SHOWN_MAX).flat_map(char::escape_default);
            let cut = if text.chars().nth(SHOWN_MAX).is_some() { "…" } else { "" };
            format!("{}{cut}", letters.collect::<String>())
        }
        _ => format!("{} bytes", message.payload.len()),
    };
    format!("{}: {content}", outcome(message))
}

#[cfg(test)]
mod tests {
    use indexmap::IndexMap;
    use proptest::prelude::*;

    use super::*;

    fn message(role: Role, text: &str) -> Exchanged {
        Exchanged {
            event: (role != Role::Push).then(|| format!("1:0:{text}")),
            role,
            binary: false,
            payload: text.as_bytes().to_vec(),
            is_redacted: false,
        }
    }

    fn plan(received: Vec<Exchanged>) -> SessionPlan {
        let (session, outcomes) = ("1:0".to_owned(), IndexMap::new());
        SessionPlan { session, begin: Default::default(), steps: Vec::new(), received, outcomes }
    }

    fn got(texts: &[&str]) -> Vec<Exchanged> {
        texts.iter().map(|text| Exchanged { event: None, ..message(Role::Reply, text) }).collect()
    }

    fn kinds(expected: Vec<Exchanged>, received: &[&str]) -> Vec<(&'static str, Option<String>)> {
        let differences = compare(&plan(expected), &got(received));
        differences.into_iter().map(|difference| (difference.kind.name(), difference.event)).collect()
    }

    fn replies(texts: &[&str]) -> Vec<Exchanged> {
        texts.iter().map(|text| message(Role::Reply, text)).collect()
    }

    #[test]
    fn each_kind_of_difference_is_found() {
        let event = |number: &str| Some(format!("1:0:{number}"));
        assert_eq!(kinds(replies(&["a", "b"]), &["a", "b"]), []);
        assert_eq!(kinds(replies(&["a", "b"]), &["a", "c"]), [("content", event("b"))]);
        assert_eq!(kinds(replies(&["a", "b"]), &["a"]), [("missing", event("b"))]);
        assert_eq!(kinds(replies(&["a"]), &["x", "a"]), [("unexpected", None)]);
        assert_eq!(kinds(replies(&["a", "b"]), &["b", "a"]), [("order", event("a"))]);
        let error = r#"{"error":"late","event_id":"1:4:0"}"#;
        assert_eq!(kinds(replies(&["a"]), &[error]), [("outcome", event("a"))]);
    }

    #[test]
    fn a_push_may_come_at_another_moment() {
        let expected = vec![message(Role::Push, "news"), message(Role::Reply, "a")];
        assert_eq!(kinds(expected, &["a", "news"]), []);
    }

    #[test]
    fn error_replies_are_the_same_whatever_the_session_and_the_server() {
        let error = |server: &str, id: &str| {
            format!(r#"{{"error":"Error sending event to server {server}: closed","event_id":"{id}"}}"#)
        };
        let recorded = message(Role::Error, &error("ws://a:1", "1:0:3"));
        assert_eq!(kinds(vec![recorded.clone()], &[&error("ws://b:2", "1:7:1")]), []);
        assert_eq!(kinds(vec![recorded], &[r#"{"error":"other","event_id":"1:0:3"}"#]).len(), 1);
    }

    #[test]
    fn masked_values_stand_for_anything() {
        let masked = |text: &str| Exchanged { is_redacted: true, ..message(Role::Reply, text) };
        let recorded = r#"{"token":"***","x":1}"#;
        assert_eq!(kinds(vec![masked(recorded)], &[r#"{"token":"abc","x":1}"#]), []);
        assert_eq!(kinds(vec![masked(recorded)], &[r#"{"token":[1,2],"x":1}"#]), []);
        assert_eq!(kinds(vec![masked(recorded)], &[r#"{"token":"abc","x":2}"#]).len(), 1);
        assert_eq!(kinds(vec![masked("***")], &["anything"]), []);
    }

    #[test]
    fn long_sequences_are_compared_by_position() {
        let texts: Vec<_> = (0..3000).map(|number| number.to_string()).collect();
        let texts: Vec<_> = texts.iter().map(String::as_str).collect();
        let mut changed = texts.clone();
        (changed[0], changed[2000]) = ("x", "y");
        assert_eq!(kinds(replies(&texts), &changed).len(), 2);
    }

    proptest! {
        #[test]
        fn equal_sequences_have_no_differences_and_others_have(
            texts in proptest::collection::vec("[ab]", 0..12),
            other in proptest::collection::vec("[ab]", 0..12),
        ) {
            let texts: Vec<_> = texts.iter().map(String::as_str).collect();
            let other: Vec<_> = other.iter().map(String::as_str).collect();
            prop_assert!(kinds(replies(&texts), &texts).is_empty());
            prop_assert_eq!(kinds(replies(&texts), &other).is_empty(), texts == other);
        }
    }
}
