//! The cache of resolved names, and the rules for when to look a name up. No clocks or sockets are used here:
//! times and signals are arguments.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

/// How long resolved addresses are used without another look-up. This limits the look-ups while many sessions
/// reconnect, and is short because operators move upstreams by changing names.
pub(super) const FRESH: Duration = Duration::from_secs(5);

/// Minimum time between a failed look-up and the next for the same name. Names that do not exist then cause
/// few look-ups, and a new name is found soon.
const FAILED_MIN: Duration = Duration::from_secs(1);

/// Maximum time between a failed look-up and the next for the same name. Between [`FAILED_MIN`] and this
/// time, the pause is as long as the failed look-up took, so a name whose server is silent occupies a thread
/// for half of the time at most.
const FAILED_MAX: Duration = Duration::from_secs(30);

/// How long a dial waits for new addresses when older addresses of the name are known.
pub(super) const STALE_AFTER: Duration = Duration::from_millis(500);

/// Maximum age of known addresses. Older ones are not used, because they may belong to another host by now.
const STALE_MAX: Duration = Duration::from_secs(60 * 60);

/// Maximum number of concurrent look-ups, each on a separate thread. Only names whose server is silent can
/// reach this limit, and their look-ups pause.
pub(super) const LOOKUPS_MAX: usize = 128;

/// Maximum number of concurrent look-ups that follow the names of endpoints. The others are for dials.
pub(super) const REFRESHES_MAX: usize = 16;

/// Maximum number of names in the cache. When it is full, the least recently used name is removed.
const NAMES_MAX: usize = 1024;

/// Maximum number of addresses kept of one name, which are the lowest ones.
pub const ADDRESSES_MAX: usize = 256;

/// Maximum number of addresses of a name that a dial tries, because it has no time for more.
pub(super) const DIALED_MAX: usize = 32;

/// The addresses of a name, in the order in which to try them, with port 0.
pub type Addresses = Arc<[SocketAddr]>;

/// The reason why a name has no addresses. The texts do not repeat the name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    /// The name does not exist, or has no address.
    #[error("no such name")]
    NotFound,
    /// The look-up failed for another reason. The field is the system's error text.
    #[error("{0}")]
    Failed(Arc<str>),
}

/// The next step of a dial to get the addresses of a name.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum LookupStep<S> {
    /// Use these addresses.
    Use(Addresses),
    /// Fail with this error.
    Fail(LookupError),
    /// Start the look-up, then call [`Names::ask`] again.
    Start,
    /// Wait for the running look-up, at most until the given time, then call [`Names::ask`] again.
    Wait(S, Option<Instant>),
    /// Wait until any look-up has ended, then call [`Names::ask`] again.
    Full,
}

/// The known names and their look-ups. `S` signals the end of a look-up to the dials that wait for it.
#[derive(Debug)]
pub(super) struct Names<S> {
    entries: HashMap<Box<str>, NameEntry<S>>,
    running: usize,
    /// How many of these follow the names of endpoints.
    refreshing: usize,
}

#[derive(Debug)]
struct NameEntry<S> {
    /// The addresses of the last successful look-up, and when it ended.
    known: Option<(Addresses, Instant)>,
    /// The last failure, and the time before which no other look-up may start.
    failed: Option<(LookupError, Instant)>,
    /// The running look-up, and when it started.
    running: Option<(S, Instant)>,
    /// Whether the running look-up was started by [`Names::ask_fresh`].
    is_refreshing: bool,
    /// Whether a dial has used the name.
    is_dialed: bool,
    used: Instant,
}

/// The result of a finished look-up.
#[derive(Debug)]
pub(super) struct LookupEnd<S> {
    /// Wakes the dials that wait for this look-up; `None` if it was not running.
    pub(super) signal: Option<S>,
    /// Whether older addresses are used although the look-up failed.
    pub(super) is_stale: bool,
}

impl<S> Default for Names<S> {
    fn default() -> Self {
        Self { entries: HashMap::new(), running: 0, refreshing: 0 }
    }
}

impl<S: Clone> Names<S> {
    /// The next step to get the addresses of `name`. After [`LookupStep::Start`] the look-up counts as
    /// started, and later dials wait for the signal that `signal` creates.
    pub(super) fn ask(&mut self, name: &str, now: Instant, signal: impl FnOnce() -> S) -> LookupStep<S> {
        self.step(name, now, None, signal)
    }

