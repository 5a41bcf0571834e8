//! Everything that needs a private key of ours: deriving the private keys of a commitment, and signing.
//!
//! No other module of this crate touches a private key, so that a signer can be a process or a device of its own: it gets
//! terms and contents, or digests, and gives signatures. Signatures are deterministic (RFC 6979) and not ground for a low R:
//! that would double the cost of every commitment to save a byte on chain.

use std::fmt;

use bitcoin::Transaction;
use quittance_primitives::CommitmentNumber;
use secp256k1::{Message, PublicKey, SECP256K1, Scalar, SecretKey, ecdsa};

use crate::keys::{NEVER_DEGENERATE, key_tweak};
use crate::{
    ChannelPublicKeys, ChannelTerms, ClaimInput, ClaimTransaction, ClosingTransaction, CommitmentKeys, CommitmentSeed,
    CommitmentSignatures, CommitmentTransaction, HtlcOutput, HtlcOutputs, KeyPath, Role,
};

/// The private keys behind one side's [`ChannelPublicKeys`]. They are not shown by `Debug` and are erased on drop.
#[derive(Clone)]
pub struct ChannelSecretKeys {
    /// Behind the funding key.
    pub funding: SecretKey,
    /// Behind `revocation_basepoint`.
    pub revocation_basepoint: SecretKey,
    /// Behind `payment_basepoint`.
    pub payment_basepoint: SecretKey,
    /// Behind `delayed_payment_basepoint`.
    pub delayed_payment_basepoint: SecretKey,
    /// Behind `htlc_basepoint`.
    pub htlc_basepoint: SecretKey,
}

impl ChannelSecretKeys {
    /// The public keys to send to the peer.
    pub fn public_keys(&self) -> ChannelPublicKeys {
        let public = |key: &SecretKey| key.public_key(SECP256K1);
        ChannelPublicKeys {
            funding: public(&self.funding),
            revocation_basepoint: public(&self.revocation_basepoint),
            payment_basepoint: public(&self.payment_basepoint),
            delayed_payment_basepoint: public(&self.delayed_payment_basepoint),
            htlc_basepoint: public(&self.htlc_basepoint),
        }
    }

    /// The keys of the other side's commitment: what [`CommitmentKeys::derive`] gives, by one multiplication less, since we know what is
    /// behind our own `revocation_basepoint`.
    pub fn keys_of_theirs(
        &self,
        terms: &ChannelTerms,
        broadcaster: Role,
        per_commitment_point: PublicKey,
        htlc_outputs: HtlcOutputs,
    ) -> CommitmentKeys {
        let basepoint = &terms.side(broadcaster.other()).keys.revocation_basepoint;
        let point = &per_commitment_point;
        let revocation = revocation_public_key((&self.revocation_basepoint, basepoint), point);
        CommitmentKeys::with_revocation(terms, broadcaster, per_commitment_point, htlc_outputs, revocation)
    }

    /// Signs the other side's commitment as its countersignatory: what `commitment_signed` carries (BOLT 2).
    pub fn countersign(&self, commitment: &CommitmentTransaction) -> CommitmentSignatures {
        self.countersign_by(commitment, |outputs, sign| outputs.iter().map(sign).collect())
    }

    /// The same, with the HTLCs' signatures made by `sign_all`, which may use several cores: one for each output, in their order.
    pub fn countersign_by(
        &self,
        commitment: &CommitmentTransaction,
        sign_all: impl FnOnce(&[HtlcOutput], &(dyn Fn(&HtlcOutput) -> ecdsa::Signature + Sync)) -> Vec<ecdsa::Signature>,
    ) -> CommitmentSignatures {
        let htlcs = match &commitment.scripts().keys().htlc {
            None => Vec::new(),
            Some(keys) => {
                // What `derive_private_key` gives, without the basepoint's public key, which the tweak was made with.
                let tweaked = self.htlc_basepoint.add_tweak(&keys.countersignatory_tweak);
                let key = tweaked.expect(NEVER_DEGENERATE);
                sign_all(commitment.htlc_outputs(), &|output| sign(&output.sighash, &key))
            }
        };
        CommitmentSignatures {
            funding: sign(&commitment.funding_sighash(), &self.funding),
            htlcs,
        }
    }

    /// Signs a claim's digest with the key that the claim names, or nothing when it names none.
    pub fn sign_claim(&self, claim: &ClaimInput, message: &Message) -> Option<ecdsa::Signature> {
        claim.key.map(|key| sign(message, &self.private_key(&key.path)))
    }

