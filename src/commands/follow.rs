//! Requests to the admin server of a proxy whose answers are read while they arrive.

use std::{fs, future::poll_fn, pin::Pin, time::Duration};

use actix_http::StatusCode;
use awc::{Client, error::SendRequestError};
use futures_core::Stream;
use ring::digest;
use serde_json::Value;
use tokio::time::timeout;

use super::{CommandError, error::named};
use crate::{admin::AdminError, cli::Access};

/// Time limit until an answer begins.
const ANSWER_TIME: Duration = Duration::from_secs(10);

/// Maximum size of an answer that is read as a whole, in bytes.
const BODY_MAX: usize = 4 << 20;

/// Maximum length of a line, in bytes: a payload of the largest size that a tap copies, with escapes.
const LINE_MAX: usize = 8 << 20;

/// The admin server of a proxy.
pub(super) struct AdminServer {
    client: Client,
    url: String,
    authorization: Option<String>,
}

/// An answer of lines, read while it arrives.
pub(super) struct Lines {
    response: awc::ClientResponse,
    /// The begin of a line.
    rest: Vec<u8>,
}

// === impl AdminServer ===

impl AdminServer {
    /// Reads the token. Opens no connection.
    pub(super) fn new(access: &Access) -> Result<Self, CommandError> {
        let token = access.token_file.as_ref().map(|file| {
            fs::read_to_string(file).map_err(|error| named(file, &error)).map(|text| text.trim().to_owned())
        });
        let authorization = token.transpose()?.map(|token| format!("Bearer {token}"));
        let client = Client::builder().disable_timeout().disable_redirects().finish();
        Ok(Self { client, url: access.admin.trim_end_matches('/').to_owned(), authorization })
    }

    /// Requests a page of lines.
    ///
    /// # Errors
    /// When the server does not answer, or answers an error.
    pub(super) async fn follow(&self, path: &str) -> Result<Lines, CommandError> {
        let url = format!("{}{path}", self.url);
        let failed = |error: String| CommandError::Unhealthy(format!("{}: {error}", self.url));
        let mut request = self.client.get(&url);
        if let Some(authorization) = &self.authorization {
            request = request.insert_header(("authorization", authorization.as_str()));
        }
        let answered = timeout(ANSWER_TIME, request.send()).await;
        let response = answered.map_err(|_| failed("no answer within 10s".to_owned()))?;
        let response = response.map_err(|error| match error {
            SendRequestError::Connect(error) => {
                CommandError::Admin(AdminError::Connect(self.url.clone(), error.to_string()))
            }
            error => failed(error.to_string()),
        })?;
        let status = response.status();
        let mut lines = Lines { response, rest: Vec::new() };
        if status == StatusCode::OK {
            return Ok(lines);
        }
        let body = lines.whole().await?;
        let error = serde_json::from_str::<Value>(&body).ok();
        let error = error.as_ref().and_then(|error| error.get("error")?.as_str());
        Err(failed(format!("{status}: {}", error.unwrap_or("no reason"))))
    }

    /// A digest of the settings as the server shows them, with secrets masked; `None` if it does not.
    pub(super) async fn settings_digest(&self) -> Option<String> {
        let body = self.follow("/api/configuration").await.ok()?.whole().await.ok()?;
        let digest = digest::digest(&digest::SHA256, body.as_bytes());
        let digits = digest.as_ref().iter().map(|byte| format!("{byte:02x}"));
        Some(format!("sha256:{}", digits.collect::<String>()))
    }
}

// === impl Lines ===

impl Lines {
    /// The next whole lines; `None` at the end.
    ///
    /// # Errors
    /// When the connection fails, or a line is too long or not UTF-8.
    pub(super) async fn next(&mut self) -> Result<Option<String>, CommandError> {
        let failed = |error: String| CommandError::Unhealthy(error);
        loop {
            let chunk = poll_fn(|cx| Pin::new(&mut self.response).poll_next(cx)).await;
            let Some(chunk) = chunk else { return Ok(None) };
            self.rest.extend_from_slice(&chunk.map_err(|error| failed(error.to_string()))?);
            if let Some(end) = self.rest.iter().rposition(|byte| *byte == b'\n') {
                let rest = self.rest.split_off(end + 1);
                let lines = std::mem::replace(&mut self.rest, rest);
                return String::from_utf8(lines).map(Some).map_err(|error| failed(error.to_string()));
            }
            if self.rest.len() > LINE_MAX {
                return Err(failed("the proxy sends a line without end".to_owned()));
            }
        }
    }

    /// The whole answer, up to a limit.
    async fn whole(&mut self) -> Result<String, CommandError> {
        let body = self.response.body().limit(BODY_MAX).await;
        let body = body.map_err(|error| CommandError::Unhealthy(error.to_string()))?;
        Ok(String::from_utf8_lossy(&body).into_owned())
    }
}
