//! The table `renew` of a section `[auth.NAME]`: the messages by which clients renew their credentials.

use config::Value;

use crate::{
    auth::RenewalRule,
    settings::read::{Section, text},
};

/// The keys, which belong together.
const KEYS: [&str; 3] = ["renew.path", "renew.value", "renew.token"];

/// A key of the table that is set.
pub(super) fn said(section: &Section<'_>) -> Option<&'static str> {
    KEYS.into_iter().find(|key| section.said(key).is_some())
}

/// Reads the keys; `None` if the section has none of them, or one is wrong, which is reported.
pub(super) fn read(section: &Section<'_>) -> Option<RenewalRule> {
    let (path, token) = (section.read("renew.path", path), section.read("renew.token", path));
    let value = section.read("renew.value", value);
    let said = KEYS.iter().any(|key| section.said(key).is_some());
    for key in KEYS.iter().filter(|key| said && section.said(key).is_none()) {
        section.problem(key, "required with the other keys of renew");
    }
    let (path, token) = (path?, token?);
    if path == token {
        section.conflict(
            "renew.token",
            &["renew.path"],
            "is the path of the value by which a message is recognised",
        );
    }
    Some(RenewalRule { path, value: value?, token })
}

/// A path such as `auth.token`.
fn path(value: &Value) -> Result<Box<[String]>, String> {
    let keys: Box<[String]> = text(value)?.split('.').map(str::to_owned).collect();
    if keys.iter().any(String::is_empty) {
        return Err("takes a path into a message, such as \"auth.token\"".to_owned());
    }
    Ok(keys)
}

fn value(value: &Value) -> Result<String, String> {
    match text(value)? {
        "" => Err("takes a text that is not empty".to_owned()),
        text => Ok(text.to_owned()),
    }
}
