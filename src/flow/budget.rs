//! Limits on the bytes that one direction of a session may hold, and that all sessions together may hold.

use std::{mem, sync::Arc, task::Waker};

use super::sync::{
    Mutex, PoisonError,
    atomic::{
        AtomicBool, AtomicUsize,
        Ordering::{AcqRel, Relaxed},
    },
};

/// Bytes that an event costs in addition to its payload: its share of queues, tickets and ledger, rounded up.
/// It bounds the number of tiny events that fit in a budget.
pub const EVENT_COST: usize = 256;

/// A budget takes bytes from the global budget in pieces of this size, so that the threads do not contend for
/// the global counter at every message.
const PIECE: usize = 16 * 1024;

/// Bytes that each direction of a session may hold even when the global budget is used up. They are enough to
/// process small messages one by one, so that sessions which hold much cannot starve those which hold little
/// (guarantee C3).
const RESERVED_PER_DIRECTION: usize = 16 * 1024;

/// The bytes that all sessions of the process may hold together (`server.buffer`).
///
/// When it is used up, the proxy reads for a session only while the session holds less than 16 KiB in that
/// direction. So the bytes in use exceed the limit by at most that much and one read (64 KiB) per direction
/// of a session. Memory that is reserved for bytes which have not arrived takes at most half of the limit for
/// each worker thread, because a thread counts it at the end of a turn.
#[derive(Debug)]
pub struct GlobalBudget {
    limit: AtomicUsize,
    used: AtomicUsize,
}

/// The bytes that one side of a session may hold, the setting `buffer`.
///
/// The proxy reads from that side as long as any bytes are left, so the bytes in use exceed the limit by at
/// most one message.
#[derive(Debug)]
pub struct Budget {
    global_budget: Arc<GlobalBudget>,
    limit: usize,
    /// Bytes in use by events.
    used: AtomicUsize,
    /// Bytes of incomplete messages and of undecoded input.
    unfinished: AtomicUsize,
    /// Bytes taken from the global budget for `used` and `unfinished`, in whole pieces.
    drawn: AtomicUsize,
    /// The readers that wait for bytes: one for each connection that uses the budget.
    waiting: Mutex<Vec<Waker>>,
    is_waiting: AtomicBool,
}

/// Bytes of one connection that are not events yet. They are returned to the budget on drop.
#[derive(Debug)]
pub struct PartialBytes {
    budget: Arc<Budget>,
    bytes: usize,
}

/// An event's bytes in a budget. They are returned to the budget on drop.
#[derive(Debug)]
pub struct Permit {
    budget: Arc<Budget>,
    bytes: usize,
}

// === impl GlobalBudget ===

impl GlobalBudget {
    /// Creates a global budget of `limit` bytes.
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit: AtomicUsize::new(limit), used: AtomicUsize::new(0) })
    }

    /// Changes the limit. Bytes in use stay in use, also if they are more; readers that wait notice it when their next
    /// bytes are returned.
    pub fn resize(&self, limit: usize) {
        self.limit.store(limit, Relaxed);
    }

    /// Bytes taken by all budgets, rounded up to whole pieces for each.
    pub fn used(&self) -> usize {
        self.used.load(Relaxed)
    }

    /// Bytes that all budgets together may take.
    pub fn limit(&self) -> usize {
        self.limit.load(Relaxed)
    }

    fn is_used_up(&self) -> bool {
        self.used() >= self.limit.load(Relaxed)
    }

    /// Bytes that may be taken for bytes that have not arrived. They take at most half of the limit, so that peers which
    /// announce much and send little leave the other half to those which send.
    fn ahead(&self) -> usize {
        (self.limit() / 2).saturating_sub(self.used())
    }
}

// === impl Budget ===

impl Budget {
    /// Creates a budget of `limit` bytes that takes them from the global budget.
    pub fn new(limit: usize, global_budget: &Arc<GlobalBudget>) -> Arc<Self> {
        Arc::new(Self {
            global_budget: Arc::clone(global_budget),
            limit,
            used: AtomicUsize::new(0),
            unfinished: AtomicUsize::new(0),
            drawn: AtomicUsize::new(0),
            waiting: Mutex::default(),
            is_waiting: AtomicBool::new(false),
        })
    }

