//! The section `[log]` of the settings.

use crate::{
    log::{Config, Filter, Format},
    settings::read::{Section, text},
};

/// Reads the section.
pub(crate) fn read(section: &Section<'_>) -> Config {
    let level = section.read("level", |value| {
        let level = text(value)?;
        Filter::parse(level).map_err(|error| error.to_string())?;
        Ok(level.to_owned())
    });
    let format = if section.chooses("format", "json") { Format::Json } else { Format::Text };
    Config { level: level.unwrap_or_default(), format }
}
