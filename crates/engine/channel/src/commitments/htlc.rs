//! An HTLC of a channel, in either direction, with all that is needed to forward, claim or fail it.

use quittance_primitives::{ChannelId, CltvExpiry, HtlcId, MilliSatoshi, PaymentHash, PaymentId, PaymentPreimage};
use quittance_records::{Listed, record, tagged};
use secp256k1::PublicKey;

use crate::{HtlcState, Outcome, Report};

/// The bytes of an onion packet (BOLT 4).
pub type OnionPacket = Box<[u8; 1366]>;
/// Hold times and HMACs of the hops that a failure or a fulfilment passed (BOLT 4, attribution data).
pub type AttributionData = Box<[u8; 920]>;

/// What `update_add_htlc` says of an HTLC, the onion aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HtlcTerms {
    /// Its number among those of the side that offers it.
    pub id: HtlcId,
    /// What is paid, in msat.
    pub amount: MilliSatoshi,
    /// The hash whose preimage claims it.
    pub payment_hash: PaymentHash,
    /// The height from which the one who offers it may take it back.
    pub cltv_expiry: CltvExpiry,
    /// The key by which the onion's payload inside a blinded path is read (BOLT 4 `path_key`).
    pub path_key: Option<PublicKey>,
}

record!(HtlcTerms {
    id,
    amount,
    payment_hash,
    cltv_expiry,
    path_key
});

/// An HTLC that we offered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfferedHtlc {
    /// What it pays.
    pub terms: HtlcTerms,
    /// How far it has come.
    pub state: HtlcState,
    /// Why we offered it, and where its outcome belongs.
    pub source: HtlcSource,
    /// How the peer is removing it, once it does. It decides whom the amount goes to in the commitments.
    pub removal: Option<Removal>,
    /// What became of it, once that is final. A fulfilment is final on arrival, whatever the peer does afterwards.
    pub outcome: Option<Outcome>,
    /// How the user was told, if its outcome ended the payment.
    pub report: Option<Report>,
    /// Whether whoever waits for the outcome has it for good: the user confirmed the event, or the upstream HTLC is gone.
    pub acknowledged: bool,
    /// Whether the chain has decided it, on a channel that is closed by a commitment.
    pub on_chain: OnChain,
}

record!(OfferedHtlc {
    terms,
    state,
    source,
    removal,
    outcome,
    report,
    acknowledged,
    on_chain
});

/// How far the chain has come with an HTLC. On an open channel: nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnChain {
    /// It is not decided there, or not deep enough.
    Open,
    /// What the chain made of it is buried.
    Buried,
    /// It is buried, and its outcome is released.
    Released,
}

tagged!(OnChain { 1 => Open, 2 => Buried, 3 => Released });

impl OfferedHtlc {
    /// Whether nobody can claim it any more, or it was claimed for good: irrevocably removed, or buried on chain.
    pub const fn is_gone(&self) -> bool {
        self.state.is_irrevocably_removed() || !matches!(self.on_chain, OnChain::Open)
    }

    /// Whether nobody needs its outcome here any more: it may become a cold record.
    pub const fn is_releasable(&self) -> bool {
        self.acknowledged && self.outcome.is_some() && self.is_gone() && !matches!(self.on_chain, OnChain::Released)
    }

    /// The HTLC once its removal is irrevocable: it has failed, unless it was fulfilled before.
    ///
    /// # Panics
    /// When nothing removes it.
    #[must_use]
    pub(crate) fn removed_for_good(mut self) -> Self {
        let removal = self.removal.take();
        let removal = removal.expect("an HTLC leaves the commitments by a removal");
        self.outcome.get_or_insert(Outcome::Failed(removal));
        self
    }
}

/// An HTLC that the peer offered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedHtlc {
    /// What it pays.
    pub terms: HtlcTerms,
    /// How far it has come.
    pub state: HtlcState,
    /// What its onion told us.
    pub onion: ReceivedOnion,
    /// When `update_add_htlc` came, in milliseconds since 1970: hold times are counted from here (BOLT 4).
    pub received_at_ms: u64,
    /// How we are removing it, once we do.
    pub removal: Option<Removal>,
    /// What claims it on chain, learned after the channel was closed.
    pub preimage: Option<PaymentPreimage>,
    /// Whether the chain has decided it, on a channel that is closed by a commitment.
    pub on_chain: OnChain,
}

record!(ReceivedHtlc {
    terms,
    state,
    onion,
    received_at_ms,
    removal,
    preimage,
    on_chain
});

/// Why we offered an HTLC, and where its outcome belongs: an own payment, or an HTLC that we forward.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HtlcSource {
    /// A part of a payment of our own.
    Payment(Box<PaymentPart>),
    /// An HTLC that another channel brought.
    Forward(ForwardSource),
}

