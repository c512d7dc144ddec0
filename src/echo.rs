//! The demo upstream: echoes messages, and replies `badger` to `snot`.
//!
//! This is a plain WebSocket actor of actix-web-actors that uses the proxy's processors, codec and pipeline:
//! it reads lines, and sends one message per line. Its implementation of the protocol is another than the
//! proxy's, so it also tests the proxy.
//!
//! # Security
//! The server is for demos and tests only. actix-web-actors buffers a frame before it checks the size, so
//! bind this server to a loopback address.

use std::{io, net::SocketAddr};

use actix::{Actor, ActorContext, StreamHandler};
use actix_http::ws::Item;
use actix_web::{App, Error, HttpRequest, HttpResponse, HttpServer, dev::Server, web};
use actix_web_actors::ws::{self, WebsocketContext, WsResponseBuilder};
use bytes::{Bytes, BytesMut};

use crate::{
    admin, codec,
    event::{Event, EventId, EventNumber},
    format::{Inbound, Outbound},
    processor,
    settings::Format,
    trickle::{Instance, Port, Program},
    turn::now_ns,
    wire::Message,
};

/// The program that the server runs. It replies on port `reply`.
const PROGRAM: &str = include_str!("../settings/pipelines/echo.trickle");

/// Maximum size of a message, in bytes: the default of a listener's `max_message`, and the line feeds that
/// `lines` adds.
const MESSAGE_MAX: usize = 2 * 1024 * 1024;

/// One connection to the echo server.
struct Echo {
    inbound: Inbound,
    outbound: Outbound,
    program: Instance,
    /// The fragments of an incomplete message.
    fragments: BytesMut,
    binary: bool,
    next: u64,
}

/// Starts the echo server on `bind`, on its own thread. Returns its address, and the server to await.
///
/// # Errors
/// When the server cannot listen on the address. The error names the address.
pub fn serve(bind: SocketAddr) -> io::Result<(SocketAddr, Server)> {
    let socket = std::net::TcpListener::bind(bind)
        .map_err(|error| io::Error::new(error.kind(), format!("cannot listen on {bind}: {error}")))?;
    let address = socket.local_addr()?;
    ::log::info!("listening echo address={address}");
    let program = Program::compile("settings/pipelines/echo.trickle", PROGRAM)
        .map_err(|error| io::Error::other(error.to_string()))?;
    let program = web::Data::new(program);
    let app = move || {
        let app = App::new().app_data(program.clone());
        app.service(admin::page("/healthz", healthz)).default_service(web::get().to(open))
    };
    let server = HttpServer::new(app).workers(1).disable_signals().listen(socket)?.run();
    Ok((address, server))
}

async fn healthz() -> HttpResponse {
    HttpResponse::Ok().finish()
}

async fn open(
    request: HttpRequest,
    payload: web::Payload,
    program: web::Data<Program>,
) -> Result<HttpResponse, Error> {
    let echo = Echo::new(program.instance());
    WsResponseBuilder::new(echo, &request, payload).frame_size(MESSAGE_MAX).start()
}

impl Echo {
    fn new(program: Instance) -> Self {
        let codec = codec::lookup("string").expect("the codec is built in");
        let lines = vec![processor::Spec::Lines { buffered: false }];
        let format = Format { codec, preprocessors: lines, postprocessors: Vec::new() };
        Self {
            inbound: Inbound::new(&format),
            outbound: Outbound::new(&format),
            program,
            fragments: BytesMut::new(),
            binary: false,
            next: 0,
        }
    }

    fn message(&mut self, message: Message, ctx: &mut WebsocketContext<Self>) {
        self.inbound.feed(message);
        while let Some(decoded) = self.inbound.next() {
            match decoded {
                Ok(data) => self.event(data, ctx),
                Err(words) => ctx.text(format!("error: {words}")),
            }
        }
    }

