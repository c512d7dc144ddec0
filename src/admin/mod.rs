//! The admin server: health and readiness pages, on a separate port.
//!
//! `/healthz` answers 200 while the process lives. `/readyz` answers 200 while the process accepts sessions,
//! and 503 during a drain. Neither depends on an upstream. Both accept GET and HEAD.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
};

use actix_web::{
    App, FromRequest, Handler, HttpResponse, HttpServer, Resource, Responder, dev::Server, guard,
    http::header::ALLOW, web,
};

use crate::{
    net::{self, Bind, Listening},
    server::Status,
    settings,
};

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
pub fn serve(sockets: Vec<TcpListener>, status: Arc<Status>) -> io::Result<Server> {
    let status = web::Data::from(status);
    let app = move || {
        App::new()
            .app_data(status.clone())
            .service(page("/healthz", healthz))
            .service(page("/readyz", readyz))
    };
    let mut server = HttpServer::new(app).workers(1).disable_signals();
    for socket in sockets {
        server = server.listen(socket)?;
    }
    Ok(server.run())
}

/// A health page: GET and HEAD, as RFC 9110 section 9.1 requires; 405 for other methods.
pub(crate) fn page<F, Args>(path: &str, handler: F) -> Resource
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    let reads = guard::Any(guard::Get()).or(guard::Head());
    web::resource(path)
        .route(web::route().guard(reads).to(handler))
        .default_service(web::to(method_not_allowed))
}

async fn method_not_allowed() -> HttpResponse {
    HttpResponse::MethodNotAllowed().insert_header((ALLOW, "GET, HEAD")).finish()
}

async fn healthz() -> HttpResponse {
    HttpResponse::Ok().body("ok\n")
}

async fn readyz(status: web::Data<Status>) -> HttpResponse {
    match status.is_draining() {
        false => HttpResponse::Ok().body("ready\n"),
        true => HttpResponse::ServiceUnavailable().body("draining\n"),
    }
}
