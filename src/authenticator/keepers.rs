//! The thread that keeps the keys of the methods up to date.

use std::{io, sync::Arc, time::Duration};

use actix_rt::Arbiter;
use tokio::time::sleep;

use super::{Authenticator, files, jwks};
use crate::{
    net::{
        Network,
        tls::{TlsClient, reread},
    },
    restart::restarted,
};

/// The time between two looks whether a configuration still has a method.
const LOOK_PAUSE: Duration = Duration::from_secs(5);

/// The thread on which files are followed and keys are fetched. Workers never wait for a file.
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

    /// Keeps the keys of this method, and the roots of the servers that it asks, up to date for as long as a
    /// configuration has it. Does nothing for a method that is kept already.
    pub fn keep(&self, method: &Arc<Authenticator>, network: &Arc<Network>) {
        if let Some(remote) = method.remote().filter(|remote| !remote.mark_kept()) {
            let owner = format!("auth={}", remote.name());
            let (tls, remote, network) = (remote.tls().cloned(), Arc::downgrade(remote), Arc::clone(network));
            let is_kept = remote.clone();
            self.follow_roots(tls, owner, move || is_kept.strong_count() > 0);
            self.spawn("keys", move || jwks::follow(remote.clone(), Arc::clone(&network)));
        }
        if !method.mark_kept() {
            let owner = format!("auth={}", method.config().name);
            let (tls, method) = (method.tls().cloned(), Arc::downgrade(method));
            let is_kept = method.clone();
            self.follow_roots(tls, owner, move || is_kept.strong_count() > 0);
            self.spawn("keys", move || files::follow(method.clone()));
        }
    }

    /// Reads the file of roots again when it changes, for as long as `is_kept`.
    fn follow_roots(
        &self,
        tls: Option<TlsClient>,
        owner: String,
        is_kept: impl Fn() -> bool + Clone + Send + 'static,
    ) {
        let Some(tls) = tls else { return };
        self.spawn("roots", move || {
            let (tls, owner, is_kept) = (tls.clone(), owner.clone(), is_kept.clone());
            async move {
                let unused = async {
                    while is_kept() {
                        sleep(LOOK_PAUSE).await;
                    }
                };
                tokio::select! {
                    never = reread::follow(&tls, &owner) => match never {},
                    () = unused => {}
                }
            }
        });
    }

    fn spawn<F: Future<Output = ()> + 'static>(
        &self,
        what: &'static str,
        task: impl Fn() -> F + Send + 'static,
    ) {
        self.thread.spawn(restarted(what, task));
    }

    /// Stops the thread.
    pub fn stop(&self) {
        self.thread.stop();
    }
}
