//! Calls of a node's interface, as a client of it makes them.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use quittance_api::{Event, Problem};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Calls a node.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Where it listens for commands.
    pub address: SocketAddr,
    /// What lets us in.
    pub token: String,
}

/// Why a call came to nothing.
#[derive(Debug)]
pub enum CallFailed {
    /// There was no answer: the node may have done what it was asked for, or not.
    NoAnswer(String),
    /// It refused.
    Refused(u16, Problem),
}

impl std::fmt::Display for CallFailed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoAnswer(why) => write!(f, "no answer: {why}"),
            Self::Refused(status, problem) => write!(f, "{status}: {}", problem.message),
        }
    }
}

impl std::error::Error for CallFailed {}

/// Longer than any answer of a node that lives takes.
const TIMEOUT: Duration = Duration::from_mins(1);

impl Caller {
    /// Asks for something.
    ///
    /// # Errors
    /// [`CallFailed`].
    pub fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, CallFailed> {
        self.send(bitreq::get(self.url(path)))
    }

    /// Asks for something to be done.
    ///
    /// # Errors
    /// [`CallFailed`].
    pub fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, CallFailed> {
        let body = serde_json::to_string(body).map_err(|error| CallFailed::NoAnswer(error.to_string()))?;
        let request = bitreq::post(self.url(path)).with_header("Content-Type", "application/json");
        self.send(request.with_body(body))
    }

    /// Asks for something to be ended.
    ///
    /// # Errors
    /// [`CallFailed`].
    pub fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<T, CallFailed> {
        self.send(bitreq::delete(self.url(path)))
    }

    /// The events from `from` up to and with `last`.
    ///
    /// # Errors
    /// What the connection says.
    pub fn events(&self, from: u64, last: u64) -> std::io::Result<Vec<Event>> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        write!(
            stream,
            "GET /v1/events?from={from} HTTP/1.0\r\nHost: node\r\nAuthorization: Bearer {}\r\n\r\n",
            self.token
        )?;
        let mut events = Vec::new();
        for line in BufReader::new(stream).lines() {
            if let Some(data) = line?.strip_prefix("data:") {
                let event: Event = serde_json::from_str(data.trim())?;
                let is_last = event.number >= last;
                events.push(event);
                if is_last {
                    break;
                }
            }
        }
        Ok(events)
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn send<T: DeserializeOwned>(&self, request: bitreq::Request) -> Result<T, CallFailed> {
        let request = request
            .with_header("Authorization", format!("Bearer {}", self.token))
            .with_timeout(TIMEOUT);
        let no_answer = |why: String| CallFailed::NoAnswer(why);
        let response = request.send().map_err(|error| no_answer(error.to_string()))?;
        if (200..300).contains(&response.status_code) {
            return serde_json::from_slice(response.as_bytes()).map_err(|error| no_answer(error.to_string()));
        }
        let status = u16::try_from(response.status_code).unwrap_or_default();
        match serde_json::from_slice(response.as_bytes()) {
            Ok(problem) => Err(CallFailed::Refused(status, problem)),
            Err(error) => Err(no_answer(format!("status {status}: {error}"))),
        }
    }
}
