//! Certificates (RFC 5280), and what is known of a client's TLS connection.
//!
//! This module is pure: it parses bytes, and gets the time as a parameter.

mod subject;
#[cfg(test)]
mod tests;

use std::{fmt, net::IpAddr, sync::Arc};

use x509_parser::{
    extensions::GeneralName,
    prelude::{FromDer, X509Certificate},
};

/// Maximum number of subject alternative names of a certificate. Certificates of the web have up to 100.
pub const NAMES_MAX: usize = 1000;

/// Maximum size of the names and of the subject of a client's certificate together, in bytes. They are part of the
/// metadata of a session.
pub const CLIENT_BYTES_MAX: usize = 16 * 1024;

/// A certificate that expires within this number of days should have been replaced.
const SOON_DAYS: i64 = 14;

const DAY: i64 = 24 * 60 * 60;

/// What is known of a client's TLS connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFacts {
    /// The version: `1.2` or `1.3`.
    pub version: &'static str,
    /// The cipher suite in IANA's spelling, such as `TLS_AES_128_GCM_SHA256`.
    pub cipher: &'static str,
    /// The name that the client asked for (SNI, RFC 6066 section 3), in lower case.
    pub server_name: Option<Arc<str>>,
    /// The client's certificate, which was verified. `None` if it has none, or if the listener does not ask for one.
    pub client: Option<Certificate>,
}

/// A certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// Its subject in the form of RFC 4514, such as `CN=device 7,O=Example`; empty if it has none.
    pub subject: String,
    /// Its subject alternative names. Other kinds than those of [`Name`] are left out.
    pub names: Vec<Name>,
    /// The first second in which it is valid, in seconds since 1970.
    pub not_before: i64,
    /// The last second in which it is valid, in seconds since 1970.
    pub not_after: i64,
}

/// A subject alternative name. Names of different kinds are never equal, so that an e-mail address does not pass for
/// a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Name {
    /// A host, in lower case, or the hosts with one label before a domain: `*.example.com`.
    Dns(String),
    /// An IP address.
    Address(IpAddr),
    /// A URI.
    Uri(String),
    /// An e-mail address.
    Email(String),
}

/// Whether a certificate is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Validity {
    /// It is valid.
    Valid,
    /// It is valid, and expires in this number of days.
    Soon(i64),
    /// It has expired.
    Expired,
    /// Its validity has not begun.
    NotYet,
}

/// A certificate cannot be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the certificate cannot be decoded")]
pub struct Malformed;

// === impl TlsFacts ===

impl TlsFacts {
    /// Whether subject and names of the client's certificate are too large to be kept for a session.
    pub fn is_too_large(&self) -> bool {
        let size = |client: &Certificate| {
            let names = client.names.iter().map(|name| name.to_string().len() + size_of::<Name>());
            client.subject.len() + names.sum::<usize>()
        };
        self.client.as_ref().is_some_and(|client| size(client) > CLIENT_BYTES_MAX)
    }
}

// === impl Certificate ===

impl Certificate {
    /// Reads a certificate in DER.
    ///
    /// # Errors
    /// When it is malformed, or has more than [`NAMES_MAX`] names.
    pub fn parse(der: &[u8]) -> Result<Self, Malformed> {
        let (_, parsed) = X509Certificate::from_der(der).map_err(|_| Malformed)?;
        let extension = parsed.subject_alternative_name().map_err(|_| Malformed)?;
        let listed = extension.map_or(&[][..], |extension| &extension.value.general_names);
        if listed.len() > NAMES_MAX {
            return Err(Malformed);
        }
        let validity = parsed.validity();
        Ok(Self {
            subject: subject::text(parsed.subject()),
            names: listed.iter().filter_map(Name::of).collect(),
            not_before: validity.not_before.timestamp(),
            not_after: validity.not_after.timestamp(),
        })
    }

    /// Whether it is valid at `now`, in seconds since 1970.
    pub fn validity(&self, now: i64) -> Validity {
        match () {
            () if now < self.not_before => Validity::NotYet,
            () if now > self.not_after => Validity::Expired,
            () if self.not_after - now < SOON_DAYS * DAY => Validity::Soon((self.not_after - now) / DAY),
            () => Validity::Valid,
        }
    }
}

// === impl Name ===

impl Name {
    fn of(name: &GeneralName<'_>) -> Option<Self> {
        match name {
            GeneralName::DNSName(name) => Some(Self::Dns(name.to_ascii_lowercase())),
            GeneralName::RFC822Name(name) => Some(Self::Email((*name).to_owned())),
            GeneralName::URI(name) => Some(Self::Uri((*name).to_owned())),
            GeneralName::IPAddress(bytes) => match *bytes {
                [a, b, c, d] => Some(Self::Address(IpAddr::from([*a, *b, *c, *d]))),
                bytes => <[u8; 16]>::try_from(bytes).ok().map(|bytes| Self::Address(IpAddr::from(bytes))),
            },
            _ => None,
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(text) | Self::Uri(text) | Self::Email(text) => f.write_str(text),
            Self::Address(address) => address.fmt(f),
        }
    }
}

// === impl Validity ===

impl fmt::Display for Validity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Valid => f.write_str("the certificate is valid"),
            Self::Soon(0) => f.write_str("the certificate expires today"),
            Self::Soon(1) => f.write_str("the certificate expires in 1 day"),
            Self::Soon(days) => write!(f, "the certificate expires in {days} days"),
            Self::Expired => f.write_str("the certificate has expired"),
            Self::NotYet => f.write_str("the certificate is not valid yet"),
        }
    }
}
