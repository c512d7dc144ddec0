//! The sections `[pipeline.NAME]` of the settings.
//!
//! The settings compile the programs, so that a program that does not compile is reported together with all
//! other mistakes. The checks of a route also depend on what its programs do.

use std::{
    cell::RefCell,
    hash::{DefaultHasher, Hash, Hasher},
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{language::Language, modules::Folders};
use crate::{
    settings::{host::Host, read::Section},
    trickle::Program,
};

/// A section `[pipeline.NAME]`: a program.
#[derive(Debug, Clone)]
pub struct Pipeline {
    /// The `NAME` of the section.
    pub name: String,
    /// The file of the program; `None` when the program is written in the settings.
    pub file: Option<PathBuf>,
    /// The compiled program.
    pub program: Arc<Program>,
    /// A digest of the program's text, of the modules that it uses, and of the limits on it.
    pub text: u64,
}

/// A machine that digests the files that are read.
struct Digesting<'a> {
    host: &'a dyn Host,
    digest: RefCell<DefaultHasher>,
}

/// Reads the section; `None` without a valid program.
pub(crate) fn read(name: &str, section: &Section<'_>, language: &Language) -> Option<Arc<Pipeline>> {
    let (key, label, source, file) = match (section.text("source"), section.path_to("file")) {
        (Some(source), None) => ("source", section.path.clone(), source, None),
        (None, Some(path)) => {
            let source = match section.host().read(&path) {
                Ok(source) => source,
                Err(error) => {
                    section.problem("file", format!("cannot read {}: {error}", path.display()));
                    return None;
                }
            };
            ("file", path.display().to_string(), source, Some(path))
        }
        (Some(_), Some(_)) => {
            section.problem("file", "set either source or file, not both");
            return None;
        }
        (None, None) => {
            if section.said("source").or(section.said("file")).is_none() {
                section.section_problem("needs a program: source = \"…\", or file = \"…\"".to_owned());
            }
            return None;
        }
    };
    let host = Digesting { host: section.host(), digest: RefCell::default() };
    host.add(&source);
    host.add(&format!("{:?}", language.limits));
    let modules = Folders::new(language.module_path.clone(), &host);
    match Program::compile_with(&label, &source, &modules, language.limits) {
        Ok(program) => {
            let text = host.digest.borrow().finish();
            Some(Arc::new(Pipeline { name: name.to_owned(), file, program: Arc::new(program), text }))
        }
        Err(diagnostics) => {
            let indented = diagnostics.to_string().replace('\n', "\n    ");
            section.problem(key, format!("the program does not compile\n    {indented}"));
            None
        }
    }
}

// === impl Digesting ===

impl Digesting<'_> {
    fn add(&self, text: &str) {
        text.hash(&mut *self.digest.borrow_mut());
    }
}

impl Host for Digesting<'_> {
    fn read(&self, path: &Path) -> io::Result<String> {
        let text = self.host.read(path)?;
        self.add(&text);
        Ok(text)
    }

    fn read_with_mode(&self, path: &Path) -> io::Result<(String, u32)> {
        let (text, mode) = self.host.read_with_mode(path)?;
        self.add(&text);
        Ok((text, mode))
    }

    fn resolve(&self, address: &str) -> io::Result<Vec<SocketAddr>> {
        self.host.resolve(address)
    }
}

#[cfg(test)]
mod tests {
    use crate::settings::fixture::{MINIMAL, load};

    #[test]
    fn the_digest_changes_with_the_program_its_modules_and_its_limits() {
        let folder = tempfile::tempdir().unwrap();
        let digest = |program: &str, module: &str, steps: u32| {
            std::fs::write(folder.path().join("lib.trickle"), module).unwrap();
            let language = format!("[language]\nmodule_path = [{:?}]\nmax_steps = {steps}\n", folder.path());
            let text = MINIMAL.replace("select event from in into out;", program);
            load(&format!("{language}{text}"), &[]).unwrap().pipelines["pass"].text
        };
        let (one, program) =
            ("define script one\nscript\n  1\nend;\n", "use lib; select event from in into out;");
        let first = digest(program, one, 1000);
        assert_eq!(first, digest(program, one, 1000));
        assert_ne!(first, digest(&format!("{program} "), one, 1000));
        assert_ne!(first, digest(program, &format!("{one}\n"), 1000));
        assert_ne!(first, digest(program, one, 1001));
    }
}
