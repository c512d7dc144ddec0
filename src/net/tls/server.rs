//! TLS as a server: the connections of a listener's clients.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use actix_rt::net::TcpStream;
use rustls::{
    RootCertStore, ServerConfig, ServerConnection, SupportedProtocolVersion,
    crypto::ring,
    server::{NoServerSessionStorage, WebPkiClientVerifier},
    sign::CertifiedKey,
    version::{TLS12, TLS13},
};
use tokio_rustls::TlsAcceptor;

use super::{
    ALPN, Identity, PemError, TlsError, TlsStream,
    by_name::ByName,
    current::{FromFiles, Load, Texts},
    pem, provider,
};
use crate::certificate::{Certificate, TlsFacts};

/// The first byte of a TLS connection: that of the record with the ClientHello (RFC 8446 section 5.1).
const HANDSHAKE: u8 = 0x16;

/// The files of a certificate and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The certificate, and those between it and its root.
    pub cert: PathBuf,
    /// The key of the certificate.
    pub key: PathBuf,
}

/// How clients authenticate with certificates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientAuth {
    /// The file of the roots of clients' certificates.
    pub ca: PathBuf,
    /// Whether a client without a certificate is refused.
    pub is_required: bool,
}

/// The TLS settings of a listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerFiles {
    /// The certificates; at least one. The first one is for clients that name no server, or an unknown one.
    pub certificates: Vec<CertificateFiles>,
    /// How clients authenticate with certificates; `None` if the listener asks for none.
    pub clients: Option<ClientAuth>,
    /// Whether TLS 1.2 is refused.
    pub only_tls13: bool,
}

/// TLS for the clients of a listener. Clones share everything.
#[derive(Clone)]
pub struct TlsServer {
    pub(super) made: FromFiles<ServerFiles>,
}

/// The files of a listener as they were read last.
pub struct LoadedServerTls {
    config: Arc<ServerConfig>,
    /// The certificates with the keys of the settings that name their files.
    certificates: Vec<(String, Certificate)>,
}

/// The role of a listener's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileRole {
    /// The certificate of this number, from 0.
    Certificate(usize),
    /// The key of the certificate of this number, from 0.
    Key(usize),
    /// The roots of clients' certificates.
    ClientCa,
    /// No file: the library refuses the configuration.
    Setup,
}

/// Why a file of a listener cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileProblem {
    /// Which of the files it is.
    pub role: FileRole,
    /// The error. The text does not repeat the content of the file.
    pub text: String,
}

/// A connection that did not become a TLS connection.
#[derive(Debug)]
pub enum NotSecured {
    /// The client speaks plain HTTP. Nothing has been read from the socket.
    PlainHttp(TcpStream),
    /// The handshake has failed. The alert that says so, if any, has been written as far as the socket takes it.
    Failed(TlsError, TcpStream),
    /// The client has disconnected, or the socket has failed.
    Gone,
}

// === impl ServerFiles ===

impl Load for ServerFiles {
    type Loaded = LoadedServerTls;
    type Problem = FileProblem;

    fn paths(&self) -> Vec<PathBuf> {
        let pairs = self.certificates.iter().flat_map(|files| [files.cert.clone(), files.key.clone()]);
        pairs.chain(self.clients.iter().map(|clients| clients.ca.clone())).collect()
    }

