//! A chain behind HTTP on the loopback interface: a thread that listens, and one for each client.

use std::io::{self, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::{Value, json};

use super::http::Message;
use super::methods::{Params, call};
use super::{Credentials, RpcError};
use crate::chain::Chain;

/// A client that says nothing for this long is disconnected, as bitcoind does.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
const CLIENTS_MAX: usize = 64;

/// Answers bitcoind's calls until it is dropped.
#[derive(Debug)]
pub struct RpcServer {
    address: SocketAddr,
    stopping: Arc<AtomicBool>,
    listener: Option<JoinHandle<()>>,
}

impl RpcServer {
    /// Serves a chain on a free port of the loopback interface. The chain stays usable from outside.
    pub fn start<C: Chain + Send + 'static>(chain: Arc<Mutex<C>>, credentials: &Credentials) -> io::Result<Self> {
        Self::start_at(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), chain, credentials)
    }

    /// Serves a chain at this address: where another server was, so that a client meets it again.
    pub fn start_at<C: Chain + Send + 'static>(
        address: SocketAddr,
        chain: Arc<Mutex<C>>,
        credentials: &Credentials,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        let stopping = Arc::new(AtomicBool::new(false));
        let context = Context {
            chain,
            authorization: credentials.authorization(),
            stopping: Arc::clone(&stopping),
        };
        let thread = thread::spawn(move || listen(&listener, &context));
        Ok(Self {
            address,
            stopping,
            listener: Some(thread),
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for RpcServer {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::SeqCst);
        // The listener looks at the flag when somebody knocks.
        let _ = TcpStream::connect(self.address);
        if let Some(listener) = self.listener.take() {
            let _ = listener.join();
        }
    }
}

struct Context<C> {
    chain: Arc<Mutex<C>>,
    authorization: String,
    stopping: Arc<AtomicBool>,
}

impl<C> Clone for Context<C> {
    fn clone(&self) -> Self {
        let (chain, stopping) = (Arc::clone(&self.chain), Arc::clone(&self.stopping));
        Self {
            chain,
            authorization: self.authorization.clone(),
            stopping,
        }
    }
}

fn listen<C: Chain + Send + 'static>(listener: &TcpListener, context: &Context<C>) {
    let clients = Arc::new(AtomicUsize::new(0));
    for stream in listener.incoming().flatten() {
        if context.stopping.load(Ordering::SeqCst) {
            break;
        }
        if clients.fetch_add(1, Ordering::SeqCst) >= CLIENTS_MAX {
            clients.fetch_sub(1, Ordering::SeqCst);
            continue;
        }
        let (context, clients) = (context.clone(), Arc::clone(&clients));
        thread::spawn(move || {
            // A client that breaks off harms nobody but itself.
            let _ = serve(&stream, &context);
            clients.fetch_sub(1, Ordering::SeqCst);
        });
    }
}

fn serve<C: Chain>(mut stream: &TcpStream, context: &Context<C>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(IDLE_TIMEOUT))?;
    let mut reader = BufReader::new(stream);
    while let Some(request) = Message::read(&mut reader)? {
        if context.stopping.load(Ordering::SeqCst) {
            break;
        }
        let closing = request
            .header("connection")
            .is_some_and(|value| value.eq_ignore_ascii_case("close"));
        respond(&request, context).write(&mut stream)?;
        if closing {
            break;
        }
    }
    Ok(())
}

fn respond<C: Chain>(request: &Message, context: &Context<C>) -> Message {
    let response = |status: &str, body: Vec<u8>| Message {
        first_line: format!("HTTP/1.1 {status}"),
        headers: Vec::new(),
        body,
    };
    if request.header("authorization") != Some(&context.authorization) {
        return response("401 Unauthorized", Vec::new());
    }
    if !request.first_line.starts_with("POST ") {
        return response("405 Method Not Allowed", Vec::new());
    }
    let mut chain = context.chain.lock().unwrap_or_else(PoisonError::into_inner);
    match serde_json::from_slice(&request.body) {
        Ok(Value::Array(batch)) => {
            let answers: Vec<Value> = batch.iter().map(|request| answer(&mut *chain, request).0).collect();
            response("200 OK", Value::Array(answers).to_string().into_bytes())
        }
        Ok(request) => {
            let (answer, status) = answer(&mut *chain, &request);
            response(status, answer.to_string().into_bytes())
        }
        Err(_) => {
            let error = RpcError::new(RpcError::PARSE, "Parse error");
            let answer = json!({ "result": null, "error": error_value(&error), "id": null });
            response("500 Internal Server Error", answer.to_string().into_bytes())
        }
    }
}

/// The answer to one call, and the status that bitcoind gives it when it comes alone.
fn answer<C: Chain>(chain: &mut C, request: &Value) -> (Value, &'static str) {
    let method = request["method"].as_str().unwrap_or_default();
    let result = call(chain, method, &Params::new(&request["params"]));
    let id = &request["id"];
    // Version 2 has no field for what did not happen, and an error is no failure of HTTP.
    let is_version_2 = request["jsonrpc"] == "2.0";
    match result {
        Ok(result) if is_version_2 => (json!({ "jsonrpc": "2.0", "result": result, "id": id }), "200 OK"),
        Ok(result) => (json!({ "result": result, "error": null, "id": id }), "200 OK"),
        Err(error) if is_version_2 => (
            json!({ "jsonrpc": "2.0", "error": error_value(&error), "id": id }),
            "200 OK",
        ),
        Err(error) => {
            let status = if error.code == RpcError::METHOD_NOT_FOUND {
                "404 Not Found"
            } else {
                "500 Internal Server Error"
            };
            (
                json!({ "result": null, "error": error_value(&error), "id": id }),
                status,
            )
        }
    }
}

fn error_value(error: &RpcError) -> Value {
    json!({ "code": error.code, "message": error.message })
}
