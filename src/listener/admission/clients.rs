//! What counts as one client, such as an address: the sessions of each, and the rate limit that they share.
//!
//! No actors or sockets are used here. `now` is an argument, except where a session's guard is dropped. After
//! its last session, a client is kept until its rate limiter has fully refilled, so that reconnecting does
//! not reset the limit. The number of such idle clients is bounded; the one that has been idle longest is
//! removed first.

use std::{
    collections::{BTreeMap, HashMap},
    hash::{BuildHasher, Hash, RandomState},
    net::{IpAddr, Ipv4Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use crate::rate::{self, Limiter, Rate, SharedLimit};

/// Number of locks, which is the number of threads that can look up a client at once.
const SHARDS: usize = 16;

/// Maximum number of idle clients in a shard: about 4 MiB of memory in all shards together.
const IDLE_MAX: usize = 1024;

/// The address that counts as one client: an IPv4 address, or an IPv6 network of 64 bits, which is the smallest that
/// providers assign to a customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Address {
    /// An IPv4 address, including one that is mapped to IPv6.
    V4(Ipv4Addr),
    /// The upper half of an IPv6 address.
    V6(u64),
}

/// All clients that have a session, or whose rate limiter has not refilled yet. `K` is what distinguishes clients.
#[derive(Debug)]
pub struct Clients<K> {
    shards: [Mutex<Shard<K>>; SHARDS],
    hasher: RandomState,
}

/// The limits on each client.
#[derive(Debug, Clone, Copy)]
struct ClientLimits {
    sessions_max: Option<usize>,
    rate: Rate,
}

#[derive(Debug)]
struct Shard<K> {
    limits: ClientLimits,
    entries: HashMap<K, ClientEntry>,
    /// Clients without sessions, in the order in which they became idle.
    idle: BTreeMap<u64, K>,
    next_idle: u64,
}

#[derive(Debug)]
struct ClientEntry {
    sessions: usize,
    /// It limits nothing if the settings have no rate. Sessions have it nevertheless, because a reload may add one.
    limiter: SharedLimit,
    /// The key in [`Shard::idle`]; `None` while the client has sessions.
    idle: Option<u64>,
}

/// A guard that counts one session of a client.
#[derive(Debug)]
pub struct ClientPermit<K: Copy + Eq + Hash> {
    clients: Arc<Clients<K>>,
    client: K,
    /// The rate limit that all sessions of the client share.
    pub limiter: SharedLimit,
}

impl From<IpAddr> for Address {
    fn from(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            IpAddr::V4(ip) => Self::V4(ip),
            // After the shift only the upper 64 bits are left.
            IpAddr::V6(ip) => Self::V6((ip.to_bits() >> 64) as u64),
        }
    }
}

// === impl Clients ===

impl<K: Copy + Eq + Hash> Clients<K> {
    /// Creates an empty set of clients; `None` when there is no limit.
    pub fn new(sessions_max: Option<usize>, rate: Rate) -> Option<Arc<Self>> {
        let limits = sessions_max.is_some() || rate.messages.is_some() || rate.bytes.is_some();
        let shard = || Mutex::new(Shard::new(ClientLimits { sessions_max, rate }));
        let clients = || Self { shards: [(); SHARDS].map(|()| shard()), hasher: RandomState::new() };
        limits.then(|| Arc::new(clients()))
    }

    /// Applies other limits, also to the clients that have sessions. Sessions that are more than the limit now stay.
    pub fn configure(&self, sessions_max: Option<usize>, rate: Rate, now: Instant) {
        for shard in &self.shards {
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            shard.limits = ClientLimits { sessions_max, rate };
            for entry in shard.entries.values() {
                rate::locked(&entry.limiter).change(&rate, now);
            }
        }
    }

    /// Counts a session of a client until the permit is dropped; `None` when the client has reached its limit.
    pub fn enter(self: &Arc<Self>, client: K, now: Instant) -> Option<ClientPermit<K>> {
        let mut shard = self.shard(client);
        let (limits, shard) = (shard.limits, &mut *shard);
        let entry = shard.entries.entry(client).or_insert_with(|| ClientEntry {
            sessions: 0,
            limiter: Arc::new(Mutex::new(Limiter::changeable(&limits.rate, now))),
            idle: None,
        });
        if limits.sessions_max.is_some_and(|max| entry.sessions >= max) {
            return None;
        }
        entry.sessions += 1;
        if let Some(slot) = entry.idle.take() {
            shard.idle.remove(&slot);
        }
        Some(ClientPermit { clients: Arc::clone(self), client, limiter: Arc::clone(&entry.limiter) })
    }

    fn leave(&self, client: K, now: Instant) {
        let mut shard = self.shard(client);
        let shard = &mut *shard;
        let Some(entry) = shard.entries.get_mut(&client) else { return };
        entry.sessions -= 1;
        if entry.sessions == 0 {
            entry.idle = Some(shard.next_idle);
            shard.idle.insert(shard.next_idle, client);
            shard.next_idle += 1;
        }
        shard.sweep(client, now);
    }

