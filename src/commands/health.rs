//! The command `towline health`.

use std::time::Duration;

use super::CommandError;
use crate::cli::Health;

/// Time limit of the request, shorter than the usual timeout of a container's health check.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Requests a health page of a running proxy. Fails unless the proxy is healthy.
pub(super) fn health(options: &Health) -> Result<(), CommandError> {
    let of_server = || format!("{}/healthz", options.admin.trim_end_matches('/'));
    let url = &options.url.clone().unwrap_or_else(of_server);
    let answer = async {
        let request = awc::Client::default().get(url).timeout(TIMEOUT);
        request.send().await.map(|response| response.status()).map_err(|error| error.to_string())
    };
    match actix::System::new().block_on(answer) {
        Ok(status) if status.is_success() => Ok(()),
        Ok(status) => Err(CommandError::Unhealthy(format!("{url} answers {status}"))),
        Err(error) => Err(CommandError::Unhealthy(format!("{url}: {error}"))),
    }
}
