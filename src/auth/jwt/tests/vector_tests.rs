//! The examples of RFC 7515 appendix A, RFC 7519, RFC 7797 and RFC 8037 appendix A, and keys in PEM files.

use ring::rsa::{KeyPairComponents, PublicKeyComponents};

use super::*;

/// RFC 7515 appendix A.1.1.
const CLAIMS: &str =
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
/// RFC 7515 appendix A.1.1.
const HMAC_KEY: &str = r#"{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}"#;
/// RFC 7515 appendix A.2.1.
const RSA_N: &str = "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ";
/// RFC 7515 appendix A.3.1.
const EC_KEY: &str = r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#;
/// RFC 8037 appendix A.2.
const ED_KEY: &str = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;

const HS256: &str = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9";
const HS256_SIGNATURE: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const RS256: &str = "eyJhbGciOiJSUzI1NiJ9";
const RS256_SIGNATURE: &str = "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
const ES256: &str = "eyJhbGciOiJFUzI1NiJ9";
const ES256_SIGNATURE: &str =
    "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
/// RFC 8037 appendix A.4. What is signed there is a text.
const EDDSA: &str = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
/// RFC 7515 appendix A.4.
const ES512: &str = "eyJhbGciOiJFUzUxMiJ9.UGF5bG9hZA.AdwMgeerwtHoh-l192l60hp9wAHZFVJbLfD_UxMi70cwnZOYaRI1bKPWROc-mZZqwqT2SI-KGDKB34XO0aw_7XdtAG8GaSwFKdCAPZgoXD2YBJZCPEX3xKpRwcdOO8KpEHwJjyqOgzDO7iKvU8vcnwNrmxYbSW9ERBXukOXolLzeO_Jn";
/// RFC 7515 appendix A.5, RFC 7519 section 6.1.
const UNSECURED: &str = "eyJhbGciOiJub25lIn0";

/// The private key of RFC 7515 appendix A.2.1.
pub(super) fn rsa_key_pair() -> rsa::KeyPair {
    let [d, p, q, dp, dq, qi] = [
        "Eq5xpGnNCivDflJsRQBXHx1hdR1k6Ulwe2JZD50LpXyWPEAeP88vLNO97IjlA7_GQ5sLKMgvfTeXZx9SE-7YwVol2NXOoAJe46sui395IW_GO-pWJ1O0BkTGoVEn2bKVRUCgu-GjBVaYLU6f3l9kJfFNS3E0QbVdxzubSu3Mkqzjkn439X0M_V51gfpRLI9JYanrC4D4qAdGcopV_0ZHHzQlBjudU2QvXt4ehNYTCBr6XCLQUShb1juUO1ZdiYoFaFQT5Tw8bGUl_x_jTj3ccPDVZFD9pIuhLhBOneufuBiB4cS98l2SR_RQyGWSeWjnczT0QU91p1DhOVRuOopznQ",
        "4BzEEOtIpmVdVEZNCqS7baC4crd0pqnRH_5IB3jw3bcxGn6QLvnEtfdUdiYrqBdss1l58BQ3KhooKeQTa9AB0Hw_Py5PJdTJNPY8cQn7ouZ2KKDcmnPGBY5t7yLc1QlQ5xHdwW1VhvKn-nXqhJTBgIPgtldC-KDV5z-y2XDwGUc",
        "uQPEfgmVtjL0Uyyx88GZFF1fOunH3-7cepKmtH4pxhtCoHqpWmT8YAmZxaewHgHAjLYsp1ZSe7zFYHj7C6ul7TjeLQeZD_YwD66t62wDmpe_HlB-TnBA-njbglfIsRLtXlnDzQkv5dTltRJ11BKBBypeeF6689rjcJIDEz9RWdc",
        "BwKfV3Akq5_MFZDFZCnW-wzl-CCo83WoZvnLQwCTeDv8uzluRSnm71I3QCLdhrqE2e9YkxvuxdBfpT_PI7Yz-FOKnu1R6HsJeDCjn12Sk3vmAktV2zb34MCdy7cpdTh_YVr7tss2u6vneTwrA86rZtu5Mbr1C1XsmvkxHQAdYo0",
        "h_96-mK1R_7glhsum81dZxjTnYynPbZpHziZjeeHcXYsXaaMwkOlODsWa7I9xXDoRwbKgB719rrmI2oKr6N3Do9U0ajaHF-NKJnwgjMd2w9cjz3_-kyNlxAr2v4IKhGNpmM5iIgOS1VZnOZ68m6_pbLBSp3nssTdlqvd0tIiTHU",
        "IYd7DHOhrWvxkwPQsRM2tOgrjbcrfvtQJipd-DlcxyVuuM9sQLdgjVk2oy26F0EmpScGLq2MowX7fhd_QJQ3ydy5cY7YIBi87w93IKLEdfnbJtoOPLUW0ITrJReOgo1cq9SbsxYawBgfp_gh6A5603k2-ZQwVK0JKSHuLFkuQ3U",
    ]
    .map(decoded);
    let public_key = PublicKeyComponents { n: decoded(RSA_N), e: decoded("AQAB") };
    rsa::KeyPair::from_components(&KeyPairComponents { public_key, d, p, q, dP: dp, dQ: dq, qInv: qi })
        .unwrap()
}

