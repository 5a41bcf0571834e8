//! What a decision needs to know that the channel's log does not say.

use bitcoin::ScriptBuf;
use quittance_primitives::{BlockHeight, FeeratePerKw, MilliSatoshi};
use quittance_transactions::{
    ChannelTerms, CommitmentContents, CommitmentKeys, HtlcOutputs, PerCommitmentSecret, VerificationJob,
};
use secp256k1::PublicKey;

/// The outside world, as values.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The time, in milliseconds since 1970.
    pub now_ms: u64,
    /// The height of the chain's tip.
    pub height: BlockHeight,
    /// What we put up with.
    pub limits: &'a ChannelLimits,
    /// Who checks signatures and secrets.
    pub verifier: &'a dyn Verifier,
}

/// What we put up with on a channel that is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelLimits {
    /// The lowest feerate that the opener may set: below it a commitment would not relay.
    pub feerate_min: FeeratePerKw,
    /// The highest.
    pub feerate_max: FeeratePerKw,
    /// The most, in msat, that HTLCs without an output may hold on either commitment (BOLT 2 `max_dust_htlc_exposure_msat`).
    pub max_dust_htlc_exposure: MilliSatoshi,
    /// How we close by agreement.
    pub closing: ClosingPolicy,
}

/// How we close a channel by agreement, where the user says nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClosingPolicy {
    /// Where we want to be paid to. Without one a peer's `shutdown` is not answered before there is one.
    pub script: Option<ScriptBuf>,
    /// The lowest feerate that we would accept.
    pub feerate_min: FeeratePerKw,
    /// The feerate that we offer: our estimate of the cost of inclusion in a block.
    pub feerate: FeeratePerKw,
    /// The highest feerate that we would pay.
    pub feerate_max: FeeratePerKw,
}

impl Default for ChannelLimits {
    fn default() -> Self {
        Self {
            feerate_min: FeeratePerKw::FLOOR,
            feerate_max: FeeratePerKw(250_000),
            max_dust_htlc_exposure: MilliSatoshi(25_000_000),
            closing: ClosingPolicy::default(),
        }
    }
}

impl Default for ClosingPolicy {
    fn default() -> Self {
        Self {
            script: None,
            feerate_min: FeeratePerKw::FLOOR,
            feerate: FeeratePerKw(1_000),
            feerate_max: FeeratePerKw(25_000),
        }
    }
}

/// Does the arithmetic on the curve that checks what the peer sent: a function of its arguments, which may use all the cores that there
/// are, and may remember what it computed before.
pub trait Verifier {
    /// The place of the first job whose signature is invalid.
    fn first_invalid(&self, jobs: &[VerificationJob]) -> Option<usize>;

    /// The keys of the commitment that `contents` describe, as [`CommitmentKeys::derive`] has them.
    fn keys_of(
        &self,
        terms: &ChannelTerms,
        contents: &CommitmentContents,
        htlc_outputs: HtlcOutputs,
    ) -> CommitmentKeys {
        CommitmentKeys::derive(terms, contents.broadcaster, contents.per_commitment_point, htlc_outputs)
    }

    /// Whether `secret` is that of `point`.
    fn is_secret_of(&self, secret: &PerCommitmentSecret, point: &PublicKey) -> bool {
        secret.is_secret_of(point)
    }
}

/// Checks one signature after the other, where it is called.
#[derive(Clone, Copy, Debug, Default)]
pub struct InlineVerifier;

impl Verifier for InlineVerifier {
    fn first_invalid(&self, jobs: &[VerificationJob]) -> Option<usize> {
        jobs.iter().position(|job| !job.is_valid())
    }
}