    /// Bytes in use by events.
    pub fn used(&self) -> usize {
        self.used.load(Relaxed)
    }

    /// Whether another message may be read, that is, whether events use less than the limit.
    #[inline]
    pub fn has_room(&self) -> bool {
        let used = self.used();
        used < self.limit && (used < RESERVED_PER_DIRECTION || !self.global_budget.is_used_up())
    }

    /// Bytes that events may take until the limit.
    pub fn room(&self) -> usize {
        self.limit.saturating_sub(self.used())
    }

    /// Whether another message may be read, as [`Budget::has_room`]. If not, wakes `waker` when one may.
    ///
    /// A session whose reader waits holds events, and settling them wakes the reader. The reader does not
    /// wait for other sessions here.
    #[inline]
    pub fn room_or_wake(&self, waker: &Waker) -> bool {
        self.has_room() || self.wait_for_room(waker)
    }

    fn wait_for_room(&self, waker: &Waker) -> bool {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if !waiting.iter().any(|known| known.will_wake(waker)) {
            waiting.push(waker.clone());
        }
        self.is_waiting.store(true, Relaxed);
        // Checks again: a permit that was dropped since the first check has found no waker. Adding zero orders
        // this check against `give_back`: either this thread sees the returned bytes, or that one sees `is_waiting`.
        self.used.fetch_add(0, AcqRel);
        self.has_room()
    }

    /// Uses bytes for an event with `payload` bytes, without a check. Call [`Budget::has_room`] before.
    pub fn take(self: &Arc<Self>, payload: usize) -> Permit {
        let bytes = payload + EVENT_COST;
        self.used.fetch_add(bytes, Relaxed);
        self.draw();
        Permit { budget: Arc::clone(self), bytes }
    }

    /// Uses bytes for `count` events with `payload` bytes in total, without a check.
    pub fn take_many(self: &Arc<Self>, payload: usize, count: usize) -> Permit {
        self.take(payload + EVENT_COST * count.saturating_sub(1))
    }

    /// Bytes that events read together may take: fewer than the limit, so that they exceed it no more than single events
    /// do, and few enough for the global budget.
    pub fn room_of_burst(&self) -> usize {
        let used = self.used();
        let limit = if self.global_budget.is_used_up() { RESERVED_PER_DIRECTION } else { usize::MAX };
        self.limit.min(limit).saturating_sub(used).min(PIECE)
    }

    /// How many bytes an incomplete message may hold before it must wait for other sessions.
    pub fn allowance(&self) -> usize {
        if self.global_budget.is_used_up() { RESERVED_PER_DIRECTION } else { usize::MAX }
    }

    /// How many bytes may be reserved for an incomplete message before they arrive.
    pub fn ahead(&self) -> usize {
        self.global_budget.ahead()
    }

    /// Takes pieces from the global budget, or returns them.
    fn draw(&self) {
        let held = self.used() + self.unfinished.load(Relaxed);
        let drawn = self.drawn.load(Relaxed);
        let needed = held.next_multiple_of(PIECE);
        if needed == drawn || (needed < drawn && held > 0 && drawn - needed <= PIECE) {
            return;
        }
        // The thread that replaces `drawn` also adds the difference to the global budget, which therefore always
        // counts the sum of all `drawn`.
        let before = self.drawn.swap(needed, Relaxed);
        if needed > before {
            self.global_budget.used.fetch_add(needed - before, Relaxed);
        } else {
            self.global_budget.used.fetch_sub(before - needed, Relaxed);
        }
    }

    fn give_back(&self, bytes: usize) {
        self.used.fetch_sub(bytes, AcqRel);
        self.draw();
        if self.is_waiting.load(Relaxed) && self.has_room() {
            self.is_waiting.store(false, Relaxed);
            let waiting = mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
            waiting.into_iter().for_each(Waker::wake);
        }
    }
}

impl Drop for Budget {
    fn drop(&mut self) {
        self.global_budget.used.fetch_sub(self.drawn.load(Relaxed), Relaxed);
    }
}

// === impl PartialBytes ===

impl PartialBytes {
    /// Creates an instance that holds no bytes.
    pub fn new(budget: &Arc<Budget>) -> Self {
        Self { budget: Arc::clone(budget), bytes: 0 }
    }