    /// Signs every claim of a transaction and puts its witnesses in place.
    pub fn sign_claims(&self, claims: &ClaimTransaction) -> Transaction {
        let digests = claims.sighashes();
        let signatures: Vec<_> = digests
            .iter()
            .zip(claims.claims())
            .map(|(digest, claim)| digest.as_ref().and_then(|message| self.sign_claim(claim, message)))
            .collect();
        claims.signed(&signatures).expect("every claim with a key was signed")
    }

    /// The private key that a claim's path leads to.
    pub fn private_key(&self, path: &KeyPath) -> SecretKey {
        match path {
            KeyPath::Funding => self.funding,
            KeyPath::Payment => self.payment_basepoint,
            KeyPath::DelayedPayment(point) => derive_private_key(&self.delayed_payment_basepoint, point),
            KeyPath::Htlc(point) => derive_private_key(&self.htlc_basepoint, point),
            KeyPath::Revocation(secret) => derive_revocation_private_key(&self.revocation_basepoint, secret),
        }
    }

    /// Signs a closing transaction with the funding key.
    pub fn sign_closing(&self, closing: &ClosingTransaction) -> ecdsa::Signature {
        sign(&closing.sighash(), &self.funding)
    }

    /// Signs our own commitment, to broadcast it. Never call this for one that was revoked.
    pub fn sign_own_commitment(&self, commitment: &CommitmentTransaction) -> ecdsa::Signature {
        sign(&commitment.funding_sighash(), &self.funding)
    }
}

impl Drop for ChannelSecretKeys {
    fn drop(&mut self) {
        for key in [
            &mut self.funding,
            &mut self.revocation_basepoint,
            &mut self.payment_basepoint,
            &mut self.delayed_payment_basepoint,
            &mut self.htlc_basepoint,
        ] {
            key.non_secure_erase();
        }
    }
}

impl fmt::Debug for ChannelSecretKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChannelSecretKeys(..)")
    }
}

/// Signs a digest, deterministically.
pub fn sign(message: &Message, key: &SecretKey) -> ecdsa::Signature {
    SECP256K1.sign_ecdsa(message, key)
}

/// `basepoint_secret + SHA256(per_commitment_point || basepoint)` (BOLT 3, key derivation).
pub fn derive_private_key(basepoint_secret: &SecretKey, per_commitment_point: &PublicKey) -> SecretKey {
    let basepoint = basepoint_secret.public_key(SECP256K1);
    basepoint_secret
        .add_tweak(&key_tweak(per_commitment_point, &basepoint))
        .expect(NEVER_DEGENERATE)
}

impl CommitmentSeed {
    /// The keys of our own commitment of this number, which has this point: what [`CommitmentKeys::derive`] gives, by one multiplication
    /// less, since we know the secret that will revoke it.
    pub fn keys_of_ours(
        &self,
        terms: &ChannelTerms,
        broadcaster: Role,
        (number, per_commitment_point): (CommitmentNumber, PublicKey),
        htlc_outputs: HtlcOutputs,
    ) -> CommitmentKeys {
        let basepoint = &terms.side(broadcaster.other()).keys.revocation_basepoint;
        let revocation = revocation_public_key((&self.private_key(number), &per_commitment_point), basepoint);
        CommitmentKeys::with_revocation(terms, broadcaster, per_commitment_point, htlc_outputs, revocation)
    }
}

/// `revocationpubkey`, of whose two points we know the secret behind one.
fn revocation_public_key((secret, own): (&SecretKey, &PublicKey), other: &PublicKey) -> PublicKey {
    let own_part = secret.mul_tweak(&key_tweak(own, other)).expect(NEVER_DEGENERATE);
    // A secret becomes a point in constant time.
    let own_part = own_part.public_key(SECP256K1);
    other
        .mul_tweak(SECP256K1, &key_tweak(other, own))
        .and_then(|other_part| other_part.combine(&own_part))
        .expect(NEVER_DEGENERATE)
}

/// `revocation_basepoint_secret * SHA256(revocation_basepoint || per_commitment_point)
/// + per_commitment_secret * SHA256(per_commitment_point || revocation_basepoint)` (BOLT 3, `revocationpubkey`).
pub fn derive_revocation_private_key(
    revocation_basepoint_secret: &SecretKey,
    per_commitment_secret: &SecretKey,
) -> SecretKey {
    let basepoint = revocation_basepoint_secret.public_key(SECP256K1);
    let point = per_commitment_secret.public_key(SECP256K1);
    let base_part = revocation_basepoint_secret
        .mul_tweak(&key_tweak(&basepoint, &point))
        .expect(NEVER_DEGENERATE);
    let commitment_part = per_commitment_secret
        .mul_tweak(&key_tweak(&point, &basepoint))
        .expect(NEVER_DEGENERATE);
    base_part
        .add_tweak(&Scalar::from(commitment_part))
        .expect(NEVER_DEGENERATE)
}
