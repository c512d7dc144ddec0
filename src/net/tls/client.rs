//! TLS as a client: the connections to an upstream.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use actix_rt::net::TcpStream;
use rustls::{
    ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use tokio_rustls::TlsConnector;

use super::{
    ALPN, Identity, PemError, TlsError, TlsStream,
    current::{FromFiles, Load, Texts},
    pem, provider,
};
use crate::certificate::Certificate;

/// Roots that are not listed in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Roots {
    /// The roots of this machine.
    System,
    /// Mozilla's list of roots for the web, which is part of the program.
    Web,
}

/// The TLS settings of an upstream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClientFiles {
    /// The file of the roots that issue the certificates of servers.
    pub ca: Option<PathBuf>,
    /// Other roots that are trusted.
    pub roots: Option<Roots>,
    /// Whether all certificates are accepted, which does not protect from anyone who can change the traffic.
    pub accepts_all: bool,
    /// The files of the certificate and of the key of the proxy, for servers that require one.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// The name of the servers for SNI and for the check of the certificate, if it is not the one in the URL.
    pub name: Option<ServerName<'static>>,
}

/// The role of an upstream's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientFileRole {
    /// The roots that issue the certificates of servers.
    Ca,
    /// The certificate of the proxy.
    Certificate,
    /// The key of that certificate.
    Key,
    /// No file: the library refuses the configuration.
    Setup,
}

/// How the servers of an upstream are connected to with TLS. Clones share everything.
#[derive(Clone)]
pub struct TlsClient {
    pub(super) made: FromFiles<ClientFiles>,
}

/// The files of an upstream as they were read last.
pub struct LoadedClientTls {
    config: Arc<ClientConfig>,
    accepts: Accepts,
    /// The certificates with the keys of the settings that name their files.
    certificates: Vec<(String, Certificate)>,
}

/// Which servers may be accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Accepts {
    /// None, because no root is known.
    None,
    /// Servers whose certificates a root has issued.
    Issued,
    All,
}

/// Accepts every certificate. The server still proves that it has the key of its certificate.
#[derive(Debug)]
struct AcceptsAll(Arc<CryptoProvider>);

// === impl ClientFiles ===

impl Load for ClientFiles {
    type Loaded = LoadedClientTls;
    type Problem = (ClientFileRole, String);

    fn paths(&self) -> Vec<PathBuf> {
        let own = self.identity.iter().flat_map(|(cert, key)| [cert.clone(), key.clone()]);
        self.ca.iter().cloned().chain(own).collect()
    }

    fn load(&self, texts: &Texts) -> Result<LoadedClientTls, Vec<(ClientFileRole, String)>> {
        use ClientFileRole as Role;
        let mut certificates = Vec::new();
        let listed = self.ca.as_ref().map(|ca| texts.parsed(ca, pem::certificates));
        let listed = listed.transpose().map_err(|text| vec![(Role::Ca, text)]);
        let identity = self.identity.as_ref().map(|(cert, key)| {
            let chain = texts.parsed(cert, pem::certificates).map_err(|text| (Role::Certificate, text));
            let key = texts.parsed(key, pem::key).map_err(|text| (Role::Key, text));
            match (chain, key) {
                (Ok(chain), Ok(key)) => checked(Identity { chain, key }).map_err(|problem| vec![problem]),
                (chain, key) => Err([chain.err(), key.err()].into_iter().flatten().collect()),
            }
        });
        let (listed, identity) = match (listed, identity.transpose()) {
            (Ok(listed), Ok(identity)) => (listed, identity),
            (listed, identity) => {
                let problems = [listed.err(), identity.err()].into_iter().flatten();
                return Err(problems.flatten().collect());
            }
        };
        for root in listed.iter().flatten() {
            certificates.extend(Certificate::parse(root).ok().map(|root| ("tls.ca".to_owned(), root)));
        }
        let own = identity.as_ref().and_then(|identity| Certificate::parse(identity.chain.first()?).ok());
        certificates.extend(own.map(|own| ("tls.cert".to_owned(), own)));
        let (config, accepts) = self.config(listed.unwrap_or_default(), identity)?;
        Ok(LoadedClientTls { config: Arc::new(config), accepts, certificates })
    }

