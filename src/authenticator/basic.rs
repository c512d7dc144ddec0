//! The method `basic`: passwords are checked on threads for blocking work, a few at a time.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, LazyLock, Mutex, PoisonError},
    thread::available_parallelism,
    time::{Duration, Instant},
};

use actix_rt::task::spawn_blocking;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit},
    time::timeout,
};

use crate::auth::{
    BasicConfig, Denial, Identity, Invalid, Waiting,
    basic::{Login, LoginTag, MEMORY_MAX, Substitutes, Successes, Users, UsersError},
};

/// The checks of passwords, in all sections.
static CHECKS: LazyLock<Checks> = LazyLock::new(|| {
    let cores = available_parallelism().map_or(1, usize::from);
    // Sessions have the other half of the cores.
    Checks::new((cores / 2).max(1), MEMORY_TOTAL, WAIT_MAX)
});

/// The hashes that users who are not listed are checked against. The key is that of the process, because a change at each
/// version of a file would reveal which users exist.
static SUBSTITUTES: LazyLock<Substitutes> = LazyLock::new(|| Substitutes::new(&rand::random()));

/// Maximum number of clients whose passwords wait for their check or are checked.
const WAITING_MAX: usize = 256;

/// The memory that checks take at the same time, in KiB: that of two of the most costly hashes of Argon2. A check takes
/// as much as its hash says.
const MEMORY_TOTAL: u32 = 2 * MEMORY_MAX;

/// The time that a client waits for a slot and memory.
const WAIT_MAX: Duration = Duration::from_secs(10);

/// The seconds after which a client that had no slot may try again.
const RETRY_SECONDS: u32 = 5;

/// The limits on checks of passwords.
struct Checks {
    /// A place for each client whose password waits or is checked.
    places: Semaphore,
    /// The memory in KiB.
    memory: Arc<Semaphore>,
    /// A slot for each check that runs.
    slots: Arc<Semaphore>,
    wait: Duration,
}

/// The slot and the memory of a check that runs.
struct Running {
    _memory: Option<OwnedSemaphorePermit>,
    _slot: OwnedSemaphorePermit,
}

/// The users of a section.
pub(super) struct Checker {
    name: Arc<str>,
    file: PathBuf,
    loaded: Mutex<Arc<Loaded>>,
}

/// One version of the file, with the logins that succeeded with it. A new version begins without any.
struct Loaded {
    users: Users,
    successes: Mutex<Successes>,
}

// === impl Checker ===

impl Checker {
    pub(super) fn new(name: &Arc<str>, config: &BasicConfig) -> Self {
        let loaded = Mutex::new(Loaded::new(config.users.clone()));
        Self { name: Arc::clone(name), file: config.file.clone(), loaded }
    }

    /// Checks user and password. A client that is gone leaves the queue; a check that runs continues to its end.
    pub(super) async fn check(&self, login: Login, waiting: &dyn Waiting) -> Result<Identity, Denial> {
        let loaded = self.loaded();
        let tag = loaded.tag(&login);
        if loaded.knows(&tag) || loaded.verify(login.clone(), tag, waiting).await? {
            return Ok(login.identity(&self.name));
        }
        Err(Denial::Invalid(Invalid::Login))
    }

