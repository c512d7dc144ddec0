//! The method `client_certificate`: the client's certificate, which TLS has verified, by subject and names.
//!
//! # Security
//! A pattern of a subject is compared attribute by attribute, so that a value such as `a,O=Example` does not pass for two
//! attributes. A pattern of a name has a kind, so that an e-mail address does not pass for a host.

use std::sync::Arc;

use super::{CLAIMS_MAX, Identity};
use crate::{
    certificate::{Certificate, Name},
    event::{Record, Value},
};

/// The table `client_certificate` of a section. A certificate must match one pattern of each list that has any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificateConfig {
    /// Patterns of subjects.
    pub subjects: Box<[SubjectPattern]>,
    /// Patterns of subject alternative names.
    pub names: Box<[NamePattern]>,
}

/// Attributes that a subject must have, such as `CN=device *,O=Example`. An asterisk in a value is for any characters,
/// and one alone for any subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubjectPattern(Box<[(Box<str>, Box<str>)]>);

/// A pattern of a name, such as `*.devices.example`, `email:*@example.com`, `uri:spiffe://example/*` or `ip:10.0.0.7`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamePattern {
    kind: NameKind,
    text: Box<str>,
}

/// The kind of a name. Each is a claim too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NameKind {
    Dns,
    Email,
    Uri,
    Ip,
}

/// A text is not a pattern of a subject or of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CertificatePatternError {
    /// The text is not a list of attributes.
    #[error("takes attributes of a subject, such as \"CN=device *,O=Example\"")]
    Subject,
    /// The text is not a name.
    #[error(
        "takes a host such as \"*.devices.example\", or another name after \"email:\", \"uri:\" or \"ip:\""
    )]
    Name,
}

/// Why a certificate that TLS has verified is not accepted. The texts are for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CertificateDenial {
    /// No pattern of a subject matches.
    #[error("subject of the certificate is not listed")]
    Subject,
    /// No pattern of a name matches.
    #[error("no name of the certificate is listed")]
    Name,
    /// It has expired since the TLS handshake.
    #[error("certificate expired")]
    Expired,
    /// Its subject and names are too large for claims.
    #[error("names of the certificate are too large")]
    TooLarge,
}

// === impl ClientCertificateConfig ===

impl ClientCertificateConfig {
    /// Who the client with this certificate is. `method` is the name of the section, `now` is in seconds since 1970.
    ///
    /// # Errors
    /// When no pattern matches.
    pub fn identify(
        &self,
        method: &Arc<str>,
        certificate: &Certificate,
        now: u64,
    ) -> Result<Identity, CertificateDenial> {
        let matches = |pattern: &SubjectPattern| pattern.matches(&certificate.subject);
        if !self.subjects.is_empty() && !self.subjects.iter().any(matches) {
            return Err(CertificateDenial::Subject);
        }
        let matches = |pattern: &NamePattern| certificate.names.iter().any(|name| pattern.matches(name));
        if !self.names.is_empty() && !self.names.iter().any(matches) {
            return Err(CertificateDenial::Name);
        }
        // Before 1970, a certificate has expired.
        let expires = u64::try_from(certificate.not_after).unwrap_or_default();
        if expires < now {
            return Err(CertificateDenial::Expired);
        }
        let claims = Arc::new(claims(certificate));
        if Value::Record(Arc::clone(&claims)).to_json().len() > CLAIMS_MAX {
            return Err(CertificateDenial::TooLarge);
        }
        let subject = claims.get("sub").and_then(Value::as_str).map(Arc::from);
        Ok(Identity { method: Arc::clone(method), subject, claims, expires: Some(expires) })
    }
}

