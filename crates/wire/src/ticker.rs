//! The clock of a worker thread, with an alarm for each socket: one timer per thread instead of several per
//! connection.
//!
//! An idle connection needs one check every half minute, and ten thousand of them must not cost ten thousand
//! timers. The thread's ticker therefore wakes ten times a second while there are alarms, and wakes the
//! owners of the alarms that are due. It runs whatever a socket does, so that the owner of a blocked
//! connection is woken too (guarantee C8).

use std::{
    cell::{Cell, RefCell},
    mem,
    ops::Add,
    task::Waker,
    time::Duration,
};

use slab::Slab;
use tokio::time::{Instant, MissedTickBehavior, interval};

/// The resolution of time. A timeout is late by at most two ticks, and never early.
pub const TICK: Duration = Duration::from_millis(100);

/// A point in time: ticks since the thread's clock began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Tick(pub u32);

/// A duration in ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticks(pub u32);

/// An alarm, which wakes its owner when it is due. Dropping it cancels it.
#[derive(Debug)]
pub struct Alarm {
    /// The index of the alarm in the thread's ticker; `None` before it is first set.
    key: Option<u32>,
    due: Tick,
}

struct Ticker {
    begun: Instant,
    now: Cell<Tick>,
    /// No alarm is due before this tick.
    next: Cell<Tick>,
    running: Cell<bool>,
    alarms: RefCell<Slab<AlarmEntry>>,
}

struct AlarmEntry {
    due: Tick,
    /// The waker to wake; `None` while the alarm is not set.
    waker: Waker,
}

thread_local! {
    static TICKER: Ticker = Ticker {
        begun: Instant::now(),
        now: Cell::new(Tick(0)),
        next: Cell::new(Tick::NEVER),
        running: Cell::new(false),
        alarms: RefCell::new(Slab::new()),
    };
}

/// The time at the ticker's last tick. While the thread has alarms, this is a memory access instead of a
/// system call.
#[inline]
pub fn now() -> Tick {
    TICKER.with(|ticker| {
        if !ticker.running.get() {
            ticker.catch_up();
        }
        ticker.now.get()
    })
}

/// The current time by the system's clock. Use this function to start a measurement: after a long turn of the
/// thread, [`now`] may be behind.
pub fn catch_up() -> Tick {
    TICKER.with(|ticker| {
        ticker.catch_up();
        ticker.now.get()
    })
}

// === impl Tick ===

impl Tick {
    /// A time later than any other. It is never reached.
    pub const NEVER: Self = Self(u32::MAX);
}

impl Add<Ticks> for Tick {
    type Output = Self;

    fn add(self, length: Ticks) -> Self {
        Self(self.0.saturating_add(length.0))
    }
}

// === impl Ticks ===

impl Ticks {
    /// A duration longer than any other. A timeout this long never ends.
    pub const FOREVER: Self = Self(u32::MAX);

    /// The number of ticks after which `time` has certainly passed, even when it starts at the end of a tick.
    pub fn covering(time: Duration) -> Self {
        let ticks = time.as_millis().div_ceil(TICK.as_millis()) + 1;
        Self(u32::try_from(ticks).unwrap_or(u32::MAX))
    }
}

impl From<Option<Duration>> for Ticks {
    /// The same as [`Ticks::covering`]; `None` becomes [`Ticks::FOREVER`].
    fn from(time: Option<Duration>) -> Self {
        time.map_or(Self::FOREVER, Self::covering)
    }
}

// === impl Alarm ===

impl Alarm {
    /// Creates an alarm that is not set.
    pub const fn new() -> Self {
        Self { key: None, due: Tick::NEVER }
    }

    /// The moment for which the alarm was last set.
    pub fn due(&self) -> Tick {
        self.due
    }

    /// Whether the alarm has been set, which keeps the ticker running.
    #[inline]
    pub(crate) fn is_registered(&self) -> bool {
        self.key.is_some()
    }

    /// Whether the alarm is set for a later time than `now`, and for `due` or earlier.
    #[inline]
    pub(crate) fn covers(&self, due: Tick, now: Tick) -> bool {
        self.is_registered() && self.due > now && self.due <= due
    }

