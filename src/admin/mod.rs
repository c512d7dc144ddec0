//! The admin address: health and readiness, apart from the traffic.
//!
//! `GET /healthz` is 200 while the process lives; `GET /readyz` is 200 while it lets sessions in, and 503
//! while it drains. Neither depends on an upstream.

use std::{io, net::TcpListener, sync::Arc};

use actix_web::{App, HttpResponse, HttpServer, dev::Server, web};

use crate::{
    net::{self, Listening},
    settings,
    status::Status,
};

/// Opens the admin sockets, one for each address of `admin.bind`.
///
/// # Errors
/// When an address cannot be listened on; the text names address and key.
pub fn bind(settings: &settings::Admin) -> io::Result<Listening> {
    net::listen(std::slice::from_ref(&settings.bind))
        .map_err(|error| io::Error::new(error.kind(), format!("cannot listen on {error} (admin.bind)")))
}

/// The admin server on its own thread.
///
/// # Errors
/// When a socket cannot be used.
pub fn serve(sockets: Vec<TcpListener>, status: Arc<Status>) -> io::Result<Server> {
    let status = web::Data::from(status);
    let app = move || {
        App::new()
            .app_data(status.clone())
            .route("/healthz", web::get().to(healthz))
            .route("/readyz", web::get().to(readyz))
    };
    let mut server = HttpServer::new(app).workers(1).disable_signals();
    for socket in sockets {
        server = server.listen(socket)?;
    }
    Ok(server.run())
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
