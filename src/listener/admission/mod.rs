//! Limits on handshakes and sessions: of the process, of a listener, of a client's address (guarantee C4).
//!
//! No actors, sockets or clocks are used here: `now` is an argument. Every slot and permit is a guard that is
//! returned when it is dropped.

mod clients;

use std::{
    net::IpAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use actix_http::{StatusCode, header};

use self::clients::{Address, AddressPermit, Clients};
use super::answer::Refusal;
use crate::{
    rate::{Limiter, OnLimit, Rate},
    settings::Listener,
};

/// A counting semaphore.
#[derive(Debug)]
pub struct Slots {
    taken: AtomicUsize,
    total: usize,
}

/// One slot of a semaphore. It is returned when dropped.
#[derive(Debug)]
pub struct Slot(Arc<Slots>);

/// The limits on sessions of one listener.
#[derive(Debug)]
pub struct Admission {
    process: Arc<Slots>,
    sessions: Option<Arc<Slots>>,
    /// The limit on new sessions per second.
    starts: Option<Mutex<Limiter>>,
    clients: Option<Arc<Clients>>,
}

/// The permits of a session at all limits. They are returned when dropped.
#[derive(Debug)]
pub struct SessionPermit {
    /// The permit at the limits of the client's address; `None` when no limit is by address.
    pub address_permit: Option<AddressPermit>,
    _process: Slot,
    _listener: Option<Slot>,
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
    /// The limit on the rate of new sessions of the listener.
    Starts,
}

// === impl Slots ===

impl Slots {
    /// Creates a semaphore with `total` free slots.
    pub fn new(total: usize) -> Arc<Self> {
        Arc::new(Self { taken: AtomicUsize::new(0), total })
    }

    /// Takes a slot; `None` when no slot is free.
    pub fn take(self: &Arc<Self>) -> Option<Slot> {
        let more = |taken| (taken < self.total).then_some(taken + 1);
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
        // Permits a burst of one second's worth.
        let starts = Rate {
            messages: admission.max_new_sessions,
            bytes: None,
            burst: Duration::from_secs(1),
            on_limit: OnLimit::Error,
        };
        Self {
            process: Arc::clone(process),
            sessions: admission.max_sessions.map(Slots::new),
            starts: Limiter::new(&starts, now).map(Mutex::new),
            clients: Clients::new(admission.max_sessions_per_address, listener.address_rate),
        }
    }

    /// Admits a session of the client, within all limits.
    ///
    /// # Errors
    /// The first limit that is reached. The session then uses no slot or permit.
    pub fn enter(&self, client: IpAddr, now: Instant) -> Result<SessionPermit, Full> {
        let enter = |clients: &Arc<Clients>| clients.enter(Address::from(client), now).ok_or(Full::Address);
        let address_permit = self.clients.as_ref().map(enter).transpose()?;
        let process = self.process.take().ok_or(Full::Process)?;
        let listener = self.sessions.as_ref().map(|slots| slots.take().ok_or(Full::Listener)).transpose()?;
        // Last, so that a client refused for another reason does not use up the rate.
        self.start(now)?;
        Ok(SessionPermit { address_permit, _process: process, _listener: listener })
    }

    fn start(&self, now: Instant) -> Result<(), Full> {
        let Some(starts) = &self.starts else { return Ok(()) };
        let mut starts = starts.lock().unwrap_or_else(PoisonError::into_inner);
        if starts.excess(0, now).is_some() {
            return Err(Full::Starts);
        }
        starts.count(0, now);
        Ok(())
    }
}

// === impl Full ===

impl From<Full> for Refusal {
    fn from(full: Full) -> Self {
        let unavailable = StatusCode::SERVICE_UNAVAILABLE;
        // Slots for handshakes and starts free up within about a second, slots for sessions when a session
        // ends.
        let (status, text, seconds) = match full {
            Full::Handshakes => (unavailable, "too many handshakes", "1"),
            Full::Process => (unavailable, "too many sessions", "5"),
            Full::Listener => (unavailable, "too many sessions at this listener", "5"),
            Full::Address => (StatusCode::TOO_MANY_REQUESTS, "too many sessions from this address", "5"),
            Full::Starts => (unavailable, "too many new sessions", "1"),
        };
        Self::new(status, text).with(header::RETRY_AFTER, seconds)
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

    fn full(admission: &Admission, client: IpAddr, now: Instant) -> Option<Full> {
        admission.enter(client, now).err()
    }

    #[test]
    fn without_limits_of_its_own_a_listener_has_those_of_the_process() {
        let (process, now) = (Slots::new(2), Instant::now());
        let admission = admission("", &process, now);
        let held = [admission.enter(HERE, now).unwrap(), admission.enter(HERE, now).unwrap()];
        assert_eq!(full(&admission, HERE, now), Some(Full::Process));
        drop(held);
        assert_eq!(full(&admission, HERE, now), None);
    }

    #[test]
    fn a_refused_client_takes_no_slot() {
        let (process, now) = (Slots::new(9), Instant::now());
        let admission = admission("max_sessions = 1\nmax_sessions_per_address = 1", &process, now);
        let held = admission.enter(HERE, now).unwrap();
        assert_eq!(full(&admission, HERE, now), Some(Full::Address));
        assert_eq!(full(&admission, THERE, now), Some(Full::Listener));
        assert_eq!(process.taken.load(SeqCst), 1);
        drop(held);
        let _held = admission.enter(THERE, now).unwrap();
        assert_eq!(full(&admission, THERE, now), Some(Full::Address));
        assert_eq!(process.taken.load(SeqCst), 1);
    }

    #[test]
    fn new_sessions_are_limited_by_rate() {
        let (process, now) = (Slots::new(9), Instant::now());
        let admission = admission("max_new_sessions = 2\nmax_sessions = 3", &process, now);
        let mut held = vec![admission.enter(HERE, now).unwrap(), admission.enter(HERE, now).unwrap()];
        assert_eq!(full(&admission, HERE, now), Some(Full::Starts));
        let later = now + Duration::from_millis(500);
        held.push(admission.enter(HERE, later).unwrap());
        // a client that is refused for another reason does not count as a new session
        let later = later + Duration::from_millis(500);
        assert_eq!(full(&admission, HERE, later), Some(Full::Listener));
        held.clear();
        assert_eq!(full(&admission, HERE, later), None);
        assert_eq!(full(&admission, HERE, later), Some(Full::Starts));
    }
}
