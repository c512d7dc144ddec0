//! The table `api_keys` of a section `[auth.NAME]`.

use config::Value;

use super::Read;
use crate::{
    auth::{ApiKeys, ApiKeysConfig, MethodConfig},
    files::Fingerprint,
    settings::{
        layers::as_table,
        read::{Section, text},
    },
};

/// Reads the table. Reports a problem with a key by its name, without its hash.
pub(super) fn read(_name: &str, section: &Section<'_>) -> Option<Read> {
    let file = section.path_to("api_keys.file");
    let listed = section.read("api_keys.keys", listed);
    let mut fingerprint = None;
    let keys = match (&file, listed) {
        (Some(_), Some(_)) => {
            section.conflict("api_keys.file", &[], "set either api_keys.file or api_keys.keys, not both");
            return None;
        }
        (None, listed) => listed?,
        (Some(path), None) => {
            let text = section.host().read(path).map_err(|error| format!("cannot be read: {error}"));
            fingerprint = text.as_deref().ok().map(Fingerprint::of);
            let keys = text.and_then(|text| ApiKeys::parse(&text).map_err(|error| error.to_string()));
            keys.map_err(|text| section.wrong("api_keys.file", text)).ok()?
        }
    };
    Some((MethodConfig::ApiKeys(ApiKeysConfig { file, keys }), fingerprint))
}

fn listed(value: &Value) -> Result<ApiKeys, String> {
    let takes = || "takes a table of names and hashes, such as { billing = \"sha256:9f86…\" }".to_owned();
    let table = as_table(value).filter(|table| !table.is_empty()).ok_or_else(takes)?;
    let pair = |(name, value)| text(value).map(|text| (String::as_str(name), text)).map_err(|_| takes());
    let pairs: Vec<_> = table.iter().map(pair).collect::<Result<_, String>>()?;
    ApiKeys::from_pairs(pairs.into_iter()).map_err(|error| error.to_string())
}
