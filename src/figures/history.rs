//! What has happened to sessions: the latest events that failed, and the latest changes of each session.

use std::{
    cell::RefCell,
    cmp::Reverse,
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use crate::event::EventId;

/// Maximum number of failed events that are kept of a session.
const ERRORS_MAX: usize = 16;

/// Maximum number of changes that are kept of a session.
const TIMELINE_MAX: usize = 32;

/// Maximum length of a text, in bytes.
const TEXT_MAX: usize = 256;

/// Maximum number of texts that a thread keeps for the next changes. A reload or an outage has the same text for many
/// sessions.
const SHARED_MAX: usize = 8;

thread_local! {
    /// The latest texts of changes.
    static SHARED: RefCell<VecDeque<Arc<str>>> = const { RefCell::new(VecDeque::new()) };
}

/// The number of parts of a [`FailureLog`] with separate locks.
const PARTS: usize = 16;

/// Maximum number of failed events that a part keeps: with all parts, those of a few minutes of moderate trouble.
const FAILURES_MAX: usize = 256;

/// An event that failed.
#[derive(Debug, Clone)]
pub struct FailedEvent {
    /// The event's id, as the error reply has it.
    pub id: EventId,
    /// When it failed.
    pub at: SystemTime,
    /// The side that caused the failure: `downstream`, `upstream`, `program` or `proxy`.
    pub stage: &'static str,
    /// The kind of the failure, from a closed list.
    pub kind: &'static str,
    /// The text of the error reply.
    pub reason: Box<str>,
    /// The server, without secrets; `None` if the failure concerns none.
    pub upstream: Option<Arc<str>>,
}

/// A change of a session.
#[derive(Debug, Clone)]
pub struct Change {
    /// When it occurred.
    pub at: SystemTime,
    /// Its kind, such as `connector up`.
    pub kind: &'static str,
    /// Details for people. Changes of several sessions share a text.
    pub detail: Arc<str>,
}

/// The latest failed events of all sessions. The oldest one makes room for the next.
#[derive(Debug, Default)]
pub struct FailureLog {
    parts: [Mutex<FailurePart>; PARTS],
}

#[derive(Debug, Default)]
struct FailurePart {
    kept: VecDeque<FailedEvent>,
    /// The number of all events that were added.
    added: u64,
}

/// How much of a [`FailureLog`] a reader has seen.
#[derive(Debug, Default)]
pub struct FailureCursor([u64; PARTS]);

/// The events that failed since a reader's last look.
#[derive(Debug)]
pub struct NewFailures {
    /// Those that are kept, latest first.
    pub events: Vec<FailedEvent>,
    /// The number of those that are no longer kept.
    pub missed: u64,
}

/// The latest failed events and changes of one session. It takes no memory before the first one.
#[derive(Debug, Default)]
pub struct History {
    rings: Mutex<Option<Box<Rings>>>,
    /// Where failed events of all sessions are kept; `None` in tests.
    log: Option<Arc<FailureLog>>,
}

#[derive(Debug, Default)]
struct Rings {
    errors: VecDeque<FailedEvent>,
    timeline: VecDeque<Change>,
}

// === impl FailureLog ===

impl FailureLog {
    /// The failed event with this id; `None` if it is not kept.
    pub fn find(&self, id: EventId) -> Option<FailedEvent> {
        // An event has several entries if its error reply failed too. The first one has the cause.
        lock(self.part(id)).kept.iter().find(|event| event.id == id).cloned()
    }

    /// The kept events that fit, latest first.
    pub fn pick(&self, fits: impl Fn(&FailedEvent) -> bool) -> Vec<FailedEvent> {
        let mut found = Vec::new();
        for part in &self.parts {
            found.extend(lock(part).kept.iter().rev().filter(|event| fits(event)).cloned());
        }
        found.sort_by_key(|event| Reverse(event.at));
        found
    }

    /// The events that failed since the last call with this cursor. They are counted, so that a clock that is set back
    /// hides none.
    pub fn news(&self, cursor: &mut FailureCursor) -> NewFailures {
        let mut news = NewFailures { events: Vec::new(), missed: 0 };
        for (part, seen) in self.parts.iter().zip(&mut cursor.0) {
            let part = lock(part);
            let new = part.added - *seen;
            let kept = new.min(part.kept.len() as u64);
            news.missed += new - kept;
            news.events.extend(part.kept.iter().rev().take(kept as usize).cloned());
            *seen = part.added;
        }
        news.events.sort_by_key(|event| Reverse(event.at));
        news
    }

    fn add(&self, event: FailedEvent) {
        let mut part = lock(self.part(event.id));
        part.added += 1;
        push(&mut part.kept, event, FAILURES_MAX);
    }

    fn part(&self, id: EventId) -> &Mutex<FailurePart> {
        &self.parts[(id.stream % PARTS as u64) as usize]
    }
}

// === impl History ===

impl History {
    /// A history whose failed events are added to `log` too.
    pub fn new(log: Arc<FailureLog>) -> Self {
        Self { rings: Mutex::default(), log: Some(log) }
    }

    /// Records an event that failed.
    pub fn failed(&self, mut event: FailedEvent) {
        event.reason = cut(&event.reason).into();
        if let Some(log) = &self.log {
            log.add(event.clone());
        }
        push(&mut lock(&self.rings).get_or_insert_default().errors, event, ERRORS_MAX);
    }

    /// Records a change.
    pub fn changed(&self, kind: &'static str, detail: &str) {
        let change = Change { at: SystemTime::now(), kind, detail: shared(cut(detail)) };
        push(&mut lock(&self.rings).get_or_insert_default().timeline, change, TIMELINE_MAX);
    }

    /// The latest failed events, and the latest changes, oldest first.
    pub fn latest(&self) -> (Vec<FailedEvent>, Vec<Change>) {
        let rings = lock(&self.rings);
        rings.as_ref().map_or_else(Default::default, |rings| {
            (rings.errors.iter().cloned().collect(), rings.timeline.iter().cloned().collect())
        })
    }
}

fn push<T>(ring: &mut VecDeque<T>, item: T, max: usize) {
    if ring.len() >= max {
        ring.pop_front();
    }
    ring.push_back(item);
}

/// The text, shared with the latest changes of the thread that have the same one.
fn shared(text: &str) -> Arc<str> {
    SHARED.with_borrow_mut(|latest| {
        if let Some(known) = latest.iter().find(|known| ***known == *text) {
            return Arc::clone(known);
        }
        let text = Arc::from(text);
        push(latest, Arc::clone(&text), SHARED_MAX);
        text
    })
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(TEXT_MAX)]
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::EventNumber;

    fn failed(stream: u64, event: u64) -> FailedEvent {
        let id = EventId { source: 1, stream, event: EventNumber(event) };
        let reason = "é".repeat(200).into();
        FailedEvent { id, at: SystemTime::now(), stage: "proxy", kind: "lost", reason, upstream: None }
    }

    #[test]
    fn rings_keep_the_latest_and_texts_are_cut() {
        let log = Arc::<FailureLog>::default();
        let history = History::new(Arc::clone(&log));
        assert!(history.latest().0.is_empty() && history.latest().1.is_empty());
        for event in 0..300 {
            history.failed(failed(3, event));
            history.changed("gap", &event.to_string());
        }
        let (errors, timeline) = history.latest();
        let ids: Vec<_> = errors.iter().map(|event| event.id.event.0).collect();
        assert_eq!(ids, (284..300).collect::<Vec<_>>());
        assert_eq!(&*errors[0].reason, "é".repeat(128));
        assert_eq!((timeline.len(), &*timeline[0].detail), (32, "268"));
        let found = |stream, event| log.find(failed(stream, event).id).is_some();
        assert_eq!(
            [(3, 43), (3, 44), (3, 299), (4, 299)].map(|(s, e)| found(s, e)),
            [false, true, true, false]
        );
    }

    #[test]
    fn changes_of_several_sessions_share_a_text() {
        let histories = [(); 2].map(|()| History::default());
        for history in &histories {
            history.changed("session moved", "cause=drain");
            history.changed("connector up", "generation=2");
        }
        let [first, second] = histories.each_ref().map(|history| history.latest().1);
        for (one, other) in first.iter().zip(&second) {
            assert!(Arc::ptr_eq(&one.detail, &other.detail));
        }
        (0..SHARED_MAX).for_each(|number| histories[0].changed("gap", &number.to_string()));
        histories[0].changed("session moved", "cause=drain");
        let again = histories[0].latest().1;
        assert_eq!(again.last().map(|change| &*change.detail), Some("cause=drain"));
        assert!(
            !Arc::ptr_eq(&again[0].detail, &again[SHARED_MAX + 2].detail),
            "only the latest texts are kept"
        );
    }

    #[test]
    fn the_events_that_fit_are_listed_the_latest_one_first() {
        let log = FailureLog::default();
        let at = |stream, event: u64| FailedEvent {
            at: SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(event),
            ..failed(stream, event)
        };
        for event in 0..300 {
            log.add(at(1 + event % 2, event));
        }
        let found = log.pick(|event| event.id.stream == 2);
        let numbers: Vec<_> = found.iter().map(|event| event.id.event.0).collect();
        assert_eq!(numbers, (0..150).rev().map(|number| 2 * number + 1).collect::<Vec<_>>());
        assert_eq!(log.pick(|_| true).len(), 300);
    }

    /// The clock of the day may be set back, and several events may fail at the same time.
    #[test]
    fn a_reader_sees_each_failure_once_whatever_the_clock_says() {
        let (log, mut cursor) = (FailureLog::default(), FailureCursor::default());
        let early = |stream, event| FailedEvent { at: SystemTime::UNIX_EPOCH, ..failed(stream, event) };
        log.add(failed(1, 0));
        log.add(early(2, 0));
        let mut seen = || {
            let NewFailures { events, missed } = log.news(&mut cursor);
            (events.iter().map(|event| event.id.to_string()).collect::<Vec<_>>(), missed)
        };
        assert_eq!(seen(), (vec!["1:1:0".to_owned(), "1:2:0".to_owned()], 0));
        log.add(early(1, 1));
        assert_eq!(seen(), (vec!["1:1:1".to_owned()], 0));
        (0..300).for_each(|event| log.add(failed(3, event)));
        let (events, missed) = seen();
        assert_eq!((events.len(), missed, seen()), (256, 44, (vec![], 0)));
    }
}
