//! Limits on handshakes and sessions: of the process, of a listener, of a client's address, of a claim or header
//! (guarantee C4).
//!
//! No actors, sockets or clocks are used here: `now` is an argument. Every slot and permit is a guard that is
//! returned when it is dropped.

mod attempts;
mod clients;
mod keyed;

use std::{
    net::IpAddr,
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use actix_http::{StatusCode, header};

pub use self::attempts::Attempts;
pub use self::keyed::{KeyLimits, KeyPermits};

use self::clients::{Address, ClientPermit, Clients};
use super::{answer::Refusal, refusals::RefusalKind};
use crate::{
    rate::{Limiter, OnLimit, Rate, SharedLimit},
    settings::Listener,
};

/// A counting semaphore.
#[derive(Debug)]
pub struct Slots {
    taken: AtomicUsize,
    total: AtomicUsize,
}

/// One slot of a semaphore. It is returned when dropped.
#[derive(Debug)]
pub struct Slot(Arc<Slots>);

/// The limits on sessions of one listener.
#[derive(Debug)]
pub struct Admission {
    process: Arc<Slots>,
    sessions: Arc<Slots>,
    /// The limit on new sessions per second.
    starts: Mutex<Option<Limiter>>,
    /// The clients with limits; `None` if there has been no limit yet.
    clients: RwLock<Option<Arc<Clients<Address>>>>,
    /// The limits on the credentials of an address.
    pub attempts: Attempts,
}

/// The permits of a session at all limits. They are returned when dropped.
#[derive(Debug)]
pub struct SessionPermit {
    /// The permit at the limits of the client's address; `None` when no limit is by address.
    address: Option<ClientPermit<Address>>,
    /// The permits at the limits of the route by claim or header; `None` if it has no such limits.
    keys: Option<Box<KeyPermits>>,
    _process: Slot,
    _listener: Slot,
}

/// The limit that was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// The limit on handshakes in progress, of all listeners together.
    Handshakes,
    /// The limit on sessions, of all listeners together.
    Process,
    /// The limit on sessions of the listener.
    Listener,
    /// The limit on sessions of the client's address.
    Address,
    /// The limit of the route on sessions with the same claim or header.
    Key,
    /// The limit on the rate of new sessions of the listener.
    Starts,
    /// The limit on the checks of credentials of the client's address that wait.
    Checks,
    /// The limit on the rate of wrong credentials of the client's address.
    Wrong,
}

// === impl Slots ===

impl Slots {
    /// Creates a semaphore with `total` free slots.
    pub fn new(total: usize) -> Arc<Self> {
        Arc::new(Self { taken: AtomicUsize::new(0), total: AtomicUsize::new(total) })
    }

    /// Changes the number of slots. Those that are taken stay taken, also if they are more.
    pub fn resize(&self, total: usize) {
        self.total.store(total, SeqCst);
    }

    /// Takes a slot; `None` when no slot is free.
    pub fn take(self: &Arc<Self>) -> Option<Slot> {
        let more = |taken| (taken < self.total.load(SeqCst)).then_some(taken + 1);
        self.taken.fetch_update(SeqCst, SeqCst, more).ok().map(|_| Slot(Arc::clone(self)))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, SeqCst);
    }
}

// === impl Admission ===

impl Admission {
    /// Creates the limits of a listener. `process` has the slots for the sessions of all listeners.
    pub fn new(listener: &Listener, process: &Arc<Slots>, now: Instant) -> Self {
        let admission = &listener.admission;
        Self {
            process: Arc::clone(process),
            sessions: Slots::new(admission.max_sessions.unwrap_or(usize::MAX)),
            starts: Mutex::new(Limiter::new(&starts(listener), now)),
            clients: RwLock::new(Clients::new(admission.max_sessions_per_address, listener.address_rate)),
            attempts: Attempts::new(),
        }
    }

