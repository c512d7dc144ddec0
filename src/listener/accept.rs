//! Accepts connections, up to the number of handshake slots of the process at a time.

use std::{future::Future, net::SocketAddr, pin::Pin, rc::Rc, sync::Arc};

use tokio::time::Instant;

use super::{configuration::Routing, handshake::Handshake, worker::ListenerWorker};
use crate::{
    net::{AcceptedOptions, Stream},
    server::{Configuration, Pending},
};

/// Serves a new connection until its session has started or the client has been refused. `options` is what is known of the
/// options of its socket. `configuration` is that with which the connection was accepted.
///
/// The future is boxed, and so are the parts of it that run after the head has been read, because thousands
/// of handshakes that never complete must not use the memory of complete ones.
pub(super) fn accept(
    worker: Rc<ListenerWorker>,
    (stream, options): (Stream, AcceptedOptions),
    peer: SocketAddr,
    pending: Pending,
    configuration: Arc<Configuration<Routing>>,
) -> Pin<Box<dyn Future<Output = ()>>> {
    let configuration = worker.accepted_with(configuration);
    if let Err(error) = stream.tune(&configuration.listener.tcp, options) {
        // The socket has failed. The handshake notices when it reads.
        log::debug!("cannot set socket options listener={} peer={peer}: {error}", worker.state.name);
    }
    let deadline = Instant::now() + configuration.listener.handshake_timeout;
    let (local, slot) = (None, worker.server.handshakes.take());
    if slot.is_some() {
        let handshake = Handshake { worker, configuration, stream, tls: None, peer, local, slot, pending };
        return Box::pin(handshake.run(deadline));
    }
    let slot = worker.server.turned_away.take();
    let handshake = Handshake { worker, configuration, stream, tls: None, peer, local, slot, pending };
    Box::pin(handshake.turn_away())
}
