//! The failure of a command, with its exit code.

use std::{fmt, fs, io, path::Path};

use crate::{
    admin::AdminError,
    cli::{EXIT_CONFIG, EXIT_FAILURE, EXIT_USAGE},
    settings::SettingsError,
};

/// The failure of a command.
pub(super) enum CommandError {
    /// Wrong usage of the command line.
    Usage(String),
    /// Invalid settings.
    Settings(SettingsError),
    /// Programs with warnings, when warnings count as errors.
    Warnings(String),
    /// An operation of the system failed.
    Io(io::Error),
    /// The proxy that was checked is not healthy.
    Unhealthy(String),
    /// The admin server cannot be used, or refuses.
    Admin(AdminError),
    /// The running proxy refuses its changed settings. The text has the problems.
    Refused(String),
    /// The given program is invalid. The text is its diagnostics, printed unchanged.
    Program(String),
    /// The command has printed everything already.
    Reported,
}

// === impl CommandError ===

impl CommandError {
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => EXIT_USAGE,
            Self::Admin(AdminError::Url(_)) => EXIT_USAGE,
            Self::Settings(_) | Self::Warnings(_) | Self::Refused(_) => EXIT_CONFIG,
            Self::Io(_) | Self::Admin(_) | Self::Unhealthy(_) | Self::Program(_) | Self::Reported => {
                EXIT_FAILURE
            }
        }
    }
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Settings(error) => error.fmt(f),
            Self::Io(error) => error.fmt(f),
            Self::Admin(error) => error.fmt(f),
            Self::Usage(text)
            | Self::Warnings(text)
            | Self::Unhealthy(text)
            | Self::Refused(text)
            | Self::Program(text) => f.write_str(text),
            Self::Reported => Ok(()),
        }
    }
}

impl From<SettingsError> for CommandError {
    fn from(error: SettingsError) -> Self {
        Self::Settings(error)
    }
}

impl From<AdminError> for CommandError {
    fn from(error: AdminError) -> Self {
        Self::Admin(error)
    }
}

impl From<io::Error> for CommandError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Reads a text file. An error names the file.
pub(super) fn read(file: &Path) -> io::Result<String> {
    fs::read_to_string(file).map_err(|error| named(file, &error))
}

/// The error with the name of the file before its text.
pub(super) fn named(file: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", file.display()))
}
