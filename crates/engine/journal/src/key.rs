//! Where a record stands: its space, and its place in it.
//!
//! A key's bytes are the space's number and the key's fields, each of fixed width and big-endian, so that keys as values, keys as
//! bytes and keys in a store all sort alike: a channel's updates lie side by side, in their order.
//! Numbers of spaces and of kinds are part of the stored format: append only, never reuse.

use std::cmp::Reverse;
use std::fmt;

use quittance_primitives::{ChannelId, CommitmentNumber, HtlcId, NodeId, PaymentHash, PaymentId};

/// The name of one record in the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// A row of the journal's header. Survives the loss of all manager rows.
    Header(HeaderRow),
    /// The state of a channel after some update: with the updates since, the whole channel.
    Checkpoint(ChannelId),
    /// One entry of a channel's log.
    Update(ChannelId, UpdateId),
    /// What a channel is asked for rarely, and does not hold in memory.
    Cold(ChannelId, ColdId),
    /// How a payment of ours ended, by its id: what a command that names the id is answered with. Written beside the cold records
    /// of the payment's outcomes, and like them no manager row.
    FinishedPayment(PaymentId),
    /// How far a channel's monitor has read the chain, what it saw there, and what it tried. Beside the channel's log, no manager row.
    Monitor(ChannelId),
    /// When a payment of ours began and ended, as far as whoever drives the engine has noted it. The engine reads no time from it, and the
    /// channels' logs do not know it: no manager row.
    PaymentTimes(PaymentId),
    /// A payment that was made to us, by the number of the event that told of its claim; the newest stands first, as it is asked for. Noted by
    /// whoever drives the engine, which reads nothing from it: no manager row.
    Received(Reverse<EventNumber>),
    /// A payment that we make.
    Payment(PaymentId),
    /// A forward, named by the HTLC that came in.
    Forward(ChannelId, HtlcId),
    /// An event that the user has not handled yet.
    Event(EventNumber),
    /// Labels and descriptions of an invoice of ours.
    Invoice(PaymentHash),
    /// A peer: its addresses and what we remember of it.
    Peer(NodeId),
    /// What both ends of a channel ask for forwarding through it, as they said it last. Without it a peer says so again.
    Terms(ChannelId),
    /// A row of the wallet, which can be rebuilt from its seed and the chain.
    Wallet(u64),
}

/// A row of the journal's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum HeaderRow {
    /// Whose journal this is: the node's id and its chain.
    Owner = 1,
    /// The number up to which event numbers are reserved.
    ReservedEvents = 2,
    /// The number below which the user has handled every event. Kept here, so that no older copy of the events' rows brings one back.
    HandledEvents = 3,
    /// After a restore that the operator declared: the channels whose peers have not confirmed their state.
    AwaitingPeers = 4,
    /// What we said of our node last (BOLT 7): what we say next has a later time.
    NodeAnnouncement = 5,
    /// In which format the store as a whole is, and whether it is being upgraded to it.
    Format = 6,
}

/// The number of an update in its channel's log, counted up from 1 without a gap; 0 stands before the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UpdateId(pub u64);

/// The number of an event: the order of delivery. It never changes, and is never given to another event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventNumber(pub u64);

/// What a cold record of a channel is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ColdId {
    /// How an HTLC that we offered ended.
    Outcome(HtlcId),
    /// What a claim of an HTLC that the peer offered has brought.
    Receipt(HtlcId),
    /// What is needed to punish the broadcast of a revoked commitment of the peer.
    RevokedCommitment(CommitmentNumber),
    /// What remains of the channel itself once it is closed and forgotten.
    Closed,
}

/// A group of keys that are read together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Space {
    /// [`Key::Header`].
    Header = 0x01,
    /// [`Key::Checkpoint`].
    Checkpoints = 0x10,
    /// [`Key::Update`].
    Updates = 0x11,
    /// [`Key::Cold`].
    Cold = 0x12,
    /// [`Key::FinishedPayment`].
    FinishedPayments = 0x13,
    /// [`Key::Monitor`].
    Monitors = 0x14,
    /// [`Key::PaymentTimes`].
    PaymentTimes = 0x15,
    /// [`Key::Received`].
    Received = 0x16,
    /// [`Key::Payment`].
    Payments = 0x20,
    /// [`Key::Forward`].
    Forwards = 0x21,
    /// [`Key::Event`].
    Events = 0x22,
    /// [`Key::Invoice`].
    Invoices = 0x23,
    /// [`Key::Peer`].
    Peers = 0x24,
    /// [`Key::Terms`].
    Terms = 0x25,
    /// [`Key::Wallet`].
    Wallet = 0x30,
}

