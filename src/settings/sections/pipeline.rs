//! The sections `[pipeline.NAME]` of the settings.
//!
//! The settings compile the programs, so that a program that does not compile is reported together with all
//! other mistakes. The checks of a route also depend on what its programs do.

use std::{path::PathBuf, sync::Arc};

use super::{language::Language, modules::Folders};
use crate::{settings::read::Section, trickle::Program};

/// A section `[pipeline.NAME]`: a program.
#[derive(Debug, Clone)]
pub struct Pipeline {
    /// The `NAME` of the section.
    pub name: String,
    /// The file of the program; `None` when the program is written in the settings.
    pub file: Option<PathBuf>,
    /// The compiled program.
    pub program: Arc<Program>,
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
    let modules = Folders::new(language.module_path.clone(), section.host());
    match Program::compile_with(&label, &source, &modules, language.limits) {
        Ok(program) => Some(Arc::new(Pipeline { name: name.to_owned(), file, program: Arc::new(program) })),
        Err(diagnostics) => {
            let indented = diagnostics.to_string().replace('\n', "\n    ");
            section.problem(key, format!("the program does not compile\n    {indented}"));
            None
        }
    }
}
