//! Modules in folders.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::trickle::{Module, Modules};

/// How files of modules end, the first that is there counts.
const ENDINGS: [&str; 2] = ["tremor", "trickle"];

/// Folders in which modules are looked for, in order: `a::b` is `a/b.tremor` or `a/b.trickle`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Folders(pub Vec<PathBuf>);

impl Modules for Folders {
    fn load(&self, path: &[&str]) -> Result<Option<Module>, String> {
        // A name in backticks may be anything, and must not lead out of the folders.
        let plain = |name: &&str| name.chars().all(|c| c == '_' || c == '-' || c.is_alphanumeric());
        if !path.iter().all(plain) {
            return Ok(None);
        }
        for folder in &self.0 {
            let file = path.iter().fold(folder.clone(), |file, name| file.join(name));
            for ending in ENDINGS {
                if let Some(module) = read(&file.with_extension(ending))? {
                    return Ok(Some(module));
                }
            }
        }
        Ok(None)
    }
}

fn read(file: &Path) -> Result<Option<Module>, String> {
    match fs::read_to_string(file) {
        Ok(text) => Ok(Some(Module { name: file.display().to_string(), text })),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => Ok(None),
        Err(error) => Err(format!("{}: {error}", file.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_do_not_lead_out_of_the_folders() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("inside")).unwrap();
        fs::write(folder.path().join("secret.tremor"), "const A = 1;").unwrap();
        fs::write(folder.path().join("inside/open.trickle"), "const B = 1;").unwrap();
        let modules = Folders(vec![folder.path().join("inside")]);
        assert_eq!(
            modules.load(&["open"]).unwrap().map(|module| module.text).as_deref(),
            Some("const B = 1;")
        );
        for path in [&["..", "secret"][..], &["../secret"], &["/etc/passwd"], &["none"], &["open", "more"]] {
            assert_eq!(modules.load(path), Ok(None), "{path:?}");
        }
    }
}
