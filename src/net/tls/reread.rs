//! Reads certificates and keys again when their files change.
//!
//! Running connections keep the certificates of their handshakes. Files that cannot be used change nothing.

use std::{convert::Infallible, future::pending, path::PathBuf, time::Duration};

use super::{
    TlsClient, TlsServer,
    client::ClientFiles,
    current::{FilesRefused, FromFiles, Load},
    server::ServerFiles,
};
use crate::{
    certificate::{Certificate, Validity},
    clock,
    files::{Followed, Follower, Taken},
    log::Quoted,
};

/// The time between two looks at the files.
const LOOK_PAUSE: Duration = Duration::from_millis(250);

/// One side of TLS.
pub trait Tls {
    /// Its settings.
    type Settings: Load;

    /// The value that is made from its files.
    fn made(&self) -> &FromFiles<Self::Settings>;
}

/// Follows the files of one listener, upstream or method of authentication.
struct Reread<S: Load> {
    made: FromFiles<S>,
    /// A part of log lines, such as `listener=ws`.
    owner: String,
    /// The error in the files at the last reading.
    wrong: Option<String>,
    /// The latest warnings about the validity of the certificates.
    reported: Vec<(String, Validity)>,
}

impl Tls for TlsServer {
    type Settings = ServerFiles;

    fn made(&self) -> &FromFiles<ServerFiles> {
        &self.made
    }
}

impl Tls for TlsClient {
    type Settings = ClientFiles;

    fn made(&self) -> &FromFiles<ClientFiles> {
        &self.made
    }
}

impl<S: Load> Followed for Reread<S> {
    type Read = Result<bool, FilesRefused>;

    fn paths(&self) -> Vec<PathBuf> {
        self.made.paths()
    }

    fn reader(&self) -> Box<dyn FnOnce() -> Self::Read + Send> {
        let made = self.made.clone();
        Box::new(move || made.read_again())
    }

    fn take(&mut self, read: Self::Read) -> Taken {
        let owner = &self.owner;
        match (read, self.wrong.take()) {
            (Ok(true), None) => log::info!("certificates changed {owner}"),
            (Ok(true), Some(_)) => log::info!("certificates changed, the files are good again {owner}"),
            (Ok(false), Some(_)) => log::info!("certificate files are good again {owner}"),
            (Ok(false), None) => {}
            (Err(FilesRefused(text)), before) => {
                if before.as_ref() != Some(&text) {
                    log::error!("certificate files refused {owner} reason={}", Quoted(&text));
                }
                self.wrong = Some(text);
                return Taken::Refused;
            }
        }
        Taken::Used
    }

    /// Logs certificates that have expired or will soon: each once a day.
    fn after_look(&mut self) {
        let found = doubtful_of(&self.made, clock::seconds());
        for (key, validity) in &found {
            if !self.reported.contains(&(key.clone(), *validity)) {
                let (owner, reason) = (&self.owner, validity.to_string());
                log::warn!("certificate warning {owner} key={key} reason={}", Quoted(&reason));
            }
        }
        self.reported = found;
    }
}

/// Follows the files for as long as the future is polled. `owner` is a part of log lines, such as `listener=ws`.
pub async fn follow(tls: &impl Tls, owner: &str) -> Infallible {
    let made = tls.made().clone();
    if made.paths().is_empty() {
        return pending().await;
    }
    // The validity at the start is among the warnings about the settings.
    let reported = doubtful_of(&made, clock::seconds());
    let mut reread = Reread { made, owner: owner.to_owned(), wrong: None, reported };
    let mut follower = Follower::default();
    loop {
        follower.follow(&mut reread, LOOK_PAUSE, |_| true).await;
    }
}

/// The certificates that are not valid now, or expire soon. `now` is in seconds since 1970.
pub fn doubtful(tls: &impl Tls, now: u64) -> Vec<(String, Validity)> {
    doubtful_of(tls.made(), now)
}

fn doubtful_of(made: &FromFiles<impl Load>, now: u64) -> Vec<(String, Validity)> {
    let now = i64::try_from(now).unwrap_or(i64::MAX);
    let validity = |(key, certificate): (String, Certificate)| (key, certificate.validity(now));
    let all = made.certificates().into_iter().map(validity);
    all.filter(|(_, validity)| *validity != Validity::Valid).collect()
}
