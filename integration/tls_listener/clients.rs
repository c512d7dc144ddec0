//! Clients' certificates.

use super::*;

const REQUIRED: &str = r#"listener.ws.tls.client_auth = "required""#;
/// A line that says nothing about certificates.
const NEUTRAL: &str = "server.workers = 2";

struct Fixture {
    proxy: Proxy,
    /// The authority of the listener's certificate.
    servers: Authority,
    /// The authority of clients' certificates.
    clients: Authority,
    _upstream: TestUpstream,
}

impl Fixture {
    fn new(auth: &str) -> Self {
        let (upstream, servers, clients) = (TestUpstream::echo(), Authority::new(), Authority::new());
        let issued = servers.issue(&Leaf::new(&["chat.test"]));
        let settings = settings(&upstream, &[&issued])
            .with(&format!("listener.ws.tls.client_ca = {:?}", clients.file()))
            .with(auth)
            .incoming("select $request.tls.client from in into out;");
        let proxy =
            Proxy::start(&settings).expect("client refused").expect("client closed before its request");
        Self { proxy, servers, clients, _upstream: upstream }
    }

    /// Connects with this certificate. The error of a refused certificate comes with the first answer.
    fn connect(&self, identity: Option<&Issued>) -> Result<Session, String> {
        let config = self.servers.client(identity, ANY_TLS);
        let stream = secure(config, self.proxy.addr(), "chat.test").map_err(|error| error.to_string())?;
        shaken(stream)
    }

    fn client(&self, identity: Option<&Issued>) -> Value {
        serde_json::from_str(&ask(&mut self.connect(identity).unwrap(), "a")).unwrap()
    }
}

#[test]
fn subject_and_names_of_the_certificate_are_known() {
    let fixture = Fixture::new(REQUIRED);
    let leaf = Leaf::client("device, 7", &["7.devices.test", "10.0.0.7"]).years(2020, 2100);
    let client = fixture.client(Some(&fixture.clients.issue(&leaf)));
    assert_eq!(
        client,
        json!({
            "subject": "CN=device\\, 7", "names": ["7.devices.test", "10.0.0.7"],
            "not_before": 1_577_836_800_u64, "not_after": 4_102_444_800_u64
        })
    );
}

/// `client_ca` alone requires a certificate.
#[test]
fn bad_certificates_are_refused_with_an_alert_and_a_line_of_the_log() {
    for auth in [NEUTRAL, REQUIRED, r#"listener.ws.tls.client_auth = "optional""#] {
        let fixture = Fixture::new(auth);
        let expired = fixture.clients.issue(&Leaf::client("old", &[]).years(2001, 2002));
        let future = fixture.clients.issue(&Leaf::client("new", &[]).years(2090, 2100));
        let others = Authority::new();
        let stranger = others.issue(&Leaf::client("stranger", &[]));
        let server = fixture.clients.issue(&Leaf::new(&["chat.test"]));
        for (identity, alert, cause) in [
            (&expired, "CertificateExpired", "the certificate has expired"),
            (&future, "CertificateExpired", "the certificate is not valid yet"),
            (&stranger, "DecryptError", "the certificate has an unknown issuer"),
            (&server, "UnsupportedCertificate", "the certificate is invalid"),
        ] {
            let error = fixture.connect(Some(identity)).unwrap_err();
            // An alert of TLS 1.3 has the first of two words for certificates that are not valid.
            assert!(error.contains(alert) || error.contains("BadCertificate"), "{cause}: {error}");
            fixture.proxy.wait_log("client closed before its request*reason=\"TLS handshake failed\"*");
        }
        let has_cause = |cause: &str| fixture.proxy.log().iter().any(|line| line.contains(cause));
        assert!(has_cause("cause=\"the certificate has expired\""), "{:?}", fixture.proxy.log());
        if auth.contains("optional") {
            assert_eq!(fixture.client(None), Value::Null);
        } else {
            let error = fixture.connect(None).unwrap_err();
            assert!(error.contains("CertificateRequired"), "{error}");
        }
        let good = fixture.clients.issue(&Leaf::client("good", &[]));
        assert_eq!(fixture.client(Some(&good))["subject"], "CN=good");
    }
}

/// A ticket of an earlier connection does not replace the check of a certificate.
#[test]
fn each_connection_proves_its_certificate() {
    let fixture = Fixture::new(REQUIRED);
    let config = fixture.servers.client(Some(&fixture.clients.issue(&Leaf::client("a", &[]))), ANY_TLS);
    for _ in 0..3 {
        let stream = secure(config.clone(), fixture.proxy.addr(), "chat.test").unwrap();
        assert_eq!(stream.conn.handshake_kind(), Some(rustls::HandshakeKind::Full));
        let client: Value = serde_json::from_str(&ask(&mut shaken(stream).unwrap(), "a")).unwrap();
        assert_eq!(client["subject"], "CN=a");
    }
}

#[test]
fn without_certificates_a_connection_may_resume_an_earlier_one() {
    let (upstream, authority) = (TestUpstream::echo(), Authority::new());
    let issued = authority.issue(&Leaf::new(&["chat.test"]));
    let proxy = Proxy::start(&settings(&upstream, &[&issued]));
    let config = authority.client(None, &[&TLS13]);
    let kinds = [0, 1].map(|_| {
        let stream = secure(config.clone(), proxy.addr(), "chat.test").unwrap();
        let kind = stream.conn.handshake_kind();
        ask(&mut shaken(stream).unwrap(), "the ticket comes before the answer");
        kind
    });
    assert_eq!(kinds, [Some(rustls::HandshakeKind::Full), Some(rustls::HandshakeKind::Resumed)]);
}
