//! The open listeners, and how they change with the settings.
//!
//! Sockets are opened before a configuration is in force, so that an address that cannot be opened changes nothing. An
//! address that moves from one listener to another keeps its socket.

use std::{collections::HashSet, io, net::SocketAddr, sync::Arc};

use crate::{
    listener::{Backlog, OpenListener, OpenSocket, ReadySocket, ServerState},
    net::{Bind, includes_v4, listen_to},
    server::Workers,
    settings::{Listener, Settings},
};

/// The open listeners.
#[derive(Default)]
pub(super) struct Listeners {
    pub(super) open: Vec<OpenListener>,
}

/// What the listeners of other settings need: sockets that are open already, and those that stay.
pub(super) struct Prepared {
    listeners: Vec<PreparedListener>,
    /// The addresses whose sockets another listener gets.
    moved: HashSet<SocketAddr>,
}

struct PreparedListener {
    listener: Arc<Listener>,
    /// The addresses of the listener's sockets that stay.
    kept: HashSet<SocketAddr>,
    more: Vec<ReadySocket>,
    /// The addresses of those that another listener has had.
    moved: HashSet<SocketAddr>,
}

// === impl Prepared ===

impl Prepared {
    /// Logs one line for each address that is opened.
    pub(super) fn log(&self) {
        for PreparedListener { listener, more, .. } in &self.listeners {
            for socket in more {
                log::info!("listening listener={} address={}", listener.name, socket.address());
            }
        }
    }
}

// === impl PreparedListener ===

impl PreparedListener {
    fn new(listener: &Arc<Listener>) -> Self {
        let (kept, moved) = (HashSet::new(), HashSet::new());
        Self { listener: Arc::clone(listener), kept, more: Vec::new(), moved }
    }

    /// Takes over the socket of another listener.
    fn take(&mut self, socket: &OpenSocket) -> io::Result<()> {
        self.more.push(socket.share()?);
        self.moved.insert(socket.address);
        Ok(())
    }

    /// Opens the addresses of an entry.
    fn open(&mut self, bind: Bind) -> io::Result<()> {
        let opened = listen_to(&bind, &self.listener.bind)
            .map_err(|error| io::Error::new(error.kind(), format!("cannot listen on {error}")))?;
        for socket in opened.sockets {
            self.more.push(ReadySocket::new(socket, &bind.text)?);
        }
        for (address, error) in &opened.skipped {
            log::info!("address skipped listener={} address={address}: {error}", self.listener.name);
        }
        Ok(())
    }
}

// === impl Listeners ===

impl Listeners {
    /// Opens the sockets that these settings need and that are not open yet. Nothing accepts their connections before
    /// [`Listeners::apply`].
    ///
    /// # Errors
    /// When an address cannot be opened. The error names the address and its key. Nothing has changed then.
    pub(super) fn prepare(&self, settings: &Settings) -> io::Result<Prepared> {
        let listeners = settings.listeners.iter().map(|listener| self.prepare_one(listener, settings));
        let listeners = listeners.collect::<io::Result<Vec<_>>>()?;
        let moved = listeners.iter().flat_map(|prepared| prepared.moved.iter().copied()).collect();
        Ok(Prepared { listeners, moved })
    }

    fn prepare_one(&self, listener: &Arc<Listener>, settings: &Settings) -> io::Result<PreparedListener> {
        let own = self.own(listener);
        let mut prepared = PreparedListener::new(listener);
        for bind in &listener.bind {
            let is_open =
                |socket: &&OpenSocket| stays(socket, bind, own.is_some_and(|own| own.bind().contains(bind)));
            let sockets = own.into_iter().flat_map(OpenListener::sockets);
            prepared.kept.extend(sockets.filter(is_open).map(|socket| socket.address));
            let opened = self.prepare_bind(bind, &mut prepared, settings);
            opened.and_then(|()| self.prepare_v4(bind, &mut prepared, settings)).map_err(|error| {
                io::Error::new(error.kind(), format!("{error} (listener.{}.bind)", listener.name))
            })?;
        }
        Ok(prepared)
    }

