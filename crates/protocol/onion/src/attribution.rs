//! Attribution data: how long each hop held an HTLC, and who altered a failure on its way back (BOLT 4, returning errors; hold times
//! for successful payments).
//!
//! Each hop signs what it passes on with 20 truncated HMACs, one for each distance that it may have from the end of the route, since only
//! the origin knows its place. The block keeps its size: a hop shifts the entries before it puts its own in front, and drops
//! those that would describe a route of more than 20 hops. The origin runs the shifts backwards, a hop at a time.
//!
//! An HMAC of 4 bytes can be guessed once in 2^32; a wrong guess exposes the guesser. This is evidence for scoring, not proof.

use std::fmt;
use std::time::Duration;

use bitcoin::hashes::{Hash, HashEngine, Hmac, HmacEngine, sha256};
use subtle::ConstantTimeEq;

use crate::secret::{KeyType, SharedSecret};

/// The attribution data beside a failure or a preimage, obfuscated as it travels.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct AttributionData {
    bytes: Box<[u8; LENGTH]>,
}

/// How long a hop says that it held an HTLC, in units of 100 ms. Zero also means that it does not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HoldTime(pub u32);

/// Hops that attribution data has room for.
pub const ATTRIBUTED_HOPS: usize = 20;

const LENGTH: usize = HMACS_START + HMACS * HMAC;
const HOLD_TIME: usize = 4;
const HMACS_START: usize = ATTRIBUTED_HOPS * HOLD_TIME;
const HMACS: usize = ATTRIBUTED_HOPS * (ATTRIBUTED_HOPS + 1) / 2;
/// Bytes that are kept of an HMAC.
const HMAC: usize = 4;

impl AttributionData {
    /// Attribution data as it came beside a failure or a preimage.
    pub const fn from_bytes(bytes: Box<[u8; LENGTH]>) -> Self {
        Self { bytes }
    }

    /// The bytes, as they travel.
    pub fn into_bytes(self) -> Box<[u8; LENGTH]> {
        self.bytes
    }

    /// The bytes, as they travel.
    pub fn as_bytes(&self) -> &[u8; LENGTH] {
        &self.bytes
    }

    /// What a hop sends upstream beside a preimage: the final node, which received none, or a forwarding node with what it `received`
    /// from downstream. A forwarding node that received none starts afresh, as if it were the last.
    #[must_use]
    pub fn of_fulfilment(received: Option<Self>, secret: &SharedSecret, held: HoldTime) -> Self {
        Self::passed_on(received, secret, &[], held)
    }

    /// Reads, as the origin, what came beside a preimage: the hold times of the first hops, up to the first whose HMAC does not match.
    /// `secrets` are those of the whole route.
    pub fn read_fulfilment(self, secrets: &[SharedSecret]) -> Vec<HoldTime> {
        let mut peeling = AttributionPeeling::new(Some(self), secrets.len());
        for secret in secrets {
            peeling.peel(secret, &[]);
        }
        peeling.hold_times
    }

    /// A hop's own block: `received`, or zeros, moved up a place; our hold time and HMACs in front; all of it obfuscated. `packet` is the
    /// return packet as the hop received or made it, before its own obfuscation.
    pub(crate) fn passed_on(received: Option<Self>, secret: &SharedSecret, packet: &[u8], held: HoldTime) -> Self {
        let mut block = match received {
            Some(mut received) => {
                received.shift();
                received
            }
            None => Self {
                bytes: Box::new([0; LENGTH]),
            },
        };
        block.bytes[..HOLD_TIME].copy_from_slice(&held.0.to_be_bytes());
        for (distance, hmac) in block.hmacs(secret, packet).into_iter().enumerate() {
            block.bytes[hmac_range(0, distance)].copy_from_slice(&hmac);
        }
        secret.apply_stream(KeyType::AmmagExt, &mut block.bytes[..]);
        block
    }

    /// The HMACs of the hop in front, by its distance from the end of the route.
    fn hmacs(&self, secret: &SharedSecret, packet: &[u8]) -> [[u8; HMAC]; ATTRIBUTED_HOPS] {
        // All begin with the packet and the hold times, so that prefix is hashed once.
        let mut prefix = HmacEngine::<sha256::Hash>::new(&*secret.key(KeyType::Um));
        prefix.input(packet);
        std::array::from_fn(|distance| {
            prefix.input(&self.bytes[distance * HOLD_TIME..(distance + 1) * HOLD_TIME]);
            self.finish_hmac(prefix.clone(), distance)
        })
    }

    /// The one HMAC of the hop in front for `distance`.
    fn hmac(&self, secret: &SharedSecret, packet: &[u8], distance: usize) -> [u8; HMAC] {
        let mut engine = HmacEngine::<sha256::Hash>::new(&*secret.key(KeyType::Um));
        engine.input(packet);
        engine.input(&self.bytes[..(distance + 1) * HOLD_TIME]);
        self.finish_hmac(engine, distance)
    }

