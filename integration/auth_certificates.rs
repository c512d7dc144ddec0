//! Tests of the method `client_certificate`.

use tungstenite::{Error, HandshakeError, client::IntoClientRequest};

use crate::harness::*;

struct Fixture {
    proxy: Proxy,
    /// The authority of the listener's certificate.
    servers: Authority,
    /// The authority of clients' certificates.
    clients: Authority,
    upstream: TestUpstream,
}

/// A response with another status than 101.
#[derive(Debug, PartialEq)]
struct Refused {
    status: u16,
    body: String,
    challenge: Option<String>,
}

impl Fixture {
    /// A listener that asks for certificates without requiring them, and a route with these methods.
    fn new(methods: &str) -> Self {
        let (upstream, servers, clients) = (TestUpstream::echo(), Authority::new(), Authority::new());
        let issued = servers.issue(&Leaf::new(&["chat.test"]));
        let settings = Settings::request(&upstream.url())
            .with(&format!("listener.ws.tls.certificates = [{{ cert = {:?}, key = {:?} }}]", issued.cert, issued.key))
            .with(&format!("listener.ws.tls.client_ca = {:?}", clients.file()))
            .with(r#"listener.ws.tls.client_auth = "optional""#)
            .with(
                r#"auth.devices.client_certificate = { subjects = ["CN=device *"], names = ["*.devices.test"] }"#,
            )
            .with(
                r#"auth.partners.api_keys.keys = { a = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08" }"#,
            )
            .on_route(&format!("auth = {methods}"))
            .on_route(r#"origins = ["*"]"#)
            .incoming("select $session from in into out;");
        let proxy = Proxy::start(&settings).expect("client refused").expect("has no effect");
        Self { proxy, servers, clients, upstream }
    }

    /// What is known of the session of a client with this certificate and API key.
    fn session(&self, leaf: Option<&Leaf>, key: Option<&str>) -> Result<Value, Refused> {
        let identity = leaf.map(|leaf| self.clients.issue(leaf));
        let config = self.servers.client(identity.as_ref(), rustls::ALL_VERSIONS);
        let stream = secure(config, self.proxy.addr(), "chat.test").unwrap();
        let mut request = "ws://chat.test/".into_client_request().unwrap();
        if let Some(key) = key {
            request.headers_mut().insert("authorization", format!("Bearer {key}").parse().unwrap());
        }
        match tungstenite::client(request, stream) {
            Ok((mut session, _)) => {
                session.send(Message::text("a")).unwrap();
                Ok(serde_json::from_str(session.read().unwrap().to_text().unwrap()).unwrap())
            }
            Err(HandshakeError::Failure(Error::Http(response))) => {
                let challenge = response.headers().get("www-authenticate");
                let challenge = challenge.map(|value| value.to_str().unwrap().to_owned());
                let body = response.body().clone().unwrap_or_default();
                let body = String::from_utf8(body).unwrap();
                Err(Refused { status: response.status().as_u16(), body, challenge })
            }
            Err(error) => panic!("{error}"),
        }
    }
}

fn refused(status: u16, body: &str, challenge: Option<&str>) -> Result<Value, Refused> {
    Err(Refused { status, body: body.to_owned(), challenge: challenge.map(str::to_owned) })
}

#[test]
fn a_certificate_that_is_listed_accepts_its_client() {
    let fixture = Fixture::new(r#"["devices"]"#);
    let leaf = Leaf::client("device 7", &["7.devices.test", "10.0.0.7"]).years(2020, 2100);
    let session = fixture.session(Some(&leaf), None).unwrap();
    assert_eq!(session["subject"], "CN=device 7");
    let claims = json!({"sub": "CN=device 7", "exp": 4_102_444_800_u64, "dns": ["7.devices.test"], "ip": ["10.0.0.7"]});
    assert_eq!(session["claims"], claims);
    for (name, names) in [("admin", "7.devices.test"), ("device 7", "7.servers.test")] {
        let refusal = fixture.session(Some(&Leaf::client(name, &[names])), None);
        assert_eq!(refusal, refused(403, "not allowed\n", None), "{name} {names}");
    }
    fixture.proxy.wait_log("client refused *status=403 *cause=\"subject of the certificate is not listed\"");
    // HTTP has no challenge for certificates, and 401 requires one.
    assert_eq!(fixture.session(None, None), refused(403, "client certificate required\n", None));
    assert_eq!(fixture.upstream.connections(), 1);
}

#[test]
fn a_client_without_certificate_may_use_another_method() {
    let fixture = Fixture::new(r#"["devices", "partners"]"#);
    assert_eq!(fixture.session(None, Some("test")).unwrap()["subject"], "a");
    let challenge = Some("Bearer realm=\"partners\"");
    assert_eq!(fixture.session(None, None), refused(401, "authentication required\n", challenge));
    // A certificate that is not listed does not lead to the next method.
    let refusal = fixture.session(Some(&Leaf::client("admin", &[])), Some("test"));
    assert_eq!(refusal, refused(403, "not allowed\n", None));
}

/// The upstream could take an API key that nobody has checked for that of the client.
#[test]
fn a_credential_of_another_method_beside_a_certificate_is_refused() {
    let fixture = Fixture::new(r#"["devices", "partners"]"#);
    let leaf = Leaf::client("device 7", &["7.devices.test"]);
    for key in ["test", "tes"] {
        let refusal = fixture.session(Some(&leaf), Some(key));
        assert_eq!(refusal, refused(400, "malformed credential\n", None), "{key}");
    }
    fixture.proxy.wait_log("client refused *status=400 *cause=\"more than one credential\"");
    assert_eq!(fixture.upstream.connections(), 0);
    assert_eq!(fixture.session(Some(&leaf), None).unwrap()["subject"], "CN=device 7");
}
