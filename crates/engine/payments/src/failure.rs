//! What went wrong with an HTLC: read by the payer, written and passed on by everyone else (BOLT 4, returning errors).

use quittance_channel::{Outcome, PaymentPart, Removal};
use quittance_onion::{
    AttributionData, Failure, FailureCode, FailureSource, HoldTime, OnionHash, PayloadRecords, ReturnPacket,
    SharedSecret,
};
use quittance_primitives::ShortChannelId;

use crate::onion;

/// What the payer learns from a part's failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadFailure {
    /// Which hop failed it, counted from our peer; `None` when nobody can tell.
    pub hop: Option<usize>,
    /// The channel to avoid for this payment, if one is at fault.
    pub avoid: Option<ShortChannelId>,
    /// What the hop said, if it could be read.
    pub failure: Option<Failure>,
    /// Whether another attempt is pointless: the payee itself refused.
    pub is_final: bool,
}

/// Reads the failure of a part of ours. `first` is our own channel's name.
pub fn read(part: &PaymentPart, outcome: &Outcome, first: ShortChannelId) -> ReadFailure {
    let own = || ReadFailure {
        hop: Some(0),
        avoid: Some(first),
        failure: None,
        is_final: false,
    };
    let unknown = || ReadFailure {
        hop: None,
        avoid: Some(first),
        failure: None,
        is_final: false,
    };
    match outcome {
        Outcome::Fulfilled(_) | Outcome::FailedOnChain | Outcome::Failed(Removal::Fulfilled { .. }) => own(),
        Outcome::Failed(Removal::Malformed {
            failure_code,
            sha256_of_onion,
        }) => {
            let failure = Failure::of_malformed(FailureCode(*failure_code), OnionHash(*sha256_of_onion));
            ReadFailure { failure, ..own() }
        }
        Outcome::Failed(Removal::Failed { reason, attribution }) => {
            let Ok(secrets) = onion::secrets(part) else {
                return unknown();
            };
            let attribution = attribution.clone().map(AttributionData::from_bytes);
            let report = ReturnPacket {
                reason: reason.clone(),
                attribution,
            }
            .read(&secrets);
            match report.source {
                FailureSource::Unknown => unknown(),
                FailureSource::GarbledAt { hop } => ReadFailure {
                    hop: Some(hop),
                    ..unknown()
                },
                FailureSource::Hop { hop, message } => {
                    let failure = Failure::decode(&message).ok();
                    let is_payee = hop + 1 == part.hops.len();
                    let timed_out = matches!(failure, Some(Failure::MppTimeout));
                    ReadFailure {
                        hop: Some(hop),
                        avoid: if is_payee { None } else { channel_after(part, hop) },
                        failure,
                        is_final: is_payee && !timed_out,
                    }
                }
            }
        }
    }
}

/// The channel that hop `hop` was to send on through.
fn channel_after(part: &PaymentPart, hop: usize) -> Option<ShortChannelId> {
    PayloadRecords::decode(&part.hops.get(hop)?.payload)
        .ok()?
        .short_channel_id
}

/// How long an HTLC was held, for the payer's eyes.
pub fn held(received_at_ms: u64, now_ms: u64) -> HoldTime {
    HoldTime::from_duration(std::time::Duration::from_millis(now_ms.saturating_sub(received_at_ms)))
}

/// A failure of our own, for the payer.
pub fn create(shared_secret: [u8; 32], failure: &Failure, held: Option<HoldTime>) -> Removal {
    let packet = ReturnPacket::create(&SharedSecret::from_bytes(shared_secret), &failure.encode(), held);
    removal(packet)
}

/// The failure of the HTLC that we forwarded, wrapped for the payer.
pub fn pass_on(shared_secret: [u8; 32], outcome: &Outcome, held: Option<HoldTime>) -> Removal {
    match outcome {
        Outcome::Failed(Removal::Failed { reason, attribution }) => {
            let attribution = attribution.clone().map(AttributionData::from_bytes);
            let packet = ReturnPacket {
                reason: reason.clone(),
                attribution,
            };
            removal(packet.wrap(&SharedSecret::from_bytes(shared_secret), held))
        }
        Outcome::Failed(Removal::Malformed {
            failure_code,
            sha256_of_onion,
        }) => {
            // BOLT 2: what the next peer could not read is reported to the payer in its name.
            let failure = Failure::of_malformed(FailureCode(*failure_code), OnionHash(*sha256_of_onion));
            create(shared_secret, &failure.unwrap_or(Failure::TemporaryNodeFailure), held)
        }
        Outcome::FailedOnChain => create(shared_secret, &Failure::PermanentChannelFailure, held),
        Outcome::Fulfilled(_) | Outcome::Failed(Removal::Fulfilled { .. }) => {
            panic!("G3: an HTLC that was fulfilled is never failed upstream")
        }
    }
}

/// The attribution data of a fulfilment that we pass on, or begin.
pub fn fulfilment(received: Option<AttributionData>, shared_secret: [u8; 32], held: HoldTime) -> Box<[u8; 920]> {
    AttributionData::of_fulfilment(received, &SharedSecret::from_bytes(shared_secret), held).into_bytes()
}

fn removal(packet: ReturnPacket) -> Removal {
    Removal::Failed {
        reason: packet.reason,
        attribution: packet.attribution.map(AttributionData::into_bytes),
    }
}