    /// Adds the HMACs of the hops downstream, in the places that they have if the hop in front is at `distance` from the end.
    fn finish_hmac(&self, mut engine: HmacEngine<sha256::Hash>, distance: usize) -> [u8; HMAC] {
        for hop in 1..=distance {
            engine.input(&self.bytes[hmac_range(hop, distance - hop)]);
        }
        let full = Hmac::from_engine(engine).to_byte_array();
        [full[0], full[1], full[2], full[3]]
    }

    /// Makes room in front. Every hop is now one place further away, so its HMAC for the greatest distance is dropped.
    fn shift(&mut self) {
        self.bytes.copy_within(..HMACS_START - HOLD_TIME, HOLD_TIME);
        for hop in (1..ATTRIBUTED_HOPS).rev() {
            self.bytes.copy_within(
                hmacs_from(hop - 1, ATTRIBUTED_HOPS - hop - 1),
                hmacs_from(hop, ATTRIBUTED_HOPS - hop - 1).start,
            );
        }
    }

    /// Undoes [`Self::shift`]; what it dropped comes back as zeros, which no HMAC of the hop now in front covers.
    fn unshift(&mut self) {
        self.bytes.copy_within(HOLD_TIME..HMACS_START, 0);
        self.bytes[HMACS_START - HOLD_TIME..HMACS_START].fill(0);
        for hop in 1..ATTRIBUTED_HOPS {
            let farthest = ATTRIBUTED_HOPS - hop - 1;
            self.bytes
                .copy_within(hmacs_from(hop, farthest), hmacs_from(hop - 1, farthest).start);
            self.bytes[hmac_range(hop - 1, farthest + 1)].fill(0);
        }
        self.bytes[hmac_range(ATTRIBUTED_HOPS - 1, 0)].fill(0);
    }

    fn hold_time(&self) -> HoldTime {
        HoldTime(u32::from_be_bytes([
            self.bytes[0],
            self.bytes[1],
            self.bytes[2],
            self.bytes[3],
        ]))
    }
}

/// The origin's walk along the route: a layer of attribution data removed and verified at each hop.
pub(crate) struct AttributionPeeling {
    data: Option<AttributionData>,
    /// The next hop's distance from the end of the route.
    distance: usize,
    /// Those of the hops found authentic so far.
    pub(crate) hold_times: Vec<HoldTime>,
    authentic: bool,
}

impl AttributionPeeling {
    pub(crate) fn new(data: Option<AttributionData>, hops: usize) -> Self {
        Self {
            authentic: data.is_some(),
            data,
            // Of a longer route the first 20 hops can be verified: each signs for every distance that there is room for.
            distance: hops.clamp(1, ATTRIBUTED_HOPS) - 1,
            hold_times: Vec::new(),
        }
    }

    /// Goes to the next hop. `packet` is the return packet without that hop's obfuscation.
    pub(crate) fn peel(&mut self, secret: &SharedSecret, packet: &[u8]) {
        let Some(data) = &mut self.data else { return };
        secret.apply_stream(KeyType::AmmagExt, &mut data.bytes[..]);
        let expected = data.hmac(secret, packet, self.distance);
        let matches = bool::from(expected.ct_eq(&data.bytes[hmac_range(0, self.distance)]));
        self.authentic &= matches && self.hold_times.len() < ATTRIBUTED_HOPS;
        if self.authentic {
            self.hold_times.push(data.hold_time());
        }
        data.unshift();
        match self.distance.checked_sub(1) {
            Some(distance) => self.distance = distance,
            None => self.authentic = false,
        }
    }
}

impl HoldTime {
    /// What is reported for a time: rounded down to 100 ms, held at the largest value.
    pub fn from_duration(held: Duration) -> Self {
        Self(u32::try_from(held.as_millis() / 100).unwrap_or(u32::MAX))
    }

    /// The time that it stands for.
    pub fn to_duration(self) -> Duration {
        Duration::from_millis(u64::from(self.0) * 100)
    }
}

impl fmt::Debug for AttributionData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AttributionData(..)")
    }
}

/// Where the HMAC of `hop`, counted from the one in front, for a `distance` from the end stands. Greatest distances come first.
const fn hmac_range(hop: usize, distance: usize) -> std::ops::Range<usize> {
    let before = hop * ATTRIBUTED_HOPS - hop * hop.saturating_sub(1) / 2;
    let start = HMACS_START + (before + (ATTRIBUTED_HOPS - hop - 1) - distance) * HMAC;
    start..start + HMAC
}

/// Where the HMACs of `hop` stand for all distances from `farthest` down to none.
const fn hmacs_from(hop: usize, farthest: usize) -> std::ops::Range<usize> {
    hmac_range(hop, farthest).start..hmac_range(hop, 0).end
}
