//! The certificate of a server by the name that a client asks for.

use std::{collections::HashMap, sync::Arc};

use rustls::{
    SignatureScheme,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use crate::certificate::{Certificate, Name};

/// Chooses the certificate by the name that the client asks for (SNI, RFC 6066 section 3).
///
/// A certificate for exactly that name comes first, then one for a wildcard, which stands for exactly one label
/// (RFC 9525 section 6.3), then the first one of the settings. Of several certificates for the same name, the first
/// one is used whose key fits what the client can verify.
#[derive(Debug)]
pub(super) struct ByName {
    /// The certificates by name, in lower case. The name of a wildcard begins with `*.`.
    named: HashMap<String, Vec<Arc<CertifiedKey>>>,
    default: Arc<CertifiedKey>,
}

impl ByName {
    /// `None` without a certificate.
    pub(super) fn new(keys: Vec<(Certificate, Arc<CertifiedKey>)>) -> Option<Self> {
        let default = Arc::clone(&keys.first()?.1);
        let mut named: HashMap<String, Vec<_>> = HashMap::new();
        for (certificate, key) in keys {
            for name in certificate.names {
                if let Name::Dns(name) = name {
                    named.entry(name).or_default().push(Arc::clone(&key));
                }
            }
        }
        Some(Self { named, default })
    }

    fn find(&self, name: &str, schemes: &[SignatureScheme]) -> &Arc<CertifiedKey> {
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        let wildcard = || self.named.get(&format!("*.{}", name.split_once('.')?.1));
        let Some(found) = self.named.get(&name).or_else(wildcard) else { return &self.default };
        let fitting = found.iter().find(|key| key.key.choose_scheme(schemes).is_some());
        fitting.or(found.first()).unwrap_or(&self.default)
    }
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let schemes = hello.signature_schemes();
        Some(Arc::clone(hello.server_name().map_or(&self.default, |name| self.find(name, schemes))))
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, SignatureAlgorithm};
    use rustls::pki_types::PrivateKeyDer;

    use super::*;
    use crate::net::tls::Identity;

    const ANY: &[SignatureScheme] = &[SignatureScheme::ED25519, SignatureScheme::ECDSA_NISTP256_SHA256];

    fn issued(names: &[&str], algorithm: &'static SignatureAlgorithm) -> (Certificate, Arc<CertifiedKey>) {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let pair = KeyPair::generate_for(algorithm).unwrap();
        let cert = CertificateParams::new(names).unwrap().self_signed(&pair).unwrap();
        let key = PrivateKeyDer::try_from(pair.serialize_der()).unwrap();
        let identity = Identity { chain: vec![cert.der().clone()], key };
        (Certificate::parse(cert.der()).unwrap(), Arc::new(identity.certified().unwrap()))
    }

    #[test]
    fn a_name_comes_before_a_wildcard_and_the_first_certificate_is_for_all_others() {
        let lists: [&[&str]; 4] =
            [&["default.test"], &["*.a.test"], &["x.a.test", "A.test"], &["x.a.test", "*.test"]];
        let keys: Vec<_> = lists.iter().map(|names| issued(names, &PKCS_ED25519)).collect();
        let all = ByName::new(keys.clone()).unwrap();
        for (name, expected) in [
            ("default.test", 0),
            ("y.a.test", 1),
            ("Y.A.TEST", 1),
            ("y.a.test.", 1),
            ("x.a.test", 2),
            ("a.test", 2),
            ("b.test", 3),
            ("z.y.a.test", 0),
            ("test", 0),
            ("", 0),
            ("*.a.test", 1),
        ] {
            assert!(Arc::ptr_eq(all.find(name, ANY), &keys[expected].1), "{name}");
        }
        assert!(ByName::new(Vec::new()).is_none());
    }

    #[test]
    fn of_two_certificates_for_a_name_the_client_gets_one_that_it_can_verify() {
        let keys =
            [issued(&["a.test"], &PKCS_ED25519), issued(&["a.test"], &PKCS_ECDSA_P256_SHA256)].to_vec();
        let all = ByName::new(keys.clone()).unwrap();
        for (schemes, expected) in
            [(ANY, 0), (&ANY[..1], 0), (&ANY[1..], 1), (&[SignatureScheme::RSA_PKCS1_SHA256], 0)]
        {
            assert!(Arc::ptr_eq(all.find("a.test", schemes), &keys[expected].1), "{schemes:?}");
        }
    }
}