    fn load(&self, texts: &Texts) -> Result<LoadedServerTls, Vec<FileProblem>> {
        let (mut problems, mut keys, mut certificates) = (Vec::new(), Vec::new(), Vec::new());
        for (number, files) in self.certificates.iter().enumerate() {
            let (cert, key) = (FileRole::Certificate(number), FileRole::Key(number));
            let chain = FileProblem::of(cert, texts.parsed(&files.cert, pem::certificates));
            let private = FileProblem::of(key, texts.parsed(&files.key, pem::key));
            match (chain, private) {
                (Ok(chain), Ok(private)) => match certified(number, chain, private) {
                    Ok((certificate, key)) => {
                        certificates.push((cert.to_string(), certificate.clone()));
                        keys.push((certificate, Arc::new(key)));
                    }
                    Err(problem) => problems.push(problem),
                },
                (chain, private) => problems.extend([chain.err(), private.err()].into_iter().flatten()),
            }
        }
        let roots = self.clients.as_ref().map(|clients| {
            let roots = texts.parsed(&clients.ca, |text| {
                let listed = pem::certificates(text)?;
                let mut store = RootCertStore::empty();
                for root in listed {
                    let parsed = Certificate::parse(&root).map_err(|_| PemError::Malformed)?;
                    store.add(root).map_err(|_| PemError::Malformed)?;
                    certificates.push((FileRole::ClientCa.to_string(), parsed));
                }
                Ok(store)
            });
            FileProblem::of(FileRole::ClientCa, roots).map(|roots| (roots, clients.is_required))
        });
        match roots.transpose() {
            Err(problem) => problems.push(problem),
            Ok(roots) if problems.is_empty() => {
                let config = self.config(keys, roots).map_err(|error| {
                    vec![FileProblem {
                        role: FileRole::Setup,
                        text: format!("TLS cannot be set up: {error}"),
                    }]
                })?;
                return Ok(LoadedServerTls { config: Arc::new(config), certificates });
            }
            Ok(_) => {}
        }
        Err(problems)
    }

    fn certificates(loaded: &LoadedServerTls) -> &[(String, Certificate)] {
        &loaded.certificates
    }

    fn text(problem: &FileProblem) -> String {
        problem.to_string()
    }
}

impl ServerFiles {
    fn config(
        &self,
        keys: Vec<(Certificate, Arc<CertifiedKey>)>,
        roots: Option<(RootCertStore, bool)>,
    ) -> Result<ServerConfig, rustls::Error> {
        let versions: &[&SupportedProtocolVersion] =
            if self.only_tls13 { &[&TLS13] } else { &[&TLS13, &TLS12] };
        let provider = provider();
        let builder =
            ServerConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(versions)?;
        let proves_clients = roots.is_some();
        let builder = match roots {
            Some((roots, is_required)) => {
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                let verifier = if is_required { verifier } else { verifier.allow_unauthenticated() };
                let verifier = verifier.build().map_err(|error| rustls::Error::General(error.to_string()))?;
                builder.with_client_cert_verifier(verifier)
            }
            None => builder.with_no_client_auth(),
        };
        let resolver = ByName::new(keys).ok_or(rustls::Error::NoCertificatesPresented)?;
        let mut config = builder.with_cert_resolver(Arc::new(resolver));
        config.alpn_protocols = vec![ALPN.to_vec()];
        // The process keeps nothing for clients that may resume a session.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        if proves_clients {
            // Every connection proves its certificate, so that one that has expired is noticed.
            config.send_tls13_tickets = 0;
        } else {
            config.ticketer = ring::Ticketer::new()?;
            config.send_tls13_tickets = 1;
        }
        Ok(config)
    }
}

/// The certificate of this number with its key, which must be that of the certificate.
fn certified(
    number: usize,
    chain: Vec<rustls::pki_types::CertificateDer<'static>>,
    key: rustls::pki_types::PrivateKeyDer<'static>,
) -> Result<(Certificate, CertifiedKey), FileProblem> {
    let problem = |role, error: PemError| FileProblem { role, text: error.to_string() };
    let malformed = || problem(FileRole::Certificate(number), PemError::Malformed);
    let found = chain.first().and_then(|own| Certificate::parse(own).ok()).ok_or_else(malformed)?;
    match (Identity { chain, key }).certified() {
        Ok(certified) => Ok((found, certified)),
        Err(PemError::Malformed) => Err(malformed()),
        Err(error) => Err(problem(FileRole::Key(number), error)),
    }
}

// === impl TlsServer ===

impl TlsServer {
    /// Reads the files with `read`, and sets TLS up.
    ///
    /// # Errors
    /// All files that cannot be used.
    pub fn load(
        files: ServerFiles,
        read: impl Fn(&Path) -> io::Result<String>,
    ) -> Result<Self, Vec<FileProblem>> {
        Ok(Self { made: FromFiles::load(files, read)? })
    }

