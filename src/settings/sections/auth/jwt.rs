//! The table `jwt` of a section `[auth.NAME]`.

use config::Value;
use zeroize::Zeroizing;

use super::Read;
use crate::{
    auth::{
        JwksConfig, JwtConfig, KeySource, MethodConfig,
        jwt::{Algorithm, KeySet, Rules},
    },
    authority::is_masked,
    files::Fingerprint,
    http_url::HttpUrl,
    settings::{
        read::{Section, all, list, quoted, text},
        sections::roots,
    },
};

/// The keys of which one says where the keys for tokens are.
const SOURCES: [&str; 4] = ["jwt.keys", "jwt.jwks_file", "jwt.jwks_url", "jwt.secret_file"];

/// Reads the table. Reports a problem with a file without its content.
pub(super) fn read(_name: &str, section: &Section<'_>) -> Option<Read> {
    let algorithms = section.read("jwt.algorithms", algorithms).unwrap_or_default();
    let issuer = section.read("jwt.issuer", |value| match text(value)? {
        "" => Err("takes the claim iss of the tokens, such as \"https://id.example.com\"".to_owned()),
        issuer => Ok(issuer.to_owned()),
    });
    let rules = Rules {
        issuers: issuer.into_iter().collect(),
        audiences: section.list("jwt.audience").into(),
        leeway: section.duration("jwt.leeway").as_secs(),
    };
    let said: Vec<_> = SOURCES.into_iter().filter(|key| section.said(key).is_some()).collect();
    if let [first, rest @ ..] = said.as_slice() {
        for key in rest {
            section.conflict(key, &[], format!("the keys are in one place, and {first} is set too"));
        }
    } else {
        section.section_problem(format!("jwt needs keys: {}", SOURCES.join(", ")));
    }
    let remote = remote(section);
    let sources = [
        section.path_to("jwt.keys").map(KeySource::Pem),
        section.path_to("jwt.jwks_file").map(KeySource::Jwks),
        remote.map(|remote| KeySource::Url(Box::new(remote))),
        section.path_to("jwt.secret_file").map(KeySource::Secret),
    ];
    let (key, source) =
        SOURCES.into_iter().zip(sources).find_map(|(key, source)| source.map(|it| (key, it)))?;
    let mut fingerprint = None;
    let keys = match source.path() {
        None => KeySet::default(),
        Some(path) => {
            let text = section.host().read(path).map(Zeroizing::new);
            let text = text.map_err(|error| format!("cannot be read: {error}"));
            fingerprint = text.as_deref().ok().map(|text| Fingerprint::of(text));
            let keys =
                text.and_then(|text| source.parse(&text, &algorithms).map_err(|error| error.to_string()));
            keys.map_err(|text| section.wrong(key, text)).ok()?
        }
    };
    Some((MethodConfig::Jwt(JwtConfig { source, algorithms, rules, keys }), fingerprint))
}

/// The keys at a URL; `None` without a valid URL.
fn remote(section: &Section<'_>) -> Option<JwksConfig> {
    let refresh = section.duration("jwt.refresh");
    let url = section.read("jwt.jwks_url", |value| match text(value)? {
        masked if is_masked(masked) => Err("a masked secret is not accepted; write the whole URL".to_owned()),
        url => HttpUrl::parse(url).map_err(|_| {
            "takes a URL such as \"https://id.example.com/jwks.json\", without user, password and fragment".to_owned()
        }),
    });
    let ca = section.path_to("jwt.ca");
    if section.said("jwt.jwks_url").is_none() && section.said("jwt.refresh").is_some() {
        section.conflict("jwt.refresh", &[], "needs jwt.jwks_url");
    }
    let is_secure = url.as_ref().is_some_and(|url| url.is_secure);
    if section.said("jwt.ca").is_some() && !is_secure {
        section.conflict("jwt.ca", &["jwt.jwks_url"], "needs jwt.jwks_url = \"https://…\"");
    }
    let url = url?;
    let tls =
        if is_secure { Some(roots::tls(section, ca.clone(), ("jwt.jwks_url", "jwt.ca"))?) } else { None };
    Some(JwksConfig { url, ca, tls, refresh })
}

fn algorithms(value: &Value) -> Result<Box<[Algorithm]>, String> {
    let names = list(value)?;
    let algorithm = |name: &String| {
        Algorithm::named(name).ok_or_else(|| {
            let known = Algorithm::ALL.map(|(name, _)| name).join(", ");
            format!("{} is not supported; known: {known}", quoted(name))
        })
    };
    all(names.iter().map(algorithm)).map(Vec::into_boxed_slice)
}
