//! The page `/metrics` of the admin server.

use std::{fmt, sync::Arc};

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{ACCEPT, CONTENT_TYPE},
};
use prometheus_client::{
    encoding::{prometheus_text, text},
    registry::Registry,
};

use super::collector::Metrics;
use crate::{listener::ServerState, reload};

const OPEN_METRICS: &str = "application/openmetrics-text";
const OPEN_METRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The metrics of a process, ready to be scraped.
#[derive(Debug)]
pub struct Scrape(Registry);

impl Scrape {
    /// The metrics of the process with this state and these reloads.
    pub fn new(server: Arc<ServerState>, reloads: reload::Handle) -> Self {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Metrics::new(server, reloads)));
        Self(registry)
    }

    /// The metrics at this moment, in the text format of Prometheus.
    ///
    /// # Errors
    /// Never in practice: a text takes everything that is written to it.
    pub fn prometheus_text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        prometheus_text::encode(&mut text, &self.0).map(|()| text)
    }

    fn open_metrics_text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        text::encode(&mut text, &self.0).map(|()| text)
    }
}

/// Answers a scrape: in the OpenMetrics format if the request accepts it, as that of Prometheus does, and otherwise in
/// the text format of Prometheus.
pub fn scrape(request: &HttpRequest, metrics: &Scrape) -> HttpResponse {
    let accepts = request.headers().get_all(ACCEPT).filter_map(|value| value.to_str().ok());
    let is_open = accepts.into_iter().any(|value| value.contains(OPEN_METRICS));
    let (kind, written) = match is_open {
        true => (OPEN_METRICS_TYPE, metrics.open_metrics_text()),
        false => (prometheus_text::CONTENT_TYPE, metrics.prometheus_text()),
    };
    match written {
        Ok(text) => HttpResponse::Ok().insert_header((CONTENT_TYPE, kind)).body(text),
        Err(_) => HttpResponse::InternalServerError().finish(),
    }
}