    /// Opens the addresses of an entry that are not open yet.
    fn prepare_bind(
        &self,
        bind: &Bind,
        prepared: &mut PreparedListener,
        settings: &Settings,
    ) -> io::Result<()> {
        let has_port = bind.addresses.iter().all(|address| address.port() != 0);
        let own = self.own(&prepared.listener);
        if own.is_some_and(|own| own.bind().contains(bind)) {
            return Ok(());
        }
        let mut missing = Vec::new();
        for address in &bind.addresses {
            if prepared.kept.contains(address) {
                continue;
            }
            match self.abandoned(address, settings).filter(|_| has_port) {
                Some(socket) => prepared.take(socket)?,
                None => missing.push(*address),
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        prepared.open(Bind { text: bind.text.clone(), addresses: missing })
    }

    /// Opens the addresses at which IPv4 clients reach an entry with `[::]`, if its socket is for IPv6 only: the IPv4
    /// address with the same port was in the list when it was opened.
    fn prepare_v4(
        &self,
        bind: &Bind,
        prepared: &mut PreparedListener,
        settings: &Settings,
    ) -> io::Result<()> {
        if !bind.addresses.iter().any(|address| includes_v4(address, &prepared.listener.bind)) {
            return Ok(());
        }
        let own = self.own(&prepared.listener).map_or(&[][..], OpenListener::sockets);
        let kept = own.iter().filter(|socket| prepared.kept.contains(&socket.address));
        let kept = kept.filter(|socket| socket.bind == bind.text || bind.addresses.contains(&socket.address));
        let more = prepared.more.iter().filter(|socket| bind.addresses.contains(&socket.address()));
        let beside = kept.map(OpenSocket::v4_beside).chain(more.map(ReadySocket::v4_beside));
        let beside: Vec<SocketAddr> = beside.filter_map(io::Result::transpose).collect::<io::Result<_>>()?;
        for address in beside {
            let is_open = prepared.more.iter().any(|socket| socket.address() == address);
            if is_open {
                continue;
            }
            if own.iter().any(|socket| socket.address == address) {
                prepared.kept.insert(address);
                continue;
            }
            match self.abandoned(&address, settings) {
                Some(socket) => prepared.take(socket)?,
                None => prepared.open(Bind { text: bind.text.clone(), addresses: vec![address] })?,
            }
        }
        Ok(())
    }

    fn own(&self, listener: &Listener) -> Option<&OpenListener> {
        self.open.iter().find(|open| open.name() == listener.name)
    }

    /// The socket with this address of a listener that no longer has the address.
    fn abandoned(&self, address: &SocketAddr, settings: &Settings) -> Option<&OpenSocket> {
        let has =
            |listener: &Arc<Listener>| listener.bind.iter().any(|bind| bind.addresses.contains(address));
        let gone = self.open.iter().filter(|open| {
            !settings.listeners.iter().any(|listener| listener.name == open.name() && has(listener))
        });
        gone.flat_map(OpenListener::sockets).find(|socket| socket.address == *address)
    }

    /// Accepts clients as the prepared settings say, which are in force now. Sessions are not touched.
    pub(super) fn apply(&mut self, prepared: Prepared, server: &Arc<ServerState>, workers: &Workers) {
        let names: HashSet<_> =
            prepared.listeners.iter().map(|prepared| prepared.listener.name.clone()).collect();
        let Prepared { listeners, moved } = prepared;
        let backlog = move |socket: &OpenSocket| match moved.contains(&socket.address) {
            true => Backlog::Leave,
            false => Backlog::Accept,
        };
        for PreparedListener { listener, kept, more, .. } in listeners {
            match self.open.iter_mut().find(|open| open.name() == listener.name) {
                Some(open) => {
                    open.configure(&listener, |socket| kept.contains(&socket.address), &backlog, more);
                }
                None => self.open.push(OpenListener::open(&listener, more, server, workers)),
            }
        }
        let (stay, gone) =
            std::mem::take(&mut self.open).into_iter().partition(|open| names.contains(open.name()));
        self.open = stay;
        for listener in gone {
            log::info!("listener closed listener={}", listener.name());
            actix_rt::spawn(listener.close(backlog.clone()));
        }
    }
}

/// Whether a socket of a listener serves this entry of its settings. `is_same` says that the listener already has the
/// entry, so that port 0 means the port that was assigned. The socket may have been opened for another spelling of the
/// same address.
fn stays(socket: &OpenSocket, bind: &Bind, is_same: bool) -> bool {
    bind.addresses.contains(&socket.address) || (is_same && socket.bind == bind.text)
}
