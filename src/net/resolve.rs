//! Resolves names to addresses, once for all sessions of the process.
//!
//! getaddrinfo does the work, so that the hosts file and nsswitch.conf apply. It blocks for as long as the
//! name server is silent, so each look-up has a separate thread: at most one per name, and at most
//! [`LOOKUPS_MAX`] in total. Dials that wait end at their own deadlines, while the look-up continues.

use std::{
    collections::HashSet,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Instant,
};

use dns_lookup::{AddrInfoHints, LookupErrorKind, SockType, getaddrinfo};
use tokio::{
    sync::{Semaphore, watch},
    time::timeout_at,
};

#[cfg(doc)]
use super::names::LOOKUPS_MAX;
use super::names::{ADDRESSES_MAX, Addresses, LookupError, LookupStep, Names, REFRESHES_MAX};
use crate::log::Quoted;

/// The signal for the end of a look-up: true when it has ended.
type Signal = watch::Sender<bool>;

/// A function that looks a name up. It blocks.
type LookUp = Box<dyn Fn(&str) -> Result<Vec<SocketAddr>, LookupError> + Send + Sync>;

/// The running look-ups of the process and the addresses found.
pub struct Resolver {
    names: Mutex<Names<Signal>>,
    /// Notified when a look-up ends.
    ended: watch::Sender<()>,
    /// Admits the callers of [`Resolver::refresh`].
    refreshing: Semaphore,
    look_up: LookUp,
}

impl Resolver {
    /// Creates a resolver that uses the system's look-up.
    pub fn system() -> Arc<Self> {
        Self::with(system)
    }

    /// Creates a resolver that runs `look_up`, on a separate thread for each look-up.
    fn with(
        look_up: impl Fn(&str) -> Result<Vec<SocketAddr>, LookupError> + Send + Sync + 'static,
    ) -> Arc<Self> {
        let (names, ended) = (Mutex::default(), watch::Sender::new(()));
        Arc::new(Self { names, ended, refreshing: Semaphore::new(REFRESHES_MAX), look_up: Box::new(look_up) })
    }

    /// Resolves a host name to all its addresses, with port 0. This may wait as long as the system's look-up
    /// takes, so the caller needs a deadline.
    ///
    /// # Errors
    /// When the name has no address, or the look-up fails and no older addresses are known.
    pub async fn resolve(self: &Arc<Self>, name: &str) -> Result<Addresses, LookupError> {
        self.resolve_since(name, None).await
    }

    /// The same as [`resolve`](Self::resolve), with a look-up that ends after this call. At most `REFRESHES_MAX` of
    /// these look-ups run at the same time, so that they leave threads to the look-ups for dials.
    ///
    /// # Errors
    /// The same errors.
    pub async fn refresh(self: &Arc<Self>, name: &str) -> Result<Addresses, LookupError> {
        // The semaphore is never closed.
        let _permit = self.refreshing.acquire().await;
        self.resolve_since(name, Some(Instant::now())).await
    }

    async fn resolve_since(
        self: &Arc<Self>,
        name: &str,
        since: Option<Instant>,
    ) -> Result<Addresses, LookupError> {
        // Names are case-insensitive (RFC 4343).
        let name = name.to_ascii_lowercase();
        let mut ended = self.ended.subscribe();
        loop {
            ended.mark_unchanged();
            let (now, signal) = (Instant::now(), || watch::Sender::new(false));
            let step = match since {
                None => self.names().ask(&name, now, signal),
                Some(since) => {
                    self.names().ask_fresh(&name, now, now.saturating_duration_since(since), signal)
                }
            };
            match step {
                LookupStep::Use(addresses) => return Ok(addresses),
                LookupStep::Fail(error) => return Err(error),
                LookupStep::Start => self.start(&name),
                LookupStep::Wait(signal, until) => wait(&signal, until).await,
                // The sender lives as long as the resolver.
                LookupStep::Full => _ = ended.changed().await,
            }
        }
    }

    fn start(self: &Arc<Self>, name: &str) {
        let running = Running { resolver: Arc::clone(self), name: name.into(), answer: None };
        let thread = thread::Builder::new().name("name look-up".to_owned());
        // If no thread starts, the closure is dropped, and dropping it ends the look-up.
        if let Err(error) = thread.spawn(move || running.run()) {
            let reason = format!("no thread: {error}");
            log::warn!("name look-up failed name={name} reason={}", Quoted(&reason));
        }
    }

    fn end(&self, name: &str, answer: Result<Addresses, LookupError>) {
        let reason = answer.as_ref().err().cloned();
        let ended = self.names().end(name, Instant::now(), answer);
        if let (Some(error), true) = (reason, ended.is_stale) {
            log::warn!("name look-up failed name={name} reason={}", Quoted(&error.to_string()));
        }
        if let Some(signal) = ended.signal {
            signal.send_replace(true);
        }
        self.ended.send_replace(());
    }

