//! TLS as a client: the connections to an upstream.

use std::{fmt, io, sync::Arc};

use actix_rt::net::TcpStream;
use rustls::{
    ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use tokio_rustls::TlsConnector;

use super::{ALPN, Identity, PemError, TlsError, TlsStream, provider};

/// Roots that are not listed in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Roots {
    /// Those of this machine.
    System,
    /// Those that Mozilla lists for the web. They are part of the program.
    Web,
}

/// Which certificates of servers are accepted.
#[derive(Debug)]
pub enum Trust {
    /// Those that a root has issued for the server's name.
    Roots {
        /// Roots of a file.
        listed: Vec<CertificateDer<'static>>,
        /// Other roots.
        others: Option<Roots>,
    },
    /// All, which does not protect from anyone who can change the traffic.
    All,
}

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsClientError {
    /// A root of a file cannot be used.
    #[error("has a certificate that cannot be used as a root")]
    BadRoot,
    /// The certificate or the key of the proxy cannot be used.
    #[error(transparent)]
    Identity(#[from] PemError),
    /// The library refuses the configuration.
    #[error("TLS cannot be set up: {0}")]
    Setup(#[from] Error),
}

/// How the servers of an upstream are connected to with TLS. Clones share everything.
#[derive(Clone)]
pub struct TlsClient {
    config: Arc<ClientConfig>,
    /// The name for SNI and for the check of the certificate, instead of the one in the URL.
    name: Option<ServerName<'static>>,
    /// Roots that are not listed in a file.
    roots: Option<Roots>,
    accepts: Accepts,
}

/// Which servers may be accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Accepts {
    /// None, because no root is known.
    None,
    /// Those that a root has issued.
    Issued,
    All,
}

/// Accepts every certificate. The server still proves that it has the key of its certificate.
#[derive(Debug)]
struct AcceptsAll(Arc<CryptoProvider>);

// === impl TlsClient ===

impl TlsClient {
    /// Sets TLS up. `identity` is the certificate of the proxy for servers that require one; `name` is the name of the
    /// servers, if it is not the one in the URL. Reads the roots of the machine, if those are trusted.
    ///
    /// # Errors
    /// When a certificate or a key cannot be used.
    pub fn new(
        trust: Trust,
        identity: Option<Identity>,
        name: Option<ServerName<'static>>,
    ) -> Result<Self, TlsClientError> {
        let provider = provider();
        let (mut roots, mut accepts) = (None, Accepts::All);
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()?;
        let builder = match trust {
            Trust::Roots { listed, others } => {
                let store = store(listed, others)?;
                (roots, accepts) = (others, if store.is_empty() { Accepts::None } else { Accepts::Issued });
                builder.with_root_certificates(store)
            }
            Trust::All => {
                builder.dangerous().with_custom_certificate_verifier(Arc::new(AcceptsAll(provider)))
            }
        };
        let mut config = match identity {
            Some(identity) => {
                identity.certified()?;
                builder.with_client_auth_cert(identity.chain, identity.key)?
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![ALPN.to_vec()];
        Ok(Self { config: Arc::new(config), name, roots, accepts })
    }

    /// Whether all certificates are accepted.
    pub fn accepts_all(&self) -> bool {
        self.accepts == Accepts::All
    }

    /// Whether no certificate is accepted, because no root is known.
    pub fn accepts_none(&self) -> bool {
        self.accepts == Accepts::None
    }

    /// Completes the handshake with the server `host`, a name or an address. The caller bounds the time.
    ///
    /// # Errors
    /// A [`TlsError`] inside, or the error of the socket.
    pub(in crate::net) async fn handshake(&self, host: &str, socket: TcpStream) -> io::Result<TlsStream> {
        let name = match &self.name {
            Some(name) => name.clone(),
            None => ServerName::try_from(host.to_owned()).map_err(|_| TlsError::WrongName)?,
        };
        let connecting = TlsConnector::from(Arc::clone(&self.config)).connect(name, socket);
        let stream = connecting.await.map_err(TlsError::of_handshake)?;
        Ok(TlsStream::new(stream.into()))
    }
}

/// The roots in the form in which they are looked up.
fn store(
    listed: Vec<CertificateDer<'static>>,
    others: Option<Roots>,
) -> Result<RootCertStore, TlsClientError> {
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
        store.add(root).map_err(|_| TlsClientError::BadRoot)?;
    }
    Ok(store)
}

impl fmt::Debug for TlsClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { config: _, name, roots, accepts } = self;
        let mut debug = f.debug_struct("TlsClient");
        debug.field("name", name).field("roots", roots).field("accepts", accepts).finish()
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
