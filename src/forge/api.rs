//! Requests to a forge's API: one at a time, patient when it asks for patience.
//!
//! Invariant: a token is sent to the host that it is for, never over plain HTTP to another machine, never after a
//! redirect, and never shown.

use std::time::Duration;

use serde_json::Value;
use ureq::tls::{RootCerts, TlsConfig};

use super::ForgeError;

/// Larger answers are no lists of repositories.
const MOST: u64 = 32 << 20;

/// The longest wait that a forge may ask for.
const PATIENCE: Duration = Duration::from_secs(90);

/// How often a forge may ask to wait for one request.
const TRIES: usize = 4;

/// One forge.
pub(super) struct Api {
    agent: ureq::Agent,
    /// Where the API begins: `https://api.github.com`.
    base: String,
    /// Name and value of the header that says who asks.
    header: Option<(&'static str, String)>,
}

impl Api {
    /// The API at `base`, asked with `header`.
    ///
    /// # Errors
    /// [`ForgeError::PlainHttp`].
    pub(super) fn new(
        base: String,
        header: Option<(&'static str, String)>,
    ) -> Result<Api, ForgeError> {
        let near = ["http://127.0.0.1:", "http://localhost:", "http://[::1]:"];
        if header.is_some()
            && base.starts_with("http:")
            && !near.iter().any(|host| base.starts_with(host))
        {
            return Err(ForgeError::PlainHttp { base });
        }
        // The system's own list of authorities: a company's forge has one of the company's.
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::PlatformVerifier)
            .build();
        let config = ureq::Agent::config_builder()
            .tls_config(tls)
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(60)))
            .user_agent(concat!("depickle/", env!("CARGO_PKG_VERSION")))
            .build();
        Ok(Api {
            agent: config.into(),
            base,
            header,
        })
    }

    /// What is at `path`; none when nothing is.
    ///
    /// # Errors
    /// [`ForgeError`].
    pub(super) fn get(&self, path: &str) -> Result<Option<Value>, ForgeError> {
        let url = format!("{}{path}", self.base);
        let failed = |what: String| ForgeError::Failed {
            url: url.clone(),
            what,
        };
        for turn in 1.. {
            let mut request = self.agent.get(&url).header("Accept", "application/json");
            if let Some((name, value)) = &self.header {
                request = request.header(*name, value);
            }
            let mut response = request.call().map_err(|error| failed(error.to_string()))?;
            let status = response.status().as_u16();
            let header = |name: &str| {
                response
                    .headers()
                    .get(name)
                    .and_then(|value| value.to_str().ok())
            };
            let spent = header("x-ratelimit-remaining") == Some("0")
                || header("ratelimit-remaining") == Some("0");
            let wait = header("retry-after")
                .and_then(|text| text.trim().parse().ok())
                .map(Duration::from_secs);
            match status {
                200 => {
                    let body = response.body_mut().with_config().limit(MOST).read_to_vec();
                    let body = body.map_err(|error| failed(error.to_string()))?;
                    let value = serde_json::from_slice(&body);
                    return value
                        .map(Some)
                        .map_err(|_| failed("the answer is no JSON".to_owned()));
                }
                404 => return Ok(None),
                429 | 403 if wait.is_some() || spent || status == 429 => {
                    let wait = wait.unwrap_or(PATIENCE);
                    if wait > PATIENCE || turn == TRIES || spent && header("retry-after").is_none()
                    {
                        return Err(ForgeError::Limited { url });
                    }
                    std::thread::sleep(wait);
                }
                401 | 403 => return Err(ForgeError::NotAllowed { url }),
                500..=599 if turn < 2 => std::thread::sleep(Duration::from_secs(1)),
                status => return Err(failed(format!("it answered {status}"))),
            }
        }
        Err(ForgeError::Limited { url })
    }
}