    fn names(&self) -> MutexGuard<'_, Names<Signal>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn wait(signal: &Signal, until: Option<Instant>) {
    let mut ended = signal.subscribe();
    // The sender is borrowed here, so a change can only be the end of the look-up.
    let ended = ended.wait_for(|ended| *ended);
    match until {
        Some(until) => _ = timeout_at(until.into(), ended).await,
        None => _ = ended.await,
    }
}

/// A guard for a running look-up. Dropping it ends the look-up, even in a panic.
struct Running {
    resolver: Arc<Resolver>,
    name: Box<str>,
    answer: Option<Result<Addresses, LookupError>>,
}

impl Running {
    fn run(mut self) {
        self.answer = Some((self.resolver.look_up)(&self.name).and_then(usable));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let answer = self.answer.take();
        let failed = || Err(LookupError::Failed("the look-up did not finish".into()));
        self.resolver.end(&self.name, answer.unwrap_or_else(failed));
    }
}

/// The addresses to use, in the system's order (RFC 6724), without duplicates. The system orders the same addresses in
/// another way each time, so which of too many are used does not depend on the order.
fn usable(found: Vec<SocketAddr>) -> Result<Addresses, LookupError> {
    let mut known = HashSet::new();
    let mut addresses: Vec<SocketAddr> = Vec::new();
    for mut address in found {
        address.set_port(0);
        if known.insert(address) {
            addresses.push(address);
        }
    }
    if addresses.len() > ADDRESSES_MAX {
        let mut sorted = addresses.clone();
        sorted.sort_unstable();
        let last = sorted[ADDRESSES_MAX - 1];
        addresses.retain(|address| *address <= last);
    }
    if addresses.is_empty() { Err(LookupError::NotFound) } else { Ok(addresses.into()) }
}

fn system(name: &str) -> Result<Vec<SocketAddr>, LookupError> {
    // getaddrinfo returns each address once per socket type.
    let hints = AddrInfoHints { socktype: SockType::Stream.into(), ..AddrInfoHints::default() };
    let found = getaddrinfo(Some(name), None, Some(hints)).map_err(|error| match error.kind() {
        LookupErrorKind::NoName | LookupErrorKind::NoData => LookupError::NotFound,
        _ => {
            let text = std::io::Error::from(error).to_string();
            LookupError::Failed(text.rsplit(": ").next().unwrap_or(&text).into())
        }
    })?;
    Ok(found.filter_map(Result::ok).map(|info| info.sockaddr).collect())
}

#[cfg(test)]
mod tests {
    use std::{
        collections::HashMap,
        sync::{
            Condvar,
            atomic::{AtomicUsize, Ordering::SeqCst},
        },
        time::Duration,
    };

    use super::{super::names::LOOKUPS_MAX, *};

    const PATIENCE: Duration = Duration::from_secs(10);

    /// A name server of the test, which answers for a name on request.
    #[derive(Default)]
    struct Server {
        answers: Mutex<HashMap<String, Result<Vec<SocketAddr>, LookupError>>>,
        answered: Condvar,
        asked: AtomicUsize,
    }

    impl Server {
        fn resolver() -> (Arc<Self>, Arc<Resolver>) {
            let server = Arc::new(Self::default());
            let asked = Arc::clone(&server);
            (server, Resolver::with(move |name| asked.answer(name)))
        }

        fn answer(&self, name: &str) -> Result<Vec<SocketAddr>, LookupError> {
            self.asked.fetch_add(1, SeqCst);
            assert_ne!(name, "panics");
            let answers = self.answers.lock().unwrap();
            let answers = self.answered.wait_while(answers, |answers| !answers.contains_key(name)).unwrap();
            answers[name].clone()
        }

        fn release(&self, name: &str, answer: Result<Vec<SocketAddr>, LookupError>) {
            self.answers.lock().unwrap().insert(name.to_owned(), answer);
            self.answered.notify_all();
        }
    }