    fn shard(&self, client: K) -> MutexGuard<'_, Shard<K>> {
        // The remainder is less than the number of shards.
        let at = (self.hasher.hash_one(client) % SHARDS as u64) as usize;
        self.shards[at].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Shard ===

impl<K: Copy + Eq + Hash> Shard<K> {
    /// Removes `left` if its limiter has refilled. Then removes idle clients from the oldest on, as long as
    /// they have refilled or there are more than [`IDLE_MAX`].
    fn sweep(&mut self, left: K, now: Instant) {
        if self.entries.get_mut(&left).is_some_and(|entry| entry.can_go(now)) {
            self.forget(left);
        }
        while let Some((_, &oldest)) = self.idle.first_key_value() {
            let can_go = self.entries.get_mut(&oldest).is_none_or(|entry| entry.can_go(now));
            if !can_go && self.idle.len() <= IDLE_MAX {
                return;
            }
            self.forget(oldest);
        }
    }

    fn forget(&mut self, client: K) {
        if let Some(slot) = self.entries.remove(&client).and_then(|entry| entry.idle) {
            self.idle.remove(&slot);
        }
    }
}

impl<K> Shard<K> {
    fn new(limits: ClientLimits) -> Self {
        Self { limits, entries: HashMap::new(), idle: BTreeMap::new(), next_idle: 0 }
    }
}

// === impl ClientEntry ===

impl ClientEntry {
    fn can_go(&mut self, now: Instant) -> bool {
        self.sessions == 0 && rate::locked(&self.limiter).is_full(now)
    }
}

impl<K: Copy + Eq + Hash> Drop for ClientPermit<K> {
    fn drop(&mut self) {
        self.clients.leave(self.client, Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use std::{mem, time::Duration};

    use super::*;
    use crate::rate::OnLimit;

    const RATE: Rate =
        Rate { messages: Some(1), bytes: None, burst: Duration::from_secs(10), on_limit: OnLimit::Error };
    const NO_RATE: Rate = Rate { messages: None, ..RATE };

    fn address(text: &str) -> Address {
        Address::from(text.parse::<IpAddr>().unwrap())
    }

    /// Ends a session at a time that the test chooses.
    fn leave(permit: ClientPermit<Address>, now: Instant) {
        permit.clients.leave(permit.client, now);
        mem::forget(permit);
    }

    fn known(clients: &Clients<Address>) -> usize {
        clients.shards.iter().map(|shard| shard.lock().unwrap().entries.len()).sum()
    }

    fn send(permit: &ClientPermit<Address>, now: Instant) {
        rate::locked(&permit.limiter).count(1, now);
    }

    #[test]
    fn an_ipv6_network_and_an_ipv4_address_count_as_one_client() {
        assert_eq!(address("::ffff:192.0.2.1"), address("192.0.2.1"));
        assert_ne!(address("192.0.2.2"), address("192.0.2.1"));
        assert_eq!(address("2001:db8:1:2::1"), address("2001:db8:1:2:ffff::9"));
        assert_ne!(address("2001:db8:1:3::1"), address("2001:db8:1:2::1"));
    }

    #[test]
    fn the_sessions_of_an_address_are_limited() {
        let now = Instant::now();
        let clients = Clients::new(Some(2), NO_RATE).unwrap();
        let (here, there) = (address("192.0.2.1"), address("192.0.2.2"));
        let first = clients.enter(here, now).unwrap();
        let second = clients.enter(here, now).unwrap();
        assert!(clients.enter(here, now).is_none());
        let third = clients.enter(there, now).unwrap();
        drop(first);
        let fourth = clients.enter(here, now).unwrap();
        assert!(clients.enter(here, now).is_none());
        assert_eq!(known(&clients), 2);
        drop((second, third, fourth));
        assert_eq!(known(&clients), 0, "without sessions no address is kept");
    }

    #[test]
    fn without_limits_no_session_is_counted() {
        assert!(Clients::<Address>::new(None, NO_RATE).is_none());
    }

    #[test]
    fn reconnecting_does_not_reset_the_rate_limit() {
        let now = Instant::now();
        let clients = Clients::new(None, RATE).unwrap();
        let here = address("192.0.2.1");
        let first = clients.enter(here, now).unwrap();
        let limiter = Arc::clone(&first.limiter);
        (0..3).for_each(|_| send(&first, now));
        leave(first, now);
        let second = clients.enter(here, now).unwrap();
        assert!(Arc::ptr_eq(&second.limiter, &limiter));
        leave(second, now + Duration::from_secs(2));
        assert_eq!(known(&clients), 1);
        let third = clients.enter(here, now + Duration::from_secs(2)).unwrap();
        leave(third, now + Duration::from_secs(3));
        assert_eq!(known(&clients), 0);
        assert!(clients.shard(here).idle.is_empty());
    }

    #[test]
    fn the_longest_idle_addresses_are_removed_first() {
        let now = Instant::now();
        let clients = Clients::new(None, RATE).unwrap();
        let far = address("2001:db8::");
        let live = clients.enter(far, now).unwrap();
        send(&live, now);
        let total = 3 * SHARDS * IDLE_MAX;
        for number in 0..total {
            let permit = clients.enter(Address::V6(number as u64), now).unwrap();
            send(&permit, now);
            leave(permit, now);
        }
        assert_eq!(known(&clients), SHARDS * IDLE_MAX + 1);
        let remembered =
            |number: u64| clients.shard(Address::V6(number)).entries.contains_key(&Address::V6(number));
        assert!(!remembered(0) && remembered(total as u64 - 1));
        assert!(clients.shard(far).entries.contains_key(&far), "an address with a session is kept");
        // Once their limiters have refilled, all idle addresses are removed when the next session ends.
        leave(live, now);
        let later = now + Duration::from_secs(20);
        for number in 0..100 * SHARDS as u64 {
            leave(clients.enter(Address::V6(number), later).unwrap(), later);
        }
        assert_eq!(known(&clients), 0);
    }
}
