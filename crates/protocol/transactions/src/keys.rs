//! The public keys of a channel, and those derived from them for each commitment (BOLT 3, keys).
//!
//! Each side gives five keys when the channel opens. Every commitment transaction mixes them with its own per-commitment
//! point, so that no two commitments share a key and a revoked one can be punished. Everything here is public; the
//! private counterparts are in [`crate::signing`].

use bitcoin::hashes::{Hash, HashEngine, sha256};
use secp256k1::{PublicKey, SECP256K1, Scalar};

use crate::generator::add_public_multiple;
use crate::{ChannelTerms, Htlc, Role};

/// The five public keys that a side gives in `open_channel` or `accept_channel` (BOLT 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelPublicKeys {
    /// Signs commitment and closing transactions; also owns this side's anchor.
    pub funding: PublicKey,
    /// The base of the key by which this side punishes the other's revoked commitments.
    pub revocation_basepoint: PublicKey,
    /// Receives this side's balance on the other side's commitments, as it is.
    pub payment_basepoint: PublicKey,
    /// The base of the key that receives this side's balance on its own commitments, after the delay.
    pub delayed_payment_basepoint: PublicKey,
    /// The base of the key that signs for HTLCs.
    pub htlc_basepoint: PublicKey,
}

/// The keys of one commitment transaction, each derived once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommitmentKeys {
    /// The point that all others are mixed with.
    pub per_commitment_point: PublicKey,
    /// Takes every output of the broadcaster once this commitment is revoked (`revocationpubkey`).
    pub revocation: PublicKey,
    /// Receives the broadcaster's outputs after its delay (`local_delayedpubkey`).
    pub broadcaster_delayed: PublicKey,
    /// The keys of HTLCs, derived only where there are outputs that need them.
    pub htlc: Option<HtlcKeys>,
}

/// The HTLC keys of both sides for one commitment transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HtlcKeys {
    /// `local_htlcpubkey`.
    pub broadcaster: PublicKey,
    /// `remote_htlcpubkey`.
    pub countersignatory: PublicKey,
    /// What the countersignatory adds to the private key behind its `htlc_basepoint` to sign for an HTLC.
    pub countersignatory_tweak: Scalar,
}

/// Whether a commitment has HTLC outputs, and therefore needs HTLC keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HtlcOutputs {
    /// There is none.
    None,
    /// There is at least one.
    Some,
}

impl HtlcOutputs {
    /// Whether any of `htlcs`, which are those with outputs, calls for keys.
    pub const fn of(htlcs: &[Htlc]) -> Self {
        if htlcs.is_empty() { Self::None } else { Self::Some }
    }
}

impl CommitmentKeys {
    /// Derives the keys of `broadcaster`'s commitment that belongs to `per_commitment_point`.
    pub fn derive(
        terms: &ChannelTerms,
        broadcaster: Role,
        per_commitment_point: PublicKey,
        htlc_outputs: HtlcOutputs,
    ) -> Self {
        let basepoint = &terms.side(broadcaster.other()).keys.revocation_basepoint;
        let revocation = derive_revocation_public_key(basepoint, &per_commitment_point);
        Self::with_revocation(terms, broadcaster, per_commitment_point, htlc_outputs, revocation)
    }

    /// The same keys for these outputs: those of HTLCs are derived where they are missing, and left out where there are none.
    #[must_use]
    pub fn for_outputs(self, terms: &ChannelTerms, broadcaster: Role, htlc_outputs: HtlcOutputs) -> Self {
        let (own, other) = (&terms.side(broadcaster).keys, &terms.side(broadcaster.other()).keys);
        let derive = || HtlcKeys::derive(own, other, &self.per_commitment_point);
        let htlc = match htlc_outputs {
            HtlcOutputs::None => None,
            HtlcOutputs::Some => Some(self.htlc.unwrap_or_else(derive)),
        };
        Self { htlc, ..self }
    }

    /// The same, from a `revocationpubkey` that is known.
    pub(crate) fn with_revocation(
        terms: &ChannelTerms,
        broadcaster: Role,
        per_commitment_point: PublicKey,
        htlc_outputs: HtlcOutputs,
        revocation: PublicKey,
    ) -> Self {
        let delayed_basepoint = &terms.side(broadcaster).keys.delayed_payment_basepoint;
        let keys = Self {
            per_commitment_point,
            revocation,
            broadcaster_delayed: derive_public_key(delayed_basepoint, &per_commitment_point),
            htlc: None,
        };
        keys.for_outputs(terms, broadcaster, htlc_outputs)
    }
}

impl HtlcKeys {
    fn derive(own: &ChannelPublicKeys, other: &ChannelPublicKeys, point: &PublicKey) -> Self {
        let countersignatory_tweak = key_tweak(point, &other.htlc_basepoint);
        Self {
            broadcaster: derive_public_key(&own.htlc_basepoint, point),
            countersignatory: add_public_multiple(&other.htlc_basepoint, &countersignatory_tweak)
                .expect(NEVER_DEGENERATE),
            countersignatory_tweak,
        }
    }
}

/// `basepoint + SHA256(per_commitment_point || basepoint) * G` (BOLT 3, key derivation).
pub fn derive_public_key(basepoint: &PublicKey, per_commitment_point: &PublicKey) -> PublicKey {
    add_public_multiple(basepoint, &key_tweak(per_commitment_point, basepoint)).expect(NEVER_DEGENERATE)
}

/// `revocation_basepoint * SHA256(revocation_basepoint || per_commitment_point)
/// + per_commitment_point * SHA256(per_commitment_point || revocation_basepoint)` (BOLT 3, `revocationpubkey`).
pub fn derive_revocation_public_key(revocation_basepoint: &PublicKey, per_commitment_point: &PublicKey) -> PublicKey {
    let base_part = revocation_basepoint
        .mul_tweak(SECP256K1, &key_tweak(revocation_basepoint, per_commitment_point))
        .expect(NEVER_DEGENERATE);
    let commitment_part = per_commitment_point
        .mul_tweak(SECP256K1, &key_tweak(per_commitment_point, revocation_basepoint))
        .expect(NEVER_DEGENERATE);
    base_part.combine(&commitment_part).expect(NEVER_DEGENERATE)
}

/// `SHA256(first || second)` as a number.
pub fn key_tweak(first: &PublicKey, second: &PublicKey) -> Scalar {
    let mut engine = sha256::Hash::engine();
    engine.input(&first.serialize());
    engine.input(&second.serialize());
    Scalar::from_be_bytes(sha256::Hash::from_engine(engine).to_byte_array()).expect(NEVER_DEGENERATE)
}

/// Each tweak is a hash over the very points that it is applied to. A tweak beyond the group's order, or a sum at infinity,
/// would take as much work to find as a private key, so no choice of points by a peer leads there.
pub(crate) const NEVER_DEGENERATE: &str = "a hash over the keys themselves never degenerates";
