//! Files that are read again when they change.

mod follow;

use std::{
    fs,
    io::{self, Read},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::Path,
    time::{Duration, Instant},
};

pub use self::follow::{Fingerprint, Followed, Follower, Taken};

/// Maximum size of a settings file, a program or a list, in bytes: more than any person writes. It stops endless
/// files such as `/dev/zero`.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// The pause before a file that could not be used is read again. It doubles each time.
const RETRY_MIN: Duration = Duration::from_secs(1);

/// The longest pause between two readings of a file that cannot be used.
const RETRY_MAX: Duration = Duration::from_secs(60);

/// What identifies the content of a file without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version {
    device: u64,
    inode: u64,
    length: u64,
    /// Seconds and nanoseconds of the last change of the content.
    modified: (i64, i64),
    /// Seconds and nanoseconds of the last change of the content or of the file's properties.
    changed: (i64, i64),
}

/// Which version of a file, or of several files, was noticed last, and which one is in use.
#[derive(Debug)]
pub struct Looks<V> {
    seen: Option<V>,
    taken: Option<V>,
}

/// When a file that could not be used is read again. What it lacks may not show in its [`Version`]: a file system that
/// fails for a while, or a process without free descriptors.
#[derive(Debug, Default)]
struct Retries {
    /// The pause before the next one, and when it is over; `None` if the last reading was good.
    next: Option<(Duration, Instant)>,
}

// === impl Version ===

impl Version {
    /// The version of the file at a path, through symbolic links; `None` if there is none.
    pub fn of(path: &Path) -> Option<Self> {
        let of = |file: fs::Metadata| Self {
            device: file.dev(),
            inode: file.ino(),
            length: file.len(),
            modified: (file.mtime(), file.mtime_nsec()),
            changed: (file.ctime(), file.ctime_nsec()),
        };
        fs::metadata(path).ok().map(of)
    }
}

// === impl Looks ===

impl<V: PartialEq + Clone> Looks<V> {
    /// Takes what a look has found. Returns whether the file is read now: when it differs from the one that was taken,
    /// and two looks in a row found the same. A program that writes a file in several steps is not read in between.
    pub fn look(&mut self, version: V) -> bool {
        let is_settled = self.seen.replace(version.clone()).as_ref() == Some(&version);
        let is_new = self.taken.as_ref() != Some(&version);
        if is_settled && is_new {
            self.taken = Some(version);
        }
        is_settled && is_new
    }
}

impl<V: PartialEq> Looks<V> {
    /// Whether the version of the last look is the one that was taken.
    fn is_taken(&self) -> bool {
        self.seen == self.taken
    }
}

impl<V> Default for Looks<V> {
    fn default() -> Self {
        Self { seen: None, taken: None }
    }
}

// === impl Retries ===

impl Retries {
    /// A new version is read: what was wrong with the last one says nothing about it.
    fn reset(&mut self) {
        self.next = None;
    }

    /// A file could not be used.
    fn failed(&mut self, now: Instant) {
        let pause = self.next.map_or(RETRY_MIN, |(pause, _)| (pause * 2).min(RETRY_MAX));
        self.next = Some((pause, now + pause));
    }

    fn is_due(&self, now: Instant) -> bool {
        self.next.is_some_and(|(_, at)| at <= now)
    }
}

// === reading ===

/// Reads a text of at most `FILE_BYTES_MAX` bytes from a file or a pipe. A pipe without writer blocks.
///
/// # Errors
/// When the file cannot be read, is too long, or is not UTF-8.
pub fn read_text(path: &Path) -> io::Result<String> {
    text(fs::File::open(path)?)
}

/// Reads a text file of at most `FILE_BYTES_MAX` bytes that may be read again later, so that a pipe is an error. It
/// waits for no writer.
///
/// # Errors
/// When the file is not a regular file, cannot be read, is too long, or is not UTF-8.
pub fn read_regular(path: &Path) -> io::Result<String> {
    text(open_regular(path)?)
}

/// Reads a text file as [`read_regular`] does. Returns the text and the permissions of the file.
///
/// # Errors
/// The same errors as [`read_regular`].
pub fn read_with_mode(path: &Path) -> io::Result<(String, u32)> {
    let file = open_regular(path)?;
    let mode = file.metadata()?.mode();
    Ok((text(file)?, mode))
}

/// Opens a regular file, without waiting for a writer of a named pipe.
fn open_regular(path: &Path) -> io::Result<fs::File> {
    let file = fs::OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")),
    }
}

fn text(file: fs::File) -> io::Result<String> {
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        let text = format!("longer than {FILE_BYTES_MAX} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
    }
    String::from_utf8(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.utf8_error()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(number: u64) -> Option<Version> {
        Some(Version { device: 1, inode: number, length: 1, modified: (0, 0), changed: (0, 0) })
    }

    #[test]
    fn a_file_is_read_once_it_stays_the_same() {
        let mut looks = Looks::default();
        let found = [version(1), version(1), version(1), version(2), version(3), version(3), version(3)];
        let read = found.map(|version| looks.look(version));
        assert_eq!(read, [false, true, false, false, false, true, false]);
    }

    #[test]
    fn a_file_that_is_gone_is_reported_once_and_taken_again() {
        let mut looks = Looks::default();
        let found = [version(1), version(1), None, version(1), None, None, None, version(1), version(1)];
        let read = found.map(|version| looks.look(version));
        assert_eq!(read, [false, true, false, false, false, true, false, false, true]);
    }

    #[test]
    fn versions_differ_by_what_happens_to_a_file() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let (path, other) = (folder.path().join("a"), folder.path().join("b"));
        assert_eq!(Version::of(&path), None);
        fs::write(&path, "1")?;
        let first = Version::of(&path);
        assert_eq!(Version::of(&path), first);
        fs::write(&path, "22")?;
        let longer = Version::of(&path);
        fs::write(&other, "33")?;
        fs::rename(&other, &path)?;
        let replaced = Version::of(&path);
        assert!(first.is_some() && first != longer && longer != replaced);
        Ok(())
    }
}
