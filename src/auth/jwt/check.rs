//! The claims of a token whose signature is right (RFC 7519 section 4.1).

use std::sync::Arc;

use crate::{
    auth::{CLAIMS_MAX, Identity, Invalid},
    event::{Record, Value},
};

/// The rules for the claims of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// The accepted values of `iss`; any value if the list is empty.
    pub issuers: Box<[String]>,
    /// The audiences, of which `aud` must have one. If the list is empty, a token must have no `aud`.
    pub audiences: Box<[String]>,
    /// How far the clocks may differ, in seconds.
    pub leeway: u64,
}

impl Rules {
    /// Checks the claims and returns who has them. `now` is in seconds since 1970.
    pub(super) fn check(&self, method: &Arc<str>, claims: Record, now: u64) -> Result<Identity, Invalid> {
        let expires = date(&claims, "exp")?.ok_or(Invalid::NoExpiry)?;
        if expires.saturating_add(self.leeway) <= now {
            return Err(Invalid::Expired);
        }
        if date(&claims, "nbf")?.is_some_and(|begin| now.saturating_add(self.leeway) < begin) {
            return Err(Invalid::NotYet);
        }
        date(&claims, "iat")?;
        let issuer = text(&claims, "iss")?;
        if !self.issuers.is_empty() && !issuer.is_some_and(|name| self.issuers.iter().any(|it| it == name)) {
            return Err(Invalid::Issuer);
        }
        self.check_audience(&claims)?;
        let subject = text(&claims, "sub")?.map(Arc::from);
        let claims = Arc::new(claims);
        if Value::Record(Arc::clone(&claims)).to_json().len() > CLAIMS_MAX {
            return Err(Invalid::Claims);
        }
        Ok(Identity { method: Arc::clone(method), subject, claims, expires: Some(expires) })
    }

    /// RFC 7519 section 4.1.3: a recipient that is not in `aud` must reject the token.
    fn check_audience(&self, claims: &Record) -> Result<(), Invalid> {
        let is_one =
            |value: &Value| value.as_str().is_some_and(|name| self.audiences.iter().any(|it| it == name));
        let is_right = match claims.get("aud") {
            None => self.audiences.is_empty(),
            Some(Value::Array(names)) => names.iter().any(is_one),
            Some(name) => is_one(name),
        };
        if is_right { Ok(()) } else { Err(Invalid::Audience) }
    }
}

/// A time in whole seconds since 1970 (NumericDate, RFC 7519 section 2); a part of a second is cut off.
fn date(claims: &Record, name: &str) -> Result<Option<u64>, Invalid> {
    match claims.get(name) {
        None => Ok(None),
        Some(Value::Int(seconds)) => u64::try_from(*seconds).map(Some).map_err(|_| Invalid::Claims),
        // After the year 9999 no clock agrees on it.
        Some(Value::Float(seconds)) if (0.0..253_402_300_800.0).contains(seconds) => {
            Ok(Some(*seconds as u64))
        }
        Some(_) => Err(Invalid::Claims),
    }
}

fn text<'a>(claims: &'a Record, name: &str) -> Result<Option<&'a str>, Invalid> {
    match claims.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(Invalid::Claims),
    }
}
