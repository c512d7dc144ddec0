//! The rows of the table of keys for `[auth.NAME]`.

use super::{Key, Kind, Preset};

/// The keys of the section: those of all methods, and the tables of the methods.
pub(super) const AUTH: &[Key] = &[
    key("from", Kind::List, Preset::List(&["authorization"])),
    key("forward_as", Kind::Choice(&["authorization"]), Preset::Absent),
    key("renew.path", Kind::Text, Preset::Absent),
    key("renew.value", Kind::Text, Preset::Absent),
    key("renew.token", Kind::Text, Preset::Absent),
    key("api_keys.file", Kind::Path, Preset::Absent),
    key("api_keys.keys", Kind::Hashes, Preset::Absent),
];

const fn key(name: &'static str, kind: Kind, preset: Preset) -> Key {
    Key { name, kind, preset }
}
