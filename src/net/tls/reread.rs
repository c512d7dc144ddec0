//! Reads certificates and keys again when their files change.
//!
//! Running connections keep the certificates of their handshakes. Files that cannot be used leave everything as it is.

use std::{
    convert::Infallible,
    future::pending,
    path::PathBuf,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use actix_rt::task::spawn_blocking;
use tokio::time::sleep;

use crate::{
    certificate::{Certificate, Validity},
    files::{Looks, Version},
    log::Quoted,
};

/// The time between two looks at the files. A change is taken at the second look that finds the files the same.
const LOOK_PAUSE: Duration = Duration::from_millis(250);

/// TLS settings that are made from files.
pub trait FromFiles: Clone + Send + 'static {
    /// The files.
    fn paths(&self) -> Vec<PathBuf>;

    /// Reads the files again, and uses them from now on. Returns whether their content has changed. It blocks.
    ///
    /// # Errors
    /// What is wrong with which file. Nothing has changed then.
    fn read_again(&self) -> Result<bool, FilesRefused>;

    /// The certificates as they were read last, each with the settings key that names its file.
    fn certificates(&self) -> Vec<(String, Certificate)>;
}

/// Why files cannot be used: each settings key with a reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct FilesRefused(pub String);

/// Follows the files of one listener or upstream.
#[derive(Debug, Default)]
struct Reread {
    looks: Looks<Vec<Option<Version>>>,
    /// What was wrong with the files at the last reading.
    wrong: Option<String>,
    /// What was last reported about the validity of the certificates.
    reported: Vec<(String, Validity)>,
}

impl Reread {
    /// Starts to follow files that were read with the settings.
    fn new(files: &impl FromFiles) -> Self {
        // The validity at the start is among the warnings about the settings.
        Self { reported: doubtful(files, now()), ..Self::default() }
    }

    /// Looks at the files once, on a thread for blocking work, and reads them if they have changed. `owner` is a part of
    /// log lines, such as `listener=ws`.
    async fn look(&mut self, files: &impl FromFiles, owner: &str) {
        let paths = files.paths();
        let versions = move || paths.iter().map(|path| Version::of(path)).collect::<Vec<_>>();
        let Ok(versions) = spawn_blocking(versions).await else { return };
        if self.looks.look(versions) {
            let reading = files.clone();
            if let Ok(read) = spawn_blocking(move || reading.read_again()).await {
                self.read(read, owner);
            }
        }
        self.report(doubtful(files, now()), owner);
    }

    fn read(&mut self, read: Result<bool, FilesRefused>, owner: &str) {
        match (read, self.wrong.take()) {
            (Ok(true), None) => log::info!("certificates changed {owner}"),
            (Ok(true), Some(_)) => log::info!("certificates changed, the files are good again {owner}"),
            (Ok(false), Some(_)) => log::info!("certificate files are good again {owner}"),
            (Ok(false), None) => {}
            (Err(FilesRefused(text)), before) => {
                if before.as_ref() != Some(&text) {
                    log::error!(
                        "certificate files refused {owner} reason={}, the certificates stay as they are",
                        Quoted(&text)
                    );
                }
                self.wrong = Some(text);
            }
        }
    }

    /// Logs certificates that have expired or will soon: each once a day.
    fn report(&mut self, found: Vec<(String, Validity)>, owner: &str) {
        for (key, validity) in &found {
            if !self.reported.contains(&(key.clone(), *validity)) {
                log::warn!("certificate warning {owner} key={key} reason={}", Quoted(&validity.to_string()));
            }
        }
        self.reported = found;
    }
}

/// Follows the files for as long as the future is polled.
pub async fn follow(files: &impl FromFiles, owner: &str) -> Infallible {
    if files.paths().is_empty() {
        return pending().await;
    }
    let mut reread = Reread::new(files);
    loop {
        reread.look(files, owner).await;
        sleep(LOOK_PAUSE).await;
    }
}

/// The certificates that are not valid now, or expire soon.
pub fn doubtful(files: &impl FromFiles, now: i64) -> Vec<(String, Validity)> {
    let validity = |(key, certificate): (String, Certificate)| (key, certificate.validity(now));
    let all = files.certificates().into_iter().map(validity);
    all.filter(|(_, validity)| *validity != Validity::Valid).collect()
}

/// The time in seconds since 1970.
pub fn now() -> i64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(elapsed.as_secs()).unwrap_or(i64::MAX)
}
