//! The section `[language]` of the settings.

use std::path::PathBuf;

use crate::{settings::read::Section, trickle::Limits as ProgramLimits};

/// The section `[language]`: settings for all programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Language {
    /// Folders of the modules that programs `use`, as absolute paths.
    pub module_path: Vec<PathBuf>,
    /// Limits on the cost of one event in a program.
    pub limits: ProgramLimits,
}

/// Reads the section.
pub(crate) fn read(section: &Section<'_>) -> Language {
    Language {
        module_path: section.paths("module_path"),
        limits: ProgramLimits {
            max_steps: section.count("max_steps"),
            max_recursion: section.count("max_recursion"),
            max_value: section.size("max_value"),
            ..ProgramLimits::default()
        },
    }
}
