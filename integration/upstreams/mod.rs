//! What upstreams do that they must not: what the client is told of it, what the log says, and that the
//! session lives on (C1, C5).

mod answers;
mod frames;
mod manners;

use crate::harness::*;

/// `Error receiving reply from server URL: REASON`
fn receiving(origin: &Origin, reason: &str) -> String {
    format!("Error receiving reply from server {}: {reason}", origin.url())
}

/// `Error sending event to server URL: REASON`
fn sending(origin: &Origin, reason: &str) -> String {
    format!("Error sending event to server {}: {reason}", origin.url())
}

/// Ends a session whose upstream has come to its senses, and expects that all its events are accounted for.
#[track_caller]
fn finish(mut client: Client, proxy: &Proxy, session: usize, accepted: usize) {
    client.close(1000, "");
    client.expect_closed(1000);
    let account = proxy.account(&format!("1:{session}"));
    assert_eq!((account.accepted, account.unsettled), (accepted, 0), "{account:?}");
    assert!(account.is_balanced(), "{account:?}");
}