/// All keys from a first to a last, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyRange {
    first: Key,
    last: Key,
}

/// Bytes that are not a key of ours: damage, or a newer version's key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} are not the bytes of a key", Hex(.0))]
pub struct InvalidKey(pub Vec<u8>);

impl Key {
    /// The space that the key stands in.
    pub const fn space(&self) -> Space {
        match self {
            Self::Header(_) => Space::Header,
            Self::Checkpoint(_) => Space::Checkpoints,
            Self::Update(..) => Space::Updates,
            Self::Cold(..) => Space::Cold,
            Self::FinishedPayment(_) => Space::FinishedPayments,
            Self::Monitor(_) => Space::Monitors,
            Self::PaymentTimes(_) => Space::PaymentTimes,
            Self::Received(_) => Space::Received,
            Self::Payment(_) => Space::Payments,
            Self::Forward(..) => Space::Forwards,
            Self::Event(_) => Space::Events,
            Self::Invoice(_) => Space::Invoices,
            Self::Peer(_) => Space::Peers,
            Self::Terms(_) => Space::Terms,
            Self::Wallet(_) => Space::Wallet,
        }
    }

    /// The key as stored; sorts as the key does.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(Self::BYTES_MAX);
        self.write_to(&mut bytes);
        bytes
    }

    /// Appends [`Self::to_bytes`] to `bytes`.
    pub fn write_to(&self, bytes: &mut Vec<u8>) {
        bytes.push(self.space() as u8);
        match self {
            Self::Header(row) => bytes.push(*row as u8),
            Self::Checkpoint(channel) | Self::Monitor(channel) | Self::Terms(channel) => bytes.extend(channel.0),
            Self::Update(channel, id) => {
                bytes.extend(channel.0);
                bytes.extend(id.0.to_be_bytes());
            }
            Self::Cold(channel, id) => {
                let (kind, number) = id.parts();
                bytes.extend(channel.0);
                bytes.push(kind);
                bytes.extend(number.to_be_bytes());
            }
            Self::FinishedPayment(id) | Self::PaymentTimes(id) | Self::Payment(id) => bytes.extend(id.0),
            Self::Forward(channel, htlc) => {
                bytes.extend(channel.0);
                bytes.extend(htlc.0.to_be_bytes());
            }
            Self::Received(Reverse(number)) => bytes.extend((!number.0).to_be_bytes()),
            Self::Event(number) => bytes.extend(number.0.to_be_bytes()),
            Self::Invoice(hash) => bytes.extend(hash.0),
            Self::Peer(id) => bytes.extend(id.0),
            Self::Wallet(number) => bytes.extend(number.to_be_bytes()),
        }
    }

    /// Reads what [`Self::to_bytes`] wrote.
    ///
    /// # Errors
    /// [`InvalidKey`] for anything else, longer or shorter keys among it.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, InvalidKey> {
        Self::parse(bytes).ok_or_else(|| InvalidKey(bytes.to_vec()))
    }

    /// The length of the longest key, in bytes.
    pub const BYTES_MAX: usize = 1 + 32 + 1 + 8;

    fn parse(bytes: &[u8]) -> Option<Self> {
        let (space, rest) = bytes.split_first()?;
        Some(match Space::from_number(*space)? {
            Space::Header => Self::Header(HeaderRow::from_number(whole::<1>(rest)?[0])?),
            Space::Checkpoints => Self::Checkpoint(ChannelId(whole(rest)?)),
            Space::Updates => {
                let (channel, rest) = channel_and(rest)?;
                Self::Update(channel, UpdateId(number(rest)?))
            }
            Space::Cold => {
                let (channel, rest) = channel_and(rest)?;
                let (kind, rest) = rest.split_first()?;
                Self::Cold(channel, ColdId::from_parts(*kind, number(rest)?)?)
            }
            Space::FinishedPayments => Self::FinishedPayment(PaymentId(whole(rest)?)),
            Space::Monitors => Self::Monitor(ChannelId(whole(rest)?)),
            Space::PaymentTimes => Self::PaymentTimes(PaymentId(whole(rest)?)),
            Space::Received => Self::Received(Reverse(EventNumber(!number(rest)?))),
            Space::Payments => Self::Payment(PaymentId(whole(rest)?)),
            Space::Forwards => {
                let (channel, rest) = channel_and(rest)?;
                Self::Forward(channel, HtlcId(number(rest)?))
            }
            Space::Events => Self::Event(EventNumber(number(rest)?)),
            Space::Invoices => Self::Invoice(PaymentHash(whole(rest)?)),
            Space::Peers => Self::Peer(NodeId(whole(rest)?)),
            Space::Terms => Self::Terms(ChannelId(whole(rest)?)),
            Space::Wallet => Self::Wallet(number(rest)?),
        })
    }
}

