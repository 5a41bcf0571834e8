//! A stranger that calls one node and listens: it has no channel, says nothing but `init` and what it wants to hear, and keeps of BOLT 7's
//! messages what is signed as it must be. Routes are found in what it heard, and in nothing else.
//!
//! Not a graph for a node: it looks up no funding output, and forgets nothing.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

use bitcoin::constants::ChainHash;
use quittance_api::{Hex, RouteHop};
use quittance_noise::{ACT_TWO_LEN, Decrypted, Decryptor, Encryptor, Established, Initiator};
use quittance_primitives::{Feature, Features, NodeId, ShortChannelId};
use quittance_town::{Outcome, Random, fresh_seed};
use quittance_wire::{
    ChannelAnnouncement, ChannelUpdate, GossipTimestampFilter, Init, Message, NodeAnnouncement, Pong,
};
use secp256k1::ecdsa::Signature;
use secp256k1::{PublicKey, SECP256K1, SecretKey};

/// What was heard, and was signed as it must be.
#[derive(Clone, Debug, Default)]
pub struct Heard {
    /// Channels, by their places.
    pub channels: BTreeMap<ShortChannelId, ChannelAnnouncement>,
    /// The last word of each end of them: of the node that its announcement names first, or second.
    pub updates: BTreeMap<(ShortChannelId, End), ChannelUpdate>,
    /// Nodes.
    pub nodes: BTreeMap<NodeId, NodeAnnouncement>,
    /// What must not have been said, or not then.
    pub faults: Vec<String>,
}

/// An end of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    /// The node that the announcement names first.
    First,
    /// The other one.
    Second,
}

/// An ear at a node. It listens until it is dropped.
pub struct Ear {
    heard: Arc<Mutex<Heard>>,
    stream: TcpStream,
}

/// The best known way from a node to the payee.
#[derive(Clone)]
struct Way {
    /// What must arrive at the node.
    amount_msat: u64,
    /// What it keeps of that.
    fee_msat: u64,
    /// How much earlier the next HTLC expires.
    cltv_delta: u16,
    next: Option<(NodeId, ShortChannelId)>,
}

impl Ear {
    /// Calls a node.
    ///
    /// # Errors
    /// When it does not let a stranger in.
    pub fn at(address: SocketAddr, node: NodeId) -> Outcome<Self> {
        let mut stream = TcpStream::connect(address)?;
        let Established {
            mut encryptor,
            decryptor,
            ..
        } = shake(&mut stream, node)?;
        let assumed = Feature::ALL.into_iter().filter(|feature| feature.is_assumed());
        let init = Message::Init(Init {
            globalfeatures: Features::empty(),
            features: assumed.fold(Features::empty().offering(Feature::GossipQueries), Features::offering),
            networks: Some(vec![ChainHash::REGTEST]),
            remote_addr: None,
        });
        say(&mut stream, &mut encryptor, &init)?;
        let everything = GossipTimestampFilter {
            chain_hash: ChainHash::REGTEST,
            first_timestamp: 0,
            timestamp_range: u32::MAX,
        };
        say(&mut stream, &mut encryptor, &everything.into())?;
        let heard = Arc::new(Mutex::new(Heard::default()));
        let listener = Listener {
            heard: Arc::clone(&heard),
            stream: stream.try_clone()?,
            encryptor,
            decryptor,
        };
        std::thread::spawn(move || listener.run());
        Ok(Self { heard, stream })
    }