/// The claims of a certificate. The first name is the subject of one that has none.
///
/// ```json
/// {"sub":"CN=device 7,O=Example","exp":1800000000,"dns":["7.devices.example"]}
/// ```
fn claims(certificate: &Certificate) -> Record {
    let mut claims = Record::new();
    let first = certificate.names.first().map(Name::to_string);
    let subject = Some(certificate.subject.clone()).filter(|subject| !subject.is_empty()).or(first);
    if let Some(subject) = subject {
        claims.insert("sub".into(), Value::string(subject));
    }
    claims.insert("exp".into(), Value::Int(certificate.not_after));
    for kind in [NameKind::Dns, NameKind::Email, NameKind::Uri, NameKind::Ip] {
        let of_kind = certificate.names.iter().filter(|name| NameKind::of(name) == kind);
        let texts: Vec<_> = of_kind.map(|name| Value::string(name.to_string())).collect();
        if !texts.is_empty() {
            claims.insert(kind.prefix().into(), Value::Array(Arc::new(texts)));
        }
    }
    claims
}

// === impl SubjectPattern ===

impl SubjectPattern {
    /// Parses a pattern. Its attributes are separated by commas, and may have any order in a subject.
    ///
    /// # Errors
    /// When the text is not a list of attributes.
    pub fn parse(text: &str) -> Result<Self, CertificatePatternError> {
        if text == "*" {
            return Ok(Self(Box::default()));
        }
        let pair = |attribute: &str| {
            let (kind, value) = attribute.trim_start().split_once('=')?;
            (!kind.is_empty() && !value.is_empty()).then(|| (kind.into(), value.into()))
        };
        let pairs: Option<Box<[_]>> = attributes(text).into_iter().map(pair).collect();
        pairs.map(Self).ok_or(CertificatePatternError::Subject)
    }

    /// Whether a subject has all attributes.
    fn matches(&self, subject: &str) -> bool {
        let parts: Vec<_> = attributes(subject).into_iter().filter_map(|part| part.split_once('=')).collect();
        self.0.iter().all(|(kind, pattern)| {
            parts.iter().any(|(own, value)| own.eq_ignore_ascii_case(kind) && fits(pattern, value))
        })
    }
}

/// The attributes of a distinguished name in the form of RFC 4514, separated by commas and plus signs that are not
/// escaped.
fn attributes(text: &str) -> Vec<&str> {
    let (mut parts, mut start, mut is_escaped) = (Vec::new(), 0, false);
    for (at, letter) in text.char_indices() {
        match letter {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            ',' | '+' => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

/// Whether a text fits a pattern, in which an asterisk is for any characters.
fn fits(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut left) = text.strip_prefix(first) else { return false };
    let (between, last) = rest.rsplit_once('*').unwrap_or(("", rest));
    for part in between.split('*') {
        let Some(at) = left.find(part) else { return false };
        left = &left[at + part.len()..];
    }
    left.ends_with(last)
}

// === impl NamePattern, NameKind ===

impl NamePattern {
    /// Parses a pattern.
    ///
    /// # Errors
    /// When the text is not a name of a known kind.
    pub fn parse(text: &str) -> Result<Self, CertificatePatternError> {
        let (kind, text) = match text.split_once(':') {
            None => (NameKind::Dns, text.to_ascii_lowercase()),
            Some(("dns", rest)) => (NameKind::Dns, rest.to_ascii_lowercase()),
            Some(("email", rest)) => (NameKind::Email, rest.to_owned()),
            Some(("uri", rest)) => (NameKind::Uri, rest.to_owned()),
            Some(("ip", rest)) => (NameKind::Ip, rest.to_ascii_lowercase()),
            Some(_) => return Err(CertificatePatternError::Name),
        };
        match text.is_empty() {
            true => Err(CertificatePatternError::Name),
            false => Ok(Self { kind, text: text.into() }),
        }
    }

    fn matches(&self, name: &Name) -> bool {
        self.kind == NameKind::of(name) && fits(&self.text, &name.to_string())
    }
}

impl NameKind {
    fn of(name: &Name) -> Self {
        match name {
            Name::Dns(_) => Self::Dns,
            Name::Email(_) => Self::Email,
            Name::Uri(_) => Self::Uri,
            Name::Address(_) => Self::Ip,
        }
    }

    fn prefix(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Email => "email",
            Self::Uri => "uri",
            Self::Ip => "ip",
        }
    }
}

#[cfg(test)]
mod tests;
