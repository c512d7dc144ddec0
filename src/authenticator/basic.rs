//! The method `basic`: passwords are checked on threads for blocking work, a few at a time.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, LazyLock, Mutex, PoisonError},
    thread::available_parallelism,
    time::{Duration, Instant},
};

use actix_rt::task::spawn_blocking;
use tokio::{sync::Semaphore, time::timeout};

use crate::auth::{
    BasicConfig, Denial, Identity, Invalid,
    basic::{Login, LoginTag, Successes, Users, UsersError},
};

/// The number of passwords that are checked at the same time, in all sections: half of the cores, so that sessions have
/// the others.
static SLOTS: LazyLock<Arc<Semaphore>> = LazyLock::new(|| {
    let cores = available_parallelism().map_or(1, usize::from);
    Arc::new(Semaphore::new((cores / 2).max(1)))
});

/// Maximum number of clients whose passwords wait for a slot or are checked, in all sections.
const WAITING_MAX: usize = 256;

static WAITING: Semaphore = Semaphore::const_new(WAITING_MAX);

/// The time that a client waits for a slot.
const WAIT_MAX: Duration = Duration::from_secs(10);

/// The seconds after which a client that had no slot may try again.
const RETRY_SECONDS: u32 = 5;

/// The users of a section.
pub(super) struct Checker {
    name: Arc<str>,
    file: PathBuf,
    loaded: Mutex<Arc<Loaded>>,
}

/// One version of the file, with what is remembered of it: a new version remembers nothing.
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
    pub(super) async fn check(&self, login: Login) -> Result<Identity, Denial> {
        let loaded = self.loaded();
        let tag = loaded.tag(&login);
        if loaded.knows(&tag) || loaded.verify(login.clone(), tag).await? {
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

    async fn verify(self: &Arc<Self>, login: Login, tag: LoginTag) -> Result<bool, Denial> {
        let busy = || Denial::Busy(RETRY_SECONDS);
        let _place = WAITING.try_acquire().map_err(|_| busy())?;
        let slot = timeout(WAIT_MAX, Arc::clone(&SLOTS).acquire_owned()).await;
        let Ok(Ok(slot)) = slot else { return Err(busy()) };
        // Another request of this client may have been checked meanwhile.
        if self.knows(&tag) {
            return Ok(true);
        }
        let Some((hash, is_own)) = self.users.hash_for(&login, &tag) else { return Ok(false) };
        let checked = spawn_blocking(move || {
            let _slot = slot;
            hash.verify(&login.password)
        });
        let is_right = checked.await.is_ok_and(|matches| matches && is_own);
        if is_right {
            self.successes.lock().unwrap_or_else(PoisonError::into_inner).insert(tag, Instant::now());
        }
        Ok(is_right)
    }
}