fn set(keys: &[&str]) -> KeySet {
    KeySet::from_jwks(&format!(r#"{{"keys": [{}]}}"#, keys.join(",")), &[], true).unwrap()
}

/// Checks a token of the RFCs, which expired at 1300819380.
fn at(token: &str, keys: &KeySet, now: u64) -> Result<String, Invalid> {
    let rules = Rules { issuers: ["joe".to_owned()].into(), audiences: Box::default(), leeway: 0 };
    let identity = verify(&"users".into(), &Secret::from(token), keys, &rules, now)?;
    Ok(Value::Record(identity.claims).to_json())
}

#[test]
fn the_examples_of_rfc_7515_are_accepted_in_their_time() {
    let rsa = format!(r#"{{"kty":"RSA","n":"{RSA_N}","e":"AQAB"}}"#);
    let claims = r#"{"iss":"joe","exp":1300819380,"http://example.com/is_root":true}"#;
    for (header, signature, key) in
        [(HS256, HS256_SIGNATURE, HMAC_KEY), (RS256, RS256_SIGNATURE, &rsa), (ES256, ES256_SIGNATURE, EC_KEY)]
    {
        let token = format!("{header}.{CLAIMS}.{signature}");
        for keys in [set(&[key]), set(&[HMAC_KEY, &rsa, EC_KEY, ED_KEY])] {
            assert_eq!(at(&token, &keys, 1_300_819_379).as_deref(), Ok(claims), "{token}");
            assert_eq!(at(&token, &keys, 1_300_819_380), Err(Invalid::Expired), "{token}");
        }
        let others: Vec<_> =
            [HMAC_KEY, &rsa, EC_KEY, ED_KEY].into_iter().filter(|other| *other != key).collect();
        assert_eq!(at(&token, &set(&others), 1_300_819_379), Err(Invalid::Algorithm), "{token}");
        for (other, _) in [(HS256, ()), (RS256, ()), (ES256, ())].into_iter().filter(|(it, ())| *it != header)
        {
            let token = format!("{other}.{CLAIMS}.{signature}");
            assert_eq!(at(&token, &set(&[HMAC_KEY, &rsa, EC_KEY]), 1_300_819_379), Err(Invalid::Signature));
        }
    }
}

#[test]
fn the_other_examples_of_the_rfcs_are_refused() {
    let keys = set(&[HMAC_KEY, EC_KEY, ED_KEY]);
    assert_eq!(at(ES512, &keys, 0), Err(Invalid::Algorithm), "P-521 is not supported");
    assert_eq!(at(&format!("{UNSECURED}.{CLAIMS}."), &keys, 0), Err(Invalid::Algorithm));
    assert_eq!(at(&format!("{UNSECURED}.{CLAIMS}.{HS256_SIGNATURE}"), &keys, 0), Err(Invalid::Algorithm));
    // RFC 7797 section 4.1: a payload that is not encoded.
    let header = encoded(r#"{"alg":"HS256","b64":false,"crit":["b64"]}"#);
    assert_eq!(
        at(&format!("{header}.{CLAIMS}.A5dxf2s96_n5FLueVuW1Z_vh161FwXZC4YLPff6dmDY"), &keys, 0),
        Err(Invalid::Critical)
    );
    // RFC 7519 appendix A.1: an encrypted token has five parts.
    assert_eq!(
        at("eyJhbGciOiJSU0ExXzUiLCJlbmMiOiJBMTI4Q0JDLUhTMjU2In0.a.b.c.d", &keys, 0),
        Err(Invalid::Malformed)
    );
}

/// RFC 8037 appendix A.5.
#[test]
fn the_signature_of_rfc_8037_is_right() {
    let keys = set(&[ED_KEY]);
    assert_eq!(keys.verify(&Token::parse(EDDSA).ok().unwrap()), Ok(()));
    assert_eq!(at(EDDSA, &keys, 0), Err(Invalid::Malformed), "its claims are a text");
    let other = EDDSA.replace("RXhh", "RXhi");
    assert_eq!(keys.verify(&Token::parse(&other).ok().unwrap()), Err(Invalid::Signature));
}

/// A SubjectPublicKeyInfo in PEM: the header of the algorithm, and the key.
fn pem(algorithm: &[u8], key: &[u8]) -> String {
    let bits = element(3, &[&[0][..], key].concat());
    let info = element(0x30, &[element(0x30, algorithm), bits].concat());
    let text = base64::engine::general_purpose::STANDARD.encode(info);
    format!("-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----\n")
}

fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = match u16::try_from(content.len()).unwrap().to_be_bytes() {
        [0, short @ 0..=127] => vec![short],
        [0, short] => vec![0x81, short],
        [high, low] => vec![0x82, high, low],
    };
    [&[tag][..], &length, content].concat()
}

#[test]
fn keys_in_pem_files_are_used() {
    use rustls::pki_types::alg_id::{ECDSA_P256, ECDSA_P384, ECDSA_P521, ED25519, RSA_ENCRYPTION};
    let rsa = element(
        0x30,
        &[element(2, &[&[0][..], &decoded(RSA_N)].concat()), element(2, &decoded("AQAB"))].concat(),
    );
    let ed = decoded("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
    let texts = [
        pem(RSA_ENCRYPTION.as_ref(), &rsa),
        pem(ECDSA_P256.as_ref(), ISSUER.p256.public_key().as_ref()),
        pem(ECDSA_P384.as_ref(), ISSUER.p384.public_key().as_ref()),
        pem(ED25519.as_ref(), &ed),
    ];
    let all = KeySet::from_pem(&texts.concat(), &[]).unwrap();
    assert_eq!(all.count(), 4);
    // The keys have no ids, so that a token with any id is checked with them.
    for (algorithm, text) in ["RS256", "ES256", "ES384"].iter().zip(&texts) {
        let token = token(&format!(r#"{{"alg": "{algorithm}", "kid": "any"}}"#), GOOD, algorithm);
        for keys in [&all, &KeySet::from_pem(text, &[]).unwrap()] {
            assert_eq!(checked(&token, keys, &rules()).map(|_| ()), Ok(()), "{algorithm}");
        }
    }
    assert_eq!(KeySet::from_pem(&texts[3], &[]).unwrap().verify(&Token::parse(EDDSA).ok().unwrap()), Ok(()));
    assert_eq!(KeySet::from_pem(&texts[0], &[Algorithm::Es256]), Err(KeyError::None));
    for (text, error) in [
        (String::new(), KeyError::NoPem),
        ("secret".to_owned(), KeyError::NoPem),
        (pem(ECDSA_P521.as_ref(), &[4; 133]), KeyError::Unusable),
        (pem(RSA_ENCRYPTION.as_ref(), &rsa[..rsa.len() - 1]), KeyError::Malformed),
        (
            pem(RSA_ENCRYPTION.as_ref(), &element(0x30, &[element(2, &[1; 128]), element(2, &[3])].concat())),
            KeyError::Unusable,
        ),
        (pem(ECDSA_P256.as_ref(), &[4; 64]), KeyError::Unusable),
        ("-----BEGIN PUBLIC KEY-----\n!\n-----END PUBLIC KEY-----\n".to_owned(), KeyError::Malformed),
        ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n".to_owned(), KeyError::Malformed),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_owned(), KeyError::Malformed),
        (rcgen::KeyPair::generate().unwrap().serialize_pem(), KeyError::Private),
    ] {
        assert_eq!(KeySet::from_pem(&text, &[]), Err(error), "{text}");
    }
}

#[test]
fn the_key_of_a_certificate_is_used() {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate =
        rcgen::CertificateParams::new(vec!["id.test".to_owned()]).unwrap().self_signed(&key).unwrap();
    let keys = KeySet::from_pem(&certificate.pem(), &[]).unwrap();
    let own = EcdsaKeyPair::from_pkcs8(
        &signature::ECDSA_P256_SHA256_FIXED_SIGNING,
        &key.serialize_der(),
        &ISSUER.random,
    )
    .unwrap();
    let signed = format!("{}.{}", encoded(r#"{"alg": "ES256"}"#), encoded(GOOD));
    let signature = own.sign(&ISSUER.random, signed.as_bytes()).unwrap();
    let token = format!("{signed}.{}", encoded(signature));
    assert_eq!(checked(&token, &keys, &rules()).map(|_| ()), Ok(()));
}
