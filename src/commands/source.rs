//! Reads the settings that the command line names.

use super::CommandError;
use crate::{
    cli::Source,
    settings::{Layers, SettingsError, environment, from_flags},
};

/// The address to listen on when `--to` is given without `--listen`.
const LISTEN: &str = "127.0.0.1:9139";

/// Reads the settings file, or creates settings from `--listen` and `--to`.
pub(super) fn layers(source: &Source) -> Result<Layers, CommandError> {
    if let (Some(_), Some(file)) = (&source.to, &source.config) {
        let text = format!(
            "--to cannot be combined with a settings file, and --config or TOWLINE_CONFIG names {}; leave out \
             one of them",
            file.display()
        );
        return Err(CommandError::Usage(text));
    }
    Ok(read(source)?)
}

/// Reads the settings again, from a command line that [`layers`] has accepted.
pub(super) fn read(source: &Source) -> Result<Layers, SettingsError> {
    match (&source.to, source.listen.as_slice()) {
        (None, _) => Layers::read(source.config.as_deref(), environment()),
        (Some(to), []) => Ok(from_flags(&[LISTEN.to_owned()], to, environment())),
        (Some(to), listen) => Ok(from_flags(listen, to, environment())),
    }
}
