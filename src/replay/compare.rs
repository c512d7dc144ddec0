//! Compares what a client gets in a replay with what it got in the record.

use std::collections::{HashMap, VecDeque};

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
    let recorded: Vec<_> = plan.received.iter().map(Comparable::new).collect();
    let replayed: Vec<_> = received.iter().map(Comparable::new).collect();
    let (mut missing, unexpected) = unmatched(&recorded, &replayed);
    let mut elsewhere = Elsewhere::new(&unexpected, &replayed);
    let mut differences = Vec::new();
    // The same message at another place: a push may come at any moment.
    missing.retain(|&at| {
        if !elsewhere.take(&recorded[at]) {
            return true;
        }
        let expected = &plan.received[at];
        if expected.role != Role::Push {
            let text = shown(expected);
            differences.push(difference(plan, expected, DifferenceKind::Order, text.clone(), text));
        }
        false
    });
    let unexpected = elsewhere.left();
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
fn unmatched(expected: &[Comparable<'_>], got: &[Comparable<'_>]) -> (Vec<usize>, Vec<usize>) {
    let begin = expected.iter().zip(got).take_while(|(expected, got)| expected.is_same(got)).count();
    let (rest, rest_got) = (&expected[begin..], &got[begin..]);
    if rest.len().saturating_mul(rest_got.len()) > CELLS_MAX {
        let differs = |at: &usize| match (expected.get(*at), got.get(*at)) {
            (Some(expected), Some(got)) => !expected.is_same(got),
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
        let is_match = i < rest.len() && j < rest_got.len() && rest[i].is_same(&rest_got[j]);
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
fn lengths(expected: &[Comparable<'_>], got: &[Comparable<'_>]) -> Vec<Vec<u32>> {
    let mut lengths = vec![vec![0; got.len() + 1]; expected.len() + 1];
    for i in (0..expected.len()).rev() {
        for j in (0..got.len()).rev() {
            lengths[i][j] = match expected[i].is_same(&got[j]) {
                true => lengths[i + 1][j + 1] + 1,
                false => lengths[i + 1][j].max(lengths[i][j + 1]),
            };
        }
    }
    lengths
}

/// A message in the form in which it is compared.
struct Comparable<'a> {
    key: ComparableKey<'a>,
    /// The text with [`MASK`] for each masked value; `None` if nothing is masked.
    masked: Option<String>,
}

/// Error replies are compared without the ids of their events, which count sessions since the start of the process.
#[derive(PartialEq, Eq, Hash)]
enum ComparableKey<'a> {
    Error { binary: bool, text: String },
    Message { binary: bool, payload: &'a [u8] },
}

impl<'a> Comparable<'a> {
    fn new(message: &'a Exchanged) -> Self {
        let (binary, payload) = (message.binary, message.payload.as_slice());
        let key = match error_text(message) {
            Some(text) => ComparableKey::Error { binary, text },
            None => ComparableKey::Message { binary, payload },
        };
        Self { key, masked: message.is_redacted.then(|| plain_masks(&String::from_utf8_lossy(payload))) }
    }

    /// Whether a message of the replay is this one of the record.
    fn is_same(&self, got: &Self) -> bool {
        if self.key == got.key {
            return true;
        }
        match (&self.masked, &self.key, &got.key) {
            (
                Some(masked),
                ComparableKey::Message { binary, .. },
                ComparableKey::Message { binary: got_binary, payload },
            ) => binary == got_binary && fits(masked, &String::from_utf8_lossy(payload)),
            _ => false,
        }
    }
}

/// The messages of the replay that have no counterpart at their place.
struct Elsewhere<'a> {
    messages: &'a [Comparable<'a>],
    /// Their positions, in order; `None` once a counterpart was found.
    unexpected: Vec<Option<usize>>,
    by_key: HashMap<&'a ComparableKey<'a>, VecDeque<usize>>,
    /// The number of comparisons that are left for messages with masked values, which have no key.
    comparisons: usize,
}

impl<'a> Elsewhere<'a> {
    fn new(unexpected: &[usize], messages: &'a [Comparable<'a>]) -> Self {
        let mut by_key = HashMap::<_, VecDeque<usize>>::new();
        for (place, &at) in unexpected.iter().enumerate() {
            by_key.entry(&messages[at].key).or_default().push_back(place);
        }
        let unexpected = unexpected.iter().copied().map(Some).collect();
        Self { messages, unexpected, by_key, comparisons: CELLS_MAX }
    }

    /// Takes the first message that is the same.
    fn take(&mut self, expected: &Comparable<'a>) -> bool {
        while let Some(place) = self.by_key.get_mut(&expected.key).and_then(VecDeque::pop_front) {
            if self.unexpected[place].take().is_some() {
                return true;
            }
        }
        if expected.masked.is_none() {
            return false;
        }
        let compared = self.unexpected.iter_mut().take(self.comparisons);
        self.comparisons -= compared.len();
        let is_same =
            |place: &&mut Option<usize>| place.is_some_and(|at| expected.is_same(&self.messages[at]));
        compared.into_iter().find(is_same).and_then(Option::take).is_some()
    }

    /// The positions of those that are left.
    fn left(self) -> Vec<usize> {
        self.unexpected.into_iter().flatten().collect()
    }
}

/// The text without the quotes that a masked value has got if it was not a text.
fn plain_masks(text: &str) -> String {
    text.replace(&format!("\\\"{MASK}\\\""), MASK).replace(&format!("\"{MASK}\""), MASK)
}

/// Whether a text is one with masked values, where each mask stands for anything.
fn fits(masked: &str, text: &str) -> bool {
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
        let nested = r#"{"p":"{\"token\":\"***\",\"x\":1}"}"#;
        assert_eq!(kinds(vec![masked(nested)], &[r#"{"p":"{\"token\":[7],\"x\":1}"}"#]), []);
    }

    #[test]
    fn long_sequences_are_compared_by_position() {
        let texts: Vec<_> = (0..3000).map(|number| number.to_string()).collect();
        let texts: Vec<_> = texts.iter().map(String::as_str).collect();
        let mut changed = texts.clone();
        (changed[0], changed[2000]) = ("x", "y");
        assert_eq!(kinds(replies(&texts), &changed).len(), 2);
    }

    /// The number of comparisons grows with the number of messages, not with its square.
    #[test]
    fn many_messages_at_other_places_are_compared_in_bounded_time() {
        let count = 20_000;
        let texts = |from: usize| (from..from + count).map(|number| number.to_string()).collect::<Vec<_>>();
        let masked = (0..count)
            .map(|number| Exchanged { is_redacted: true, ..message(Role::Reply, &format!("{number} ***")) });
        let masked: Vec<_> = masked.collect();
        let received = texts(count);
        let received: Vec<_> = received.iter().map(String::as_str).collect();
        let messages = got(&received);
        let comparable: Vec<_> = messages.iter().map(Comparable::new).collect();
        let all: Vec<_> = (0..count).collect();
        let mut elsewhere = Elsewhere::new(&all, &comparable);
        for expected in &masked {
            assert!(!elsewhere.take(&Comparable::new(expected)));
        }
        assert_eq!(elsewhere.comparisons, 0);
        let last = message(Role::Reply, received[count - 1]);
        assert!(elsewhere.take(&Comparable::new(&last)) && !elsewhere.take(&Comparable::new(&last)));
        assert_eq!(elsewhere.left().len(), count - 1);
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
