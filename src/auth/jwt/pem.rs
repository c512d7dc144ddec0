//! Public keys in PEM files (RFC 7468), and in their certificates.

use rustls::{
    pki_types::{
        CertificateDer, PrivateKeyDer, SubjectPublicKeyInfoDer,
        alg_id::{ECDSA_P256, ECDSA_P384, ED25519, RSA_ENCRYPTION},
        pem::PemObject,
    },
    server::ParsedCertificate,
};

use super::key::{Algorithm, Key, KeyError, KeySet, Material};

/// Tags of ASN.1 (ITU-T X.690 section 8).
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const SEQUENCE: u8 = 0x30;

impl KeySet {
    /// The keys in the text of a PEM file: public keys, and those of certificates. They have no ids.
    ///
    /// # Errors
    /// When there is none, or one cannot be used.
    pub fn from_pem(text: &str, allowed: &[Algorithm]) -> Result<Self, KeyError> {
        if PrivateKeyDer::from_pem_slice(text.as_bytes()).is_ok() {
            return Err(KeyError::Private);
        }
        let malformed = |_| KeyError::Malformed;
        let mut keys = Vec::new();
        for info in SubjectPublicKeyInfoDer::pem_slice_iter(text.as_bytes()) {
            keys.push(key(info.map_err(malformed)?.as_ref())?);
        }
        for certificate in CertificateDer::pem_slice_iter(text.as_bytes()) {
            let certificate = certificate.map_err(malformed)?;
            let parsed = ParsedCertificate::try_from(&certificate).map_err(|_| KeyError::Malformed)?;
            keys.push(key(parsed.subject_public_key_info().as_ref())?);
        }
        if keys.is_empty() { Err(KeyError::NoPem) } else { Self::new(keys, allowed) }
    }
}

/// The key of a SubjectPublicKeyInfo (RFC 5280 section 4.1).
fn key(info: &[u8]) -> Result<Key, KeyError> {
    let (algorithm, bits) = parts(info).ok_or(KeyError::Malformed)?;
    let is = |known: &[u8]| algorithm == known;
    let material = if is(RSA_ENCRYPTION.as_ref()) {
        rsa(bits).ok_or(KeyError::Malformed)?
    } else if is(ECDSA_P256.as_ref()) {
        Material::P256(bits.into())
    } else if is(ECDSA_P384.as_ref()) {
        Material::P384(bits.into())
    } else if is(ED25519.as_ref()) {
        Material::Ed25519(bits.into())
    } else {
        return Err(KeyError::Unusable);
    };
    Key::new(None, material)
}

/// The algorithm of a SubjectPublicKeyInfo, without the header of its sequence, and the bits of the key.
fn parts(info: &[u8]) -> Option<(&[u8], &[u8])> {
    let (info, &[]) = element(info, SEQUENCE)? else { return None };
    let (algorithm, rest) = element(info, SEQUENCE)?;
    let (bits, &[]) = element(rest, BIT_STRING)? else { return None };
    // The first byte is the number of unused bits.
    Some((algorithm, bits.strip_prefix(&[0])?))
}

/// The modulus and exponent of an RSAPublicKey (RFC 8017 appendix A.1.1).
fn rsa(bits: &[u8]) -> Option<Material> {
    let (numbers, &[]) = element(bits, SEQUENCE)? else { return None };
    let (n, rest) = element(numbers, INTEGER)?;
    let (e, &[]) = element(rest, INTEGER)? else { return None };
    // A zero before the first bit says that a number is positive.
    let number = |bytes: &[u8]| Box::from(bytes.strip_prefix(&[0]).unwrap_or(bytes));
    Some(Material::Rsa { n: number(n), e: number(e) })
}

/// The content of an element with this tag, and the bytes after it (DER, ITU-T X.690 section 8.1).
fn element(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let [found, length, rest @ ..] = bytes else { return None };
    let (length, rest) = match (length, rest) {
        (0..=0x7f, rest) => (usize::from(*length), rest),
        (0x81, [length, rest @ ..]) => (usize::from(*length), rest),
        (0x82, [high, low, rest @ ..]) => (usize::from(u16::from_be_bytes([*high, *low])), rest),
        _ => return None,
    };
    (*found == tag).then(|| rest.split_at_checked(length)).flatten()
}
