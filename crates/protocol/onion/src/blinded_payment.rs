//! Paying by a blinded path: what its maker asks of the sender in sum, and the payloads that the sender writes for its hops.

use quittance_primitives::{CltvExpiry, CltvExpiryDelta, MilliSatoshi};
use quittance_wire::ForwardingFee;
use secp256k1::PublicKey;

use crate::{BlindedPath, OnionHop, PayloadRecords, PaymentRelay};

/// What a payment by a blinded path costs in sum, from its first node to its last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct BlindedPathCost {
    /// Fee for each HTLC, in msat.
    pub fee_base_msat: u32,
    /// Fee in millionths of the amount that arrives.
    pub fee_proportional_millionths: u32,
    /// Blocks between the first node's incoming expiry and the height that the sender builds upon, the recipient's own delta included.
    pub cltv_expiry_delta: CltvExpiryDelta,
}

/// What the sender wants to arrive at the end of a blinded path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FinalHtlc {
    /// The amount of this HTLC.
    pub amount: MilliSatoshi,
    /// Its expiry.
    pub expiry: CltvExpiry,
    /// The total of the payment's parts.
    pub total: MilliSatoshi,
}

impl BlindedPathCost {
    /// The sum over a path whose forwarding hops, first to last, have these terms (BOLT 4, payload format). `None` if it is beyond the
    /// fields that it travels in: such a path cannot be offered.
    pub fn of_path(relays: &[PaymentRelay], min_final_cltv_expiry_delta: CltvExpiryDelta) -> Option<Self> {
        const MILLION: u128 = 1_000_000;
        let (mut base, mut proportional) = (0_u128, 0_u128);
        let mut delta = u32::from(min_final_cltv_expiry_delta.0);
        // From the recipient on: each hop's fee is also taken on the fees of those behind it.
        for relay in relays.iter().rev() {
            let own_base = u128::from(relay.fee_base_msat);
            let own_proportional = u128::from(relay.fee_proportional_millionths);
            base = (own_base * MILLION + base * (MILLION + own_proportional)).div_ceil(MILLION);
            proportional =
                ((proportional + own_proportional) * MILLION + proportional * own_proportional).div_ceil(MILLION);
            delta += u32::from(relay.cltv_expiry_delta.0);
            if base > u128::from(u32::MAX) || proportional > u128::from(u32::MAX) {
                return None;
            }
        }
        Some(Self {
            fee_base_msat: u32::try_from(base).ok()?,
            fee_proportional_millionths: u32::try_from(proportional).ok()?,
            cltv_expiry_delta: CltvExpiryDelta(u16::try_from(delta).ok()?),
        })
    }

    /// What the first node must receive so that `amount` arrives (the fee is rounded down, as everywhere: BOLT 7, HTLC fees), or `None` beyond 64 bits.
    pub fn amount_in(&self, amount: MilliSatoshi) -> Option<MilliSatoshi> {
        let fee = ForwardingFee {
            base_msat: self.fee_base_msat,
            proportional_millionths: self.fee_proportional_millionths,
        };
        fee.amount_in(amount)
    }

    /// The first node's incoming expiry when `expiry` is the last node's, or `None` beyond 32 bits.
    pub fn expiry_in(&self, expiry: CltvExpiry) -> Option<CltvExpiry> {
        expiry
            .0
            .checked_add(u32::from(self.cltv_expiry_delta.0))
            .map(CltvExpiry)
    }
}

impl BlindedPath {
    /// The hops of a payment's onion along this path, the introduction node first: put them behind the hops that lead to it.
    /// `introduction` is that node's own id; it finds the first path key in its payload.
    pub fn payment_hops(&self, introduction: PublicKey, at_the_end: &FinalHtlc) -> Vec<OnionHop> {
        let last = self.hops.len().saturating_sub(1);
        let payload = |index: usize, encrypted: &[u8]| {
            let is_last = index == last;
            PayloadRecords {
                amt_to_forward: is_last.then_some(at_the_end.amount),
                outgoing_cltv_value: is_last.then_some(at_the_end.expiry),
                total_amount: is_last.then_some(at_the_end.total),
                encrypted_recipient_data: Some(encrypted.to_vec()),
                current_path_key: (index == 0).then_some(self.first_path_key),
                ..PayloadRecords::default()
            }
        };
        self.hops
            .iter()
            .enumerate()
            .map(|(index, hop)| OnionHop {
                node: if index == 0 { introduction } else { hop.blinded_node_id },
                payload: payload(index, &hop.encrypted_recipient_data).encode(),
            })
            .collect()
    }
}