    fn address(last: u8) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, last], 0))
    }

    async fn resolve(resolver: &Arc<Resolver>, name: &str) -> Result<Addresses, LookupError> {
        tokio::time::timeout(PATIENCE, resolver.resolve(name)).await.expect("an answer in time")
    }

    /// Whether a dial gets no addresses within a short time.
    async fn hangs(resolver: &Arc<Resolver>, name: &str) -> bool {
        tokio::time::timeout(Duration::from_millis(1), resolver.resolve(name)).await.is_err()
    }

    #[actix::test]
    async fn one_look_up_answers_all_waiting_dials() {
        let (server, resolver) = Server::resolver();
        let waiting: Vec<_> = (0..100)
            .map(|_| {
                let resolver = Arc::clone(&resolver);
                actix_rt::spawn(async move { resolve(&resolver, "shared").await })
            })
            .collect();
        assert!(hangs(&resolver, "SHARED").await);
        server.release("shared", Ok(vec![address(1), address(2), address(1)]));
        for waiting in waiting {
            assert_eq!(waiting.await.unwrap().unwrap()[..], [address(1), address(2)]);
        }
        assert_eq!(server.asked.load(SeqCst), 1);
    }

    #[actix::test]
    async fn a_refresh_looks_up_again_and_returns_what_is_found() {
        let (server, resolver) = Server::resolver();
        for number in 1..=3 {
            server.release("name", Ok(vec![address(number)]));
            let found = tokio::time::timeout(PATIENCE, resolver.refresh("name")).await.unwrap();
            assert_eq!(found.unwrap()[..], [address(number)]);
            assert_eq!(resolve(&resolver, "name").await.unwrap()[..], [address(number)]);
            assert_eq!(server.asked.load(SeqCst), usize::from(number));
        }
        server.release("name", Err(LookupError::Failed("silent".into())));
        let found = tokio::time::timeout(PATIENCE, resolver.refresh("name")).await.unwrap();
        assert_eq!(found.unwrap()[..], [address(3)], "the last ones are used");
        assert_eq!(server.asked.load(SeqCst), 4, "one look-up for a refresh that fails");
    }

    #[actix::test]
    async fn a_hanging_look_up_delays_no_other() {
        let (server, resolver) = Server::resolver();
        server.release("other", Ok(vec![address(2)]));
        for _ in 0..1000 {
            assert!(hangs(&resolver, "hangs").await);
            if server.asked.load(SeqCst) == 1 {
                break;
            }
        }
        assert_eq!(resolve(&resolver, "other").await.unwrap()[..], [address(2)]);
        assert_eq!(server.asked.load(SeqCst), 2, "one thread for the name that hangs");
        server.release("hangs", Err(LookupError::NotFound));
        assert_eq!(resolve(&resolver, "hangs").await, Err(LookupError::NotFound));
    }

    #[actix::test]
    async fn refreshes_that_hang_leave_threads_to_dials() {
        let (server, resolver) = Server::resolver();
        let refreshing: Vec<_> = (0..2 * LOOKUPS_MAX)
            .map(|number| {
                let resolver = Arc::clone(&resolver);
                actix_rt::spawn(async move { resolver.refresh(&format!("hangs{number}")).await })
            })
            .collect();
        let is_full = async {
            while server.asked.load(SeqCst) < REFRESHES_MAX {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, is_full).await.unwrap();
        server.release("other", Ok(vec![address(2)]));
        assert_eq!(resolve(&resolver, "other").await.unwrap()[..], [address(2)]);
        assert_eq!(server.asked.load(SeqCst), REFRESHES_MAX + 1);
        (0..2 * LOOKUPS_MAX)
            .for_each(|number| server.release(&format!("hangs{number}"), Ok(vec![address(1)])));
        for refresh in refreshing {
            assert_eq!(refresh.await.unwrap().unwrap()[..], [address(1)]);
        }
    }

    #[test]
    fn which_of_too_many_addresses_are_used_does_not_depend_on_their_order() {
        let found: Vec<_> = (0..=u16::MAX)
            .step_by(64)
            .map(|number| {
                let [high, low] = number.to_be_bytes();
                SocketAddr::from(([10, 0, high, low], 1))
            })
            .collect();
        let mut rotated = found.clone();
        rotated.rotate_left(100);
        let [first, second] = [found, rotated.clone()].map(|found| usable(found).unwrap());
        assert_eq!((first.len(), second.len()), (ADDRESSES_MAX, ADDRESSES_MAX));
        assert!(first.iter().all(|address| second.contains(address)));
        assert!(second[0].ip() != first[0].ip(), "in the order of the system");
    }

    #[actix::test]
    async fn a_look_up_that_panics_is_a_failure() {
        let (_, resolver) = Server::resolver();
        assert!(matches!(resolve(&resolver, "panics").await, Err(LookupError::Failed(_))));
    }

    #[actix::test]
    async fn a_name_beyond_the_limit_is_looked_up_when_another_ends() {
        let (server, resolver) = Server::resolver();
        for number in 0..LOOKUPS_MAX {
            assert!(hangs(&resolver, &format!("hangs{number}")).await);
        }
        server.release("new", Ok(vec![address(3)]));
        let waiting = Arc::clone(&resolver);
        let new = actix_rt::spawn(async move { resolve(&waiting, "new").await });
        assert!(hangs(&resolver, "new").await);
        server.release("hangs7", Err(LookupError::NotFound));
        assert_eq!(new.await.unwrap().unwrap()[..], [address(3)]);
        // Lets the other threads end.
        (0..LOOKUPS_MAX).for_each(|number| server.release(&format!("hangs{number}"), Ok(Vec::new())));
    }

    #[actix::test]
    async fn a_name_without_addresses_is_not_found() {
        let (server, resolver) = Server::resolver();
        server.release("empty", Ok(Vec::new()));
        assert_eq!(resolve(&resolver, "empty").await, Err(LookupError::NotFound));
    }

    #[actix::test]
    async fn the_system_knows_localhost() {
        let found = resolve(&Resolver::system(), "localhost").await.unwrap();
        assert!(!found.is_empty() && found.iter().all(|address| address.ip().is_loopback()), "{found:?}");
    }
}