    /// When the first of the certificates in force expires, in seconds since the Unix epoch.
    pub fn expires(&self) -> Option<i64> {
        self.made.certificates().iter().map(|(_, certificate)| certificate.not_after).min()
    }

    /// Waits for the first bytes of a client, and completes the handshake. New handshakes use the files as they were
    /// read last. The caller bounds the time.
    ///
    /// # Errors
    /// When there is no TLS connection; see [`NotSecured`].
    pub(in crate::net) async fn accept(&self, socket: TcpStream) -> Result<TlsStream, NotSecured> {
        let mut first = [0];
        match socket.peek(&mut first).await {
            Ok(1..) if is_method(first[0]) => return Err(NotSecured::PlainHttp(socket)),
            Ok(1..) => {}
            Ok(0) | Err(_) => return Err(NotSecured::Gone),
        }
        let config = Arc::clone(&self.made.get().config);
        match TlsAcceptor::from(config).accept(socket).into_fallible().await {
            Ok(stream) => Ok(TlsStream::new(stream.into())),
            Err((error, socket)) => match TlsError::of(&TlsError::of_handshake(error)) {
                Some(error) => Err(NotSecured::Failed(error, socket)),
                None => Err(NotSecured::Gone),
            },
        }
    }
}

/// Whether a connection whose first byte this is begins with the method of an HTTP request (RFC 9110 section 9.1).
fn is_method(first: u8) -> bool {
    first != HANDSHAKE && first.is_ascii_uppercase()
}

impl fmt::Debug for TlsServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsServer").field("files", &self.made.settings).finish_non_exhaustive()
    }
}

/// The properties of a connection after its handshake.
///
/// # Errors
/// When the client's certificate is malformed or too large.
pub(super) fn facts(connection: &ServerConnection) -> Result<TlsFacts, TlsError> {
    use rustls::ProtocolVersion;
    let own = connection.peer_certificates().and_then(|chain| chain.first());
    let client = own.map(|own| Certificate::parse(own)).transpose();
    let client = client.map_err(|_| TlsError::BadCertificate)?;
    let cipher = connection.negotiated_cipher_suite().map_or("", |suite| cipher(suite.suite()));
    let version = match connection.protocol_version() {
        Some(ProtocolVersion::TLSv1_2) => "1.2",
        _ => "1.3",
    };
    let server_name = connection.server_name().map(|name| name.to_ascii_lowercase().into());
    let facts = TlsFacts { version, cipher, server_name, client };
    if facts.is_too_large() { Err(TlsError::BadCertificate) } else { Ok(facts) }
}

/// The name of a cipher suite as IANA lists it. The library has other names for those of TLS 1.3.
fn cipher(suite: rustls::CipherSuite) -> &'static str {
    use rustls::CipherSuite as Suite;
    match suite {
        Suite::TLS13_AES_128_GCM_SHA256 => "TLS_AES_128_GCM_SHA256",
        Suite::TLS13_AES_256_GCM_SHA384 => "TLS_AES_256_GCM_SHA384",
        Suite::TLS13_CHACHA20_POLY1305_SHA256 => "TLS_CHACHA20_POLY1305_SHA256",
        suite => suite.as_str().unwrap_or_default(),
    }
}

// === impl FileRole, FileProblem ===

impl fmt::Display for FileRole {
    /// The key of the settings.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Certificate(number) => write!(f, "tls.certificates[{}].cert", number + 1),
            Self::Key(number) => write!(f, "tls.certificates[{}].key", number + 1),
            Self::ClientCa => f.write_str("tls.client_ca"),
            Self::Setup => f.write_str("tls"),
        }
    }
}

impl FileProblem {
    fn of<T>(role: FileRole, parsed: Result<T, String>) -> Result<T, Self> {
        parsed.map_err(|text| Self { role, text })
    }
}

impl fmt::Display for FileProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.role, self.text)
    }
}