    /// The same as [`ask`](Self::ask) for a name that is followed. Known addresses are used without another look-up if
    /// they are younger than `fresh`. At most [`REFRESHES_MAX`] look-ups are started this way at the same time.
    pub(super) fn ask_fresh(
        &mut self,
        name: &str,
        now: Instant,
        fresh: Duration,
        signal: impl FnOnce() -> S,
    ) -> LookupStep<S> {
        self.step(name, now, Some(fresh), signal)
    }

    fn step(
        &mut self,
        name: &str,
        now: Instant,
        followed: Option<Duration>,
        signal: impl FnOnce() -> S,
    ) -> LookupStep<S> {
        let is_followed = followed.is_some();
        let is_full = self.running >= LOOKUPS_MAX || (is_followed && self.refreshing >= REFRESHES_MAX);
        let fresh = followed.unwrap_or(FRESH);
        let entry = self.entry(name, now, is_followed);
        entry.used = now;
        entry.is_dialed |= !is_followed;
        if let Some(addresses) = entry.known(now, fresh) {
            return LookupStep::Use(addresses);
        }
        let stale = entry.known(now, STALE_MAX);
        if let Some((signal, since)) = &entry.running {
            let until = *since + STALE_AFTER;
            return match stale {
                Some(addresses) if now >= until => LookupStep::Use(addresses),
                stale => LookupStep::Wait(signal.clone(), stale.map(|_| until)),
            };
        }
        match (&entry.failed, stale) {
            (Some((_, until)), Some(addresses)) if now < *until => LookupStep::Use(addresses),
            (Some((error, until)), None) if now < *until => LookupStep::Fail(error.clone()),
            (_, Some(addresses)) if is_full => LookupStep::Use(addresses),
            _ if is_full => LookupStep::Full,
            _ => {
                entry.running = Some((signal(), now));
                entry.is_refreshing = is_followed;
                self.running += 1;
                self.refreshing += usize::from(is_followed);
                LookupStep::Start
            }
        }
    }

    /// Records the result of the look-up of `name`.
    pub(super) fn end(
        &mut self,
        name: &str,
        now: Instant,
        answer: Result<Addresses, LookupError>,
    ) -> LookupEnd<S> {
        let unknown = LookupEnd { signal: None, is_stale: false };
        let Some(entry) = self.entries.get_mut(name) else { return unknown };
        let Some((signal, since)) = entry.running.take() else { return unknown };
        self.running -= 1;
        self.refreshing -= usize::from(entry.is_refreshing);
        match answer {
            Ok(addresses) => {
                entry.known = Some((addresses, now));
                entry.failed = None;
            }
            Err(error) => {
                if error == LookupError::NotFound {
                    entry.known = None;
                }
                let pause = now.saturating_duration_since(since).clamp(FAILED_MIN, FAILED_MAX);
                entry.failed = Some((error, now + pause));
            }
        }
        let is_stale = entry.failed.is_some() && entry.known(now, STALE_MAX).is_some();
        LookupEnd { signal: Some(signal), is_stale }
    }

    /// The entry of a name. A name that is followed removes none that dials use, so there may be up to
    /// [`REFRESHES_MAX`] more than [`NAMES_MAX`].
    fn entry(&mut self, name: &str, now: Instant, is_followed: bool) -> &mut NameEntry<S> {
        if !self.entries.contains_key(name) && self.entries.len() >= NAMES_MAX {
            let idle = self.entries.iter().filter(|(_, entry)| entry.running.is_none());
            let removable = idle.filter(|(_, entry)| !(is_followed && entry.is_dialed));
            let oldest = removable.min_by_key(|(_, entry)| (entry.is_dialed, entry.used));
            let oldest = oldest.map(|(name, _)| name.clone());
            oldest.map(|name| self.entries.remove(&name));
        }
        let new = NameEntry {
            known: None,
            failed: None,
            running: None,
            is_refreshing: false,
            is_dialed: false,
            used: now,
        };
        self.entries.entry(name.into()).or_insert(new)
    }
}

