//! The fields of the access log.

/// A field of an access line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Field {
    /// When the session was accepted.
    Opened,
    /// When it ended.
    Closed,
    /// Its id.
    Session,
    /// The listener's name.
    Listener,
    /// The route's name.
    Route,
    /// The upstream's name.
    Upstream,
    /// Address and port of the client.
    Peer,
    /// The address of the client, without its port.
    PeerIp,
    /// The header `Host`.
    Host,
    /// The path of the request, without its query.
    Path,
    /// The header `Origin`.
    Origin,
    /// The header `User-Agent`.
    UserAgent,
    /// The subprotocol that was agreed on.
    Subprotocol,
    /// The version of TLS.
    Tls,
    /// The client's name, from its authentication.
    Subject,
    /// A claim of the client.
    Claim(String),
    /// The close code.
    Code,
    /// The reason of the close frame.
    Reason,
    /// Who ended the session.
    Side,
    /// Why it ended.
    Cause,
    /// How long it lived.
    Seconds,
    /// Messages of the client.
    Received,
    /// Bytes of the messages from the client.
    ReceivedBytes,
    /// Messages to the client.
    Sent,
    /// Bytes of the messages to the client.
    SentBytes,
    /// Events of the client.
    Accepted,
    /// Events with a reply.
    Answered,
    /// Events that were written to the upstream and await no reply.
    Delivered,
    /// Events that failed.
    Errored,
    /// Events that a program dropped.
    Dropped,
    /// Events without outcome.
    Unsettled,
    /// Messages to the client that answer no event.
    Pushed,
    /// Messages that were dropped because the client read too slowly.
    Discarded,
    /// Upstream connections that were lost or could not be made.
    Restarts,
    /// Number of gaps: times in which messages to the client may be missing.
    Gaps,
    /// Moves to another upstream connection.
    Moves,
}

/// All fields but claims, by name.
const NAMES: [(&str, Field); 35] = [
    ("opened", Field::Opened),
    ("closed", Field::Closed),
    ("session", Field::Session),
    ("listener", Field::Listener),
    ("route", Field::Route),
    ("upstream", Field::Upstream),
    ("peer", Field::Peer),
    ("peer_ip", Field::PeerIp),
    ("host", Field::Host),
    ("path", Field::Path),
    ("origin", Field::Origin),
    ("user_agent", Field::UserAgent),
    ("subprotocol", Field::Subprotocol),
    ("tls", Field::Tls),
    ("subject", Field::Subject),
    ("code", Field::Code),
    ("reason", Field::Reason),
    ("side", Field::Side),
    ("cause", Field::Cause),
    ("seconds", Field::Seconds),
    ("received", Field::Received),
    ("received_bytes", Field::ReceivedBytes),
    ("sent", Field::Sent),
    ("sent_bytes", Field::SentBytes),
    ("accepted", Field::Accepted),
    ("answered", Field::Answered),
    ("delivered", Field::Delivered),
    ("errored", Field::Errored),
    ("dropped", Field::Dropped),
    ("unsettled", Field::Unsettled),
    ("pushed", Field::Pushed),
    ("discarded", Field::Discarded),
    ("restarts", Field::Restarts),
    ("gaps", Field::Gaps),
    ("moves", Field::Moves),
];

/// The prefix of claims.
const CLAIM: &str = "claim.";

// === impl Field ===

impl Field {
    /// The field of that name; `None` if there is none.
    pub fn named(name: &str) -> Option<Self> {
        if let Some(claim) = name.strip_prefix(CLAIM).filter(|claim| !claim.is_empty()) {
            return Some(Self::Claim(claim.to_owned()));
        }
        NAMES.iter().find(|(known, _)| *known == name).map(|(_, field)| field.clone())
    }

    /// The field's name.
    pub fn name(&self) -> String {
        match self {
            Self::Claim(name) => format!("{CLAIM}{name}"),
            field => {
                let found = NAMES.iter().find(|(_, known)| known == field);
                found.map(|(name, _)| (*name).to_owned()).unwrap_or_default()
            }
        }
    }

    /// The names of all fields, for error texts and documents.
    pub fn names() -> impl Iterator<Item = &'static str> {
        NAMES.iter().map(|(name, _)| *name).chain(["claim.NAME"])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_field_has_a_name_of_its_own() {
        for (name, field) in &NAMES {
            assert_eq!(Field::named(name).as_ref(), Some(field), "{name}");
            assert_eq!(field.name(), *name);
        }
        let claim = Field::named("claim.realm.id").unwrap();
        assert_eq!((claim.name().as_str(), claim), ("claim.realm.id", Field::Claim("realm.id".to_owned())));
        for unknown in ["", "claim.", "Code", "query", "authorization"] {
            assert_eq!(Field::named(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn docs_logs_md_lists_the_fields() {
        let text = include_str!("../../docs/logs.md");
        let table = text.split("| access field |").nth(1).expect("a table of access fields");
        let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
        let listed: Vec<_> =
            rows.flat_map(|row| row.split('|').nth(1).unwrap().split('`').skip(1).step_by(2)).collect();
        assert_eq!(listed, Field::names().collect::<Vec<_>>());
    }
}
