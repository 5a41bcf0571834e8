//! One JSON-RPC call over HTTP, within limits of time and size. One connection for each call: a restart of bitcoind can break no
//! more than the call that is under way.

use std::fs;

use bitcoin::base64::Engine;
use bitcoin::base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::{Authentication, BitcoindConfig};
use crate::ChainError;

#[derive(Clone, Debug)]
pub(super) struct Rpc {
    config: BitcoindConfig,
}

/// A call failed.
#[derive(Debug)]
pub(super) enum RpcFailure {
    /// bitcoind answered with an error.
    Answered {
        /// One of [`code`], or another.
        code: i64,
        /// bitcoind's words.
        message: String,
    },
    /// There is no answer.
    NoAnswer(ChainError),
}

/// bitcoind's error codes (`rpc/protocol.h`).
pub(super) mod code {
    pub(crate) const NOT_FOUND: i64 = -5;
    pub(crate) const INVALID_PARAMETER: i64 = -8;
    pub(crate) const VERIFY_ERROR: i64 = -25;
    pub(crate) const VERIFY_REJECTED: i64 = -26;
    pub(crate) const ALREADY_CONFIRMED: i64 = -27;
    pub(crate) const IN_WARMUP: i64 = -28;
    pub(crate) const METHOD_NOT_FOUND: i64 = -32_601;
}

/// A block of four million bytes in hex, and some JSON around it.
const BODY_BYTES_MAX: usize = 9_000_000;
const HEADER_BYTES_MAX: usize = 16 * 1024;
const STATUS_BYTES_MAX: usize = 1024;
const COOKIE_BYTES_MAX: u64 = 1024;

impl Rpc {
    pub(super) const fn new(config: BitcoindConfig) -> Self {
        Self { config }
    }

    pub(super) fn call(&self, method: &'static str, params: &Value) -> Result<Value, RpcFailure> {
        let authorisation = self.authorisation().map_err(RpcFailure::NoAnswer)?;
        let body = json!({ "jsonrpc": "1.0", "id": 0, "method": method, "params": params });
        let request = bitreq::post(&self.config.url)
            .with_header("Authorization", authorisation)
            .with_header("Content-Type", "application/json")
            .with_header("Connection", "close")
            .with_body(body.to_string())
            .with_timeout(self.config.timeout)
            .with_max_redirects(0)
            .with_max_status_line_length(STATUS_BYTES_MAX)
            .with_max_headers_size(HEADER_BYTES_MAX)
            .with_max_body_size(BODY_BYTES_MAX);
        let response = request
            .send()
            .map_err(|error| RpcFailure::NoAnswer(self.no_answer(method, &error)))?;
        if matches!(response.status_code, 401 | 403) {
            let url = shown(&self.config.url);
            return Err(RpcFailure::NoAnswer(ChainError::Unauthorised { url }));
        }
        let garbage = |what: String| RpcFailure::NoAnswer(ChainError::Garbage { method, what });
        let status = response.status_code;
        let mut answer: Value = serde_json::from_slice(response.as_bytes())
            .map_err(|error| garbage(format!("HTTP status {status} and no JSON: {error}")))?;
        match answer.get("error") {
            Some(Value::Null) => {}
            Some(error) => return Err(answered(error).unwrap_or_else(|| garbage("an error without code".to_owned()))),
            None => {
                return Err(garbage(format!(
                    "HTTP status {status} and JSON without result and error"
                )));
            }
        }
        match answer.get_mut("result") {
            Some(result) => Ok(result.take()),
            None => Err(garbage("no result".to_owned())),
        }
    }

    fn authorisation(&self) -> Result<String, ChainError> {
        let user_and_password = match &self.config.authentication {
            Authentication::UserPassword { user, password } => format!("{user}:{password}"),
            Authentication::CookieFile(path) => {
                let unreadable = |reason: String| ChainError::Cookie {
                    path: path.clone(),
                    reason,
                };
                let length = fs::metadata(path).map_err(|error| unreadable(error.to_string()))?.len();
                if length > COOKIE_BYTES_MAX {
                    return Err(unreadable(format!("{length} bytes are no cookie")));
                }
                let cookie = fs::read_to_string(path).map_err(|error| unreadable(error.to_string()))?;
                cookie.trim().to_owned()
            }
        };
        Ok(format!("Basic {}", BASE64_STANDARD.encode(user_and_password)))
    }

    fn no_answer(&self, method: &'static str, error: &bitreq::Error) -> ChainError {
        match error {
            bitreq::Error::IoError(_) | bitreq::Error::AddressNotFound => ChainError::Unreachable {
                url: shown(&self.config.url),
                reason: error.to_string(),
            },
            bitreq::Error::InvalidUrl(_) => ChainError::Unreachable {
                url: shown(&self.config.url),
                reason: format!("{error}: no http://host:port"),
            },
            _ => ChainError::Garbage {
                method,
                what: error.to_string(),
            },
        }
    }
}

/// A URL as it may be told: without a user and a password that somebody has written into it.
fn shown(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").map_or(("", url), |(scheme, rest)| (scheme, rest));
    let authority = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let host = rest[..authority].rfind('@').map_or(0, |at| at + 1);
    let separator = if scheme.is_empty() { "" } else { "://" };
    format!("{scheme}{separator}{}", &rest[host..])
}

fn answered(error: &Value) -> Option<RpcFailure> {
    let code = error.get("code")?.as_i64()?;
    let message = error.get("message")?.as_str()?.to_owned();
    Some(RpcFailure::Answered { code, message })
}

impl RpcFailure {
    pub(super) fn into_error(self, method: &'static str) -> ChainError {
        match self {
            Self::Answered {
                code: code::IN_WARMUP,
                message,
            } => ChainError::Starting(message),
            Self::Answered { code, message } => ChainError::Refused { method, code, message },
            Self::NoAnswer(error) => error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_in_a_url_is_not_told() {
        for (url, told) in [
            ("http://user:pass@host:8332", "http://host:8332"),
            ("http://user:p@ss@host:8332/wallet/a@b", "http://host:8332/wallet/a@b"),
            ("user:pass@host:8332", "host:8332"),
            ("http://127.0.0.1:8332/?x=a@b", "http://127.0.0.1:8332/?x=a@b"),
        ] {
            assert_eq!(shown(url), told);
        }
    }
}