impl<S> NameEntry<S> {
    /// The known addresses, if they are younger than `age`.
    fn known(&self, now: Instant, age: Duration) -> Option<Addresses> {
        let (addresses, at) = self.known.as_ref()?;
        (now.saturating_duration_since(*at) < age).then(|| Arc::clone(addresses))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn addresses(last: u8) -> Addresses {
        Arc::new([SocketAddr::from(([10, 0, 0, last], 0))])
    }

    fn silent() -> LookupError {
        LookupError::Failed("Temporary failure in name resolution".into())
    }

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// Names, with a clock that starts at zero.
    struct Clock {
        names: Names<()>,
        begun: Instant,
    }

    impl Clock {
        fn new() -> Self {
            Self { names: Names::default(), begun: Instant::now() }
        }

        fn ask(&mut self, name: &str, at: Duration) -> LookupStep<()> {
            self.names.ask(name, self.begun + at, || ())
        }

        fn end(&mut self, name: &str, at: Duration, answer: Result<Addresses, LookupError>) -> LookupEnd<()> {
            self.names.end(name, self.begun + at, answer)
        }
    }

    #[test]
    fn all_dials_of_a_name_share_one_look_up() {
        let mut clock = Clock::new();
        assert_eq!(clock.ask("a", ms(0)), LookupStep::Start);
        for at in 1..100 {
            assert_eq!(clock.ask("a", ms(at)), LookupStep::Wait((), None));
        }
        clock.end("a", ms(100), Ok(addresses(1)));
        assert_eq!(clock.ask("a", ms(101)), LookupStep::Use(addresses(1)));
        assert_eq!(clock.ask("a", ms(5099)), LookupStep::Use(addresses(1)));
        assert_eq!(clock.ask("a", ms(5100)), LookupStep::Start);
    }

    #[test]
    fn a_hanging_look_up_delays_no_other() {
        let mut clock = Clock::new();
        assert_eq!(clock.ask("hangs", ms(0)), LookupStep::Start);
        assert_eq!(clock.ask("other", ms(1)), LookupStep::Start);
        clock.end("other", ms(2), Ok(addresses(2)));
        assert_eq!(clock.ask("other", ms(3)), LookupStep::Use(addresses(2)));
        assert_eq!(clock.ask("hangs", ms(3)), LookupStep::Wait((), None));
    }

    #[test]
    fn a_failure_is_shared_and_retried_after_a_second() {
        let mut clock = Clock::new();
        assert_eq!(clock.ask("a", ms(0)), LookupStep::Start);
        clock.end("a", ms(10), Err(LookupError::NotFound));
        assert_eq!(clock.ask("a", ms(1009)), LookupStep::Fail(LookupError::NotFound));
        assert_eq!(clock.ask("a", ms(1010)), LookupStep::Start);
    }

    #[test]
    fn the_pause_after_a_failure_is_as_long_as_the_look_up() {
        for (took, pause) in [(10, 1000), (4000, 4000), (90_000, 30_000)] {
            let mut clock = Clock::new();
            assert_eq!(clock.ask("a", ms(0)), LookupStep::Start);
            clock.end("a", ms(took), Err(silent()));
            assert_eq!(clock.ask("a", ms(took + pause - 1)), LookupStep::Fail(silent()));
            assert_eq!(clock.ask("a", ms(took + pause)), LookupStep::Start);
        }
    }

    #[test]
    fn known_addresses_are_used_while_the_name_server_is_silent() {
        let mut clock = Clock::new();
        assert_eq!(clock.ask("a", ms(0)), LookupStep::Start);
        clock.end("a", ms(0), Ok(addresses(1)));
        assert_eq!(clock.ask("a", ms(6000)), LookupStep::Start);
        let until = clock.begun + ms(6500);
        assert_eq!(clock.ask("a", ms(6001)), LookupStep::Wait((), Some(until)));
        assert_eq!(clock.ask("a", ms(6500)), LookupStep::Use(addresses(1)));
        assert!(clock.end("a", ms(16_000), Err(silent())).is_stale);
        assert_eq!(
            clock.ask("a", ms(16_001)),
            LookupStep::Use(addresses(1)),
            "a failed look-up, and no wait"
        );
        assert_eq!(
            clock.ask("a", ms(3_600_000)),
            LookupStep::Start,
            "others may own the address after an hour"
        );
        assert_eq!(clock.ask("a", ms(3_600_001)), LookupStep::Wait((), None));
    }

    #[test]
    fn the_addresses_of_a_removed_name_are_forgotten() {
        let mut clock = Clock::new();
        assert_eq!(clock.ask("a", ms(0)), LookupStep::Start);
        clock.end("a", ms(0), Ok(addresses(1)));
        assert_eq!(clock.ask("a", ms(6000)), LookupStep::Start);
        assert!(!clock.end("a", ms(6001), Err(LookupError::NotFound)).is_stale);
        assert_eq!(clock.ask("a", ms(6002)), LookupStep::Fail(LookupError::NotFound));
    }

    #[test]
    fn concurrent_look_ups_are_bounded_and_known_names_still_resolve() {
        let mut clock = Clock::new();
        assert_eq!(clock.ask("known", ms(0)), LookupStep::Start);
        clock.end("known", ms(0), Ok(addresses(1)));
        for number in 0..LOOKUPS_MAX {
            assert_eq!(clock.ask(&format!("hangs{number}"), ms(1)), LookupStep::Start);
        }
        assert_eq!(clock.ask("new", ms(2)), LookupStep::Full);
        assert_eq!(clock.ask("known", ms(6000)), LookupStep::Use(addresses(1)));
        clock.end("hangs0", ms(6001), Err(silent()));
        assert_eq!(clock.ask("new", ms(6002)), LookupStep::Start);
        assert_eq!(clock.ask("hangs0", ms(6003)), LookupStep::Fail(silent()));
    }

    #[test]
    fn names_that_are_followed_take_no_place_from_dials() {
        let mut clock = Clock::new();
        assert_eq!(clock.ask("dialed", ms(0)), LookupStep::Start);
        clock.end("dialed", ms(0), Ok(addresses(1)));
        let mut refresh = |name: &str| {
            let now = clock.begun;
            clock.names.ask_fresh(name, now, Duration::ZERO, || ())
        };
        let names = (0..2 * NAMES_MAX).map(|number| number.to_string());
        let steps: Vec<_> = names.map(|name| refresh(&name)).collect();
        let started = steps.iter().filter(|step| **step == LookupStep::Start).count();
        assert_eq!(started, REFRESHES_MAX);
        assert_eq!(steps.last(), Some(&LookupStep::Full));
        assert_eq!(clock.ask("dialed", ms(1)), LookupStep::Use(addresses(1)), "it is still known");
        assert_eq!(clock.ask("new", ms(1)), LookupStep::Start);
        assert!(clock.names.entries.len() <= NAMES_MAX + REFRESHES_MAX);
        clock.end("0", ms(2), Ok(addresses(2)));
        let now = clock.begun;
        assert_eq!(clock.names.ask_fresh("next", now, Duration::ZERO, || ()), LookupStep::Start);
    }

    #[test]
    fn the_least_recently_used_name_is_removed() {
        let mut clock = Clock::new();
        assert_eq!(clock.ask("hangs", ms(0)), LookupStep::Start);
        for number in 0..2 * NAMES_MAX as u64 {
            let name = number.to_string();
            assert_eq!(clock.ask(&name, ms(number)), LookupStep::Start);
            clock.end(&name, ms(number), Ok(addresses(1)));
            assert!(clock.names.entries.len() <= NAMES_MAX);
        }
        assert_eq!(clock.ask("hangs", ms(3000)), LookupStep::Wait((), None));
    }

    proptest! {
        /// For any sequence of steps, a name has at most one look-up at a time, the look-ups are counted
        /// correctly, and the end of a look-up ends the wait of all its dials.
        #[test]
        fn no_dial_waits_for_a_look_up_that_does_not_run(
            events in prop::collection::vec((0..4_usize, 0..3_usize, 0..8000_u64), 1..200)
        ) {
            let mut clock = Clock::new();
            let mut running = std::collections::BTreeSet::new();
            let mut at = 0;
            for (name, event, pause) in events {
                at += pause;
                let key = name.to_string();
                match event {
                    0 => match clock.ask(&key, ms(at)) {
                        LookupStep::Start => prop_assert!(running.insert(name)),
                        LookupStep::Wait(..) => prop_assert!(running.contains(&name)),
                        LookupStep::Full => prop_assert!(false, "four names are not too many"),
                        LookupStep::Use(_) | LookupStep::Fail(_) => {}
                    },
                    event => {
                        let answer = if event == 1 { Ok(addresses(1)) } else { Err(silent()) };
                        let ended = clock.end(&key, ms(at), answer);
                        prop_assert_eq!(ended.signal.is_some(), running.remove(&name));
                        if ended.signal.is_some() {
                            let next = clock.ask(&key, ms(at));
                            prop_assert!(matches!(next, LookupStep::Use(_) | LookupStep::Fail(_)), "{:?}", next);
                        }
                    }
                }
                prop_assert_eq!(clock.names.running, running.len());
            }
        }
    }
}