    fn event(&mut self, data: crate::event::Data, ctx: &mut WebsocketContext<Self>) {
        let id = EventId { source: 0, stream: 0, event: EventNumber(self.next) };
        self.next += 1;
        let meta = self.inbound.meta(&data, None);
        let now_ns = now_ns();
        let mut outputs = Vec::new();
        if let Err(error) =
            self.program.run(Event { id, data, meta, origin: None, ingest_ns: now_ns }, now_ns, &mut outputs)
        {
            return ctx.text(format!("error: {error}"));
        }
        let replies = outputs.into_iter().filter(|(port, _)| *port == Port::Reply);
        for (_, Event { data, meta, .. }) in replies {
            let mut messages = Vec::new();
            match self.outbound.encode(data, &meta, &mut messages) {
                Ok(()) => messages.into_iter().for_each(|message| send(message, ctx)),
                Err(words) => ctx.text(format!("error: {words}")),
            }
        }
    }

    fn fragment(&mut self, item: Item, ctx: &mut WebsocketContext<Self>) {
        let (bytes, last) = match item {
            Item::FirstText(bytes) => (self.first(bytes, false), false),
            Item::FirstBinary(bytes) => (self.first(bytes, true), false),
            Item::Continue(bytes) => (bytes, false),
            Item::Last(bytes) => (bytes, true),
        };
        if self.fragments.len() + bytes.len() > MESSAGE_MAX {
            return close(ws::CloseCode::Size, ctx);
        }
        self.fragments.extend_from_slice(&bytes);
        if last {
            let payload = std::mem::take(&mut self.fragments).freeze();
            match (self.binary, payload) {
                (true, payload) => self.message(Message::Binary(payload), ctx),
                (false, payload) => match payload.try_into() {
                    Ok(text) => self.message(Message::Text(text), ctx),
                    Err(_) => close(ws::CloseCode::Invalid, ctx),
                },
            }
        }
    }

    fn first(&mut self, bytes: Bytes, binary: bool) -> Bytes {
        self.binary = binary;
        self.fragments.clear();
        bytes
    }
}

fn send(message: Message, ctx: &mut WebsocketContext<Echo>) {
    match message {
        Message::Text(text) => ctx.text(text),
        Message::Binary(bytes) => ctx.binary(bytes),
    }
}

fn close(code: ws::CloseCode, ctx: &mut WebsocketContext<Echo>) {
    ctx.close(Some(code.into()));
    ctx.stop();
}

impl Actor for Echo {
    type Context = WebsocketContext<Self>;
}

impl StreamHandler<Result<ws::Message, ws::ProtocolError>> for Echo {
    fn handle(&mut self, message: Result<ws::Message, ws::ProtocolError>, ctx: &mut WebsocketContext<Self>) {
        match message {
            Ok(ws::Message::Text(text)) => self.message(Message::Text(text), ctx),
            Ok(ws::Message::Binary(bytes)) => self.message(Message::Binary(bytes), ctx),
            Ok(ws::Message::Continuation(item)) => self.fragment(item, ctx),
            Ok(ws::Message::Ping(payload)) => ctx.pong(&payload),
            Ok(ws::Message::Pong(_) | ws::Message::Nop) => {}
            Ok(ws::Message::Close(reason)) => {
                ctx.close(reason);
                ctx.stop();
            }
            Err(error) => {
                ::log::debug!("echo client failed error={error}");
                close(ws::CloseCode::Protocol, ctx);
            }
        }
    }
}

/// Echoes until `shutdown` is ready. Connections then end without a closing handshake, as in a crash.
///
/// # Errors
/// When the server cannot listen on the address.
pub async fn run(bind: SocketAddr, shutdown: impl Future<Output = ()>) -> io::Result<()> {
    let (_, server) = serve(bind)?;
    let handle = server.handle();
    let server = actix_rt::spawn(server);
    shutdown.await;
    handle.stop(false).await;
    let _ = server.await;
    Ok(())
}
