//! Tests of patterns of certificates, and of the claims of one.

use proptest::prelude::*;

use super::*;

const NOW: u64 = 1_700_000_000;

fn certificate(subject: &str, names: &[Name]) -> Certificate {
    Certificate {
        subject: subject.to_owned(),
        names: names.to_vec(),
        not_before: 0,
        not_after: 1_800_000_000,
    }
}

fn config(subjects: &[&str], names: &[&str]) -> ClientCertificateConfig {
    ClientCertificateConfig {
        subjects: subjects.iter().map(|text| SubjectPattern::parse(text).unwrap()).collect(),
        names: names.iter().map(|text| NamePattern::parse(text).unwrap()).collect(),
    }
}

fn judged(config: &ClientCertificateConfig, certificate: &Certificate) -> Result<String, CertificateDenial> {
    let identity = config.identify(&"devices".into(), certificate, NOW)?;
    Ok(Value::Record(identity.claims).to_json())
}

fn dns(name: &str) -> Name {
    Name::Dns(name.to_owned())
}

#[test]
fn a_subject_matches_by_its_attributes() {
    for (pattern, subject, expected) in [
        ("CN=device *", "CN=device 7", true),
        ("CN=device *", "CN=device 7,O=Example,C=DE", true),
        ("CN=device *", "O=Example,CN=device 7", true),
        ("cn=device *,o=Example", "O=Example,CN=device 7", true),
        ("CN=device *, O=Example", "CN=device 7,O=Example", true),
        ("CN=device *", "OU=x+CN=device 7,O=Example", true),
        ("CN=device *,O=Example", "CN=device 7", false),
        ("CN=device *", "CN=Device 7", false),
        ("CN=device *", "CN=a device 7", false),
        ("CN=device *", "OU=device 7", false),
        ("CN=admin", "CN=admin 2", false),
        ("CN=*", "", false),
        // What a value has after an escaped separator is no attribute.
        ("O=Example", "CN=a\\,O\\=Example", false),
        ("O=Example", "CN=a\\,O=Example", false),
        ("O=Example", "CN=a\\+O=Example", false),
        ("O=Example", "CN=a\\\\,O=Example", true),
        ("CN=a\\,b", "CN=a\\,b,O=c", true),
        ("CN=device *", "CN=device 7\\,O\\=Evil", true),
        ("CN=a*c*e", "CN=abcde", true),
        ("CN=a*c*e", "CN=ace", true),
        ("CN=a*c*e", "CN=abde", false),
        ("CN=ab*ba", "CN=aba", false),
        ("CN=**", "CN=x", true),
        ("*", "CN=x", true),
        ("*", "", true),
    ] {
        let pattern_of = SubjectPattern::parse(pattern).unwrap();
        assert_eq!(pattern_of.matches(subject), expected, "{pattern} {subject}");
    }
}

#[test]
fn a_name_matches_a_pattern_of_its_kind() {
    let address = |text: &str| Name::Address(text.parse().unwrap());
    let (email, uri) = (Name::Email("a@b.example".to_owned()), Name::Uri("spiffe://b/a".to_owned()));
    for (pattern, name, expected) in [
        ("*.Devices.example", dns("7.devices.example"), true),
        ("*.devices.example", dns("devices.example"), false),
        ("*.devices.example", dns("7.devices.example.evil"), false),
        ("dns:a", dns("a"), true),
        ("*", email.clone(), false),
        ("*@b.example", email.clone(), false),
        ("email:*@b.example", email, true),
        ("email:*", dns("a"), false),
        ("uri:spiffe://b/*", uri.clone(), true),
        ("uri:spiffe://c/*", uri, false),
        ("ip:10.0.0.7", address("10.0.0.7"), true),
        ("ip:2001:DB8::1", address("2001:db8::1"), true),
        ("ip:*", dns("10.0.0.7"), false),
    ] {
        assert_eq!(NamePattern::parse(pattern).unwrap().matches(&name), expected, "{pattern} {name}");
    }
}

#[test]
fn malformed_patterns_are_refused() {
    for text in ["", "device", "*,CN=a", "CN=", "=a", "CN=a,", "CN=a,b", ","] {
        assert_eq!(SubjectPattern::parse(text), Err(CertificatePatternError::Subject), "{text}");
    }
    for text in ["", "dns:", "email:", "spiffe://a", "URI:a"] {
        assert_eq!(NamePattern::parse(text), Err(CertificatePatternError::Name), "{text}");
    }
}

#[test]
fn each_list_must_match() {
    let certificate = certificate("CN=device 7", &[dns("7.devices.example"), dns("x")]);
    for (subjects, names, expected) in [
        (&[][..], &[][..], Ok(())),
        (&["CN=x", "CN=device *"], &[], Ok(())),
        (&["CN=device *"], &["y", "*.devices.example"], Ok(())),
        (&["CN=x"], &["x"], Err(CertificateDenial::Subject)),
        (&["CN=*"], &["y"], Err(CertificateDenial::Name)),
        (&[], &["y"], Err(CertificateDenial::Name)),
    ] {
        assert_eq!(
            judged(&config(subjects, names), &certificate).map(drop),
            expected,
            "{subjects:?} {names:?}"
        );
    }
}

#[test]
fn a_certificate_has_claims_until_it_expires() {
    let all = config(&[], &[]);
    let names = [dns("a"), Name::Email("m@b".to_owned()), dns("c"), Name::Address([10, 0, 0, 7].into())];
    let expected = r#"{"sub":"CN=d,O=E","exp":1800000000,"dns":["a","c"],"email":["m@b"],"ip":["10.0.0.7"]}"#;
    assert_eq!(judged(&all, &certificate("CN=d,O=E", &names)).unwrap(), expected);
    let without = certificate("", &names[..1]);
    assert_eq!(judged(&all, &without).unwrap(), r#"{"sub":"a","exp":1800000000,"dns":["a"]}"#);
    let identity = all.identify(&"devices".into(), &without, 1_800_000_000).unwrap();
    let facts = (&*identity.method, identity.subject.as_deref(), identity.expires);
    assert_eq!(facts, ("devices", Some("a"), Some(1_800_000_000)));
    assert_eq!(all.identify(&"devices".into(), &without, 1_800_000_001), Err(CertificateDenial::Expired));
    let old = Certificate { not_after: -1, ..without };
    assert_eq!(judged(&all, &old), Err(CertificateDenial::Expired));
    // Quotes take two bytes in JSON.
    let large = certificate("", &[Name::Uri("\"".repeat(CLAIMS_MAX / 2))]);
    assert_eq!(judged(&all, &large), Err(CertificateDenial::TooLarge));
}

proptest! {
    /// A pattern is the regular expression that it looks like.
    #[test]
    fn asterisks_are_for_any_characters(pattern in "[ab*]{0,8}", text in "[ab]{0,10}") {
        let regex = regex::Regex::new(&format!("^{}$", pattern.replace('*', ".*"))).unwrap();
        prop_assert_eq!(fits(&pattern, &text), regex.is_match(&text));
    }

    /// Attributes of a subject are those that its separators leave, and none is lost.
    #[test]
    fn attributes_join_to_the_text(text in "[a=,+\\\\*]{0,20}") {
        let parts = attributes(&text);
        prop_assert_eq!(parts.iter().map(|part| part.len() + 1).sum::<usize>(), text.len() + 1);
        let _ = SubjectPattern::parse(&text).map(|pattern| pattern.matches(&text));
    }
}
