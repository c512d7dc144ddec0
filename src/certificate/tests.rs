use rcgen::{
    CertificateParams, DistinguishedName, DnType, KeyPair, SanType, date_time_ymd, string::Ia5String,
};

use super::*;

/// The first second of 2030.
const YEAR_2030: i64 = 1_893_456_000;

fn certificate(change: impl FnOnce(&mut CertificateParams)) -> Vec<u8> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name = DistinguishedName::new();
    params.not_before = date_time_ymd(2029, 1, 1);
    params.not_after = date_time_ymd(2030, 1, 1);
    change(&mut params);
    params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
}

#[test]
fn the_subject_has_the_most_specific_part_first() {
    let der = certificate(|params| {
        params.distinguished_name.push(DnType::CountryName, "DE");
        params.distinguished_name.push(DnType::OrganizationName, "A, B+C");
        params.distinguished_name.push(DnType::CommonName, "device 7");
        params.distinguished_name.push(DnType::CustomDnType(vec![1, 2, 3]), "x");
    });
    let certificate = Certificate::parse(&der).unwrap();
    assert_eq!(certificate.subject, "1.2.3=x,CN=device 7,O=A\\, B\\+C,C=DE");
}

#[test]
fn names_keep_their_kind() {
    let ia5 = |text: &str| Ia5String::try_from(text).unwrap();
    let der = certificate(|params| {
        params.subject_alt_names = vec![
            SanType::DnsName(ia5("*.Example.COM")),
            SanType::IpAddress("192.0.2.1".parse().unwrap()),
            SanType::IpAddress("2001:db8::1".parse().unwrap()),
            SanType::URI(ia5("spiffe://example/a")),
            SanType::Rfc822Name(ia5("me@example.com")),
        ];
    });
    let certificate = Certificate::parse(&der).unwrap();
    assert_eq!(
        certificate.names,
        [
            Name::Dns("*.example.com".to_owned()),
            Name::Address("192.0.2.1".parse().unwrap()),
            Name::Address("2001:db8::1".parse().unwrap()),
            Name::Uri("spiffe://example/a".to_owned()),
            Name::Email("me@example.com".to_owned()),
        ]
    );
    let texts: Vec<_> = certificate.names.iter().map(ToString::to_string).collect();
    assert_eq!(texts, ["*.example.com", "192.0.2.1", "2001:db8::1", "spiffe://example/a", "me@example.com"]);
    assert_eq!(certificate.subject, "");
}

#[test]
fn a_certificate_expires_soon_before_it_expires() {
    let certificate = Certificate::parse(&certificate(|_| ())).unwrap();
    for (now, expected, text) in [
        (YEAR_2030 - 400 * DAY, Validity::NotYet, "the certificate is not valid yet"),
        (YEAR_2030 - 14 * DAY, Validity::Valid, "the certificate is valid"),
        (YEAR_2030 - 14 * DAY + 1, Validity::Soon(13), "the certificate expires in 13 days"),
        (YEAR_2030 - 2 * DAY + 1, Validity::Soon(1), "the certificate expires in 1 day"),
        (YEAR_2030, Validity::Soon(0), "the certificate expires today"),
        (YEAR_2030 + 1, Validity::Expired, "the certificate has expired"),
    ] {
        let validity = certificate.validity(now);
        assert_eq!((validity, &*validity.to_string()), (expected, text), "{now}");
    }
}

#[test]
fn certificates_are_refused_that_are_malformed_or_have_too_many_names() {
    let many = |count: usize| {
        certificate(|params| {
            let name = |number| SanType::DnsName(Ia5String::try_from(format!("n{number}.test")).unwrap());
            params.subject_alt_names = (0..count).map(name).collect();
        })
    };
    let largest = Certificate::parse(&many(NAMES_MAX)).unwrap();
    assert_eq!(largest.names.len(), NAMES_MAX);
    assert_eq!(Certificate::parse(&many(NAMES_MAX + 1)), Err(Malformed));
    let der = certificate(|_| ());
    assert_eq!(Certificate::parse(&der[..der.len() - 1]), Err(Malformed));
    assert_eq!(Certificate::parse(b""), Err(Malformed));

    let facts = |client| TlsFacts { version: "1.3", cipher: "", server_name: None, client: Some(client) };
    assert!(facts(largest).is_too_large());
    assert!(!facts(Certificate::parse(&der).unwrap()).is_too_large());
}
