//! The open connections of the admin server, and which of them is closed for a new one.
//!
//! Everybody who reaches the address can open connections and send nothing. Above [`OPEN_MAX`], a new connection
//! therefore closes an open one: idle ones first, of those the address with the most connections, of these the oldest.
//! So a request is answered unless as many connections are opened meanwhile. Connections of operators, which have shown
//! the token, are closed only if there are no others. Readers of the feed and of taps are never closed, and their
//! number is limited. So there is always room for a health check.

use std::{
    cmp::Reverse,
    collections::HashMap,
    net::{IpAddr, Shutdown},
    rc::Rc,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use actix_web::{
    Error, HttpRequest,
    body::MessageBody,
    dev::{Extensions, ServiceRequest, ServiceResponse},
    middleware::Next,
    rt::net::TcpStream,
};
use socket2::{SockRef, Socket};

use super::paced::{Pace, PacedStream};
use crate::log::PlaceLimit;

/// Maximum number of connections, those that are being closed included. It is for a few operators, browsers and
/// scrapers.
pub(super) const CONNECTIONS_MAX: usize = 128;

/// Number of open connections above which a new one closes another one.
const OPEN_MAX: usize = 96;

/// The open connections.
#[derive(Debug)]
pub(super) struct Connections {
    table: Mutex<Table<Socket>>,
    /// Limits the lines about connections that are closed.
    closed: PlaceLimit,
}

/// The open connections without the server, generic over their sockets.
#[derive(Debug)]
struct Table<S> {
    open: HashMap<u64, Entry<S>>,
    /// The number of the next connection.
    next: u64,
}

#[derive(Debug)]
struct Entry<S> {
    socket: S,
    peer: IpAddr,
    holder: Holder,
    usage: Usage,
}

/// The owner of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Holder {
    /// A client that has not shown the token.
    Anyone,
    /// An operator: a request has shown the token.
    Operator,
    /// A viewer of the feed or a reader of a tap.
    Reader,
}

/// What a connection is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Usage {
    /// It waits for a request.
    Idle,
    /// A request is served.
    Request,
}

/// A connection, in the extensions of its requests. Dropping it removes the entry.
pub(super) struct Connection {
    connections: Arc<Connections>,
    number: u64,
    pace: Rc<Pace>,
}

/// A guard for a request that is served, whether it is answered or refused.
struct Serving(Rc<Connection>);

/// Records a connection that the server has accepted. It may close another one.
pub(super) fn accepted(connections: &Arc<Connections>, stream: &PacedStream, extensions: &mut Extensions) {
    match connections.enter(stream.socket()) {
        Ok(number) => {
            let (connections, pace) = (Arc::clone(connections), stream.pace());
            extensions.insert(Rc::new(Connection { connections, number, pace }));
        }
        // The peer is gone, or there are no more descriptors. A connection without an entry could not make room.
        Err(_) => _ = SockRef::from(stream.socket()).shutdown(Shutdown::Both),
    }
}

/// Records that a request is served, until its answer begins.
pub(super) async fn track(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let _serving = request.conn_data::<Rc<Connection>>().map(Serving::begin);
    next.call(request).await
}

/// Records the owner of a request's connection, for as long as it is open.
pub(super) fn keep(request: &HttpRequest, holder: Holder) {
    if let Some(connection) = request.conn_data::<Rc<Connection>>() {
        connection.connections.table().belongs(connection.number, holder);
        if holder == Holder::Operator {
            connection.pace.trust();
        }
    }
}

// === impl Connections ===

impl Connections {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { table: Mutex::new(Table::new()), closed: PlaceLimit::new(1) })
    }

    /// Adds a connection, and closes another one if there are too many. Returns its number.
    fn enter(&self, stream: &TcpStream) -> std::io::Result<u64> {
        let peer = stream.peer_addr()?.ip();
        let socket = SockRef::from(stream).try_clone()?;
        let (number, closed) = self.table().enter(socket, peer);
        if let Some(closed) = closed {
            // The server sees the end of the stream, and drops the connection.
            let _ = closed.socket.shutdown(Shutdown::Both);
            if let Some(suppressed) = self.closed.line(Instant::now()) {
                log::warn!("admin connection closed, too many are open peer={}{suppressed}", closed.peer);
            }
        }
        Ok(number)
    }

    fn table(&self) -> MutexGuard<'_, Table<Socket>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Connection ===

impl Connection {
    fn note(&self, usage: Usage) {
        self.connections.table().note(self.number, usage);
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.connections.table().open.remove(&self.number);
    }
}

// === impl Serving ===

impl Serving {
    fn begin(connection: &Rc<Connection>) -> Self {
        connection.note(Usage::Request);
        connection.pace.begin();
        Self(Rc::clone(connection))
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.note(Usage::Idle);
        self.0.pace.end();
    }
}

