//! The sockets of the admin server, and its limits on connections.

use std::{
    future::ready,
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

use actix_http::{Extensions, HttpService, error::DispatchError};
use actix_service::{ServiceFactoryExt, fn_service, map_config};
use actix_web::{
    App,
    dev::{AppConfig, Server},
    http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, X_CONTENT_TYPE_OPTIONS},
    middleware::{DefaultHeaders, from_fn},
    rt::net::TcpStream,
    web,
};
use socket2::SockRef;

use super::{
    AdminState,
    connections::{self, CONNECTIONS_MAX, Connections},
    feed, guard, health,
    paced::PacedStream,
    routes,
};
use crate::{
    net::{self, Bind, Listening},
    settings,
};

/// Maximum time in which the head of a request arrives.
const HEAD_TIME: Duration = Duration::from_secs(5);

/// How long a connection stays open between two requests.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// How long the end of a connection may take.
const CLOSING_TIME: Duration = Duration::from_secs(1);

/// How long a peer may read nothing of an answer.
const STALL_TIME: Duration = Duration::from_secs(30);

/// Maximum number of bytes of answers that the kernel keeps for a connection. Without it, the kernel may take megabytes
/// for a peer that reads nothing, so that the server answers many requests in vain.
const SEND_BUFFER: usize = 128 * 1024;

/// Opens a socket for each address of `admin.bind`. If the address is in use and is only the default, a free
/// port is used instead.
///
/// # Errors
/// When the proxy cannot listen on an address. The error names address and key.
pub fn bind(settings: &settings::Admin) -> io::Result<Listening> {
    let listening = match listen(&settings.bind) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && !settings.strict => {
            log::warn!("admin address is taken, using a free port address={}", settings.bind.text);
            listen(&on_free_port(&settings.bind))
        }
        listening => listening,
    };
    listening.map_err(|error| io::Error::new(error.kind(), format!("cannot listen on {error} (admin.bind)")))
}

fn listen(bind: &Bind) -> io::Result<Listening> {
    net::listen(std::slice::from_ref(bind))
}

fn on_free_port(bind: &Bind) -> Bind {
    let free = bind.addresses.iter().map(|address| SocketAddr::new(address.ip(), 0)).collect();
    Bind { text: bind.text.clone(), addresses: free }
}

/// Starts the admin server, on its own thread.
///
/// # Errors
/// When a socket cannot be used.
pub fn serve(sockets: Vec<TcpListener>, state: AdminState) -> io::Result<Server> {
    let state = web::Data::new(state);
    let app = move || {
        actix_rt::spawn(feed::run(state.clone()));
        let checked = web::scope("")
            .wrap(from_fn(guard::check))
            .configure(routes::configure)
            .default_service(web::to(routes::not_found));
        App::new()
            .app_data(state.clone())
            .wrap(
                DefaultHeaders::new()
                    .add((CACHE_CONTROL, "no-store"))
                    .add((CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"))
                    .add((X_CONTENT_TYPE_OPTIONS, "nosniff")),
            )
            .wrap(from_fn(connections::track))
            .configure(health::configure)
            .service(checked)
    };
    let connections = Connections::new();
    let service = move || {
        let connections = Arc::clone(&connections);
        let connected = move |stream: &PacedStream, extensions: &mut Extensions| {
            connections::accepted(&connections, stream, extensions);
        };
        let http = HttpService::build()
            .keep_alive(KEEP_ALIVE)
            .client_request_timeout(HEAD_TIME)
            .client_disconnect_timeout(CLOSING_TIME)
            .on_connect_ext(connected)
            .h1(map_config(app(), |()| AppConfig::default()));
        fn_service(|socket: TcpStream| {
            let peer = socket.peer_addr().ok();
            ready(Ok::<_, DispatchError>((PacedStream::new(socket), peer)))
        })
        .and_then(http)
    };
    let mut server = Server::build().workers(1).max_concurrent_connections(CONNECTIONS_MAX).disable_signals();
    for socket in sockets {
        // The sockets of connections inherit the options.
        SockRef::from(&socket).set_tcp_user_timeout(Some(STALL_TIME))?;
        SockRef::from(&socket).set_send_buffer_size(SEND_BUFFER)?;
        server = server.listen("admin", socket, service.clone())?;
    }
    Ok(server.run())
}
