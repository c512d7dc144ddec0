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
    Ok(match &source.to {
        None => Layers::read(source.config.as_deref(), environment())?,
        Some(to) => of_flags(source, to),
    })
}

/// Reads the settings again, from a command line that [`layers`] has accepted.
pub(super) fn read_again(source: &Source) -> Result<Layers, SettingsError> {
    match &source.to {
        None => Layers::read_again(source.config.as_deref(), environment()),
        Some(to) => Ok(of_flags(source, to)),
    }
}

fn of_flags(source: &Source, to: &str) -> Layers {
    match source.listen.as_slice() {
        [] => from_flags(&[LISTEN.to_owned()], to, environment()),
        listen => from_flags(listen, to, environment()),
    }
}