    /// Applies other limits. Sessions that are more than a limit now stay. Sessions that started without a limit by
    /// address do not count in it.
    pub fn configure(&self, listener: &Listener, now: Instant) {
        let admission = &listener.admission;
        self.sessions.resize(admission.max_sessions.unwrap_or(usize::MAX));
        let mut starting = self.starts.lock().unwrap_or_else(PoisonError::into_inner);
        let rate = starts(listener);
        match &mut *starting {
            Some(limiter) if rate.messages.is_some() => limiter.change(&rate, now),
            limiter => *limiter = Limiter::new(&rate, now),
        }
        let mut clients = self.clients.write().unwrap_or_else(PoisonError::into_inner);
        let (max, rate) = (admission.max_sessions_per_address, listener.address_rate);
        match &*clients {
            Some(clients) => clients.configure(max, rate, now),
            None => *clients = Clients::new(max, rate),
        }
    }

    /// Admits a session of the client, within all limits. `keys` has its permits at the limits of the route.
    ///
    /// # Errors
    /// The first limit that is reached. The session then uses no slot or permit.
    pub fn enter(&self, client: IpAddr, keys: KeyPermits, now: Instant) -> Result<SessionPermit, Full> {
        let enter =
            |clients: &Arc<Clients<Address>>| clients.enter(Address::from(client), now).ok_or(Full::Address);
        let clients = self.clients.read().unwrap_or_else(PoisonError::into_inner).clone();
        let address = clients.as_ref().map(enter).transpose()?;
        let process = self.process.take().ok_or(Full::Process)?;
        let listener = self.sessions.take().ok_or(Full::Listener)?;
        // Last, so that a client refused for another reason does not use up the rate.
        self.start(now)?;
        let keys = (!keys.is_empty()).then(|| Box::new(keys));
        Ok(SessionPermit { address, keys, _process: process, _listener: listener })
    }

    fn start(&self, now: Instant) -> Result<(), Full> {
        let mut starts = self.starts.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(starts) = &mut *starts else { return Ok(()) };
        if starts.excess(0, now).is_some() {
            return Err(Full::Starts);
        }
        starts.count(0, now);
        Ok(())
    }
}

/// The limit on new sessions per second. It permits a burst of one second's worth.
fn starts(listener: &Listener) -> Rate {
    let messages = listener.admission.max_new_sessions;
    Rate { messages, bytes: None, burst: Duration::from_secs(1), on_limit: OnLimit::Error }
}

// === impl SessionPermit ===

impl SessionPermit {
    /// The rates that the session shares with others: of its address, and of its claims or headers.
    pub fn rates(&self) -> Vec<SharedLimit> {
        let address = self.address.as_ref().map(|permit| Arc::clone(&permit.limiter));
        let keys = self.keys.iter().flat_map(|keys| keys.rates.iter().cloned());
        address.into_iter().chain(keys).collect()
    }
}

// === impl Full ===