tagged!(HtlcSource { 1 => Payment(part), 2 => Forward(source) });

/// One HTLC's part in a payment of our own: enough to know the payment again when every other record of it is lost.
#[derive(Clone, PartialEq, Eq)]
pub struct PaymentPart {
    /// The caller's name for the payment.
    pub payment_id: PaymentId,
    /// What the payee is to receive in all parts together, in msat.
    pub total: MilliSatoshi,
    /// What this part brings to the payee, in msat; the HTLC's amount beyond it is fees.
    pub delivers: MilliSatoshi,
    /// The most that all parts together may cost in fees, in msat.
    pub fee_limit: MilliSatoshi,
    /// The secret from which the onion is made again, byte for byte, and its failure is read.
    pub session_key: [u8; 32],
    /// The hops in order, the first one being our peer.
    pub hops: Vec<OnionHop>,
}

record!(PaymentPart {
    payment_id,
    total,
    delivers,
    fee_limit,
    session_key,
    hops
});

/// A hop of an own payment's route.
#[derive(Clone, PartialEq, Eq)]
pub struct OnionHop {
    /// The hop's node key, blinded or not.
    pub node: PublicKey,
    /// The TLV payload that the hop finds in the onion, without its length.
    pub payload: Vec<u8>,
}

record!(OnionHop { node, payload });
impl Listed for OnionHop {}

/// Which HTLC is forwarded. Its onion and its shared secret stand in the upstream channel's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForwardSource {
    /// The channel that brought it.
    pub channel: ChannelId,
    /// Its number there.
    pub htlc: HtlcId,
    /// What it brings us, in msat; the difference to what we offer is our fee.
    pub amount: MilliSatoshi,
    /// When it expires.
    pub cltv_expiry: CltvExpiry,
}

record!(ForwardSource {
    channel,
    htlc,
    amount,
    cltv_expiry
});

/// What we know of a received HTLC's onion. The ECDH is done before the engine sees the message.
#[derive(Clone, PartialEq, Eq)]
pub enum ReceivedOnion {
    /// It was peeled.
    Peeled {
        /// Shared with the payer: failures are wrapped with it.
        shared_secret: [u8; 32],
        /// The TLV payload that was for us, without its length.
        payload: Vec<u8>,
        /// The packet for the next hop; `None` when we are the last one.
        next_packet: Option<OnionPacket>,
    },
    /// It could not be peeled: the HTLC is failed by `update_fail_malformed_htlc`.
    Malformed {
        /// Which BOLT 4 failure, with the BADONION bit.
        failure_code: u16,
        /// The hash of the packet as it came.
        sha256_of_onion: [u8; 32],
    },
}

tagged!(ReceivedOnion {
    1 => Peeled { shared_secret, payload, next_packet },
    2 => Malformed { failure_code, sha256_of_onion },
});

/// How an HTLC is removed (BOLT 2, removing an HTLC).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Removal {
    /// `update_fulfill_htlc`.
    Fulfilled {
        /// The proof of payment.
        preimage: PaymentPreimage,
        /// What goes out with it; of a fulfilment that came in it is passed on and not kept.
        attribution: Option<AttributionData>,
    },
    /// `update_fail_htlc`.
    Failed {
        /// Encrypted for the payer.
        reason: Vec<u8>,
        /// Who held it for how long.
        attribution: Option<AttributionData>,
    },
    /// `update_fail_malformed_htlc`.
    Malformed {
        /// Which BOLT 4 failure, with the BADONION bit.
        failure_code: u16,
        /// The hash of the onion that could not be read.
        sha256_of_onion: [u8; 32],
    },
}

tagged!(Removal {
    1 => Fulfilled { preimage, attribution },
    2 => Failed { reason, attribution },
    3 => Malformed { failure_code, sha256_of_onion },
});

impl Removal {
    /// The preimage, if the HTLC is paid by it.
    pub const fn preimage(&self) -> Option<PaymentPreimage> {
        match self {
            Self::Fulfilled { preimage, .. } => Some(*preimage),
            Self::Failed { .. } | Self::Malformed { .. } => None,
        }
    }
}

// Secrets are not shown.
impl std::fmt::Debug for PaymentPart {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PaymentPart")
            .field("payment_id", &self.payment_id)
            .field("total", &self.total)
            .field("delivers", &self.delivers)
            .field("hops", &self.hops.len())
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for OnionHop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OnionHop({})", self.node)
    }
}

impl std::fmt::Debug for ReceivedOnion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Peeled { next_packet, .. } => write!(f, "Peeled(last: {})", next_packet.is_none()),
            Self::Malformed { failure_code, .. } => write!(f, "Malformed({failure_code:#06x})"),
        }
    }
}