    /// Sets the alarm to wake `waker` at `due`. Replaces an earlier setting.
    pub fn set(&mut self, due: Tick, waker: &Waker) {
        self.due = due;
        TICKER.with(|ticker| {
            let entry = AlarmEntry { due, waker: waker.clone() };
            let mut alarms = ticker.alarms.borrow_mut();
            match self.key.and_then(|key| alarms.get_mut(key as usize)) {
                Some(place) => *place = entry,
                // The index fits 32 bits: a process has at most 2^31 descriptors.
                None => self.key = Some(alarms.insert(entry) as u32),
            }
            drop(alarms);
            ticker.next.set(ticker.next.get().min(due));
            ticker.run();
        });
    }
}

impl Default for Alarm {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            // When a thread ends, its ticker may be dropped before its alarms.
            let _ = TICKER.try_with(|ticker| ticker.alarms.borrow_mut().try_remove(key as usize));
        }
    }
}

// === impl Ticker ===

/// Guard of the ticker's task. Its drop, even by the end of the runtime, marks the ticker as stopped.
struct Running;

impl Drop for Running {
    fn drop(&mut self) {
        let _ = TICKER.try_with(|ticker| ticker.running.set(false));
    }
}

impl Ticker {
    /// Runs ticks until no alarm is left.
    fn run(&self) {
        if self.running.replace(true) {
            return;
        }
        self.catch_up();
        actix_rt::spawn(async {
            let _running = Running;
            let mut ticks = interval(TICK);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                if !TICKER.with(Self::tick) {
                    return;
                }
            }
        });
    }

    fn catch_up(&self) {
        let ticks = self.begun.elapsed().as_millis() / TICK.as_millis();
        self.now.set(Tick(u32::try_from(ticks).unwrap_or(u32::MAX)));
    }

    /// Wakes the owners of due alarms. Returns false when no alarm is left.
    fn tick(&self) -> bool {
        self.catch_up();
        if self.now.get() >= self.next.get() {
            // Wakers run outside of the borrow, because they may set alarms.
            for waker in self.take_due() {
                waker.wake();
            }
        }
        !self.alarms.borrow().is_empty()
    }

    fn take_due(&self) -> Vec<Waker> {
        let now = self.now.get();
        let mut next = Tick::NEVER;
        let mut due = Vec::new();
        for (_, entry) in &mut *self.alarms.borrow_mut() {
            if entry.due <= now {
                entry.due = Tick::NEVER;
                due.push(mem::replace(&mut entry.waker, Waker::noop().clone()));
            }
            next = next.min(entry.due);
        }
        self.next.set(next);
        due
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering::SeqCst},
        },
        task::Wake,
    };

    use super::*;

    #[derive(Default)]
    struct CountingWaker(AtomicUsize);

    impl Wake for CountingWaker {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, SeqCst);
        }
    }

    async fn until(waker: &CountingWaker, wakes: usize) {
        while waker.0.load(SeqCst) < wakes {
            tokio::time::sleep(TICK / 4).await;
        }
    }

    #[test]
    fn ticks_cover_their_time_from_anywhere_in_a_tick() {
        assert_eq!(Ticks::covering(Duration::from_millis(100)), Ticks(2));
        assert_eq!(Ticks::covering(Duration::from_millis(101)), Ticks(3));
        assert_eq!(Ticks::from(None), Ticks::FOREVER);
        assert_eq!(Tick(5) + Ticks::FOREVER, Tick::NEVER);
    }

    #[actix::test]
    async fn an_alarm_fires_once_and_a_dropped_one_never() {
        let (kept, dropped) = (Arc::new(CountingWaker::default()), Arc::new(CountingWaker::default()));
        let (mut alarm, mut forgotten) = (Alarm::new(), Alarm::new());
        forgotten.set(now() + Ticks(1), &Arc::clone(&dropped).into());
        alarm.set(now() + Ticks(2), &Arc::clone(&kept).into());
        drop(forgotten);
        until(&kept, 1).await;
        alarm.set(now() + Ticks(1), &Arc::clone(&kept).into());
        until(&kept, 2).await;
        assert_eq!(dropped.0.load(SeqCst), 0);
        assert_eq!(Arc::strong_count(&dropped), 1, "a dropped alarm drops its waker");
    }

    #[actix::test]
    async fn a_thread_without_alarms_does_not_tick() {
        let waker = Arc::new(CountingWaker::default());
        let mut alarm = Alarm::new();
        alarm.set(now() + Ticks(1), &Arc::clone(&waker).into());
        until(&waker, 1).await;
        drop(alarm);
        while TICKER.with(|ticker| ticker.running.get()) {
            tokio::time::sleep(TICK / 4).await;
        }
    }
}