// === impl Table ===

impl<S> Table<S> {
    fn new() -> Self {
        Self { open: HashMap::new(), next: 0 }
    }

    /// Adds a connection. Returns its number, and the connection to close for it.
    fn enter(&mut self, socket: S, peer: IpAddr) -> (u64, Option<Entry<S>>) {
        let closed = if self.open.len() < OPEN_MAX { None } else { self.least_useful() };
        let closed = closed.and_then(|number| self.open.remove(&number));
        let number = self.next;
        self.next += 1;
        self.open.insert(number, Entry { socket, peer, holder: Holder::Anyone, usage: Usage::Idle });
        (number, closed)
    }

    /// The connection to close for another one; `None` if all are those of readers.
    fn least_useful(&self) -> Option<u64> {
        let mut by_address = HashMap::<IpAddr, usize>::new();
        for entry in self.open.values() {
            *by_address.entry(entry.peer).or_default() += 1;
        }
        let closable = self.open.iter().filter(|(_, entry)| entry.holder != Holder::Reader);
        let order = |(number, entry): &(&u64, &Entry<S>)| {
            (entry.holder, entry.usage, Reverse(by_address.get(&entry.peer).copied()), **number)
        };
        closable.min_by_key(order).map(|(number, _)| *number)
    }

    /// Records the use of a connection.
    fn note(&mut self, connection: u64, usage: Usage) {
        if let Some(entry) = self.open.get_mut(&connection) {
            entry.usage = usage;
        }
    }

    /// Records the owner of a connection. A reader's connection remains a reader's.
    fn belongs(&mut self, connection: u64, holder: Holder) {
        if let Some(entry) = self.open.get_mut(&connection) {
            entry.holder = entry.holder.max(holder);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn address(last: u8) -> IpAddr {
        Ipv4Addr::new(10, 0, 0, last).into()
    }

    /// A table that is full of idle connections of this address, and their numbers.
    fn full(peer: IpAddr) -> (Table<()>, Vec<u64>) {
        let mut table = Table::new();
        let numbers = (0..OPEN_MAX).map(|_| table.enter((), peer)).map(|(number, closed)| {
            assert!(closed.is_none(), "there is room");
            number
        });
        let numbers = numbers.collect();
        (table, numbers)
    }

    fn is_open(table: &Table<()>, number: u64) -> bool {
        table.open.contains_key(&number)
    }

    #[test]
    fn a_new_connection_closes_the_oldest_one() {
        let (mut table, numbers) = full(address(1));
        let (new, closed) = table.enter((), address(1));
        assert!(closed.is_some() && is_open(&table, new));
        assert!(!is_open(&table, numbers[0]) && is_open(&table, numbers[1]));
        assert_eq!(table.open.len(), OPEN_MAX);
    }

    #[test]
    fn an_address_with_many_connections_closes_its_own() {
        let (mut table, _) = full(address(1));
        let (alone, _) = table.enter((), address(2));
        for _ in 0..2 * OPEN_MAX {
            let (_, closed) = table.enter((), address(1));
            assert_eq!(closed.map(|closed| closed.peer), Some(address(1)));
        }
        assert!(is_open(&table, alone));
    }

    #[test]
    fn idle_ones_go_before_requests_and_readers_stay() {
        let (mut table, numbers) = full(address(1));
        table.belongs(numbers[0], Holder::Reader);
        table.belongs(numbers[0], Holder::Operator);
        table.note(numbers[1], Usage::Request);
        table.belongs(numbers[2], Holder::Operator);
        for _ in 0..2 * OPEN_MAX {
            table.enter((), address(1));
        }
        assert!(numbers[..3].iter().all(|number| is_open(&table, *number)) && !is_open(&table, numbers[3]));
        table.note(numbers[1], Usage::Idle);
        table.enter((), address(1));
        assert!(is_open(&table, numbers[0]) && !is_open(&table, numbers[1]) && is_open(&table, numbers[2]));
        table.open.values_mut().for_each(|entry| entry.holder = Holder::Reader);
        let (_, closed) = table.enter((), address(1));
        assert!(closed.is_none(), "readers have priority");
    }

    /// They shut out the health pages for as long as they were idle.
    #[test]
    fn operators_make_room_for_a_health_check() {
        let (mut table, numbers) = full(address(1));
        numbers.iter().for_each(|number| table.belongs(*number, Holder::Operator));
        table.note(numbers[0], Usage::Request);
        let (health, closed) = table.enter((), address(2));
        assert!(closed.is_some() && is_open(&table, health));
        assert!(is_open(&table, numbers[0]) && !is_open(&table, numbers[1]), "an action goes last");
        table.enter((), address(2));
        assert!(
            !is_open(&table, health) && is_open(&table, numbers[2]),
            "an operator is not shut out either"
        );
    }
}
