//! One connection: from a stream to the last message.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use quittance_journal::Generation;
use quittance_noise::{Decrypted, Decryptor, Encryptor, Established, RecordError};
use quittance_primitives::{ChannelId, Features, NodeId};
use quittance_wire::{DecodeError, Message, NodeAddress, Ping, Warning};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc::Receiver;
use tokio::time::timeout;

use crate::config::Config;
use crate::greeting::{self, InitRefused};
use crate::outbox::{NotSent, Outbound, Outbox};
use crate::pace::Pace;

/// Where tidings of peers go. While `deliver` waits, the peer that it is about is not read from.
pub trait Sink: Send + Sync + 'static {
    /// Takes tidings. Those of one connection come one after the other: `Connected`, messages, `Disconnected`.
    fn deliver(&self, tidings: Tidings) -> impl Future<Output = Result<(), SinkClosed>> + Send;
}

/// Nobody listens any more; connections end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("nobody listens to peers any more")]
pub struct SinkClosed;

/// What a peer did.
#[derive(Debug)]
pub enum Tidings {
    /// It is connected, and both sides have said `init`.
    Connected {
        /// The peer.
        peer: NodeId,
        /// Which connection to it.
        generation: Generation,
        /// What both sides support.
        features: Features,
        /// Who called whom.
        direction: Direction,
        /// Where it is, or called from.
        address: SocketAddr,
        /// Where what is to be sent to it goes.
        outbox: Outbox,
    },
    /// It sent a message.
    Message {
        /// The peer.
        peer: NodeId,
        /// Which connection to it.
        generation: Generation,
        /// The message.
        message: Box<Message>,
    },
    /// The connection is gone.
    Disconnected {
        /// The peer.
        peer: NodeId,
        /// Which connection to it.
        generation: Generation,
        /// Why.
        why: Why,
    },
}

/// Who called whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// We called the peer.
    Outbound,
    /// The peer called us.
    Inbound,
}

/// Why a connection is gone.
#[derive(Debug, thiserror::Error)]
pub enum Why {
    /// The peer closed it, or the network did.
    #[error("the peer closed the connection")]
    ClosedByPeer,
    /// The network failed.
    #[error("the connection failed: {0}")]
    Stream(std::io::Error),
    /// We closed it.
    #[error("we closed the connection")]
    ClosedByUs,
    /// What came was not encrypted by the peer.
    #[error(transparent)]
    Record(RecordError),
    /// A message that cannot be read, or that is required and unknown to us.
    #[error("the peer sent what we cannot read: {0}")]
    Decode(DecodeError),
    /// The peer said `init` a second time.
    #[error("the peer said init twice")]
    InitAgain,
    /// The peer gave no sign of life.
    #[error("the peer is silent")]
    Silent,
    /// The peer takes nothing of what it is sent.
    #[error("the peer does not read what it is sent")]
    TooSlow,
    /// Nobody listens any more.
    #[error(transparent)]
    SinkClosed(#[from] SinkClosed),
}

/// Why a connection never came to be.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NeverGreeted {
    #[error(transparent)]
    Init(#[from] InitRefused),
    #[error("{0}")]
    Gone(Why),
    #[error("the peer did not say init in time")]
    Late,
}

/// A connection whose handshake is done.
pub(crate) struct Connection {
    pub(crate) peer: NodeId,
    pub(crate) direction: Direction,
    pub(crate) address: SocketAddr,
    reader: Reader,
    writer: Writer,
}

struct Reader {
    half: OwnedReadHalf,
    decryptor: Decryptor,
    buffer: Vec<u8>,
    /// Bytes at the front of the buffer that are dealt with.
    done: usize,
}

struct Writer {
    half: OwnedWriteHalf,
    encryptor: Encryptor,
    buffer: Vec<u8>,
}

/// When the peer was last heard; nothing while it is not listened to.
struct LastHeard(Mutex<Option<Instant>>);

impl Connection {
    pub(crate) fn new(stream: TcpStream, established: Established, direction: Direction, address: SocketAddr) -> Self {
        let (reading, writing) = stream.into_split();
        Self {
            peer: NodeId::from(established.remote),
            direction,
            address,
            reader: Reader {
                half: reading,
                decryptor: established.decryptor,
                buffer: Vec::new(),
                done: 0,
            },
            writer: Writer {
                half: writing,
                encryptor: established.encryptor,
                buffer: Vec::new(),
            },
        }
    }

