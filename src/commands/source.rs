//! Reads the settings that the command line names.

use super::CommandError;
use crate::{
    cli::Source,
    settings::{Layers, environment, from_flags},
};

/// The address to listen on when `--to` is given without `--listen`.
const LISTEN: &str = "127.0.0.1:9139";

/// Reads the settings file, or creates settings from `--listen` and `--to`.
pub(super) fn layers(source: &Source) -> Result<Layers, CommandError> {
    let Some(to) = &source.to else {
        return Ok(Layers::read(source.config.as_deref(), environment())?);
    };
    if let Some(file) = &source.config {
        let text = format!(
            "--to cannot be combined with a settings file, and --config or TOWLINE_CONFIG names {}; leave out \
             one of them",
            file.display()
        );
        return Err(CommandError::Usage(text));
    }
    match source.listen.as_slice() {
        [] => Ok(from_flags(&[LISTEN.to_owned()], to, environment())),
        listen => Ok(from_flags(listen, to, environment())),
    }
}
