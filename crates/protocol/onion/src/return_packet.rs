//! A failure on its way back: made at the erring node, wrapped by each hop, read by the origin (BOLT 4, returning errors).
//!
//! Only the origin knows all secrets of the route, so only it can tell who speaks. A hop can garble a packet but not forge one; with
//! [attribution data](crate::AttributionData) the garbling is pinned to a pair of neighbours.

use subtle::ConstantTimeEq;

use crate::attribution::{ATTRIBUTED_HOPS, AttributionPeeling};
use crate::secret::{KeyType, SharedSecret, hmac};
use crate::{AttributionData, HoldTime};

/// What `update_fail_htlc` carries: the obfuscated return packet and, where hops support it, the attribution data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReturnPacket {
    /// `reason` of `update_fail_htlc`.
    pub reason: Vec<u8>,
    /// `attribution_data` of `update_fail_htlc`.
    pub attribution: Option<AttributionData>,
}

/// What the origin learns from a return packet.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct ReturnReport {
    /// Who failed the HTLC.
    pub source: FailureSource,
    /// The hold times of the first hops of the route, as far as they are authentic; none beyond the source.
    pub hold_times: Vec<HoldTime>,
}

/// Who failed an HTLC. Hops are counted from 0, the one that we sent to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FailureSource {
    /// The failure was made by this hop.
    Hop {
        /// The hop's place in the route.
        hop: usize,
        /// What it says, for [`crate::Failure::decode`]. Empty when the hop wrote lengths that cannot be.
        message: Vec<u8>,
    },
    /// No hop made the packet as it arrived. By the attribution data it was garbled by this hop or the one before, its neighbour.
    GarbledAt {
        /// The hop's place in the route.
        hop: usize,
    },
    /// No hop made the packet as it arrived, and there is no attribution data: it was garbled anywhere.
    Unknown,
}

/// What a failure message and its padding fill at least; older nodes cannot read anything else.
pub const PADDED_MESSAGE: usize = 256;
/// The longest reason beside which attribution data fits in `update_fail_htlc`: 65,535 bytes (BOLT 1) less type, channel id, HTLC id and
/// length (2 + 32 + 8 + 2), and less the record's type, length and value (1 + 3 + 920).
pub const ATTRIBUTED_REASON_MAX: usize = 65_535 - 44 - 924;
/// BOLT 4: the origin goes on decrypting for as many hops as a route can have, to hide where the failure was made.
const HOPS_MAX: usize = 27;
const HMAC: usize = 32;

impl ReturnPacket {
    /// Makes the packet at the erring node, from an encoded [`crate::Failure`]. `held` is given if we support attribution data, and the HTLC
    /// came without a path key.
    ///
    /// # Panics
    /// If the message is longer than 65,535 bytes.
    #[must_use]
    pub fn create(secret: &SharedSecret, message: &[u8], held: Option<HoldTime>) -> Self {
        Self::create_padded(secret, message, PADDED_MESSAGE, held)
    }

    /// As [`Self::create`], padded to other than the 256 bytes that everyone uses.
    ///
    /// # Panics
    /// If the message, or the padding, is longer than 65,535 bytes.
    #[must_use]
    pub fn create_padded(secret: &SharedSecret, message: &[u8], padded: usize, held: Option<HoldTime>) -> Self {
        let plain = Self {
            reason: plain_packet(secret, message, padded),
            attribution: None,
        };
        plain.wrap(secret, held)
    }

    /// Wraps the packet at a hop that passes it on: obfuscates it and, if we support attribution data, adds ours. Without `held` the
    /// attribution data ends here, and so it does beside a reason of more than [`ATTRIBUTED_REASON_MAX`] bytes: the next hop sent the
    /// longest that a message can hold without it.
    #[must_use]
    pub fn wrap(mut self, secret: &SharedSecret, held: Option<HoldTime>) -> Self {
        let has_room = self.reason.len() <= ATTRIBUTED_REASON_MAX;
        let attribution = held
            .filter(|_| has_room)
            .map(|held| AttributionData::passed_on(self.attribution, secret, &self.reason, held));
        secret.apply_stream(KeyType::Ammag, &mut self.reason);
        Self {
            reason: self.reason,
            attribution,
        }
    }

    /// Reads the packet at the origin. `secrets` are those of the route, in its order ([`crate::session_secrets`]).
    pub fn read(self, secrets: &[SharedSecret]) -> ReturnReport {
        let constant = SharedSecret::from_bytes([1; 32]);
        let attributed = self.attribution.is_some();
        let mut attribution = AttributionPeeling::new(self.attribution, secrets.len());
        let mut packet = self.reason;
        let mut made_by = None;
        for hop in 0..HOPS_MAX.max(secrets.len()) {
            let secret = secrets.get(hop).unwrap_or(&constant);
            secret.apply_stream(KeyType::Ammag, &mut packet);
            attribution.peel(secret, &packet);
            if is_made_with(secret, &packet) && made_by.is_none() && hop < secrets.len() {
                made_by = Some((hop, message_of(&packet)));
            }
        }

        let mut hold_times = attribution.hold_times;
        let source = match made_by {
            Some((hop, message)) => {
                hold_times.truncate(hop + 1);
                FailureSource::Hop { hop, message }
            }
            None if attributed => garbled_at(hold_times.len(), secrets.len()),
            None => FailureSource::Unknown,
        };
        ReturnReport { source, hold_times }
    }
}

/// Whom to blame for a packet that nobody made, when the attribution data of the first `authentic` hops is authentic.
fn garbled_at(authentic: usize, hops: usize) -> FailureSource {
    match hops.checked_sub(1) {
        // The hops that attribution data has no room for are beyond judgement.
        Some(last) if last >= ATTRIBUTED_HOPS && authentic == ATTRIBUTED_HOPS => FailureSource::Unknown,
        Some(last) => FailureSource::GarbledAt {
            hop: authentic.min(last),
        },
        None => FailureSource::Unknown,
    }
}

/// HMAC, message and padding, before any obfuscation.
fn plain_packet(secret: &SharedSecret, message: &[u8], padded: usize) -> Vec<u8> {
    let padding = padded.saturating_sub(message.len());
    let mut packet = vec![0; HMAC];
    packet.reserve(4 + message.len() + padding);
    for (length, bytes) in [(message.len(), message), (padding, &[])] {
        let length = u16::try_from(length).expect("a failure message has at most 65,535 bytes");
        packet.extend_from_slice(&length.to_be_bytes());
        packet.extend_from_slice(bytes);
    }
    packet.resize(packet.len() + padding, 0);
    let authentication = hmac(&*secret.key(KeyType::Um), &[&packet[HMAC..]]);
    packet[..HMAC].copy_from_slice(&authentication);
    packet
}

fn is_made_with(secret: &SharedSecret, packet: &[u8]) -> bool {
    packet
        .split_first_chunk::<HMAC>()
        .is_some_and(|(authentication, rest)| hmac(&*secret.key(KeyType::Um), &[rest]).ct_eq(authentication).into())
}

/// The message of an authentic packet. Its maker may have written a length that cannot be: then there is none.
fn message_of(packet: &[u8]) -> Vec<u8> {
    let message = packet.get(HMAC..).and_then(|rest| {
        let (length, rest) = rest.split_first_chunk::<2>()?;
        rest.get(..usize::from(u16::from_be_bytes(*length)))
    });
    message.unwrap_or_default().to_vec()
}
