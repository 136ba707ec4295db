//! Requests to a forge's API: one at a time, patient when it asks for patience.
//!
//! Invariant: a token is sent to the host that it is for, never over plain HTTP to another machine, never after a
//! redirect, and never shown.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;
use ureq::tls::{RootCerts, TlsConfig};

use super::{ForgeError, Manners};

/// Larger answers are no lists of repositories.
const MOST: u64 = 32 << 20;

/// What a forge means that wants to be left alone and does not say for how long.
const UNSAID: Duration = Duration::from_secs(60);

/// From one write to the next, at least: what forges ask of programs.
const PAUSE: Duration = Duration::from_secs(1);

/// How often a forge may ask to wait for one request.
const TRIES: usize = 4;

/// One forge.
pub(super) struct Api<'a> {
    agent: ureq::Agent,
    /// Where the API begins: `https://api.github.com`.
    base: String,
    /// Name and value of the header that says who asks.
    header: Option<(&'static str, String)>,
    manners: Manners<'a>,
}

impl<'a> Api<'a> {
    /// The API at `base`, asked with `header`.
    ///
    /// # Errors
    /// [`ForgeError::PlainHttp`].
    pub(super) fn new(
        base: String,
        header: Option<(&'static str, String)>,
        manners: Manners<'a>,
    ) -> Result<Api<'a>, ForgeError> {
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
            manners,
        })
    }

    /// What is at `path`; none when nothing is.
    ///
    /// # Errors
    /// [`ForgeError`].
    pub(super) fn get(&self, path: &str) -> Result<Option<Value>, ForgeError> {
        self.call("GET", path, None)
    }

    /// Writes `body` to `path`, at least a second after the last write to the server; gives the answer.
    ///
    /// # Errors
    /// [`ForgeError`].
    pub(super) fn send(&self, method: &str, path: &str, body: &Value) -> Result<Value, ForgeError> {
        let rest = self.base.split_once("://").map_or("", |(_, rest)| rest);
        let server = rest.split('/').next().unwrap_or_default();
        let pause = self.manners.pause.max(PAUSE);
        self.manners.pace.wait(server, pause);
        let answer = self.call(method, path, Some(body));
        self.manners.pace.written(server);
        answer?.ok_or_else(|| ForgeError::Failed {
            url: format!("{}{path}", self.base),
            what: "it is not there, or the token may not write to it".to_owned(),
        })
    }

    fn call(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Option<Value>, ForgeError> {
        let url = format!("{}{path}", self.base);
        let failed = |what: String| ForgeError::Failed {
            url: url.clone(),
            what,
        };
        let text = body.map(Value::to_string).unwrap_or_default();
        for turn in 1.. {
            let mut request = ureq::http::Request::builder()
                .method(method)
                .uri(&url)
                .header("Accept", "application/json");
            if let Some((name, value)) = &self.header {
                request = request.header(*name, value);
            }
            let sent = match body {
                None => request.body(()).map(|request| self.agent.run(request)),
                // Sent once more to another place it would be another request.
                Some(_) => request
                    .header("Content-Type", "application/json")
                    .body(text.clone())
                    .map(|request| {
                        let request = self.agent.configure_request(request);
                        self.agent.run(request.max_redirects(0).build())
                    }),
            };
            let sent = sent.map_err(|error| failed(error.to_string()))?;
            let mut response = sent.map_err(|error| failed(error.to_string()))?;
            let status = response.status().as_u16();
            let header = |name: &str| {
                response
                    .headers()
                    .get(name)
                    .and_then(|value| value.to_str().ok())
            };
            let number = |names: [&str; 2]| -> Option<u64> {
                let mut found = names.iter().filter_map(|name| header(name));
                found.find_map(|text| text.trim().parse().ok())
            };
            let spent = number(["x-ratelimit-remaining", "ratelimit-remaining"]) == Some(0);
            let reset = number(["x-ratelimit-reset", "ratelimit-reset"]).filter(|_| spent);
            let wait = number(["retry-after", "retry-after"]).map(Duration::from_secs);
            // A moment later: the clocks are not the same.
            let wait = wait.or(reset.map(|at| until(at) + Duration::from_secs(1)));
            match status {
                200 | 201 => {
                    let body = response.body_mut().with_config().limit(MOST).read_to_vec();
                    let body = body.map_err(|error| failed(error.to_string()))?;
                    let value = serde_json::from_slice(&body);
                    return value
                        .map(Some)
                        .map_err(|_| failed("the answer is no JSON".to_owned()));
                }
                204 => return Ok(Some(Value::Null)),
                404 => return Ok(None),
                429 | 403 if wait.is_some() || spent || status == 429 => {
                    let unsaid = (!spent).then_some(UNSAID);
                    match wait.or(unsaid) {
                        Some(wait) if wait <= self.manners.patience && turn < TRIES => {
                            std::thread::sleep(wait);
                        }
                        wait => {
                            let seconds = wait.map(|wait| wait.as_secs());
                            return Err(ForgeError::Limited { url, seconds });
                        }
                    }
                }
                401 | 403 => return Err(ForgeError::NotAllowed { url }),
                500..=599 if turn < 2 && body.is_none() => {
                    std::thread::sleep(Duration::from_secs(1))
                }
                status => {
                    let body = response.body_mut().with_config().limit(MOST).read_to_vec();
                    let said: Value = body
                        .ok()
                        .and_then(|body| serde_json::from_slice(&body).ok())
                        .unwrap_or_default();
                    let errors = &said["errors"][0]["message"];
                    let words = [&said["message"], errors].map(|word| match word {
                        Value::Null => String::new(),
                        Value::String(word) => format!(": {word}"),
                        other => format!(": {other}"),
                    });
                    let words: String = words.concat().chars().take(300).collect();
                    return Err(failed(format!("it answered {status}{words}")));
                }
            }
        }
        Err(ForgeError::Limited { url, seconds: None })
    }
}

/// How long it is until `at`, in seconds since 1970.
fn until(at: u64) -> Duration {
    let at = UNIX_EPOCH + Duration::from_secs(at);
    at.duration_since(SystemTime::now()).unwrap_or_default()
}
