//! Errors of TLS connections, as texts for logs and clients.

use std::io::{self, ErrorKind};

use rustls::{AlertDescription, CertificateError, Error, InvalidMessage};

/// Why there is no secure connection. The texts contain neither names nor addresses nor parts of certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    /// The certificate is no longer valid.
    #[error("the certificate has expired")]
    Expired,
    /// The validity of the certificate has not begun.
    #[error("the certificate is not valid yet")]
    NotYetValid,
    /// The certificate was not issued by a trusted authority.
    #[error("the certificate has an unknown issuer")]
    UnknownIssuer,
    /// The certificate is for other names.
    #[error("the certificate is for another name")]
    WrongName,
    /// The certificate was revoked.
    #[error("the certificate is revoked")]
    Revoked,
    /// The certificate cannot be used here for another reason.
    #[error("the certificate is invalid")]
    BadCertificate,
    /// The peer does not speak TLS.
    #[error("no TLS there")]
    NoTls,
    /// Both sides have no TLS version, cipher or application protocol in common.
    #[error("no TLS version, cipher or protocol in common")]
    Incompatible,
    /// The peer refuses the handshake.
    #[error("handshake refused: {0}")]
    Refused(&'static str),
    /// The connection ended in the handshake.
    #[error("connection closed in the handshake")]
    Closed,
    /// The peer breaks the protocol, or its bytes were changed on the way.
    #[error("protocol violation")]
    Protocol,
}

impl TlsError {
    /// The error of a TLS stream or of its handshake; `None` when the socket has failed instead.
    pub fn of(error: &io::Error) -> Option<Self> {
        let inner = error.get_ref()?;
        if let Some(error) = inner.downcast_ref::<Self>() {
            return Some(*error);
        }
        inner.downcast_ref::<Error>().map(Self::from)
    }

    /// The error of a handshake, with the error of this type inside if it is not one of the socket.
    pub(super) fn of_handshake(error: io::Error) -> io::Error {
        match (Self::of(&error), error.kind()) {
            (Some(error), _) => error.into(),
            (None, ErrorKind::UnexpectedEof) => Self::Closed.into(),
            (None, _) => error,
        }
    }
}

impl From<TlsError> for io::Error {
    fn from(error: TlsError) -> Self {
        Self::new(ErrorKind::InvalidData, error)
    }
}

impl From<&Error> for TlsError {
    fn from(error: &Error) -> Self {
        match error {
            Error::InvalidCertificate(error) => error.into(),
            Error::NoCertificatesPresented => Self::Refused("certificate required"),
            Error::InvalidMessage(
                InvalidMessage::InvalidContentType
                | InvalidMessage::UnknownProtocolVersion
                | InvalidMessage::MessageTooLarge
                | InvalidMessage::InvalidEmptyPayload,
            ) => Self::NoTls,
            Error::PeerIncompatible(_) | Error::NoApplicationProtocol => Self::Incompatible,
            Error::AlertReceived(alert) => (*alert).into(),
            _ => Self::Protocol,
        }
    }
}

impl From<&CertificateError> for TlsError {
    fn from(error: &CertificateError) -> Self {
        use CertificateError as Bad;
        match error {
            Bad::Expired | Bad::ExpiredContext { .. } => Self::Expired,
            Bad::NotValidYet | Bad::NotValidYetContext { .. } => Self::NotYetValid,
            // A bad signature: the issuer has the name of a trusted one, and another key.
            Bad::UnknownIssuer | Bad::BadSignature => Self::UnknownIssuer,
            Bad::NotValidForName | Bad::NotValidForNameContext { .. } => Self::WrongName,
            Bad::Revoked => Self::Revoked,
            _ => Self::BadCertificate,
        }
    }
}

impl From<AlertDescription> for TlsError {
    fn from(alert: AlertDescription) -> Self {
        use AlertDescription as Alert;
        match alert {
            Alert::ProtocolVersion
            | Alert::NoApplicationProtocol
            | Alert::InsufficientSecurity
            | Alert::InappropriateFallback => Self::Incompatible,
            _ => Self::Refused(match alert {
                Alert::CertificateRequired | Alert::NoCertificate => "certificate required",
                Alert::CertificateExpired => "certificate expired",
                Alert::CertificateRevoked => "certificate revoked",
                Alert::UnknownCA => "certificate has an unknown issuer",
                Alert::BadCertificate | Alert::CertificateUnknown | Alert::UnsupportedCertificate => {
                    "certificate not accepted"
                }
                Alert::AccessDenied => "access denied",
                Alert::UnrecognisedName => "unknown server name",
                Alert::HandshakeFailure => "handshake failure",
                Alert::InternalError => "internal error of the peer",
                _ => "alert",
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_of_the_library_is_found_and_the_sockets_stays_as_it_is() {
        let expired = Error::InvalidCertificate(CertificateError::Expired);
        let error = TlsError::of_handshake(io::Error::new(ErrorKind::InvalidData, expired));
        assert_eq!(TlsError::of(&error), Some(TlsError::Expired));
        assert_eq!(error.to_string(), "the certificate has expired");
        let closed = TlsError::of_handshake(ErrorKind::UnexpectedEof.into());
        assert_eq!(TlsError::of(&closed), Some(TlsError::Closed));
        let reset = TlsError::of_handshake(ErrorKind::ConnectionReset.into());
        assert_eq!((TlsError::of(&reset), reset.kind()), (None, ErrorKind::ConnectionReset));
    }

    #[test]
    fn alerts_have_words() {
        for (alert, expected) in [
            (AlertDescription::CertificateRequired, "handshake refused: certificate required"),
            (AlertDescription::UnknownCA, "handshake refused: certificate has an unknown issuer"),
            (AlertDescription::ProtocolVersion, "no TLS version, cipher or protocol in common"),
            (AlertDescription::DecodeError, "handshake refused: alert"),
        ] {
            assert_eq!(TlsError::from(&Error::AlertReceived(alert)).to_string(), expected);
        }
    }
}
