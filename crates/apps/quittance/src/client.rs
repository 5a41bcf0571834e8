//! Calls of a running node's interface, for the commands and the demonstration. Blocking, one connection for each call.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use quittance_api::{Problem, Scope};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::files;

/// Calls a node.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    address: SocketAddr,
    token: String,
}

/// Longer than any answer waits.
const TIMEOUT: Duration = Duration::from_secs(700);

impl Client {
    /// A caller of the node in a folder, allowed to do everything.
    pub(crate) fn of(folder: &Path) -> Result<Self, String> {
        let address = files::api(folder)?;
        let path = files::token_path(folder, Scope::Admin);
        let token = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Self {
            address,
            token: token.trim().to_owned(),
        })
    }

    pub(crate) fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, String> {
        self.answer(self.request(bitreq::get(self.url(path))))
    }

    pub(crate) fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, String> {
        let body = serde_json::to_string(body).map_err(|error| error.to_string())?;
        let request = self.request(bitreq::post(self.url(path)));
        self.answer(request.with_header("Content-Type", "application/json").with_body(body))
    }

    pub(crate) fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<T, String> {
        self.answer(self.request(bitreq::delete(self.url(path))))
    }

    /// Shows each event to `show`, until it says stop or the node does. Waits for events that come if `follow` is set.
    pub(crate) fn events(
        &self,
        from: Option<u64>,
        mut show: impl FnMut(quittance_api::Event) -> bool,
    ) -> Result<(), String> {
        use std::io::{BufRead, BufReader, Write};
        let mut stream =
            std::net::TcpStream::connect(self.address).map_err(|error| self.unreachable(&error.to_string()))?;
        let query = from.map(|from| format!("?from={from}")).unwrap_or_default();
        let sent = write!(
            stream,
            "GET /v1/events{query} HTTP/1.0\r\nHost: {}\r\nAuthorization: Bearer {}\r\nAccept: text/event-stream\r\n\r\n",
            self.address, self.token
        );
        sent.map_err(|error| self.unreachable(&error.to_string()))?;
        for line in BufReader::new(stream).lines() {
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

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn request(&self, request: bitreq::Request) -> bitreq::Request {
        request
            .with_header("Authorization", format!("Bearer {}", self.token))
            .with_timeout(TIMEOUT)
    }

    fn answer<T: DeserializeOwned>(&self, request: bitreq::Request) -> Result<T, String> {
        let response = request.send().map_err(|error| self.unreachable(&error.to_string()))?;
        let body = response.as_bytes();
        if (200..300).contains(&response.status_code) {
            return serde_json::from_slice(body).map_err(|error| format!("the node's answer cannot be read: {error}"));
        }
        let problem: Result<Problem, _> = serde_json::from_slice(body);
        Err(match problem {
            Ok(problem) => {
                let next = problem.next.map(|next| format!("\n  next: {next}")).unwrap_or_default();
                format!("{}{next}", problem.message)
            }
            Err(_) => format!("status {}: {}", response.status_code, String::from_utf8_lossy(body)),
        })
    }

    fn unreachable(&self, why: &str) -> String {
        format!(
            "the node does not answer at {} ({why})\n  next: start it with `quittance run`, or name its folder with --dir",
            self.address
        )
    }
}