impl Space {
    /// Every space, in the order of keys.
    pub const ALL: [Self; 15] = [
        Self::Header,
        Self::Checkpoints,
        Self::Updates,
        Self::Cold,
        Self::FinishedPayments,
        Self::Monitors,
        Self::PaymentTimes,
        Self::Received,
        Self::Payments,
        Self::Forwards,
        Self::Events,
        Self::Invoices,
        Self::Peers,
        Self::Terms,
        Self::Wallet,
    ];

    /// Whether the space holds manager rows: those that may be stale or lost, and are then rebuilt from the channels (G9).
    pub const fn is_manager(self) -> bool {
        match self {
            Self::Payments | Self::Forwards | Self::Events | Self::Invoices | Self::Peers | Self::Terms => true,
            Self::Header
            | Self::Checkpoints
            | Self::Updates
            | Self::Cold
            | Self::FinishedPayments
            | Self::Monitors
            | Self::PaymentTimes
            | Self::Received
            | Self::Wallet => false,
        }
    }

    fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|space| *space as u8 == number)
    }
}

impl HeaderRow {
    /// Every row of the header.
    pub const ALL: [Self; 6] = [
        Self::Owner,
        Self::ReservedEvents,
        Self::HandledEvents,
        Self::AwaitingPeers,
        Self::NodeAnnouncement,
        Self::Format,
    ];

    fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|row| *row as u8 == number)
    }
}

impl ColdId {
    const fn parts(self) -> (u8, u64) {
        match self {
            Self::Outcome(id) => (1, id.0),
            Self::Receipt(id) => (2, id.0),
            Self::RevokedCommitment(number) => (3, number.0),
            Self::Closed => (4, 0),
        }
    }

    const fn from_parts(kind: u8, number: u64) -> Option<Self> {
        match (kind, number) {
            (1, id) => Some(Self::Outcome(HtlcId(id))),
            (2, id) => Some(Self::Receipt(HtlcId(id))),
            (3, number) => Some(Self::RevokedCommitment(CommitmentNumber(number))),
            (4, 0) => Some(Self::Closed),
            _ => None,
        }
    }
}

impl UpdateId {
    /// The id after this one.
    ///
    /// # Panics
    /// After 2^64 - 1.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.checked_add(1).expect("update ids fit 64 bits"))
    }
}

impl EventNumber {
    /// The number after this one.
    ///
    /// # Panics
    /// After 2^64 - 1.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.checked_add(1).expect("event numbers fit 64 bits"))
    }
}

impl KeyRange {
    /// All keys of a space.
    pub const fn space(space: Space) -> Self {
        const LOW: ChannelId = ChannelId([0; 32]);
        const HIGH: ChannelId = ChannelId([0xff; 32]);
        let (first, last) = match space {
            Space::Header => (Key::Header(HeaderRow::Owner), Key::Header(HeaderRow::Format)),
            Space::Checkpoints => (Key::Checkpoint(LOW), Key::Checkpoint(HIGH)),
            Space::Updates => (Key::Update(LOW, UpdateId(0)), Key::Update(HIGH, UpdateId(u64::MAX))),
            Space::Cold => (
                Key::Cold(LOW, ColdId::Outcome(HtlcId(0))),
                Key::Cold(HIGH, ColdId::Closed),
            ),
            Space::FinishedPayments => (
                Key::FinishedPayment(PaymentId([0; 32])),
                Key::FinishedPayment(PaymentId([0xff; 32])),
            ),
            Space::Monitors => (Key::Monitor(LOW), Key::Monitor(HIGH)),
            Space::PaymentTimes => (
                Key::PaymentTimes(PaymentId([0; 32])),
                Key::PaymentTimes(PaymentId([0xff; 32])),
            ),
            Space::Received => (
                Key::Received(Reverse(EventNumber(u64::MAX))),
                Key::Received(Reverse(EventNumber(0))),
            ),
            Space::Payments => (Key::Payment(PaymentId([0; 32])), Key::Payment(PaymentId([0xff; 32]))),
            Space::Forwards => (Key::Forward(LOW, HtlcId(0)), Key::Forward(HIGH, HtlcId(u64::MAX))),
            Space::Events => (Key::Event(EventNumber(0)), Key::Event(EventNumber(u64::MAX))),
            Space::Invoices => (
                Key::Invoice(PaymentHash([0; 32])),
                Key::Invoice(PaymentHash([0xff; 32])),
            ),
            Space::Peers => (Key::Peer(NodeId([0; 33])), Key::Peer(NodeId([0xff; 33]))),
            Space::Terms => (Key::Terms(LOW), Key::Terms(HIGH)),
            Space::Wallet => (Key::Wallet(0), Key::Wallet(u64::MAX)),
        };
        Self { first, last }
    }