    /// Exchanges `init`; what both sides support.
    pub(crate) async fn greet(&mut self, config: &Config) -> Result<Features, NeverGreeted> {
        let seen_at = match (self.direction, self.address) {
            (Direction::Outbound, _) => None,
            (Direction::Inbound, SocketAddr::V4(v4)) => Some(NodeAddress::Ipv4 {
                address: *v4.ip(),
                port: v4.port(),
            }),
            (Direction::Inbound, SocketAddr::V6(v6)) => Some(NodeAddress::Ipv6 {
                address: *v6.ip(),
                port: v6.port(),
            }),
        };
        let features = config.features_for(&self.peer);
        let ours = greeting::ours(features, config.chain, seen_at);
        let exchange = async {
            self.writer.queue(&ours);
            self.writer
                .flush(config.timing.write)
                .await
                .map_err(NeverGreeted::Gone)?;
            let first = self.reader.next().await.map_err(NeverGreeted::Gone)?;
            Ok::<_, NeverGreeted>(greeting::judge(features, config.chain, &first))
        };
        let judged = timeout(config.timing.handshake, exchange);
        let judged = judged.await.map_err(|_| NeverGreeted::Late)??;
        if let Err(refused) = &judged {
            self.writer.queue(&warning(refused.to_string()));
            // The connection ends in any case.
            let _ = self.writer.flush(config.timing.write).await;
        }
        Ok(judged?)
    }