impl From<Full> for Refusal {
    fn from(full: Full) -> Self {
        let (unavailable, too_many) = (StatusCode::SERVICE_UNAVAILABLE, StatusCode::TOO_MANY_REQUESTS);
        // Slots for handshakes and starts free up within about a second, slots for sessions when a session
        // ends.
        let (status, kind, text, seconds) = match full {
            Full::Handshakes => (unavailable, RefusalKind::Handshakes, "too many handshakes", "1"),
            Full::Process => (unavailable, RefusalKind::Sessions, "too many sessions", "5"),
            Full::Listener => {
                (unavailable, RefusalKind::ListenerSessions, "too many sessions at this listener", "5")
            }
            Full::Address => {
                (too_many, RefusalKind::AddressSessions, "too many sessions from this address", "5")
            }
            Full::Key => {
                (too_many, RefusalKind::KeySessions, "too many sessions with the same claim or header", "5")
            }
            Full::Starts => (unavailable, RefusalKind::NewSessions, "too many new sessions", "1"),
            Full::Checks => {
                (too_many, RefusalKind::Credentials, "too many credentials from this address at a time", "1")
            }
            Full::Wrong => {
                (too_many, RefusalKind::Credentials, "too many wrong credentials from this address", "1")
            }
        };
        Self::new(status, text).of_kind(kind).with(header::RETRY_AFTER, seconds)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::settings::fixture::{MINIMAL, load};

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
    const THERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

    fn admission(keys: &str, process: &Arc<Slots>, now: Instant) -> Admission {
        let text = MINIMAL.replace("bind =", &format!("{keys}\nbind ="));
        Admission::new(&load(&text, &[]).unwrap().listeners[0], process, now)
    }

    fn enter(admission: &Admission, client: IpAddr, now: Instant) -> Result<SessionPermit, Full> {
        admission.enter(client, KeyPermits::default(), now)
    }

    fn full(admission: &Admission, client: IpAddr, now: Instant) -> Option<Full> {
        enter(admission, client, now).err()
    }

    #[test]
    fn without_limits_of_its_own_a_listener_has_those_of_the_process() {
        let (process, now) = (Slots::new(2), Instant::now());
        let admission = admission("", &process, now);
        let held = [enter(&admission, HERE, now).unwrap(), enter(&admission, HERE, now).unwrap()];
        assert_eq!(full(&admission, HERE, now), Some(Full::Process));
        drop(held);
        assert_eq!(full(&admission, HERE, now), None);
    }

    #[test]
    fn a_refused_client_takes_no_slot() {
        let (process, now) = (Slots::new(9), Instant::now());
        let admission = admission("max_sessions = 1\nmax_sessions_per_address = 1", &process, now);
        let held = enter(&admission, HERE, now).unwrap();
        assert_eq!(full(&admission, HERE, now), Some(Full::Address));
        assert_eq!(full(&admission, THERE, now), Some(Full::Listener));
        assert_eq!(process.taken.load(SeqCst), 1);
        drop(held);
        let _held = enter(&admission, THERE, now).unwrap();
        assert_eq!(full(&admission, THERE, now), Some(Full::Address));
        assert_eq!(process.taken.load(SeqCst), 1);
    }

    #[test]
    fn limits_below_the_use_refuse_new_sessions_and_keep_the_others() {
        let (process, now) = (Slots::new(3), Instant::now());
        let admission = admission("max_sessions = 3\nmax_sessions_per_address = 2", &process, now);
        let settings = |keys: &str| {
            let text = MINIMAL.replace("bind =", &format!("{keys}\nbind ="));
            Arc::clone(&load(&text, &[]).unwrap().listeners[0])
        };
        let mut held = vec![enter(&admission, HERE, now).unwrap(), enter(&admission, HERE, now).unwrap()];
        process.resize(1);
        assert_eq!(full(&admission, THERE, now), Some(Full::Process));
        process.resize(9);
        admission.configure(&settings("max_sessions = 1\nmax_sessions_per_address = 1"), now);
        assert_eq!(full(&admission, HERE, now), Some(Full::Address));
        assert_eq!(full(&admission, THERE, now), Some(Full::Listener));
        held.pop();
        assert_eq!(full(&admission, HERE, now), Some(Full::Address), "one is left");
        held.pop();
        held.push(enter(&admission, HERE, now).unwrap());
        admission.configure(&settings(""), now);
        held.push(enter(&admission, HERE, now).unwrap());
        // A limit that is new does not count those that it has not seen.
        admission.configure(&settings("max_new_sessions = 1"), now);
        held.push(enter(&admission, THERE, now).unwrap());
        assert_eq!(full(&admission, THERE, now), Some(Full::Starts));
        held.clear();
        assert_eq!(process.taken.load(SeqCst), 0);
    }

    #[test]
    fn new_sessions_are_limited_by_rate() {
        let (process, now) = (Slots::new(9), Instant::now());
        let admission = admission("max_new_sessions = 2\nmax_sessions = 3", &process, now);
        let mut held = vec![enter(&admission, HERE, now).unwrap(), enter(&admission, HERE, now).unwrap()];
        assert_eq!(full(&admission, HERE, now), Some(Full::Starts));
        let later = now + Duration::from_millis(500);
        held.push(enter(&admission, HERE, later).unwrap());
        // a client that is refused for another reason does not count as a new session
        let later = later + Duration::from_millis(500);
        assert_eq!(full(&admission, HERE, later), Some(Full::Listener));
        held.clear();
        assert_eq!(full(&admission, HERE, later), None);
        assert_eq!(full(&admission, HERE, later), Some(Full::Starts));
    }
}
