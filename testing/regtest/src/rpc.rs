//! The part of bitcoind's JSON-RPC interface that a Lightning node uses, from both ends.
//!
//! [`RpcServer`] puts any [`crate::Chain`] behind it, on the loopback interface, so that a client written for bitcoind can be
//! pointed to the embedded chain; [`RpcClient`] speaks to a bitcoind. HTTP is the little that both need, on `std` alone.

mod blocks;
mod client;
mod http;
mod mempool;
mod methods;
mod server;
mod transactions;

pub use client::RpcClient;
pub use methods::{Params, call};
pub use server::RpcServer;

/// Who may call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// The user; `__cookie__` in bitcoind's cookie file.
    pub user: String,
    /// The password.
    pub password: String,
}

impl Credentials {
    /// Reads `user:password`, as bitcoind's cookie file holds them.
    pub fn from_cookie(text: &str) -> Option<Self> {
        let (user, password) = text.trim().split_once(':')?;
        Some(Self {
            user: user.to_owned(),
            password: password.to_owned(),
        })
    }

    /// The value of HTTP's `Authorization` header.
    fn authorization(&self) -> String {
        format!(
            "Basic {}",
            base64(format!("{}:{}", self.user, self.password).as_bytes())
        )
    }
}

/// A call that was answered with an error.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} (code {code})")]
pub struct RpcError {
    /// bitcoind's code.
    pub code: i64,
    /// bitcoind's words.
    pub message: String,
}

impl RpcError {
    /// A parameter of a wrong type.
    pub(crate) const TYPE: i64 = -3;
    /// An unknown block, transaction or address.
    pub(crate) const INVALID_ADDRESS_OR_KEY: i64 = -5;
    /// A parameter out of range.
    pub(crate) const INVALID_PARAMETER: i64 = -8;
    /// Bytes that do not decode.
    pub(crate) const DESERIALIZATION: i64 = -22;
    /// A transaction or block failed for another reason than policy.
    pub(crate) const VERIFY: i64 = -25;
    /// A transaction was refused.
    pub(crate) const VERIFY_REJECTED: i64 = -26;
    /// A transaction is confirmed and has unspent outputs.
    pub(crate) const ALREADY_IN_UTXO_SET: i64 = -27;
    /// The node still starts.
    pub(crate) const IN_WARMUP: i64 = -28;
    /// No such method.
    pub(crate) const METHOD_NOT_FOUND: i64 = -32_601;
    /// No JSON.
    pub(crate) const PARSE: i64 = -32_700;

    pub(crate) fn new(code: i64, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let padded = [
            0,
            chunk[0],
            chunk.get(1).copied().unwrap_or(0),
            chunk.get(2).copied().unwrap_or(0),
        ];
        let bits = u32::from_be_bytes(padded);
        for place in 0..4 {
            let digit = ALPHABET[(bits >> (18 - 6 * place)) as usize & 63];
            text.push(if place > chunk.len() { '=' } else { char::from(digit) });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4648, section 10.
    #[test]
    fn base64_of_the_rfc() {
        assert_eq!(base64(b""), "");
        assert_eq!(base64(b"f"), "Zg==");
        assert_eq!(base64(b"fo"), "Zm8=");
        assert_eq!(base64(b"foo"), "Zm9v");
        assert_eq!(base64(b"foobar"), "Zm9vYmFy");
    }
}