    /// One key alone.
    pub const fn single(key: Key) -> Self {
        Self { first: key, last: key }
    }

    /// Every key there is.
    pub const fn all() -> Self {
        Self {
            first: Self::space(Space::Header).first,
            last: Self::space(Space::Wallet).last,
        }
    }

    /// The finished payments from this id on.
    pub const fn finished_payments_from(id: PaymentId) -> Self {
        Self {
            first: Key::FinishedPayment(id),
            last: Self::space(Space::FinishedPayments).last,
        }
    }

    /// The payments to us whose claims were told of by `newest` or before it, the newest first.
    pub const fn received_from(newest: EventNumber) -> Self {
        Self {
            first: Key::Received(Reverse(newest)),
            last: Self::space(Space::Received).last,
        }
    }

    /// A channel's updates after `after`; all of them after `UpdateId(0)`.
    pub fn updates_after(channel: ChannelId, after: UpdateId) -> Self {
        Self {
            first: Key::Update(channel, after.next()),
            last: Key::Update(channel, UpdateId(u64::MAX)),
        }
    }

    /// A channel's updates up to and with `last`.
    pub const fn updates_through(channel: ChannelId, last: UpdateId) -> Self {
        Self {
            first: Key::Update(channel, UpdateId(0)),
            last: Key::Update(channel, last),
        }
    }

    /// A channel's cold records.
    pub const fn cold_of(channel: ChannelId) -> Self {
        Self {
            first: Key::Cold(channel, ColdId::Outcome(HtlcId(0))),
            last: Key::Cold(channel, ColdId::Closed),
        }
    }

    /// The events from `first` on.
    pub const fn events_from(first: EventNumber) -> Self {
        Self {
            first: Key::Event(first),
            last: Key::Event(EventNumber(u64::MAX)),
        }
    }

    /// The first key of the range.
    pub const fn first(&self) -> Key {
        self.first
    }

    /// The last key of the range.
    pub const fn last(&self) -> Key {
        self.last
    }

    /// Whether `key` lies in the range.
    pub fn contains(&self, key: &Key) -> bool {
        (self.first..=self.last).contains(key)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(HeaderRow::Owner) => f.write_str("header/owner"),
            Self::Header(HeaderRow::ReservedEvents) => f.write_str("header/reserved-events"),
            Self::Header(HeaderRow::HandledEvents) => f.write_str("header/handled-events"),
            Self::Header(HeaderRow::AwaitingPeers) => f.write_str("header/awaiting-peers"),
            Self::Header(HeaderRow::NodeAnnouncement) => f.write_str("header/node-announcement"),
            Self::Header(HeaderRow::Format) => f.write_str("header/format"),
            Self::Checkpoint(channel) => write!(f, "channel/{channel}/checkpoint"),
            Self::Update(channel, id) => write!(f, "channel/{channel}/update/{}", id.0),
            Self::Cold(channel, ColdId::Outcome(htlc)) => write!(f, "channel/{channel}/outcome/{}", htlc.0),
            Self::Cold(channel, ColdId::Receipt(htlc)) => write!(f, "channel/{channel}/receipt/{}", htlc.0),
            Self::Cold(channel, ColdId::RevokedCommitment(number)) => {
                write!(f, "channel/{channel}/revoked-commitment/{}", number.0)
            }
            Self::Cold(channel, ColdId::Closed) => write!(f, "channel/{channel}/closed"),
            Self::FinishedPayment(id) => write!(f, "finished-payment/{id}"),
            Self::Monitor(channel) => write!(f, "channel/{channel}/monitor"),
            Self::PaymentTimes(id) => write!(f, "payment-times/{id}"),
            Self::Received(Reverse(number)) => write!(f, "received/{}", number.0),
            Self::Payment(id) => write!(f, "payment/{id}"),
            Self::Forward(channel, htlc) => write!(f, "forward/{channel}/{}", htlc.0),
            Self::Event(number) => write!(f, "event/{}", number.0),
            Self::Invoice(hash) => write!(f, "invoice/{hash}"),
            Self::Peer(id) => write!(f, "peer/{id}"),
            Self::Terms(channel) => write!(f, "terms/{channel}"),
            Self::Wallet(number) => write!(f, "wallet/{number}"),
        }
    }
}

