//! Finds modules of programs in the folders of `language.module_path`.

use std::{io::ErrorKind, path::PathBuf};

use crate::{
    settings::host::Host,
    trickle::{Module, ModuleError, Modules},
};

/// File extensions of modules: those for programs, and those for scripts.
const ENDINGS: [&str; 2] = ["trickle", "tremor"];

/// Folders that contain modules. `use a::b` loads `a/b.trickle` or `a/b.tremor` from the first folder that
/// has one of these files.
#[derive(Clone)]
pub struct Folders<'h> {
    folders: Vec<PathBuf>,
    host: &'h dyn Host,
}

impl<'h> Folders<'h> {
    /// Creates a search of the given folders, in order.
    pub fn new(folders: Vec<PathBuf>, host: &'h dyn Host) -> Self {
        Self { folders, host }
    }
}

impl Modules for Folders<'_> {
    /// Loads the module from the first folder that has it; `None` if no folder does.
    ///
    /// # Security
    /// A name in backticks may contain any characters. Only letters, digits, `_` and `-` are accepted in file
    /// paths, so that no name leads out of the folders.
    fn load(&self, path: &[&str]) -> Result<Option<Module>, ModuleError> {
        let fits = |letter: char| letter.is_alphanumeric() || matches!(letter, '_' | '-');
        if path.iter().any(|name| name.is_empty() || !name.chars().all(fits)) {
            return Ok(None);
        }
        for folder in &self.folders {
            for ending in ENDINGS {
                let file = folder.join(path.join("/")).with_extension(ending);
                let name = file.display().to_string();
                match self.host.read(&file) {
                    Ok(text) => return Ok(Some(Module { name, text })),
                    Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {}
                    Err(error) => return Err(ModuleError { name, error }),
                }
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Machine;

    #[test]
    fn modules_are_files_in_the_first_folder_that_has_them() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::create_dir(two.path().join("a")).unwrap();
        for (folder, file, text) in [
            (&one, "m.trickle", "1"),
            (&two, "m.tremor", "2"),
            (&two, "a/b.tremor", "3"),
            (&two, "bad.trickle", ""),
        ] {
            std::fs::write(folder.path().join(file), text).unwrap();
        }
        std::fs::write(two.path().join("bad.trickle"), b"\xff").unwrap();
        let folders = Folders::new(vec![one.path().to_owned(), two.path().to_owned()], &Machine);
        let text = |path: &[&str]| folders.load(path).unwrap().map(|module| module.text);
        assert_eq!(text(&["m"]).as_deref(), Some("1"));
        assert_eq!(text(&["a", "b"]).as_deref(), Some("3"));
        assert_eq!(text(&["a"]), None);
        assert_eq!(text(&["m", "x"]), None);
        assert_eq!(text(&["a", "..", "m"]), None);
        assert_eq!(text(&["a/b"]), None);
        assert_eq!(text(&[""]), None);
        assert!(folders.load(&["bad"]).unwrap_err().to_string().contains("bad.trickle"));
        let name = folders.load(&["a", "b"]).unwrap().unwrap().name;
        assert_eq!(name, two.path().join("a/b.tremor").display().to_string());
    }
}
