//! A client of the admin server, for commands.

use std::{io, path::PathBuf, time::Duration};

use actix_http::StatusCode;
use awc::{Client, ClientRequest, error::SendRequestError};
use bytes::Bytes;
use serde_json::Value;

use crate::{auth::Secret, files};

/// Maximum time until an answer has been received. It is longer than the server's.
const TIMEOUT: Duration = Duration::from_secs(40);

/// Maximum size of an answer, in bytes: a thousand sessions have less than 1 MiB.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// How to reach an admin server.
#[derive(Debug)]
pub struct AdminServer {
    /// Its URL, without a path.
    url: String,
    token_file: Option<PathBuf>,
}

/// Why a request has no usable answer.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The URL is not one of an admin server.
    #[error("--admin = {0}: takes a URL such as http://127.0.0.1:9140")]
    Url(String),
    /// The token cannot be read.
    #[error("the token cannot be read: {file}: {1}", file = .0.display())]
    Token(PathBuf, io::Error),
    /// There is no connection.
    #[error("cannot reach the admin server at {0}: {1}; is the proxy running, and is --admin right?")]
    Connect(String, String),
    /// The request or its answer was lost.
    #[error("no answer of the admin server at {0}: {1}")]
    Lost(String, String),
    /// The server refuses the token, or wants one.
    #[error("{0}; give the file with the operator's token by --token-file or TOWLINE_TOKEN_FILE")]
    Unauthorized(String),
    /// The server refuses the request. The text is the server's.
    #[error("{1} (status {0})")]
    Refused(u16, String),
    /// The answer is not one of an admin server.
    #[error("the answer of {0} is not that of an admin server: status {1}")]
    Foreign(String, u16),
}

// === impl AdminServer ===

impl AdminServer {
    /// The server at a URL.
    ///
    /// # Errors
    /// When the URL is not a plain HTTP URL without path.
    pub fn new(url: &str, token_file: Option<PathBuf>) -> Result<Self, AdminError> {
        let is_plain =
            |parsed: &url::Url| parsed.scheme() == "http" && parsed.path() == "/" && parsed.query().is_none();
        match url::Url::parse(url) {
            Ok(parsed) if is_plain(&parsed) => {
                Ok(Self { url: url.trim_end_matches('/').to_owned(), token_file })
            }
            _ => Err(AdminError::Url(url.to_owned())),
        }
    }

    /// Requests a page.
    ///
    /// # Errors
    /// When the server cannot be reached, or its answer cannot be used.
    pub fn get(&self, path: &str) -> Result<Value, AdminError> {
        let answer = self.run(|client, url| client.get(url + path), None)?;
        self.json(answer)
    }

    /// Requests a page as text.
    ///
    /// # Errors
    /// When the server cannot be reached, or its answer cannot be used.
    pub fn get_text(&self, path: &str) -> Result<String, AdminError> {
        let (status, body) = self.run(|client, url| client.get(url + path), None)?;
        match status.is_success() {
            true => Ok(String::from_utf8_lossy(&body).into_owned()),
            false => Err(Self::refusal(status, &self.parsed(status, &body)?)),
        }
    }

    /// Takes an action.
    ///
    /// # Errors
    /// When the server cannot be reached, its answer cannot be used, or it refuses.
    pub fn post(&self, path: &str, body: &Value) -> Result<Value, AdminError> {
        let answer = self.run(|client, url| client.post(url + path), Some(body))?;
        self.json(answer)
    }

    fn run(
        &self,
        request: impl FnOnce(&Client, String) -> ClientRequest,
        body: Option<&Value>,
    ) -> Result<(StatusCode, Bytes), AdminError> {
        let token = self.token()?;
        actix::System::new().block_on(async {
            let client = Client::builder().timeout(TIMEOUT).disable_redirects().finish();
            let mut request = request(&client, self.url.clone());
            if let Some(token) = &token {
                request = request.bearer_auth(token.expose());
            }
            let sent = match body {
                Some(body) => request.send_json(body),
                None => request.send(),
            };
            self.answer(sent).await
        })
    }

    async fn answer(&self, sent: awc::SendClientRequest) -> Result<(StatusCode, Bytes), AdminError> {
        let url = || self.url.clone();
        let mut response = sent.await.map_err(|error| match error {
            SendRequestError::Connect(error) => AdminError::Connect(url(), error.to_string()),
            error => AdminError::Lost(url(), error.to_string()),
        })?;
        let status = response.status();
        let body = response.body().limit(ANSWER_BYTES_MAX).await;
        Ok((status, body.map_err(|error| AdminError::Lost(url(), error.to_string()))?))
    }

    fn json(&self, (status, body): (StatusCode, Bytes)) -> Result<Value, AdminError> {
        let answer = self.parsed(status, &body)?;
        if status.is_success() { Ok(answer) } else { Err(Self::refusal(status, &answer)) }
    }

    fn parsed(&self, status: StatusCode, body: &[u8]) -> Result<Value, AdminError> {
        serde_json::from_slice(body).map_err(|_| AdminError::Foreign(self.url.clone(), status.as_u16()))
    }

    fn refusal(status: StatusCode, answer: &Value) -> AdminError {
        let text = answer["error"].as_str().unwrap_or_default().to_owned();
        match status {
            StatusCode::UNAUTHORIZED => AdminError::Unauthorized(text),
            status => AdminError::Refused(status.as_u16(), text),
        }
    }

    fn token(&self) -> Result<Option<Secret>, AdminError> {
        let Some(file) = &self.token_file else { return Ok(None) };
        let text = files::read_regular(file).map_err(|error| AdminError::Token(file.clone(), error))?;
        Ok(Some(Secret::from(text.trim())))
    }
}
