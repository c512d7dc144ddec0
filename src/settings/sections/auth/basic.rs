//! The table `basic` of a section `[auth.NAME]`.

use config::Value;

use super::Read;
use crate::{
    auth::{BasicConfig, MethodConfig, basic::Users},
    files::Fingerprint,
    settings::read::{Section, text},
};

/// Maximum length of a realm, in bytes.
const REALM_MAX: usize = 256;

/// Reads the table. Reports a problem with a line of the file by its number and user, without its hash.
pub(super) fn read(name: &str, section: &Section<'_>) -> Option<Read> {
    for key in ["from", "forward_as"].into_iter().filter(|key| section.said(key).is_some()) {
        section.conflict(key, &[], "has no effect with basic, whose credential is Authorization: Basic");
    }
    let realm = section.read("basic.realm", realm).unwrap_or_else(|| name.to_owned());
    let Some(file) = section.path_to("basic.file") else {
        if section.said("basic.file").is_none() {
            section.missing("basic.file");
        }
        return None;
    };
    let text = section.host().read(&file).map_err(|error| format!("cannot be read: {error}"));
    let fingerprint = text.as_deref().ok().map(Fingerprint::of);
    let users = text.and_then(|text| Users::parse(&text).map_err(|error| error.to_string()));
    let users = users.map_err(|text| section.wrong("basic.file", text)).ok()?;
    Some((MethodConfig::Basic(BasicConfig { file, users, realm }), fingerprint))
}

fn realm(value: &Value) -> Result<String, String> {
    let realm = text(value)?;
    let is_shown = realm.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
    match is_shown && !realm.is_empty() && realm.len() <= REALM_MAX {
        true => Ok(realm.to_owned()),
        false => Err("takes a text of up to 256 visible ASCII characters and spaces".to_owned()),
    }
}
