//! What a session knows of its client.

use std::{borrow::Cow, fmt, mem, sync::Arc};

use crate::{
    auth::{Identity, text_of},
    log::Quoted,
    settings::Route,
};

/// Maximum length of a claim in a line of the log, in bytes.
const LOGGED_MAX: usize = 128;

/// An authenticated client, and the claims of it that the log has.
#[derive(Debug, Clone)]
pub struct KnownClient {
    /// Who it is.
    pub identity: Arc<Identity>,
    /// The claims that lines of the log have.
    pub log_claims: Arc<[String]>,
}

/// ` claim.sub=7 claim.scope="read write"` in a line of the log. Claims that the client does not have are left out, and long
/// ones are cut.
pub struct LoggedClaims<'a>(pub Option<&'a KnownClient>);

// === impl KnownClient ===

impl KnownClient {
    /// The claims that the log has, each with its name. Long ones are cut.
    pub fn shown(&self) -> impl Iterator<Item = (&str, String)> {
        self.log_claims.iter().filter_map(|name| {
            let text = text_of(self.identity.claim(name)?);
            Some((name.as_str(), text[..text.floor_char_boundary(LOGGED_MAX)].to_owned()))
        })
    }

    /// Has the log show the claims that this route names from now on. Returns those before.
    pub fn adopt(&mut self, route: &Route) -> Arc<[String]> {
        mem::replace(&mut self.log_claims, Arc::clone(&route.log_claims))
    }

    /// The value of a claim as a text; `None` if the client does not have it.
    pub fn claim(&self, name: &str) -> Option<Cow<'_, str>> {
        self.identity.claim(name).map(text_of)
    }
}

impl fmt::Display for LoggedClaims<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .into_iter()
            .flat_map(KnownClient::shown)
            .try_for_each(|(name, value)| write!(f, " claim.{name}={}", Quoted(&value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Value;

    fn logged(claims: &str, names: &[&str]) -> String {
        let Ok(Value::Record(claims)) = Value::from_json(claims) else { panic!("{claims}") };
        let identity = Identity { method: "users".into(), subject: None, claims, expires: None };
        let log_claims = names.iter().map(|name| (*name).to_owned()).collect();
        LoggedClaims(Some(&KnownClient { identity: Arc::new(identity), log_claims })).to_string()
    }

    #[test]
    fn the_log_has_the_claims_that_the_settings_name() {
        let claims = r#"{"sub":"7","secret":"x","roles":["a","b"],"realm":{"id":1}}"#;
        assert_eq!(logged(claims, &[]), "");
        assert_eq!(logged(claims, &["sub", "other", "realm.id"]), " claim.sub=7 claim.realm.id=1");
        assert_eq!(LoggedClaims(None).to_string(), "");
    }

    #[test]
    fn a_claim_cannot_add_a_line_or_a_key() {
        let text = logged(r#"{"sub":"a\nINFO x=1 \" y=2"}"#, &["sub"]);
        assert!(!text.contains('\n') && text.matches(" y=2").count() == 1, "{text}");
        assert!(text.starts_with(r#" claim.sub="a"#) && text.ends_with('"'), "{text}");
        let long = format!(r#"{{"sub":"{}"}}"#, "ä".repeat(1000));
        assert_eq!(logged(&long, &["sub"]).chars().filter(|letter| *letter == 'ä').count(), 64);
    }
}
