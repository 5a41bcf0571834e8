//! The chain's interface as LDK sees it, with feerates of the story's choice: what asks for an estimate is answered here, all else is
//! passed on to the chain.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use quittance_town::Outcome;
use serde_json::{Value, json};

/// Stands before the chain. Its threads end with the process.
pub(crate) struct Fees {
    /// Where it answers.
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

/// What its threads have in common.
#[derive(Default)]
struct Shared {
    sat_per_kvb: AtomicU64,
    /// Transactions that were given to the chain, and those of them that it has accepted or refused.
    given: AtomicU64,
    judged: AtomicU64,
}

/// How many transactions LDK has given to the chain since the world began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Broadcasts {
    given: u64,
    judged: u64,
}

impl Broadcasts {
    /// Whether the chain has answered every one.
    pub(crate) const fn are_judged(self) -> bool {
        self.given == self.judged
    }
}

/// A request or an answer.
struct Exchange {
    head: String,
    body: Vec<u8>,
}

/// Longer than any block here.
const BODY_MAX: usize = 16 << 20;

impl Fees {
    /// Stands before the chain at this address.
    pub(crate) fn new(chain: SocketAddr, sat_per_kw: u64) -> Outcome<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let fees = Self {
            address: listener.local_addr()?,
            shared: Arc::default(),
        };
        fees.set(sat_per_kw);
        let shared = Arc::clone(&fees.shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                // A connection that breaks is made again by who needs it.
                std::thread::spawn(move || drop(serve(stream, chain, &shared)));
            }
        });
        Ok(fees)
    }

    /// From now on every estimate is this.
    pub(crate) fn set(&self, sat_per_kw: u64) {
        self.shared.sat_per_kvb.store(sat_per_kw * 4, Ordering::Relaxed);
    }

    /// What LDK has broadcast so far.
    pub(crate) fn broadcasts(&self) -> Broadcasts {
        let judged = self.shared.judged.load(Ordering::SeqCst);
        Broadcasts {
            given: self.shared.given.load(Ordering::SeqCst),
            judged,
        }
    }
}

fn serve(stream: TcpStream, chain: SocketAddr, shared: &Shared) -> Outcome<()> {
    stream.set_nodelay(true)?;
    let mut back = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    while let Some(request) = Exchange::read(&mut reader)? {
        let call: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        if call["method"] == "estimatesmartfee" {
            let sat = f64::from(u32::try_from(shared.sat_per_kvb.load(Ordering::Relaxed))?);
            let answer = json!({ "result": { "feerate": sat / 1e8, "blocks": 6 }, "error": null, "id": call["id"] });
            let body = answer.to_string();
            let length = body.len();
            let head = format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n");
            Exchange {
                head,
                body: body.into_bytes(),
            }
            .write(&mut back)?;
        } else {
            let is_broadcast = call["method"] == "sendrawtransaction";
            if is_broadcast {
                shared.given.fetch_add(1, Ordering::SeqCst);
            }
            let answer = request.answered_by(chain);
            if is_broadcast {
                shared.judged.fetch_add(1, Ordering::SeqCst);
            }
            answer?.write(&mut back)?;
        }
    }
    Ok(())
}

impl Exchange {
    /// What the chain says to it.
    fn answered_by(&self, chain: SocketAddr) -> Outcome<Self> {
        let mut onward = TcpStream::connect(chain)?;
        onward.set_nodelay(true)?;
        self.write(&mut onward)?;
        let answer = Self::read(&mut BufReader::new(onward))?;
        answer.ok_or_else(|| "the chain gives no answer".into())
    }

    /// The next one, or nothing when the connection has ended.
    fn read(from: &mut BufReader<TcpStream>) -> Outcome<Option<Self>> {
        let (mut head, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            if from.read_line(&mut line)? == 0 {
                return Ok(None);
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse()?;
            }
            head.push_str(&line);
            if line.trim().is_empty() {
                break;
            }
        }
        if length > BODY_MAX {
            return Err("a body is longer than any block".into());
        }
        let mut body = vec![0; length];
        from.read_exact(&mut body)?;
        Ok(Some(Self { head, body }))
    }

    /// In one piece: the second of two would wait until the first is acknowledged, which takes the other end 40 ms.
    fn write(&self, to: &mut TcpStream) -> Outcome<()> {
        to.write_all(&[self.head.as_bytes(), &self.body].concat())?;
        Ok(())
    }
}
