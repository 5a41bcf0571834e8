//! A caller of bitcoind. One connection for each call: on loopback that costs less than deciding whether an old one still lives.

use std::io::{self, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};

use super::http::Message;
use super::{Credentials, RpcError};

/// Longer than any call that tests make.
const TIMEOUT: Duration = Duration::from_secs(100);

/// Calls a bitcoind, or something that answers like one.
#[derive(Clone, Debug)]
pub struct RpcClient {
    address: SocketAddr,
    credentials: Credentials,
}

impl RpcClient {
    /// A caller with these credentials; nothing is sent yet.
    pub fn new(address: SocketAddr, credentials: Credentials) -> Self {
        Self { address, credentials }
    }

    /// Calls a method. The outer error is the connection's, the inner one the node's answer.
    pub fn call(&self, method: &str, params: &Value) -> io::Result<Result<Value, RpcError>> {
        let body = json!({ "jsonrpc": "1.0", "id": 0, "method": method, "params": params });
        let headers = [
            ("Host", self.address.to_string()),
            ("Authorization", self.credentials.authorization()),
            ("Connection", "close".to_owned()),
        ];
        let request = Message {
            first_line: "POST / HTTP/1.1".to_owned(),
            headers: headers.map(|(name, value)| (name.to_owned(), value)).to_vec(),
            body: body.to_string().into_bytes(),
        };
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        request.write(&mut stream)?;
        let response = Message::read(&mut BufReader::new(stream))?.ok_or(io::ErrorKind::UnexpectedEof)?;
        let mut answer: Value = serde_json::from_slice(&response.body)
            .map_err(|error| io::Error::other(format!("{}: {error}", response.first_line.trim_end())))?;
        match &answer["error"] {
            Value::Null => Ok(Ok(answer["result"].take())),
            error => Ok(Err(RpcError {
                code: error["code"].as_i64().unwrap_or_default(),
                message: error["message"].as_str().unwrap_or_default().to_owned(),
            })),
        }
    }
}