    /// The budget that the bytes count against.
    pub fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }

    /// Whether they are more than an incomplete message may hold now.
    pub fn is_over(&self) -> bool {
        self.bytes > self.budget.allowance()
    }

    /// Whether no bytes are held.
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Sets the number of bytes held.
    pub fn set(&mut self, bytes: usize) {
        let before = mem::replace(&mut self.bytes, bytes);
        if bytes != before {
            self.budget.unfinished.fetch_add(bytes, Relaxed);
            self.budget.unfinished.fetch_sub(before, Relaxed);
            self.budget.draw();
        }
    }
}

impl Drop for PartialBytes {
    fn drop(&mut self) {
        self.set(0);
    }
}

// === impl Permit ===

impl Permit {
    /// The budget that has the bytes.
    pub fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }

    /// A permit of the same budget for another event of `payload` bytes, without a check, because a program
    /// may turn one event into several. Nothing more is read until the budget has bytes again.
    pub fn another(&self, payload: usize) -> Self {
        self.budget.take(payload)
    }

    /// Takes the bytes of one event with `payload` bytes out of the permit of several events.
    pub fn split(&mut self, payload: usize) -> Self {
        let bytes = self.bytes.min(payload + EVENT_COST);
        self.bytes -= bytes;
        Self { budget: Arc::clone(&self.budget), bytes }
    }

    /// The permit of the same event after its payload changed to `payload` bytes, for example in a program.
    pub fn resized(mut self, payload: usize) -> Self {
        let bytes = payload + EVENT_COST;
        if bytes > self.bytes {
            self.budget.used.fetch_add(bytes - self.bytes, Relaxed);
            self.budget.draw();
        } else if bytes < self.bytes {
            self.budget.give_back(self.bytes - bytes);
        }
        self.bytes = bytes;
        self
    }

    /// Whether another message may be read within the permit's budget.
    pub fn has_room(&self) -> bool {
        self.budget.has_room()
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.budget.give_back(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicBool, Ordering::SeqCst},
        task::Wake,
    };

    use proptest::prelude::*;

    use super::*;

    #[derive(Default)]
    struct Flag(AtomicBool);

    impl Wake for Flag {
        fn wake(self: Arc<Self>) {
            self.0.store(true, SeqCst);
        }
    }

    #[test]
    fn the_reader_is_woken_when_there_is_room_again() {
        let budget = Budget::new(1000, &GlobalBudget::new(usize::MAX));
        let flag = Arc::new(Flag::default());
        let waker = Waker::from(Arc::clone(&flag));
        let first = budget.take(700);
        assert!(budget.room_or_wake(&waker));
        let second = budget.take(700);
        assert!(!budget.room_or_wake(&waker));
        drop(first);
        assert!(flag.0.load(SeqCst));
        drop(second);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn a_global_budget_that_shrinks_keeps_what_is_in_use() {
        let global_budget = GlobalBudget::new(usize::MAX);
        let budget = Budget::new(usize::MAX, &global_budget);
        let held = budget.take(2 * RESERVED_PER_DIRECTION);
        global_budget.resize(RESERVED_PER_DIRECTION);
        assert!(!budget.has_room());
        global_budget.resize(4 * RESERVED_PER_DIRECTION);
        assert!(budget.has_room());
        drop(held);
        assert_eq!(global_budget.used(), 0);
    }

    #[test]
    fn with_the_global_budget_used_up_a_session_that_holds_little_is_read() {
        let global_budget = GlobalBudget::new(64 * 1024);
        let (rich, poor) = (Budget::new(1 << 20, &global_budget), Budget::new(1 << 20, &global_budget));
        let flag = Arc::new(Flag::default());
        let waker = Waker::from(Arc::clone(&flag));
        let most = rich.take(60 * 1024);
        let rest = rich.take(20 * 1024);
        assert!(!rich.room_or_wake(&waker));
        assert!(poor.has_room());
        assert_eq!(poor.allowance(), RESERVED_PER_DIRECTION);
        let some = poor.take(RESERVED_PER_DIRECTION);
        assert!(!poor.has_room());
        drop(rest);
        assert!(!flag.0.load(SeqCst), "the global budget is still used up");
        drop(most);
        assert!(flag.0.load(SeqCst));
        assert!(poor.has_room());
        assert_eq!(poor.allowance(), usize::MAX);
        drop(some);
        assert_eq!(global_budget.used(), 0);
    }

    #[test]
    fn bytes_that_have_not_arrived_take_at_most_half_of_the_global_budget() {
        let global_budget = GlobalBudget::new(8 * PIECE);
        let budget = Budget::new(usize::MAX, &global_budget);
        assert_eq!(budget.ahead(), 4 * PIECE);
        let mut partial = PartialBytes::new(&budget);
        partial.set(3 * PIECE);
        assert_eq!(budget.ahead(), PIECE);
        partial.set(5 * PIECE);
        assert_eq!(budget.ahead(), 0);
        assert!(budget.has_room());
    }

    #[test]
    fn incomplete_messages_count_against_the_global_budget() {
        let global_budget = GlobalBudget::new(1 << 20);
        let budget = Budget::new(1 << 20, &global_budget);
        let mut holds = [PartialBytes::new(&budget), PartialBytes::new(&budget)];
        holds[0].set(100_000);
        holds[1].set(20_000);
        assert_eq!(global_budget.used(), 120_000_usize.next_multiple_of(PIECE));
        holds[0].set(0);
        assert_eq!(global_budget.used(), 20_000_usize.next_multiple_of(PIECE));
        drop(holds);
        assert_eq!(global_budget.used(), 0);
    }

    #[test]
    fn a_budget_keeps_one_spare_piece_while_it_holds_bytes() {
        let global_budget = GlobalBudget::new(1 << 20);
        let budget = Budget::new(1 << 20, &global_budget);
        let mut bytes = PartialBytes::new(&budget);
        let mut drawn_while_holding = |held| {
            bytes.set(held);
            global_budget.used() / PIECE
        };
        assert_eq!(drawn_while_holding(PIECE), 1);
        assert_eq!(drawn_while_holding(PIECE + 1), 2);
        assert_eq!(drawn_while_holding(PIECE), 2, "one piece is spare");
        assert_eq!(drawn_while_holding(PIECE + 1), 2);
        assert_eq!(drawn_while_holding(4 * PIECE), 4);
        assert_eq!(drawn_while_holding(2 * PIECE), 2, "two would be spare");
        assert_eq!(drawn_while_holding(1), 2);
        assert_eq!(drawn_while_holding(0), 0);
    }

    #[test]
    fn a_budget_has_no_room_at_its_limit() {
        let budget = Budget::new(1000, &GlobalBudget::new(usize::MAX));
        let permit = budget.take(999 - EVENT_COST);
        assert!(budget.has_room() && permit.has_room());
        let permit = permit.resized(1000 - EVENT_COST);
        assert!(!budget.has_room() && !permit.has_room());
    }

    proptest! {
        /// For any order of taking, resizing and returning permits, the global budget counts the bytes held, and zero
        /// at the end.
        #[test]
        fn the_global_budget_counts_the_bytes_held(
            acts in proptest::collection::vec((0_u8..5, 0_usize..100_000, 0_usize..2), 1..60),
        ) {
            let global_budget = GlobalBudget::new(1 << 20);
            let budgets = [Budget::new(1 << 16, &global_budget), Budget::new(1 << 16, &global_budget)];
            let mut holds = [PartialBytes::new(&budgets[0]), PartialBytes::new(&budgets[1])];
            let mut permits: Vec<Permit> = Vec::new();
            for (act, bytes, which) in acts {
                match act {
                    0 => permits.push(budgets[which].take(bytes)),
                    1 if !permits.is_empty() => drop(permits.swap_remove(bytes % permits.len())),
                    2 if !permits.is_empty() => {
                        let permit = permits.swap_remove(bytes % permits.len());
                        permits.push(permit.resized(bytes / 2));
                    }
                    3 if !permits.is_empty() => permits.push(permits[0].another(bytes)),
                    _ => holds[which].set(bytes),
                }
                let held: Vec<usize> =
                    budgets.iter().map(|budget| budget.used() + budget.unfinished.load(Relaxed)).collect();
                let least: usize = held.iter().map(|held| held.next_multiple_of(PIECE)).sum();
                prop_assert!(global_budget.used() >= least);
                prop_assert!(global_budget.used() <= least + 2 * PIECE);
            }
            drop(permits);
            drop(holds);
            prop_assert_eq!(global_budget.used(), 0);
        }
    }
}