    /// Moves messages until the connection ends.
    pub(crate) async fn run<S: Sink>(
        self,
        generation: Generation,
        config: &Config,
        sink: &S,
        outbox: &Outbox,
        queue: Receiver<Outbound>,
    ) -> Why {
        let heard = LastHeard(Mutex::new(Some(Instant::now())));
        let Self {
            peer,
            reader,
            mut writer,
            ..
        } = self;
        let why = tokio::select! {
            why = read(peer, generation, reader, config, sink, outbox, &heard) => why,
            why = write(&mut writer, config.timing.write, queue) => why,
            why = keep_alive(config, outbox, &heard) => why,
            () = outbox.ended() => Why::ClosedByUs,
        };
        if let Why::Decode(_) | Why::InitAgain = &why {
            // BOLT 1: the connection ends; a word of why helps whoever looks for the reason at the other end.
            writer.queue(&warning(why.to_string()));
            let _ = writer.flush(FAREWELL).await;
        }
        let _ = timeout(FAREWELL, writer.half.shutdown()).await;
        why
    }
}

/// How long a last word may take.
const FAREWELL: Duration = Duration::from_secs(1);
/// Bytes that are read at once when nothing says how many are needed.
const READ_AT_ONCE: usize = 4_096;
/// Bytes of messages that are encrypted before they are written.
const WRITE_AT_ONCE: usize = 64 * 1_024;

async fn read<S: Sink>(
    peer: NodeId,
    generation: Generation,
    mut reader: Reader,
    config: &Config,
    sink: &S,
    outbox: &Outbox,
    heard: &LastHeard,
) -> Why {
    let limits = &config.limits;
    let mut pace = Pace::new(
        limits.idle_messages_per_second,
        limits.idle_messages_burst,
        Instant::now(),
    );
    loop {
        let body = match reader.next().await {
            Ok(body) => body,
            Err(why) => return why,
        };
        heard.not_listening();
        let message = match Message::decode(&body) {
            Ok(message) => message,
            Err(error) => return Why::Decode(error),
        };
        let cost = cost(&message);
        if cost > 0 {
            let wait = pace.take(cost, Instant::now());
            if !wait.is_zero() {
                tokio::time::sleep(wait).await;
            }
        }
        while outbox.is_crowded() {
            tokio::time::sleep(CROWDED).await;
        }
        match message {
            Message::Ping(ping) => {
                if let Some(pong) = ping.pong()
                    && outbox.send(Message::Pong(pong).into()) == Err(NotSent::TooSlow)
                {
                    return Why::TooSlow;
                }
            }
            Message::Init(_) => return Why::InitAgain,
            Message::Pong(_) | Message::Unknown { .. } => {}
            message => {
                let message = Box::new(message);
                let tidings = Tidings::Message {
                    peer,
                    generation,
                    message,
                };
                if let Err(closed) = sink.deliver(tidings).await {
                    return closed.into();
                }
            }
        }
        heard.now();
    }
}

/// How often a crowded outbox is looked at.
const CROWDED: Duration = Duration::from_millis(5);

/// What a message costs of a peer's pace. Those of channels are free: they wait for the engine anyway.
fn cost(message: &Message) -> u32 {
    match message {
        Message::Ping(ping) => 1 + u32::from(ping.num_pong_bytes) / 1_024,
        Message::Pong(_)
        | Message::Warning(_)
        | Message::PeerStorage(_)
        | Message::PeerStorageRetrieval(_)
        | Message::OnionMessage(_)
        | Message::ChannelAnnouncement(_)
        | Message::NodeAnnouncement(_)
        | Message::ChannelUpdate(_)
        | Message::QueryShortChannelIds(_)
        | Message::ReplyShortChannelIdsEnd(_)
        | Message::QueryChannelRange(_)
        | Message::ReplyChannelRange(_)
        | Message::GossipTimestampFilter(_)
        | Message::Unknown { .. } => 1,
        _ => 0,
    }
}

async fn write(writer: &mut Writer, patience: Duration, mut queue: Receiver<Outbound>) -> Why {
    loop {
        let Some(mut next) = queue.recv().await else {
            return Why::ClosedByUs;
        };
        loop {
            match next {
                Outbound::Message(message) => writer.queue(&message),
                Outbound::Made(make) => {
                    if let Some(message) = make() {
                        writer.queue(&message);
                    }
                }
                Outbound::Close => {
                    let flushed = writer.flush(patience).await;
                    return flushed.err().unwrap_or(Why::ClosedByUs);
                }
            }
            match queue.try_recv() {
                Ok(more) if writer.buffer.len() < WRITE_AT_ONCE => next = more,
                Ok(more) => {
                    if let Err(why) = writer.flush(patience).await {
                        return why;
                    }
                    next = more;
                }
                Err(_) => break,
            }
        }
        if let Err(why) = writer.flush(patience).await {
            return why;
        }
    }
}

async fn keep_alive(config: &Config, outbox: &Outbox, heard: &LastHeard) -> Why {
    let timing = &config.timing;
    loop {
        let rested = Instant::now();
        tokio::time::sleep(timing.ping).await;
        if heard.is_since(rested) {
            continue;
        }
        let asked = Instant::now();
        let ping = Ping {
            num_pong_bytes: 1,
            ignored: Vec::new(),
        };
        match outbox.send(Message::Ping(ping).into()) {
            Ok(()) => {}
            Err(NotSent::TooSlow) => return Why::TooSlow,
            Err(NotSent::Gone) => return Why::ClosedByUs,
        }
        tokio::time::sleep(timing.pong).await;
        if !heard.is_since(asked) {
            return Why::Silent;
        }
    }
}

impl Reader {
    /// The next message's bytes.
    async fn next(&mut self) -> Result<Vec<u8>, Why> {
        loop {
            let missing = match self.decryptor.decrypt(&mut self.buffer[self.done..]) {
                Err(error) => return Err(Why::Record(error)),
                Ok(Decrypted::Record { body, consumed }) => {
                    let body = body.to_vec();
                    self.done += consumed;
                    return Ok(body);
                }
                Ok(Decrypted::Incomplete { missing }) => missing,
            };
            self.buffer.drain(..self.done);
            self.done = 0;
            self.buffer.reserve(missing.max(READ_AT_ONCE));
            match self.half.read_buf(&mut self.buffer).await {
                Ok(0) => return Err(Why::ClosedByPeer),
                Ok(_) => {}
                Err(error) => return Err(Why::Stream(error)),
            }
        }
    }
}

impl Writer {
    fn queue(&mut self, message: &Message) {
        let appended = self.encryptor.append(&message.encode(), &mut self.buffer);
        appended.expect("no message is longer than a record");
    }

    async fn flush(&mut self, patience: Duration) -> Result<(), Why> {
        let written = timeout(patience, self.half.write_all(&self.buffer)).await;
        self.buffer.clear();
        self.buffer.shrink_to(WRITE_AT_ONCE);
        match written {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(Why::Stream(error)),
            Err(_) => Err(Why::TooSlow),
        }
    }
}

impl LastHeard {
    fn now(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// While we make it wait, a peer is not silent.
    fn not_listening(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn is_since(&self, moment: Instant) -> bool {
        let at = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        at.is_none_or(|at| at >= moment)
    }
}

fn warning(text: String) -> Message {
    Message::Warning(Warning {
        channel_id: ChannelId::ALL,
        data: text.into_bytes(),
    })
}
