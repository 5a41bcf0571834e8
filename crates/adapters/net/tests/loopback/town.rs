//! Networks for tests, and what their users see.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use bitcoin::constants::ChainHash;
use quittance_journal::Generation;
use quittance_net::{Config, Direction, Limits, Network, Outbox, PeerAddress, Sink, SinkClosed, Tidings, Timing, Why};
use quittance_primitives::{ChannelId, Feature, Features, NodeId};
use quittance_wire::{Message, Ping, UpdateFailHtlc, Warning};
use secp256k1::{SECP256K1, SecretKey};
use tokio::sync::mpsc;

/// A network and what it told.
pub(crate) struct End {
    pub(crate) id: NodeId,
    pub(crate) network: Network<Told>,
    address: SocketAddr,
    seen: mpsc::Receiver<Seen>,
}

/// What a network told.
#[derive(Debug)]
pub(crate) enum Seen {
    Connected(AtPeer),
    Message(Box<Message>),
    Disconnected(Why),
}

/// A connection.
#[derive(Debug)]
pub(crate) struct AtPeer {
    pub(crate) peer: NodeId,
    pub(crate) generation: Generation,
    pub(crate) features: Features,
    pub(crate) direction: Direction,
    pub(crate) outbox: Outbox,
}

/// The sink: a short queue.
pub(crate) struct Told(mpsc::Sender<Seen>);

impl Sink for Told {
    async fn deliver(&self, tidings: Tidings) -> Result<(), SinkClosed> {
        let seen = match tidings {
            Tidings::Connected {
                peer,
                generation,
                features,
                direction,
                outbox,
                ..
            } => Seen::Connected(AtPeer {
                peer,
                generation,
                features,
                direction,
                outbox,
            }),
            Tidings::Message { message, .. } => Seen::Message(message),
            Tidings::Disconnected { why, .. } => Seen::Disconnected(why),
        };
        self.0.send(seen).await.map_err(|_| SinkClosed)
    }
}

impl End {
    pub(crate) async fn listening(config: Config) -> Self {
        Self::listening_at(config, SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    pub(crate) async fn listening_at(config: Config, address: SocketAddr) -> Self {
        let (sender, seen) = mpsc::channel(16);
        let id = NodeId::from(config.key.public_key(SECP256K1));
        let network = Network::new(config, Told(sender));
        let address = network.listen(address).await.unwrap();
        Self {
            id,
            network,
            address,
            seen,
        }
    }

    pub(crate) fn address(&self) -> PeerAddress {
        self.address.into()
    }

    pub(crate) async fn connected(&mut self) -> AtPeer {
        loop {
            if let Seen::Connected(connected) = self.next().await {
                return connected;
            }
        }
    }

    pub(crate) async fn disconnected(&mut self) -> Why {
        loop {
            if let Seen::Disconnected(why) = self.next().await {
                return why;
            }
        }
    }

    pub(crate) async fn message(&mut self) -> Message {
        loop {
            if let Seen::Message(message) = self.next().await {
                return *message;
            }
        }
    }

    pub(crate) fn seen_already(&mut self) -> Option<Seen> {
        self.seen.try_recv().ok()
    }

    async fn next(&mut self) -> Seen {
        let next = tokio::time::timeout(Duration::from_secs(10), self.seen.recv());
        next.await
            .expect("nothing happened for ten seconds")
            .expect("the network is there")
    }
}

pub(crate) fn key(number: u8) -> SecretKey {
    SecretKey::from_slice(&[number; 32]).unwrap()
}

pub(crate) fn id(number: u8) -> NodeId {
    NodeId::from(key(number).public_key(SECP256K1))
}

pub(crate) fn features() -> Features {
    Features::empty().offering(Feature::Anchors).offering(Feature::Quiesce)
}

pub(crate) fn config(number: u8) -> Config {
    Config {
        key: key(number),
        features: features(),
        features_by_peer: BTreeMap::new(),
        chain: ChainHash::REGTEST,
        limits: Limits::default(),
        timing: Timing {
            handshake: Duration::from_secs(2),
            redial_first: Duration::from_millis(20),
            redial_max: Duration::from_millis(100),
            ..Timing::default()
        },
    }
}

pub(crate) fn numbered(number: u32) -> Message {
    Message::Warning(Warning {
        channel_id: ChannelId([7; 32]),
        data: number.to_be_bytes().to_vec(),
    })
}

pub(crate) fn large() -> Message {
    Message::UpdateFailHtlc(UpdateFailHtlc {
        channel_id: ChannelId([7; 32]),
        id: quittance_primitives::HtlcId(0),
        reason: vec![1; 60_000],
        attribution_data: None,
    })
}

pub(crate) fn ping(num_pong_bytes: u16) -> Message {
    Message::Ping(Ping {
        num_pong_bytes,
        ignored: Vec::new(),
    })
}
