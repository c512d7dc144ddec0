//! Certificates, and doors between plain and TLS connections.

use std::{
    io::{self, Write as _},
    net::{SocketAddr, TcpListener as StdListener, TcpStream as StdStream},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    IsCa, KeyPair, KeyUsagePurpose, date_time_ymd,
};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, RootCertStore, ServerConfig,
    SignatureScheme, StreamOwned, SupportedProtocolVersion,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
    server::WebPkiClientVerifier,
    version::{TLS12, TLS13},
};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;

/// All TLS versions.
pub const ANY_TLS: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];

/// A client's TLS connection.
pub type Secure = StreamOwned<ClientConnection, StdStream>;

/// Accepts the certificates of all servers, so that a test can look at them.
#[derive(Debug)]
struct Careless;

/// A certificate authority. Its files are in a temporary folder.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: tempfile::TempDir,
    issued: AtomicUsize,
}

/// A certificate to issue.
#[derive(Debug, Clone)]
pub struct Leaf {
    params: CertificateParams,
}

/// A certificate and its key, in files.
#[derive(Debug, Clone)]
pub struct Issued {
    pub cert: PathBuf,
    pub key: PathBuf,
}

/// A listening socket whose connections go on to another address, with TLS on one of both sides. Dropping it ends its
/// connections.
#[derive(Debug)]
pub struct Door {
    addr: SocketAddr,
    _closed: oneshot::Sender<()>,
}

/// Connects, and completes the TLS handshake with the server `name` as far as the client sees it.
pub fn secure(config: ClientConfig, to: SocketAddr, name: &str) -> io::Result<Secure> {
    secure_after(&[], config, to, name)
}

/// The same as [`secure`], with these bytes before the TLS handshake.
pub fn secure_after(bytes: &[u8], config: ClientConfig, to: SocketAddr, name: &str) -> io::Result<Secure> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut socket = StdStream::connect(to)?;
    socket.write_all(bytes)?;
    socket.set_read_timeout(Some(super::PATIENCE))?;
    socket.set_write_timeout(Some(super::PATIENCE))?;
    socket.set_nodelay(true)?;
    let mut stream = StreamOwned::new(ClientConnection::new(Arc::new(config), name).unwrap(), socket);
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock)?;
    }
    Ok(stream)
}

/// A client that accepts every certificate.
pub fn careless() -> ClientConfig {
    ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(ANY_TLS)
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Careless))
        .with_no_client_auth()
}

/// The same client, which names no server in its handshake.
pub fn unnamed(mut config: ClientConfig) -> ClientConfig {
    config.enable_sni = false;
    config
}

impl ServerCertVerifier for Careless {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}

// === impl Leaf ===

impl Leaf {
    /// A certificate for these names and addresses that is valid now.
    pub fn new(names: &[&str]) -> Self {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name = DistinguishedName::new();
        params.use_authority_key_identifier_extension = true;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        Self { params }
    }

    /// A client's certificate with this common name.
    pub fn client(name: &str, names: &[&str]) -> Self {
        let mut leaf = Self::new(names);
        leaf.params.distinguished_name.push(DnType::CommonName, name);
        leaf.params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        leaf
    }

    /// The same certificate, which is valid from one time to another, in days from now.
    pub fn days(mut self, from: i64, to: i64) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;
        let at = |days: i64| {
            let seconds = now + days * 24 * 60 * 60 + 60 * 60;
            date_time_ymd(1970, 1, 1) + Duration::from_secs(seconds as u64)
        };
        (self.params.not_before, self.params.not_after) = (at(from), at(to));
        self
    }

    /// The same certificate, which is valid from the beginning of one year to the beginning of another.
    pub fn years(mut self, from: i32, to: i32) -> Self {
        (self.params.not_before, self.params.not_after) =
            (date_time_ymd(from, 1, 1), date_time_ymd(to, 1, 1));
        self
    }
}

// === impl Authority ===

impl Authority {
    /// A new authority.
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "test authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { issuer, folder, issued: AtomicUsize::new(0) }
    }

    /// The file of the authority's certificate.
    pub fn file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// Issues a certificate, with a new key.
    pub fn issue(&self, leaf: &Leaf) -> Issued {
        let number = self.issued.fetch_add(1, SeqCst);
        let path = |kind| self.folder.path().join(format!("{number}.{kind}.pem"));
        let issued = Issued { cert: path("cert"), key: path("key") };
        self.issue_to(leaf, &issued);
        issued
    }

    /// Issues a certificate, with a new key, into these files.
    pub fn issue_to(&self, leaf: &Leaf, files: &Issued) {
        let key = KeyPair::generate().unwrap();
        let cert = leaf.params.signed_by(&key, &self.issuer).unwrap();
        std::fs::write(&files.cert, cert.pem()).unwrap();
        std::fs::write(&files.key, key.serialize_pem()).unwrap();
    }

    fn roots(&self) -> Arc<RootCertStore> {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        Arc::new(roots)
    }

    /// A client that accepts this authority's certificates.
    pub fn client(
        &self,
        identity: Option<&Issued>,
        versions: &[&'static SupportedProtocolVersion],
    ) -> ClientConfig {
        let builder = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(self.roots());
        match identity {
            Some(identity) => {
                builder.with_client_auth_cert(identity.chain(), identity.private_key()).unwrap()
            }
            None => builder.with_no_client_auth(),
        }
    }

    /// A server that requires certificates of this authority from its clients.
    pub fn requiring(&self, identity: &Issued) -> ServerConfig {
        let verifier = WebPkiClientVerifier::builder_with_provider(self.roots(), provider()).build().unwrap();
        ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier)
            .with_single_cert(identity.chain(), identity.private_key())
            .unwrap()
    }
}

// === impl Issued ===

impl Issued {
    pub fn chain(&self) -> Vec<CertificateDer<'static>> {
        CertificateDer::pem_file_iter(&self.cert).unwrap().map(Result::unwrap).collect()
    }

    pub fn private_key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::from_pem_file(&self.key).unwrap()
    }

    /// A server with this certificate.
    pub fn server(&self) -> ServerConfig {
        ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(self.chain(), self.private_key())
            .unwrap()
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

// === impl Door ===

impl Door {
    /// Accepts TLS, and passes what is inside on to `to`.
    pub fn accepting(config: ServerConfig, to: SocketAddr) -> Self {
        let acceptor = TlsAcceptor::from(Arc::new(config));
        Self::open(move |near| {
            let acceptor = acceptor.clone();
            async move {
                // A client may refuse the certificate.
                let Ok(mut near) = acceptor.accept(near).await else { return };
                let Ok(mut far) = TcpStream::connect(to).await else { return };
                let _ = copy_bidirectional(&mut near, &mut far).await;
            }
        })
    }

    fn open<F>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + 'static,
    {
        let listener = StdListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let addr = listener.local_addr().unwrap();
        let (closing, mut closed) = oneshot::channel();
        std::thread::spawn(move || {
            actix_rt::System::new().block_on(async {
                let listener = TcpListener::from_std(listener).unwrap();
                let mut serving = JoinSet::new();
                loop {
                    let near = tokio::select! {
                        accepted = listener.accept() => accepted.unwrap().0,
                        // The door has been dropped.
                        _ = &mut closed => return,
                    };
                    near.set_nodelay(true).unwrap();
                    serving.spawn_local(serve(near));
                }
            });
        });
        Self { addr, _closed: closing }
    }

    /// The address that the door listens on.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The URL `wss://HOST:PORT`.
    pub fn url(&self, host: &str) -> String {
        format!("wss://{host}:{}", self.addr.port())
    }
}
