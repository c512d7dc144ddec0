//! Reads the files of methods again when they change. A file that cannot be used leaves the keys as they are.

use std::{io, path::PathBuf, sync::Weak, time::Duration};

use actix_rt::task::spawn_blocking;
use ring::digest::{SHA256, digest};
use tokio::time::sleep;

use super::Authenticator;
use crate::{
    files::Looks,
    log::Quoted,
    settings::{Host, Machine},
};

/// The time between two looks at a file. A change is taken at the second look that finds the same content, so that a
/// program that writes it in several steps is not read in between.
const LOOK_PAUSE: Duration = Duration::from_millis(500);

/// What a look has found: the hash of the content, or why there is none.
type Found = Result<[u8; 32], io::ErrorKind>;

/// Follows the file of a method for as long as a configuration has it.
pub(super) async fn follow(method: Weak<Authenticator>) {
    let Some(path) = method.upgrade().and_then(|method| method.file()) else { return };
    let mut looks: Option<Looks<Found>> = None;
    while method.strong_count() > 0 {
        let reading: PathBuf = path.clone();
        // A file system that hangs delays nothing else.
        if let Ok(read) = spawn_blocking(move || Machine.read(&reading)).await {
            let found = read.as_ref().map(|text| hash(text)).map_err(io::Error::kind);
            // What the first look finds is in use already.
            let looks = looks.get_or_insert_with(|| Looks::taken(found));
            if let Some(method) = method.upgrade().filter(|_| looks.look(found)) {
                take(&method, &path.to_string_lossy(), read);
            }
        }
        sleep(LOOK_PAUSE).await;
    }
}

fn take(method: &Authenticator, path: &str, read: io::Result<String>) {
    let taken = read.map_err(|error| format!("cannot be read: {error}"));
    let taken = taken.and_then(|text| method.reread(&text).map_err(|error| error.to_string()));
    let (name, file) = (&method.config().name, Quoted(path));
    match taken {
        Ok(count) => log::info!("keys changed auth={name} file={file} keys={count}"),
        Err(error) => log::error!(
            "keys refused auth={name} file={file} reason={}, the keys stay as they are",
            Quoted(&error)
        ),
    }
}

fn hash(text: &str) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, text.as_bytes()).as_ref());
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_used_once_it_stays_the_same_and_differs() {
        let mut looks = Looks::taken(Ok(hash("1")));
        let none = Err(io::ErrorKind::NotFound);
        let found = [hash("1"), hash("1"), hash("2"), hash("3"), hash("3"), hash("3"), hash("1")];
        assert_eq!(found.map(|hash| looks.look(Ok(hash))), [false, false, false, false, true, false, false]);
        assert_eq!([none, none, none].map(|found| looks.look(found)), [false, true, false]);
        assert_eq!([hash("3"), hash("3")].map(|hash| looks.look(Ok(hash))), [false, true]);
    }
}
