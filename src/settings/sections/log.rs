//! The section `[log]` of the settings.

use std::sync::Arc;

use crate::{
    access::{LineFormat, Style},
    log::{Config, Filter, Format},
    settings::read::{Section, text},
};

/// Reads the section: the settings of the log, and the format of the access log.
pub(crate) fn read(section: &Section<'_>) -> (Config, Option<Arc<LineFormat>>) {
    let level = section.read("level", |value| {
        let level = text(value)?;
        Filter::parse(level).map_err(|error| error.to_string())?;
        Ok(level.to_owned())
    });
    let format = if section.chooses("format", "json") { Format::Json } else { Format::Text };
    (Config { level: level.unwrap_or_default(), format }, read_access(section))
}

/// The format of the access log; `None` when it is off.
fn read_access(section: &Section<'_>) -> Option<Arc<LineFormat>> {
    let style = match section.choice("access").as_deref() {
        Some("text") => Some(Style::Text),
        Some("json") => Some(Style::Json),
        _ => None,
    };
    // Without a style too, so that a wrong format is an error before it is used.
    let format = section.read("access_format", |value| {
        LineFormat::parse(style.unwrap_or(Style::Text), text(value)?).map_err(|error| error.to_string())
    });
    if style.is_none() && section.said("access_format").is_some() {
        section.conflict("access_format", &["access"], "has no effect: there is no access log");
    }
    format.filter(|_| style.is_some()).map(Arc::new)
}
