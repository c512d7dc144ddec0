//! The command `towline fmt`.

use std::{
    fs,
    io::{self, Write},
    path::Path,
};

use super::{
    CommandError,
    error::{named, read},
};
use crate::{
    cli::Fmt,
    tools::fmt::{Formatted, formatted},
};

/// Formats programs and scripts.
pub(super) fn fmt(options: &Fmt) -> Result<(), CommandError> {
    let mut all_good = true;
    for file in &options.files {
        all_good &= format_file(file, options.check)?;
    }
    if all_good { Ok(()) } else { Err(CommandError::Reported) }
}

/// Formats one file in place. If `check` is true, only prints its name if it would change. Returns false when
/// the file has syntax errors or would change.
fn format_file(file: &Path, check: bool) -> Result<bool, CommandError> {
    let is_stdin = file == Path::new("-");
    let text = if is_stdin { io::read_to_string(io::stdin())? } else { read(file)? };
    let name = if is_stdin { "standard input".to_owned() } else { file.display().to_string() };
    let changed = match formatted(&name, &text) {
        Ok(Formatted::Same) => None,
        Ok(Formatted::Changed(new)) => Some(new),
        Err(errors) => {
            writeln!(io::stderr(), "{errors}")?;
            return Ok(false);
        }
    };
    match changed {
        Some(_) if check => {
            writeln!(io::stdout(), "{name}")?;
            return Ok(false);
        }
        Some(new) if !is_stdin => fs::write(file, new).map_err(|error| named(file, &error))?,
        new if is_stdin && !check => io::stdout().write_all(new.as_deref().unwrap_or(&text).as_bytes())?,
        _ => {}
    }
    Ok(true)
}
