//! The thread that keeps the keys of the methods up to date.

use std::{future::Future, io, sync::Arc, time::Duration};

use actix_rt::Arbiter;
use tokio::time::sleep;

use super::{Authenticator, files, jwks};
use crate::net::Network;

/// The time between the end of a task that panicked and the start of the next.
const RESTART_PAUSE: Duration = Duration::from_secs(1);

/// The thread on which files of keys are followed and keys are fetched. Workers never wait for a file.
pub struct Keepers {
    thread: Arbiter,
}

impl Keepers {
    /// Starts the thread. Call it on an actix system.
    ///
    /// # Errors
    /// When the thread or its event loop cannot be created.
    pub fn start() -> io::Result<Self> {
        let failed = |error: io::Error| {
            io::Error::new(error.kind(), format!("cannot start the thread that keeps keys: {error}"))
        };
        Ok(Self { thread: Arbiter::try_new().map_err(failed)? })
    }

    /// Keeps the keys of this method up to date for as long as a configuration has it. Does nothing for a method that is
    /// kept already.
    pub fn keep(&self, method: &Arc<Authenticator>, network: &Arc<Network>) {
        if let Some(remote) = method.remote().filter(|remote| !remote.mark_kept()) {
            let (remote, network) = (Arc::downgrade(remote), Arc::clone(network));
            self.thread.spawn(restarted(move || jwks::follow(remote.clone(), Arc::clone(&network))));
        }
        if !method.mark_kept() {
            let method = Arc::downgrade(method);
            self.thread.spawn(restarted(move || files::follow(method.clone())));
        }
    }

    /// Stops the thread.
    pub fn stop(&self) {
        self.thread.stop();
    }
}

/// Runs a task until its end, and starts it again whenever it has panicked.
async fn restarted<F: Future<Output = ()> + 'static>(task: impl Fn() -> F) {
    while actix_rt::spawn(task()).await.is_err() {
        log::error!("keys restart");
        sleep(RESTART_PAUSE).await;
    }
}
