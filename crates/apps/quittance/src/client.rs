//! Calls of a running node's interface, for the commands. Blocking, one connection for each call; where the node listens beyond this machine,
//! under the certificate that stands in its folder, and no other.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use quittance_api::{Problem, Scope};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{files, tls};

/// Calls a node.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    address: SocketAddr,
    token: String,
    /// What the node's certificate is held against, where it has one.
    tls: Option<Arc<ClientConfig>>,
}

/// Longer than any answer waits.
const TIMEOUT: Duration = Duration::from_secs(700);
/// No answer of ours is longer.
const BODY_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// An answer's status and body.
struct Answer {
    status: u16,
    body: Vec<u8>,
}

trait Stream: Read + Write {}

impl<T: Read + Write> Stream for T {}

impl Client {
    /// A caller of the node in a folder, allowed to do everything.
    pub(crate) fn of(folder: &Path) -> Result<Self, String> {
        let address = files::api(folder)?;
        let path = files::token_path(folder, Scope::Admin);
        let token = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let tls = if address.ip().is_loopback() {
            None
        } else {
            Some(Arc::new(tls::trusting(folder)?))
        };
        Ok(Self {
            address: reachable(address),
            token: token.trim().to_owned(),
            tls,
        })
    }

    pub(crate) fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, String> {
        self.call("GET", path, None)
    }

    pub(crate) fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, String> {
        let body = serde_json::to_string(body).map_err(|error| error.to_string())?;
        self.call("POST", path, Some(&body))
    }

    pub(crate) fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<T, String> {
        self.call("DELETE", path, None)
    }

    /// Shows each event to `show`, until it says stop or the node does. Waits for events that come if `follow` is set.
    pub(crate) fn events(
        &self,
        from: Option<u64>,
        mut show: impl FnMut(quittance_api::Event) -> bool,
    ) -> Result<(), String> {
        let query = from.map(|from| format!("?from={from}")).unwrap_or_default();
        let mut stream = BufReader::new(self.ask("GET", &format!("/v1/events{query}"), None)?);
        let (status, length) = head(&mut stream).map_err(|error| self.unreachable(&error))?;
        if status != 200 {
            let body = body(&mut stream, length).map_err(|error| self.unreachable(&error))?;
            return Err(problem(&Answer { status, body }));
        }
        for line in stream.lines() {
            let line = line.map_err(|error| self.unreachable(&error.to_string()))?;
            if let Some(data) = line.strip_prefix("data:") {
                let event = serde_json::from_str(data.trim())
                    .map_err(|error| format!("the node's event cannot be read: {error}"))?;
                if !show(event) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn call<T: DeserializeOwned>(&self, method: &str, path: &str, sent: Option<&str>) -> Result<T, String> {
        let mut stream = BufReader::new(self.ask(method, path, sent)?);
        let (status, length) = head(&mut stream).map_err(|error| self.unreachable(&error))?;
        let body = body(&mut stream, length).map_err(|error| self.unreachable(&error))?;
        if (200..300).contains(&status) {
            return serde_json::from_slice(&body).map_err(|error| format!("the node's answer cannot be read: {error}"));
        }
        Err(problem(&Answer { status, body }))
    }

    /// Sends a request. HTTP/1.0: the answer comes in one piece, and the connection ends with it.
    fn ask(&self, method: &str, path: &str, sent: Option<&str>) -> Result<Box<dyn Stream>, String> {
        let connected = TcpStream::connect(self.address).and_then(|stream| {
            stream.set_read_timeout(Some(TIMEOUT))?;
            Ok(stream)
        });
        let tcp = connected.map_err(|error| self.unreachable(&error.to_string()))?;
        let mut stream: Box<dyn Stream> = match &self.tls {
            None => Box::new(tcp),
            Some(config) => {
                let name = ServerName::from(self.address.ip());
                let session = ClientConnection::new(Arc::clone(config), name);
                Box::new(StreamOwned::new(
                    session.map_err(|error| self.unreachable(&error.to_string()))?,
                    tcp,
                ))
            }
        };
        let (address, token) = (self.address, &self.token);
        let body = sent.unwrap_or_default();
        let content = sent.map(|body| format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len()));
        let content = content.unwrap_or_default();
        let written = write!(
            stream,
            "{method} {path} HTTP/1.0\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n{content}\r\n{body}"
        );
        let flushed = written.and_then(|()| stream.flush());
        flushed.map_err(|error| self.unreachable(&error.to_string()))?;
        Ok(stream)
    }

    fn unreachable(&self, why: &str) -> String {
        format!(
            "the node does not answer at {} ({why})\n  next: start it with `quittance run`, or name its folder with --dir",
            self.address
        )
    }
}

/// An address that listens everywhere is reached on this machine.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// An answer's status, and the length of its body if it says so.
fn head(stream: &mut impl BufRead) -> Result<(u16, Option<u64>), String> {
    let mut line = String::new();
    stream.read_line(&mut line).map_err(|error| error.to_string())?;
    let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| format!("{:?} is no answer of HTTP", line.trim_end()))?;
    let mut length = None;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).map_err(|error| error.to_string())?;
        match line.trim_end().split_once(':') {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => length = value.trim().parse().ok(),
            Some(_) => {}
            None => return Ok((status, length)),
        }
    }
}

fn body(stream: &mut impl Read, length: Option<u64>) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    let wanted = length.unwrap_or(BODY_BYTES_MAX).min(BODY_BYTES_MAX);
    stream
        .take(wanted)
        .read_to_end(&mut body)
        .map_err(|error| error.to_string())?;
    if length.is_some_and(|length| length != body.len() as u64) {
        return Err("the answer is cut off".to_owned());
    }
    Ok(body)
}

fn problem(answer: &Answer) -> String {
    match serde_json::from_slice::<Problem>(&answer.body) {
        Ok(problem) => {
            let next = problem.next.map(|next| format!("\n  next: {next}")).unwrap_or_default();
            format!("{}{next}", problem.message)
        }
        Err(_) => format!("status {}: {}", answer.status, String::from_utf8_lossy(&answer.body)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_by_its_own_length_and_a_shorter_one_is_no_answer() {
        let text = b"HTTP/1.0 409 Conflict\r\ncontent-type: application/json\r\nContent-Length: 4\r\n\r\nfourand more";
        let mut stream = &text[..];
        let (status, length) = head(&mut stream).unwrap();
        assert_eq!((status, length), (409, Some(4)));
        assert_eq!(body(&mut stream, length).unwrap(), b"four");
        let mut stream = &text[..text.len() - 10];
        let (_, length) = head(&mut stream).unwrap();
        assert_eq!(body(&mut stream, length).unwrap_err(), "the answer is cut off");
        assert!(
            head(&mut &b"SSH-2.0-x\r\n"[..])
                .unwrap_err()
                .contains("is no answer of HTTP")
        );
    }

    #[test]
    fn a_node_that_listens_everywhere_is_called_on_this_machine() {
        for (listens, called) in [
            ("0.0.0.0:1", "127.0.0.1:1"),
            ("[::]:2", "[::1]:2"),
            ("10.0.0.7:3", "10.0.0.7:3"),
        ] {
            assert_eq!(reachable(listens.parse().unwrap()).to_string(), called);
        }
    }
}
