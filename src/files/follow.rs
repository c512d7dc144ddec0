//! Follows files: checks them periodically, and reads them again when they have changed.
//!
//! The first version is read too, because the files may have changed since they were read with the settings. The object
//! that is made from them recognises the same content by its [`Fingerprint`].

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use actix_rt::task::spawn_blocking;
use ring::digest::{SHA256, digest};
use tokio::time::sleep;

use super::{Looks, Retries, Version};

/// The hash of the text of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

/// An object that is made from files, and made again when they change.
pub trait Followed {
    /// The result of reading the files.
    type Read: Send + 'static;

    /// The files.
    fn paths(&self) -> Vec<PathBuf>;

    /// Returns a function that reads the files. It runs on a thread for blocking work, so that a file system that hangs
    /// delays nothing else.
    fn reader(&self) -> Box<dyn FnOnce() -> Self::Read + Send>;

    /// Uses the result, which may be in use already. Refused files are read again later, so write a log line only if
    /// the reason differs from the last one.
    fn take(&mut self, read: Self::Read) -> Taken;

    /// Called after each check.
    fn after_look(&mut self) {}
}

/// Whether the result of a reading is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It is in use.
    Used,
    /// It cannot be used.
    Refused,
}

/// The versions of some files that were seen, and the one that was read.
#[derive(Debug, Default)]
pub struct Follower {
    looks: Looks<Vec<Option<Version>>>,
    retries: Retries,
}

// === impl Fingerprint ===

impl Fingerprint {
    /// The fingerprint of this text.
    pub fn of(text: &str) -> Self {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, text.as_bytes()).as_ref());
        Self(hash)
    }
}

// === impl Follower ===

impl Follower {
    /// Checks the files once, and reads them if they have changed. A change is read when two checks in a row find the
    /// same files, so that files that are written in several steps are not read in between. Files that cannot be used
    /// are read again after a while, even if they are the same.
    pub async fn look(&mut self, followed: &mut impl Followed) {
        let paths = followed.paths();
        let versions = move || paths.iter().map(|path| Version::of(path)).collect::<Vec<_>>();
        let Ok(versions) = spawn_blocking(versions).await else { return };
        let is_new = self.looks.look(versions);
        if is_new {
            self.retries.reset();
        }
        if is_new || self.looks.is_taken() && self.retries.is_due(Instant::now()) {
            let read = spawn_blocking(followed.reader()).await;
            // A reader that panics has no result.
            match read.map_or(Taken::Refused, |read| followed.take(read)) {
                Taken::Used => self.retries.reset(),
                Taken::Refused => self.retries.failed(Instant::now()),
            }
        }
        followed.after_look();
    }

    /// Checks the files for as long as `is_needed`, with this pause between two checks.
    pub async fn follow<F: Followed>(
        &mut self,
        followed: &mut F,
        pause: Duration,
        is_needed: impl Fn(&F) -> bool,
    ) {
        while is_needed(followed) {
            self.look(followed).await;
            sleep(pause).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A file, and the texts that were read of it.
    struct Texts(PathBuf, Vec<String>);

    impl Followed for Texts {
        type Read = std::io::Result<String>;

        fn paths(&self) -> Vec<PathBuf> {
            vec![self.0.clone()]
        }

        fn reader(&self) -> Box<dyn FnOnce() -> Self::Read + Send> {
            let path = self.0.clone();
            Box::new(move || fs::read_to_string(path))
        }

        fn take(&mut self, read: Self::Read) -> Taken {
            let taken = if read.is_ok() { Taken::Used } else { Taken::Refused };
            self.1.push(read.unwrap_or_default());
            taken
        }
    }

    #[test]
    fn a_change_before_the_first_look_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        fs::write(&path, "1").unwrap();
        actix::System::new().block_on(async move {
            let (mut follower, mut texts) = (Follower::default(), Texts(path.clone(), Vec::new()));
            for _ in 0..4 {
                follower.look(&mut texts).await;
            }
            assert_eq!(texts.1, ["1"]);
            fs::remove_file(&path).unwrap();
            for _ in 0..4 {
                follower.look(&mut texts).await;
            }
            fs::write(&path, "22").unwrap();
            for _ in 0..4 {
                follower.look(&mut texts).await;
            }
            assert_eq!(texts.1, ["1", "", "22"]);
        });
    }

    /// A file whose first readings fail, although it does not change.
    struct Failing {
        path: PathBuf,
        failures: usize,
        readings: usize,
    }

    impl Followed for Failing {
        type Read = ();

        fn paths(&self) -> Vec<PathBuf> {
            vec![self.path.clone()]
        }

        fn reader(&self) -> Box<dyn FnOnce() -> Self::Read + Send> {
            Box::new(|| ())
        }

        fn take(&mut self, (): ()) -> Taken {
            self.readings += 1;
            if self.readings > self.failures { Taken::Used } else { Taken::Refused }
        }
    }

    #[test]
    fn a_file_that_could_not_be_used_is_read_again_although_it_is_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        fs::write(&path, "1").unwrap();
        actix::System::new().block_on(async move {
            let (mut follower, mut failing) =
                (Follower::default(), Failing { path, failures: 2, readings: 0 });
            for readings in 1..=3 {
                for _ in 0..3 {
                    follower.look(&mut failing).await;
                }
                assert_eq!(failing.readings, readings);
                // The pause is over.
                if let Some((_, at)) = &mut follower.retries.next {
                    *at = Instant::now();
                }
            }
            for _ in 0..3 {
                follower.look(&mut failing).await;
            }
            assert_eq!(failing.readings, 3, "it is in use");
        });
    }
}