    /// What was heard so far.
    pub fn heard(&self) -> Heard {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        // The listener's thread ends with it; the node may have closed before.
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

impl Heard {
    /// The cheapest way from a peer of the payer's to `payee`, as a route of the payer's that begins with `first`, its channel to that peer.
    /// Nothing if there is none.
    pub fn route(&self, (peer, first): (NodeId, &str), payee: NodeId, amount_msat: u64) -> Option<Vec<RouteHop>> {
        let ways = self.ways(payee, amount_msat);
        let (mut node, mut channel, mut hops) = (peer, first.to_owned(), Vec::new());
        loop {
            let way = ways.get(&node)?;
            hops.push(RouteHop {
                node: Hex(node.0),
                short_channel_id: channel,
                amount_msat: None,
                fee_msat: way.next.is_some().then_some(way.fee_msat),
                expiry_height: None,
                cltv_delta: way.next.is_some().then_some(way.cltv_delta),
            });
            let Some((next, by)) = way.next else {
                return Some(hops);
            };
            (node, channel) = (next, by.to_string());
        }
    }

    /// From every node that can reach the payee, the cheapest way: each channel is looked at until nothing gets cheaper.
    fn ways(&self, payee: NodeId, amount_msat: u64) -> BTreeMap<NodeId, Way> {
        let end = Way {
            amount_msat,
            fee_msat: 0,
            cltv_delta: 0,
            next: None,
        };
        let mut ways = BTreeMap::from([(payee, end)]);
        let mut has_changed = true;
        while has_changed {
            has_changed = false;
            for ((name, end), update) in &self.updates {
                let Some((from, to)) = self.channels.get(name).map(|channel| end.ends_of(channel)) else {
                    continue;
                };
                let Some(sent_on) = ways
                    .get(&to)
                    .map(|way| way.amount_msat)
                    .filter(|sent| carries(update, *sent))
                else {
                    continue;
                };
                let proportional = sent_on * u64::from(update.fee_proportional_millionths) / 1_000_000;
                let fee_msat = u64::from(update.fee_base_msat) + proportional;
                let way = Way {
                    amount_msat: sent_on + fee_msat,
                    fee_msat,
                    cltv_delta: update.cltv_expiry_delta.0,
                    next: Some((to, *name)),
                };
                if ways.get(&from).is_none_or(|known| way.amount_msat < known.amount_msat) {
                    ways.insert(from, way);
                    has_changed = true;
                }
            }
        }
        ways
    }

    fn hear(&mut self, message: Message) {
        match message {
            Message::ChannelAnnouncement(channel) => {
                let hash = channel.signature_hash();
                let [one, two] = [channel.node_id_1, channel.node_id_2].map(|node| node.public_key().ok());
                let signed = [
                    (channel.node_signature_1, one),
                    (channel.node_signature_2, two),
                    (channel.bitcoin_signature_1, Some(channel.bitcoin_key_1)),
                    (channel.bitcoin_signature_2, Some(channel.bitcoin_key_2)),
                ];
                if signed
                    .into_iter()
                    .all(|(signature, key)| is_signed(hash, signature, key))
                {
                    self.channels.insert(channel.short_channel_id, channel);
                } else {
                    self.fault(format!(
                        "{} is announced with a bad signature",
                        channel.short_channel_id
                    ));
                }
            }
            Message::ChannelUpdate(update) => self.hear_update(update),
            Message::NodeAnnouncement(node) => {
                let mut ends = self
                    .channels
                    .values()
                    .flat_map(|channel| [channel.node_id_1, channel.node_id_2]);
                if !ends.any(|end| end == node.node_id) {
                    self.fault(format!(
                        "{} announces itself before any channel of its own",
                        node.node_id
                    ));
                } else if is_signed(node.signature_hash(), node.signature, node.node_id.public_key().ok()) {
                    self.nodes.insert(node.node_id, node);
                } else {
                    self.fault(format!("{} is announced with a bad signature", node.node_id));
                }
            }
            _ => {}
        }
    }

    fn hear_update(&mut self, update: ChannelUpdate) {
        let name = update.short_channel_id;
        let end = if update.channel_flags & ChannelUpdate::DIRECTION == 0 {
            End::First
        } else {
            End::Second
        };
        let Some((from, _)) = self.channels.get(&name).map(|channel| end.ends_of(channel)) else {
            self.fault(format!("terms for {name}, which was not announced"));
            return;
        };
        let is_public = update.message_flags & ChannelUpdate::DONT_FORWARD == 0;
        if !is_public || !is_signed(update.signature_hash(), update.signature, from.public_key().ok()) {
            self.fault(format!("terms for {name} that are not public, or not signed"));
            return;
        }
        let known = self.updates.get(&(name, end));
        if known.is_none_or(|known| known.timestamp < update.timestamp) {
            self.updates.insert((name, end), update);
        }
    }

    fn fault(&mut self, fault: String) {
        self.faults.push(fault);
    }
}

impl End {
    /// The node at this end of a channel, and the one at the other.
    fn ends_of(self, channel: &ChannelAnnouncement) -> (NodeId, NodeId) {
        match self {
            Self::First => (channel.node_id_1, channel.node_id_2),
            Self::Second => (channel.node_id_2, channel.node_id_1),
        }
    }
}

struct Listener {
    heard: Arc<Mutex<Heard>>,
    stream: TcpStream,
    encryptor: Encryptor,
    decryptor: Decryptor,
}

impl Listener {
    /// Until either side closes.
    fn run(mut self) {
        let (mut stream, mut part) = (Vec::new(), [0; 4_096]);
        while let Ok(length @ 1..) = self.stream.read(&mut part) {
            stream.extend_from_slice(&part[..length]);
            while let Ok(Decrypted::Record { body, consumed }) = self.decryptor.decrypt(&mut stream) {
                let message = Message::decode(body);
                stream.drain(..consumed);
                match message {
                    Ok(Message::Ping(ping)) => {
                        let pong = Pong {
                            ignored: vec![0; usize::from(ping.num_pong_bytes)],
                        };
                        // A node that has closed needs no answer.
                        let _ = say(&mut self.stream, &mut self.encryptor, &pong.into());
                    }
                    Ok(message) => self.heard().hear(message),
                    Err(error) => self.heard().fault(format!("a message that cannot be read: {error}")),
                }
            }
        }
    }

    fn heard(&self) -> std::sync::MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn shake(stream: &mut TcpStream, node: NodeId) -> Outcome<Established> {
    let mut random = Random::new(fresh_seed());
    let key = SecretKey::from_slice(&random.bytes())?;
    let (initiator, act_one) = Initiator::start(key, SecretKey::from_slice(&random.bytes())?, node.public_key()?);
    stream.write_all(&act_one)?;
    let mut act_two = [0; ACT_TWO_LEN];
    stream.read_exact(&mut act_two)?;
    let (established, act_three) = initiator.finish(&act_two).map_err(|error| error.to_string())?;
    stream.write_all(&act_three)?;
    Ok(established)
}

fn say(stream: &mut TcpStream, encryptor: &mut Encryptor, message: &Message) -> Outcome<()> {
    let mut sent = Vec::new();
    encryptor.append(&message.encode(), &mut sent)?;
    Ok(stream.write_all(&sent)?)
}

fn is_signed(hash: secp256k1::Message, signature: Signature, key: Option<PublicKey>) -> bool {
    key.is_some_and(|key| SECP256K1.verify_ecdsa(&hash, &signature, &key).is_ok())
}

/// Whether an end sends on so much.
fn carries(update: &ChannelUpdate, amount_msat: u64) -> bool {
    let is_enabled = update.channel_flags & ChannelUpdate::DISABLE == 0;
    is_enabled && (update.htlc_minimum_msat.0..=update.htlc_maximum_msat.0).contains(&amount_msat)
}