    fn loaded(&self) -> Arc<Loaded> {
        Arc::clone(&self.loaded.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The file of the users.
    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    /// Uses the users of a new version of the file. Returns how many there are.
    pub(super) fn reread(&self, text: &str) -> Result<usize, UsersError> {
        let users = Users::parse(text)?;
        let count = users.count();
        *self.loaded.lock().unwrap_or_else(PoisonError::into_inner) = Loaded::new(users);
        Ok(count)
    }
}

// === impl Loaded ===

impl Loaded {
    fn new(users: Users) -> Arc<Self> {
        Arc::new(Self { users, successes: Mutex::new(Successes::new(&rand::random())) })
    }

    fn tag(&self, login: &Login) -> LoginTag {
        self.successes.lock().unwrap_or_else(PoisonError::into_inner).tag(login)
    }

    fn knows(&self, tag: &LoginTag) -> bool {
        self.successes.lock().unwrap_or_else(PoisonError::into_inner).contains(tag, Instant::now())
    }

    async fn verify(
        self: &Arc<Self>,
        login: Login,
        tag: LoginTag,
        waiting: &dyn Waiting,
    ) -> Result<bool, Denial> {
        waiting.begin(Instant::now())?;
        let _place = CHECKS.place()?;
        let Some((hash, is_own)) = self.users.hash_for(&login.user, &SUBSTITUTES) else { return Ok(false) };
        let running = CHECKS.begin(hash.memory()).await?;
        // Another request of this client may have been checked meanwhile.
        if self.knows(&tag) {
            return Ok(true);
        }
        let checked = spawn_blocking(move || {
            let _running = running;
            hash.verify(&login.password)
        });
        let is_right = checked.await.is_ok_and(|matches| matches && is_own);
        if is_right {
            self.successes.lock().unwrap_or_else(PoisonError::into_inner).insert(tag, Instant::now());
        }
        Ok(is_right)
    }
}

// === impl Checks ===

impl Checks {
    fn new(slots: usize, memory: u32, wait: Duration) -> Self {
        let permits = |count| Arc::new(Semaphore::new(count));
        Self {
            places: Semaphore::new(WAITING_MAX),
            memory: permits(memory as usize),
            slots: permits(slots),
            wait,
        }
    }

    /// A place among the clients that wait.
    fn place(&self) -> Result<SemaphorePermit<'_>, Denial> {
        self.places.try_acquire().map_err(|_| Denial::Busy(RETRY_SECONDS))
    }

    /// Waits for what a check needs that takes this memory, in KiB. A check has its memory before its slot, so that one
    /// which waits for memory holds no slot.
    async fn begin(&self, memory: u32) -> Result<Running, Denial> {
        let all = async {
            let memory = match memory {
                0 => None,
                memory => Some(Arc::clone(&self.memory).acquire_many_owned(memory).await.ok()?),
            };
            let slot = Arc::clone(&self.slots).acquire_owned().await.ok()?;
            Some(Running { _memory: memory, _slot: slot })
        };
        timeout(self.wait, all).await.ok().flatten().ok_or(Denial::Busy(RETRY_SECONDS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(test: impl Future<Output = ()>) {
        actix::System::new().block_on(test);
    }

    /// 32 clients of one address could make the process take 8 GiB otherwise.
    #[test]
    fn the_memory_of_checks_that_run_is_limited() {
        run(async {
            let checks = Checks::new(8, 100, Duration::ZERO);
            let busy = |running: Result<Running, Denial>| running.err() == Some(Denial::Busy(RETRY_SECONDS));
            let first = checks.begin(64).await.unwrap();
            assert!(busy(checks.begin(37).await), "64 and 37 are more than 100");
            let second = checks.begin(36).await.unwrap();
            assert!(busy(checks.begin(1).await));
            let _bcrypt = checks.begin(0).await.expect("bcrypt takes no memory");
            drop((first, second));
            let _third = checks.begin(100).await.unwrap();
        });
    }

    #[test]
    fn a_check_that_waits_for_memory_holds_no_slot() {
        run(async {
            let checks = Checks::new(2, 100, Duration::from_secs(60));
            let _first = checks.begin(100).await.unwrap();
            tokio::select! {
                biased;
                _ = checks.begin(100) => panic!("there is no memory"),
                other = checks.begin(0) => assert!(other.is_ok()),
            }
        });
    }

    #[test]
    fn the_number_of_clients_that_wait_is_limited() {
        let checks = Checks::new(1, 100, Duration::ZERO);
        let places: Vec<_> = (0..WAITING_MAX).map(|_| checks.place().unwrap()).collect();
        assert_eq!(checks.place().err(), Some(Denial::Busy(RETRY_SECONDS)));
        drop(places);
        assert!(checks.place().is_ok());
    }
}
