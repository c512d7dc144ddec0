//! The command `towline init`.

use std::{
    fs::{self, OpenOptions},
    io::{self, ErrorKind, Write},
    path::Path,
};

use super::{CommandError, error::named, print};
use crate::settings::template;

/// Writes a settings file with comments. Never overwrites a file.
pub(super) fn init(file: &Path) -> Result<(), CommandError> {
    if file == Path::new("-") {
        return Ok(print(&template())?);
    }
    let created = OpenOptions::new().write(true).create_new(true).open(file);
    let mut created = created.map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => {
            let text = format!("{} exists and is not overwritten; name another file", file.display());
            io::Error::new(ErrorKind::AlreadyExists, text)
        }
        _ => named(file, &error),
    })?;
    if let Err(error) = created.write_all(template().as_bytes()) {
        // An incomplete file would make the next attempt fail.
        let _ = fs::remove_file(file);
        return Err(named(file, &error).into());
    }
    Ok(print(&format!("Wrote {0}. Run it: towline run --config {0}\n", file.display()))?)
}
