//! Reads the files of methods again when they change. A file that cannot be used leaves the keys as they are.

use std::{
    io,
    path::PathBuf,
    sync::{Arc, Weak},
    time::Duration,
};

use zeroize::Zeroizing;

use super::Authenticator;
use crate::{
    files::{Fingerprint, Followed, Follower, Taken},
    log::Quoted,
    settings::{Host, Machine},
};

/// The time between two looks at a file.
const LOOK_PAUSE: Duration = Duration::from_millis(500);

/// Follows the file of a method for as long as a configuration has it.
pub(super) async fn follow(method: Weak<Authenticator>) {
    let Some(path) = method.upgrade().and_then(|method| method.file()) else { return };
    let mut keys = Keys { method, path, refused: None };
    Follower::default().follow(&mut keys, LOOK_PAUSE, |keys| keys.method.strong_count() > 0).await;
}

/// The keys of a method, if they are in a file.
struct Keys {
    method: Weak<Authenticator>,
    path: PathBuf,
    /// Why the last version was refused.
    refused: Option<String>,
}

impl Followed for Keys {
    /// The text may be a secret.
    type Read = io::Result<Zeroizing<String>>;

    fn paths(&self) -> Vec<PathBuf> {
        vec![self.path.clone()]
    }

    fn reader(&self) -> Box<dyn FnOnce() -> Self::Read + Send> {
        let path = self.path.clone();
        Box::new(move || Machine.read(&path).map(Zeroizing::new))
    }

    fn take(&mut self, read: Self::Read) -> Taken {
        let Some(method) = self.method.upgrade() else { return Taken::Used };
        let used = read.map_err(|error| format!("cannot be read: {error}"));
        let used = used.and_then(|text| replace(&method, &text));
        let before = self.refused.take();
        let (name, path) = (&method.config().name, self.path.to_string_lossy());
        let file = Quoted(&path);
        let error = match used {
            Ok(count) => {
                match count {
                    Some(count) => log::info!("keys changed auth={name} file={file} keys={count}"),
                    None if before.is_some() => log::info!("keys good again auth={name} file={file}"),
                    None => {}
                }
                return Taken::Used;
            }
            Err(error) => error,
        };
        if before.as_ref() != Some(&error) {
            log::error!("keys refused auth={name} file={file} reason={}", Quoted(&error));
        }
        self.refused = Some(error);
        Taken::Refused
    }
}

/// Uses the keys of a text, unless it is the one in use. Returns how many there are.
fn replace(method: &Arc<Authenticator>, text: &str) -> Result<Option<usize>, String> {
    let fingerprint = Some(Fingerprint::of(text));
    if method.fingerprint() == fingerprint {
        return Ok(None);
    }
    let count = method.reread(text).map_err(|error| error.to_string())?;
    method.set_fingerprint(fingerprint);
    Ok(Some(count))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::{
        auth::{ApiKeys, ApiKeysConfig, AuthConfig, MethodConfig, Secret, Source, Unlimited},
        net::Network,
    };

    /// A key `test` of this name.
    fn key(name: &str) -> String {
        format!("{name}:sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\n")
    }

    /// The settings are checked a while before the file is followed.
    #[test]
    fn a_key_file_that_changes_before_the_first_look_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let (path, text) = (folder.path().join("keys"), key("old"));
        let config = AuthConfig {
            name: "keys".into(),
            from: [Source::Authorization].into(),
            forwards: false,
            renew: None,
            method: MethodConfig::ApiKeys(ApiKeysConfig {
                file: Some(path.clone()),
                keys: ApiKeys::parse(&text).unwrap(),
            }),
            fingerprint: Some(Fingerprint::of(&text)),
        };
        let method = Authenticator::new(Arc::new(config), None, &Network::system());
        fs::write(&path, key("new")).unwrap();
        actix::System::new().block_on(async {
            let mut keys = Keys { method: Arc::downgrade(&method), path, refused: None };
            let mut follower = Follower::default();
            follower.look(&mut keys).await;
            follower.look(&mut keys).await;
            let identity = method.identify(&Secret::from("test"), 0, &Unlimited).await.unwrap();
            assert_eq!(identity.subject.as_deref(), Some("new"));
        });
    }

    #[test]
    fn a_text_that_is_in_use_is_not_taken_again() {
        let text = key("a");
        let config = AuthConfig {
            name: "keys".into(),
            from: [Source::Authorization].into(),
            forwards: false,
            renew: None,
            method: MethodConfig::ApiKeys(ApiKeysConfig { file: None, keys: ApiKeys::parse(&text).unwrap() }),
            fingerprint: Some(Fingerprint::of(&text)),
        };
        let method = Authenticator::new(Arc::new(config), None, &Network::system());
        let other = key("b");
        for (text, taken) in [
            (&text, Some(None)),
            (&other, Some(Some(1))),
            (&"x".to_owned(), None),
            (&other, Some(None)),
            (&text, Some(Some(1))),
        ] {
            assert_eq!(replace(&method, text).ok(), taken, "{text}");
        }
    }
}
