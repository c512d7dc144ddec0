//! The open taps of the process, and what each worker thread keeps of them.
//!
//! # Correctness
//! A session asks with one relaxed load whether there is a tap. If there is one, its thread compares the
//! version of the list of taps with the version of its copy, and copies the list again only if they differ. Nothing here waits for a reader, and a panic in a tap
//! ends the taps and not the session.

use std::{
    cell::RefCell,
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use super::{
    filter::{Condition, NotEvaluated, Subject, TapRequest},
    line::{Direction, SessionLabels},
    pending::{Matched, TapId},
    queue::{OfferedLine, Pushed, TapQueue},
    reader::TapReader,
    redact::Redaction,
};

/// Maximum number of taps at a time.
pub const TAPS_MAX: usize = 8;

/// The time that conditions may take on one thread in each [`WINDOW`]. Above it, lines are skipped and counted.
const EVALUATION_MAX: Duration = Duration::from_millis(50);
const WINDOW: Duration = Duration::from_secs(1);

/// The number of the next list of taps, over all lists of the process. Zero stands for no taps.
static NEXT_LIST: AtomicU64 = AtomicU64::new(1);

thread_local! {
    static THREAD: RefCell<ThreadTaps> = RefCell::default();
}

/// The open taps of the process.
#[derive(Debug, Default)]
pub struct Taps {
    /// The number of the list in force; zero if no tap is open.
    list: AtomicU64,
    open: Mutex<Vec<Arc<Tap>>>,
    next_id: AtomicU64,
    lost: AtomicU64,
    skipped: AtomicU64,
}

/// Lines that readers of taps have missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MissedLines {
    /// Lines for which there was no room, because their reader was too slow.
    pub lost: u64,
    /// Lines whose condition had no result.
    pub skipped: u64,
}

/// An open tap.
#[derive(Debug)]
pub struct Tap {
    id: TapId,
    request: TapRequest,
    queue: TapQueue,
}

/// The error if there are [`TAPS_MAX`] taps already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there are {TAPS_MAX} taps already")]
pub struct TooManyTaps;

/// What a thread keeps of the open taps.
#[derive(Default)]
struct ThreadTaps {
    list: u64,
    taps: Vec<ThreadTap>,
    allowance: Allowance,
}

/// The time that conditions may take on a thread. What an evaluation takes beyond it is missing in the next windows.
#[derive(Debug, Default)]
struct Allowance {
    window: Option<Instant>,
    /// The time that conditions took in the window, and that of earlier windows beyond what they allow.
    spent: Duration,
}

struct ThreadTap {
    tap: Arc<Tap>,
    condition: Option<Condition>,
}

// === impl Taps ===

impl Taps {
    /// Opens a tap. It ends when the reader is dropped.
    ///
    /// # Errors
    /// When there are too many taps.
    pub fn open(
        self: &Arc<Self>,
        request: TapRequest,
        redaction: Arc<Redaction>,
    ) -> Result<TapReader, TooManyTaps> {
        let mut open = self.lock();
        if open.len() >= TAPS_MAX {
            return Err(TooManyTaps);
        }
        let id = TapId(self.next_id.fetch_add(1, Relaxed));
        let tap = Arc::new(Tap { id, request, queue: TapQueue::default() });
        open.push(Arc::clone(&tap));
        self.renumber(&open);
        Ok(TapReader::new(Arc::clone(self), tap, redaction))
    }

    /// Whether any tap is open.
    pub fn is_open(&self) -> bool {
        self.list.load(Relaxed) != 0
    }

    /// Ends a tap.
    pub(super) fn close(&self, tap: &Arc<Tap>) {
        let mut open = self.lock();
        open.retain(|other| !Arc::ptr_eq(other, tap));
        self.renumber(&open);
        drop(open);
        tap.queue.abandon();
    }

    /// Offers a message to the taps of its session. Returns those whose condition it satisfies.
    pub(super) fn offer(&self, subject: &Subject<'_>, now_ns: u64, line: &impl OfferedLine) -> Matched {
        let mut matched = Matched::default();
        self.with_taps(|thread| {
            for at in 0..thread.taps.len() {
                let filter = &thread.taps[at].tap.request.filter;
                let is_wanted = filter.wants(subject.direction);
                // The outcome of an event follows its message.
                let is_arrival = subject.direction == Direction::FromClient && subject.event.is_some();
                let decides = is_arrival && filter.wants(Direction::Outcome);
                if !filter.wants_session(subject.session) || !is_wanted && !decides {
                    continue;
                }
                let holds = thread.holds(at, subject, now_ns);
                let tap = &thread.taps[at].tap;
                match holds {
                    Ok(true) => {
                        matched.add(tap.id);
                        if is_wanted {
                            self.push(tap, line);
                        }
                    }
                    Ok(false) => {}
                    Err(NotEvaluated) => self.skip(tap, u64::from(is_wanted) + u64::from(decides)),
                }
            }
        });
        matched
    }

