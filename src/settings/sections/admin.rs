//! The section `[admin]` of the settings.

use super::address;
use crate::{
    net::Bind,
    settings::read::{Section, text},
};

/// The section `[admin]`: the address of the health pages.
#[derive(Debug, Clone)]
pub struct Admin {
    /// The address to listen on, or a name with all its addresses.
    pub bind: Bind,
    /// Whether an address in use is an error, which is so if the settings name the address. If false, the
    /// address is only the default, and a free port is used instead.
    pub strict: bool,
}

/// Reads the section; `None` when `bind` is empty.
pub(crate) fn read(section: &Section<'_>) -> Option<Admin> {
    let set = section.said("bind");
    if set.is_some_and(|value| text(value) == Ok("")) {
        return None;
    }
    let strict = section.is_of_file() || set.is_some();
    let bind = section.read("bind", |value| address::parse(value, section.host()));
    bind.map(|bind| Admin { bind, strict })
}