    fn certificates(loaded: &LoadedClientTls) -> &[(String, Certificate)] {
        &loaded.certificates
    }

    fn text((role, text): &Self::Problem) -> String {
        format!("{role} {text}")
    }
}

impl ClientFiles {
    fn config(
        &self,
        listed: Vec<CertificateDer<'static>>,
        identity: Option<Identity>,
    ) -> Result<(ClientConfig, Accepts), Vec<(ClientFileRole, String)>> {
        let setup = |error: Error| vec![(ClientFileRole::Setup, format!("TLS cannot be set up: {error}"))];
        let provider = provider();
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(setup)?;
        let mut accepts = Accepts::All;
        let builder = if self.accepts_all {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(AcceptsAll(provider)))
        } else {
            let store = store(listed, self.roots).map_err(|problem| vec![problem])?;
            accepts = if store.is_empty() { Accepts::None } else { Accepts::Issued };
            builder.with_root_certificates(store)
        };
        let mut config = match identity {
            Some(identity) => builder.with_client_auth_cert(identity.chain, identity.key).map_err(setup)?,
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![ALPN.to_vec()];
        Ok((config, accepts))
    }
}

/// The identity, if its key is that of its certificate.
fn checked(identity: Identity) -> Result<Identity, (ClientFileRole, String)> {
    match identity.certified() {
        Ok(_) => Ok(identity),
        Err(PemError::Malformed) => Err((ClientFileRole::Certificate, PemError::Malformed.to_string())),
        Err(error) => Err((ClientFileRole::Key, error.to_string())),
    }
}

/// The roots in the form in which they are looked up.
fn store(
    listed: Vec<CertificateDer<'static>>,
    others: Option<Roots>,
) -> Result<RootCertStore, (ClientFileRole, String)> {
    let mut store = RootCertStore::empty();
    match others {
        Some(Roots::System) => {
            // Of many roots, some may be in a form that the library does not read.
            store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
        Some(Roots::Web) => store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        None => {}
    }
    for root in listed {
        let bad = "has a certificate that cannot be used as a root";
        store.add(root).map_err(|_| (ClientFileRole::Ca, bad.to_owned()))?;
    }
    Ok(store)
}

// === impl TlsClient ===

impl TlsClient {
    /// Reads the files with `read`, and sets TLS up. Reads the roots of the machine, if those are trusted.
    ///
    /// # Errors
    /// All files that cannot be used, each with a reason that does not repeat its content.
    pub fn load(
        files: ClientFiles,
        read: impl Fn(&Path) -> io::Result<String>,
    ) -> Result<Self, Vec<(ClientFileRole, String)>> {
        Ok(Self { made: FromFiles::load(files, read)? })
    }

    /// Whether all certificates are accepted.
    pub fn accepts_all(&self) -> bool {
        self.made.settings.accepts_all
    }

    /// Whether no certificate is accepted, because no root is known.
    pub fn accepts_none(&self) -> bool {
        self.made.get().accepts == Accepts::None
    }

    /// Completes the handshake with the server `host`, a name or an address. The caller bounds the time.
    ///
    /// # Errors
    /// A [`TlsError`] inside, or the error of the socket.
    pub(in crate::net) async fn handshake(&self, host: &str, socket: TcpStream) -> io::Result<TlsStream> {
        let name = match &self.made.settings.name {
            Some(name) => name.clone(),
            None => ServerName::try_from(host.to_owned()).map_err(|_| TlsError::WrongName)?,
        };
        let config = Arc::clone(&self.made.get().config);
        let stream =
            TlsConnector::from(config).connect(name, socket).await.map_err(TlsError::of_handshake)?;
        Ok(TlsStream::new(stream.into()))
    }
}

impl fmt::Display for ClientFileRole {
    /// The key of the settings.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ca => "tls.ca",
            Self::Certificate => "tls.cert",
            Self::Key => "tls.key",
            Self::Setup => "tls",
        })
    }
}

impl fmt::Debug for TlsClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsClient").field("files", &self.made.settings).finish_non_exhaustive()
    }
}

// === impl AcceptsAll ===

impl ServerCertVerifier for AcceptsAll {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