impl fmt::Display for KeyRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", self.first, self.last)
    }
}

impl fmt::Display for UpdateId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "update {}", self.0)
    }
}

impl fmt::Display for EventNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "event {}", self.0)
    }
}

struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

fn whole<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
    bytes.try_into().ok()
}

fn number(bytes: &[u8]) -> Option<u64> {
    whole(bytes).map(u64::from_be_bytes)
}

fn channel_and(bytes: &[u8]) -> Option<(ChannelId, &[u8])> {
    let (channel, rest) = bytes.split_first_chunk::<32>()?;
    Some((ChannelId(*channel), rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn keys() -> impl Strategy<Value = Key> {
        let id = || prop_oneof![any::<[u8; 32]>(), Just([7; 32])];
        let channel = move || id().prop_map(ChannelId);
        let cold = prop_oneof![
            any::<u64>().prop_map(|n| ColdId::Outcome(HtlcId(n))),
            any::<u64>().prop_map(|n| ColdId::Receipt(HtlcId(n))),
            any::<u64>().prop_map(|n| ColdId::RevokedCommitment(CommitmentNumber(n))),
            Just(ColdId::Closed),
        ];
        prop_oneof![
            proptest::sample::select(&HeaderRow::ALL[..]).prop_map(Key::Header),
            channel().prop_map(Key::Checkpoint),
            (channel(), any::<u64>()).prop_map(|(c, n)| Key::Update(c, UpdateId(n))),
            (channel(), cold).prop_map(|(c, id)| Key::Cold(c, id)),
            id().prop_map(|id| Key::FinishedPayment(PaymentId(id))),
            channel().prop_map(Key::Monitor),
            id().prop_map(|id| Key::PaymentTimes(PaymentId(id))),
            any::<u64>().prop_map(|n| Key::Received(Reverse(EventNumber(n)))),
            id().prop_map(|id| Key::Payment(PaymentId(id))),
            (channel(), any::<u64>()).prop_map(|(c, n)| Key::Forward(c, HtlcId(n))),
            any::<u64>().prop_map(|n| Key::Event(EventNumber(n))),
            id().prop_map(|hash| Key::Invoice(PaymentHash(hash))),
            any::<[u8; 33]>().prop_map(|id| Key::Peer(NodeId(id))),
            channel().prop_map(Key::Terms),
            any::<u64>().prop_map(Key::Wallet),
        ]
    }

    proptest! {
        #[test]
        fn keys_sort_as_their_bytes_do(one in keys(), other in keys()) {
            prop_assert_eq!(one.cmp(&other), one.to_bytes().cmp(&other.to_bytes()));
        }

        #[test]
        fn keys_survive_the_way_through_bytes(key in keys()) {
            prop_assert_eq!(Key::from_bytes(&key.to_bytes()), Ok(key));
            prop_assert!(key.to_bytes().len() <= Key::BYTES_MAX);
        }

        #[test]
        fn every_key_lies_in_the_range_of_its_space_alone(key in keys()) {
            for space in Space::ALL {
                prop_assert_eq!(KeyRange::space(space).contains(&key), key.space() == space);
            }
            prop_assert!(KeyRange::all().contains(&key));
        }
    }

    #[test]
    fn updates_of_a_channel_lie_in_their_order() {
        let key = Key::Update(ChannelId([0xab; 32]), UpdateId(0x0102));
        let mut expected = vec![0x11];
        expected.extend([0xab; 32]);
        expected.extend([0, 0, 0, 0, 0, 0, 1, 2]);
        assert_eq!(key.to_bytes(), expected);
        assert!(key < Key::Update(ChannelId([0xab; 32]), UpdateId(0x0200)));
    }

    #[test]
    fn bytes_of_no_key_are_refused() {
        let longer = [Key::Wallet(1).to_bytes(), vec![0]].concat();
        for bytes in [&[][..], &[0x01], &[0x01, 9], &[0x7f, 1], &longer, &longer[..8]] {
            assert_eq!(Key::from_bytes(bytes), Err(InvalidKey(bytes.to_vec())));
        }
        assert_eq!(InvalidKey(vec![0x7f, 1]).to_string(), "7f01 are not the bytes of a key");
    }
}