    /// Offers the outcome of an event to the taps of its session. Those with a condition get it if the event's message
    /// has satisfied it.
    pub(super) fn offer_outcome(&self, session: &SessionLabels, matched: &Matched, line: &impl OfferedLine) {
        self.with_taps(|thread| {
            for ThreadTap { tap, .. } in &thread.taps {
                let filter = &tap.request.filter;
                let is_wanted = filter.wants(Direction::Outcome) && filter.wants_session(session);
                if is_wanted && (!filter.has_condition() || matched.has(tap.id)) {
                    self.push(tap, line);
                }
            }
        });
    }

    /// The lines that readers have missed since the start of the process.
    pub fn missed(&self) -> MissedLines {
        MissedLines { lost: self.lost.load(Relaxed), skipped: self.skipped.load(Relaxed) }
    }

    fn push(&self, tap: &Tap, line: &impl OfferedLine) {
        if tap.queue.push(line, &tap.request) == Pushed::Lost {
            self.lost.fetch_add(1, Relaxed);
        }
    }

    fn skip(&self, tap: &Tap, count: u64) {
        tap.queue.skip(count);
        self.skipped.fetch_add(count, Relaxed);
    }

    /// Runs `work` with the taps of this thread. If it panics, all taps end.
    fn with_taps(&self, work: impl FnOnce(&mut ThreadTaps)) {
        let list = self.list.load(Relaxed);
        if list == 0 {
            return;
        }
        let result = catch_unwind(AssertUnwindSafe(|| {
            THREAD.with(|thread| {
                // A condition cannot reach a session, so no tap runs within a tap.
                let Ok(mut thread) = thread.try_borrow_mut() else { return };
                if thread.list != list {
                    thread.take(self, list);
                }
                work(&mut thread);
            });
        }));
        if result.is_err() {
            log::error!("taps closed after a panic");
            let open = self.lock().clone();
            open.iter().for_each(|tap| self.fail(tap));
        }
    }

    fn fail(&self, tap: &Arc<Tap>) {
        tap.queue.close();
        self.close_without_reader(tap);
    }

    fn close_without_reader(&self, tap: &Arc<Tap>) {
        let mut open = self.lock();
        open.retain(|other| !Arc::ptr_eq(other, tap));
        self.renumber(&open);
    }

    fn renumber(&self, open: &[Arc<Tap>]) {
        let list = if open.is_empty() { 0 } else { NEXT_LIST.fetch_add(1, Relaxed) };
        self.list.store(list, Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Tap>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Tap ===

impl Tap {
    /// The lines on their way to the reader.
    pub(super) fn queue(&self) -> &TapQueue {
        &self.queue
    }

    /// What the reader asked for.
    pub(super) fn request(&self) -> &TapRequest {
        &self.request
    }
}

// === impl ThreadTaps ===

impl ThreadTaps {
    fn take(&mut self, taps: &Taps, list: u64) {
        let open = taps.lock().clone();
        let mut known = mem::take(&mut self.taps);
        // A condition is compiled once for each thread.
        let kept = |tap: Arc<Tap>| match known.iter().position(|known| Arc::ptr_eq(&known.tap, &tap)) {
            Some(at) => known.swap_remove(at),
            None => ThreadTap { condition: tap.request.filter.condition(), tap },
        };
        self.taps = open.into_iter().map(kept).collect();
        self.list = list;
    }

    /// Whether a message satisfies the condition of a tap.
    fn holds(&mut self, at: usize, subject: &Subject<'_>, now_ns: u64) -> Result<bool, NotEvaluated> {
        let Some(condition) = &mut self.taps[at].condition else { return Ok(true) };
        let begin = Instant::now();
        self.allowance.refill(begin);
        if self.allowance.is_spent() {
            return Err(NotEvaluated);
        }
        let holds = condition.holds(subject, now_ns);
        self.allowance.spend(begin.elapsed());
        holds
    }
}

// === impl Allowance ===

impl Allowance {
    /// Begins another window if the last one is over.
    fn refill(&mut self, now: Instant) {
        let Some(window) = self.window else {
            self.window = Some(now);
            return;
        };
        let windows = now.duration_since(window).as_secs() / WINDOW.as_secs();
        if windows > 0 {
            self.window = Some(now);
            let allowed = EVALUATION_MAX.saturating_mul(u32::try_from(windows).unwrap_or(u32::MAX));
            self.spent = self.spent.saturating_sub(allowed);
        }
    }

    fn is_spent(&self) -> bool {
        self.spent >= EVALUATION_MAX
    }

    fn spend(&mut self, time: Duration) {
        self.spent += time;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_evaluation_takes_the_time_of_later_windows() {
        let (mut allowance, begin) = (Allowance::default(), Instant::now());
        allowance.refill(begin);
        allowance.spend(4 * EVALUATION_MAX);
        for (windows, is_spent) in [(0, true), (1, true), (3, true), (4, false)] {
            allowance.refill(begin + windows * WINDOW);
            assert_eq!(allowance.is_spent(), is_spent, "{windows}");
        }
        allowance.spend(EVALUATION_MAX);
        assert!(allowance.is_spent());
        allowance.refill(begin + 1000 * WINDOW);
        assert_eq!(allowance.spent, Duration::ZERO);
    }
}
