//! Values that are made from files, and replaced when the files change.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    io,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use zeroize::Zeroizing;

use super::PemError;
use crate::{certificate::Certificate, files};

/// The settings of one side of TLS, which name files.
pub trait Load: Send + Sync + 'static {
    /// The value that is made from the files.
    type Loaded: Send + Sync;

    /// The error in a file.
    type Problem;

    /// The files.
    fn paths(&self) -> Vec<PathBuf>;

    /// Makes the value from the texts of the files.
    ///
    /// # Errors
    /// All files that cannot be used.
    fn load(&self, texts: &Texts) -> Result<Self::Loaded, Vec<Self::Problem>>;

    /// The certificates of a value, each with the settings key that names its file.
    fn certificates(loaded: &Self::Loaded) -> &[(String, Certificate)];

    /// A problem with the settings key of the file.
    fn text(problem: &Self::Problem) -> String;
}

/// Why files cannot be used: each settings key with a reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct FilesRefused(pub String);

/// A value that is made from files, with the settings that name them. Clones share everything.
pub struct FromFiles<S: Load> {
    pub(super) settings: Arc<S>,
    current: Arc<Current<S::Loaded>>,
}

/// The latest value that was made from files. Reading it never waits long, because replacing it is one assignment.
#[derive(Debug)]
struct Current<T>(RwLock<Stamped<T>>);

#[derive(Debug)]
struct Stamped<T> {
    value: Arc<T>,
    /// A hash of the texts that the value was made from.
    stamp: u64,
}

/// The texts of files, or the reasons why they cannot be read. Each file is read once.
pub struct Texts {
    /// By path. Some are private keys, which are erased from memory after use.
    by_path: HashMap<PathBuf, Result<Zeroizing<String>, String>>,
    stamp: u64,
}

// === impl FromFiles ===

impl<S: Load> FromFiles<S> {
    /// Reads the files with `read`, and makes the first value.
    ///
    /// # Errors
    /// All files that cannot be used.
    pub(super) fn load(
        settings: S,
        read: impl Fn(&Path) -> io::Result<String>,
    ) -> Result<Self, Vec<S::Problem>> {
        let current = Current::new(Texts::read(settings.paths(), read), |texts| settings.load(texts))?;
        Ok(Self { settings: Arc::new(settings), current: Arc::new(current) })
    }

    /// The value that was made last.
    pub(super) fn get(&self) -> Arc<S::Loaded> {
        self.current.get()
    }

    /// The files.
    pub(super) fn paths(&self) -> Vec<PathBuf> {
        self.settings.paths()
    }

    /// Reads the files again, and uses them from now on. Returns whether their content has changed. It blocks.
    ///
    /// # Errors
    /// The problems with the files, each with its settings key. The value then stays as it is.
    pub(super) fn read_again(&self) -> Result<bool, FilesRefused> {
        let texts = Texts::read(self.paths(), files::read_regular);
        let replaced = self.current.replace(texts, |texts| self.settings.load(texts));
        replaced.map_err(|problems| FilesRefused(problems.iter().map(S::text).collect::<Vec<_>>().join("; ")))
    }

    /// The certificates as they were read last, each with the settings key that names its file.
    pub(super) fn certificates(&self) -> Vec<(String, Certificate)> {
        S::certificates(&self.get()).to_vec()
    }
}

impl<S: Load> Clone for FromFiles<S> {
    fn clone(&self) -> Self {
        Self { settings: Arc::clone(&self.settings), current: Arc::clone(&self.current) }
    }
}

// === impl Current ===

impl<T> Current<T> {
    /// Makes the first value from texts.
    fn new<E>(texts: Texts, load: impl FnOnce(&Texts) -> Result<T, E>) -> Result<Self, E> {
        Ok(Self(RwLock::new(Stamped { value: Arc::new(load(&texts)?), stamp: texts.stamp })))
    }

    /// Makes a value from texts, unless they are those of the current value, and replaces it. Returns whether it was
    /// replaced.
    fn replace<E>(&self, texts: Texts, load: impl FnOnce(&Texts) -> Result<T, E>) -> Result<bool, E> {
        if self.0.read().unwrap_or_else(PoisonError::into_inner).stamp == texts.stamp {
            return Ok(false);
        }
        let loaded = Stamped { value: Arc::new(load(&texts)?), stamp: texts.stamp };
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = loaded;
        Ok(true)
    }

    /// The current value.
    fn get(&self) -> Arc<T> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner).value)
    }
}

// === impl Texts ===

impl Texts {
    /// Reads files.
    pub(super) fn read(
        paths: impl IntoIterator<Item = PathBuf>,
        read: impl Fn(&Path) -> io::Result<String>,
    ) -> Self {
        let (mut by_path, mut hasher) = (HashMap::new(), DefaultHasher::new());
        for path in paths {
            let text = by_path.entry(path).or_insert_with_key(|path| {
                read(path)
                    .map(Zeroizing::new)
                    .map_err(|error| format!("cannot read {}: {error}", path.display()))
            });
            text.as_deref().hash(&mut hasher);
        }
        Self { by_path, stamp: hasher.finish() }
    }

    /// The parsed content of a file, or what is wrong with it.
    pub(super) fn parsed<T>(
        &self,
        path: &Path,
        parse: impl FnOnce(&str) -> Result<T, PemError>,
    ) -> Result<T, String> {
        match self.by_path.get(path) {
            Some(Ok(text)) => parse(text).map_err(|error| error.to_string()),
            Some(Err(error)) => Err(error.clone()),
            None => Err("was not read".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &'static str) -> Texts {
        Texts::read([PathBuf::from("a")], move |_| match text {
            "" => Err(io::ErrorKind::NotFound.into()),
            text => Ok(text.to_owned()),
        })
    }

    fn load(texts: &Texts) -> Result<String, String> {
        texts.parsed(Path::new("a"), |text| match text {
            "bad" => Err(PemError::NoKey),
            text => Ok(text.to_owned()),
        })
    }

    #[test]
    fn only_a_good_text_that_is_new_replaces_the_value() {
        assert!(Current::new(texts(""), load).is_err());
        let current = Current::new(texts("1"), load).unwrap();
        let kept = current.get();
        for (text, expected, value) in [
            ("1", Ok(false), "1"),
            ("2", Ok(true), "2"),
            ("bad", Err(()), "2"),
            ("", Err(()), "2"),
            ("2", Ok(false), "2"),
            ("1", Ok(true), "1"),
        ] {
            assert_eq!(current.replace(texts(text), load).map_err(|_| ()), expected, "{text}");
            assert_eq!(*current.get(), value);
        }
        assert_eq!(*kept, "1");
    }
}
