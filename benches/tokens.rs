//! The cost of checking a token, with the examples of RFC 7515 appendix A.
//!
//! ```console
//! $ cargo bench --bench tokens
//! ```
#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "a benchmark has no public interface and stops at an error"
)]

use divan::{Bencher, black_box};
use towline::auth::{
    Secret,
    jwt::{KeySet, Rules, verify},
};

/// A second before the examples expire.
const NOW: u64 = 1_300_819_379;

const KEYS: &str = r#"{"keys": [
    {"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"},
    {"kty":"RSA","e":"AQAB","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"},
    {"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}"#;

const CLAIMS: &str =
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";

/// A header and a signature for each algorithm.
const TOKENS: [(&str, &str, &str); 3] = [
    ("HS256", "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9", "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"),
    (
        "RS256",
        "eyJhbGciOiJSUzI1NiJ9",
        "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw",
    ),
    (
        "ES256",
        "eyJhbGciOiJFUzI1NiJ9",
        "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
    ),
];

fn main() {
    divan::main();
}

#[divan::bench(args = TOKENS.map(|(name, _, _)| name))]
fn token(bencher: Bencher<'_, '_>, algorithm: &str) {
    let keys = KeySet::from_jwks(KEYS, &[], true).unwrap();
    let rules = Rules { issuers: ["joe".to_owned()].into(), audiences: Box::default(), leeway: 0 };
    let (_, header, signature) = TOKENS.into_iter().find(|(name, _, _)| *name == algorithm).unwrap();
    let token = Secret::from(format!("{header}.{CLAIMS}.{signature}"));
    let method = "users".into();
    bencher.bench(|| verify(&method, black_box(&token), &keys, &rules, NOW).unwrap());
}
