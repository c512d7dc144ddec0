//! Certificates and keys in PEM files (RFC 7468).

use rustls::{
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    sign::CertifiedKey,
};

use super::provider;

/// Why the text of a file is no certificate or no key. The texts do not repeat the content of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PemError {
    /// The text has no certificate.
    #[error("has no certificate: it needs -----BEGIN CERTIFICATE-----")]
    NoCertificate,
    /// The text has no key.
    #[error("has no unencrypted private key: it needs -----BEGIN PRIVATE KEY-----")]
    NoKey,
    /// A certificate cannot be decoded.
    #[error("has a certificate that cannot be decoded")]
    Malformed,
    /// The key is of a kind that cannot be used.
    #[error(
        "has a key that cannot be used; keys are RSA with at least 2048 bits, ECDSA (P-256, P-384) or Ed25519"
    )]
    BadKey,
    /// The key is that of another certificate.
    #[error("has the key of another certificate")]
    Mismatch,
}

/// A chain of certificates and the key of the first one.
///
/// # Security
/// The `Debug` form has no key.
#[derive(Debug)]
pub struct Identity {
    /// The certificates, that of this side first.
    pub chain: Vec<CertificateDer<'static>>,
    /// The key.
    pub key: PrivateKeyDer<'static>,
}

/// The certificates in the text of a file; at least one.
///
/// # Errors
/// When there is none, or one is malformed.
pub fn certificates(text: &str) -> Result<Vec<CertificateDer<'static>>, PemError> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
    match certificates {
        Ok(certificates) if certificates.is_empty() => Err(PemError::NoCertificate),
        Ok(certificates) => Ok(certificates),
        Err(_) => Err(PemError::Malformed),
    }
}

/// The first private key in the text of a file.
///
/// # Errors
/// When there is none that is not encrypted.
pub fn key(text: &str) -> Result<PrivateKeyDer<'static>, PemError> {
    PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|_| PemError::NoKey)
}

impl Identity {
    /// Checks that the key is that of the first certificate.
    ///
    /// # Errors
    /// When it is not, or cannot be used.
    pub fn certified(&self) -> Result<CertifiedKey, PemError> {
        let provider: &CryptoProvider = &provider();
        CertifiedKey::from_der(self.chain.clone(), self.key.clone_key(), provider).map_err(
            |error| match error {
                rustls::Error::InconsistentKeys(_) => PemError::Mismatch,
                rustls::Error::InvalidCertificate(_) => PemError::Malformed,
                _ => PemError::BadKey,
            },
        )
    }
}
