//! The command `towline check`.

use std::io::{self, Write};

use super::{CommandError, print, source};
use crate::{
    cli::Check,
    log,
    settings::{self, Extent, Settings},
};

/// Checks the settings and prints them. Warnings go to standard error, so that the output can be used as a
/// settings file.
pub(super) fn check(options: &Check) -> Result<(), CommandError> {
    let layers = source::layers(&options.source)?;
    let settings = settings::check(&layers)?;
    let rust_log = std::env::var("RUST_LOG").ok().filter(|text| !text.is_empty());
    let warnings = warnings(&settings, rust_log.as_deref());
    if options.strict && !warnings.is_empty() {
        return Err(CommandError::Warnings(warnings.join("\n\n")));
    }
    for warning in &warnings {
        // The lines of a program are a paragraph.
        let end = if warning.contains('\n') { "\n" } else { "" };
        writeln!(io::stderr(), "{warning}{end}")?;
    }
    if let Some(filter) = rust_log.filter(|filter| log::environment_warning(filter).is_none()) {
        writeln!(io::stderr(), "note: RUST_LOG = {filter:?} replaces log.level")?;
    }
    let extent = if options.changed { Extent::Changed } else { Extent::All };
    Ok(print(&settings::report(&layers, extent))?)
}

/// Warnings about settings that are valid but likely a mistake.
fn warnings(settings: &Settings, rust_log: Option<&str>) -> Vec<String> {
    let programs = settings.warnings().map(ToString::to_string);
    let variable = rust_log.and_then(log::environment_warning).map(|text| format!("warning: {text}"));
    let remarks = settings.remarks().into_iter().map(|remark| format!("warning: {remark}"));
    programs.chain(remarks).chain(variable).collect()
}
