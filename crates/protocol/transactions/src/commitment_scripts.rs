//! The keys and scripts of one commitment transaction, derived once and used to build it, to recognise its outputs on
//! chain, and to claim them.
//!
//! A monitor that holds only a channel's terms, a commitment's point and its HTLCs finds its outputs by
//! [`CommitmentScripts::recognise`]: it needs no balances, hence no full description of every old commitment.

use bitcoin::{OutPoint, Script, ScriptBuf, Transaction};
use quittance_primitives::ToSelfDelay;
use secp256k1::PublicKey;

use crate::{
    ChannelTerms, CommitmentFormat, CommitmentKeys, CommitmentOutput, Htlc, HtlcDirection, HtlcOutputs, OutputRole,
    Party, Role, scripts,
};

/// The scripts of one commitment transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitmentScripts {
    format: CommitmentFormat,
    keys: CommitmentKeys,
    funding_keys: [PublicKey; 2],
    countersignatory_payment: PublicKey,
    funding: ScriptBuf,
    delayed: ScriptBuf,
    delayed_output: ScriptBuf,
    to_self_delay: ToSelfDelay,
    htlc: Option<scripts::HtlcScripts>,
}

impl CommitmentScripts {
    /// Derives the keys and scripts of `broadcaster`'s commitment that belongs to `per_commitment_point`.
    pub fn derive(
        terms: &ChannelTerms,
        broadcaster: Role,
        per_commitment_point: PublicKey,
        htlc_outputs: HtlcOutputs,
    ) -> Self {
        let keys = CommitmentKeys::derive(terms, broadcaster, per_commitment_point, htlc_outputs);
        Self::with_keys(terms, broadcaster, keys)
    }

    /// The scripts of `broadcaster`'s commitment that has these keys.
    pub fn with_keys(terms: &ChannelTerms, broadcaster: Role, keys: CommitmentKeys) -> Self {
        let (own, other) = (terms.side(broadcaster), terms.side(broadcaster.other()));
        let delayed = scripts::delayed(&keys.revocation, own.to_self_delay, &keys.broadcaster_delayed);
        Self {
            format: terms.format,
            funding_keys: [own.keys.funding, other.keys.funding],
            countersignatory_payment: other.keys.payment_basepoint,
            funding: terms.funding_script(),
            delayed_output: delayed.to_p2wsh(),
            delayed,
            to_self_delay: own.to_self_delay,
            htlc: keys
                .htlc
                .as_ref()
                .map(|htlc| scripts::HtlcScripts::new(terms.format, &keys.revocation, htlc)),
            keys,
        }
    }

    /// The format of the commitment.
    pub const fn format(&self) -> CommitmentFormat {
        self.format
    }

    /// The keys of the commitment.
    pub const fn keys(&self) -> &CommitmentKeys {
        &self.keys
    }

    /// The funding key of one side.
    pub const fn funding_key(&self, party: Party) -> &PublicKey {
        let [broadcaster, countersignatory] = &self.funding_keys;
        match party {
            Party::Broadcaster => broadcaster,
            Party::Countersignatory => countersignatory,
        }
    }

    /// The key that receives the countersignatory's balance (`remotepubkey`): its `payment_basepoint`.
    pub const fn countersignatory_payment_key(&self) -> &PublicKey {
        &self.countersignatory_payment
    }

    /// The delay on the broadcaster's outputs.
    pub const fn to_self_delay(&self) -> ToSelfDelay {
        self.to_self_delay
    }

    /// The witness script of the funding output.
    pub fn funding_script(&self) -> &Script {
        &self.funding
    }

    /// The witness script of `to_local` and of every second-stage output.
    pub fn delayed(&self) -> &Script {
        &self.delayed
    }

    /// The output script of `to_local` and of every second-stage output.
    pub fn delayed_output(&self) -> ScriptBuf {
        self.delayed_output.clone()
    }

    pub(crate) fn delayed_output_script(&self) -> &Script {
        &self.delayed_output
    }

    /// The output script of `to_remote`.
    pub fn to_countersignatory_output(&self) -> ScriptBuf {
        if self.format.outputs_wait_one_block() {
            scripts::to_remote_one_block(&self.countersignatory_payment).to_p2wsh()
        } else {
            scripts::to_remote_key_hash(&self.countersignatory_payment)
        }
    }

    /// The witness script of one side's anchor.
    pub fn anchor(&self, party: Party) -> ScriptBuf {
        scripts::anchor(self.funding_key(party))
    }

    /// The witness script of an HTLC.
    ///
    /// # Panics
    /// When the scripts were derived for a commitment without HTLC outputs.
    pub fn htlc(&self, htlc: &Htlc) -> ScriptBuf {
        let htlc_scripts = self.htlc.as_ref().expect("derived with HTLC outputs");
        match htlc.direction {
            HtlcDirection::Offered => htlc_scripts.offered(&htlc.payment_hash),
            HtlcDirection::Received => htlc_scripts.received(&htlc.payment_hash, htlc.cltv_expiry),
        }
    }

    /// Finds what each output of a confirmed commitment transaction is for, given the HTLCs that it may hold. Outputs that fit
    /// nothing are left out; each HTLC is found at most once.
    ///
    /// # Panics
    /// As [`Self::htlc`].
    pub fn recognise(&self, transaction: &Transaction, htlcs: &[Htlc]) -> Vec<CommitmentOutput> {
        let txid = transaction.compute_txid();
        let mut missing: Vec<_> = htlcs.iter().map(|htlc| (htlc, self.htlc(htlc).to_p2wsh())).collect();
        // Equal outputs stand in the order of expiry and id, as when they were built.
        missing.sort_by_key(|(htlc, _)| (htlc.cltv_expiry, htlc.id));
        let to_countersignatory = self.to_countersignatory_output();
        let anchors = [Party::Broadcaster, Party::Countersignatory].map(|party| (party, self.anchor(party).to_p2wsh()));
        let shared_anchor = scripts::shared_anchor();

        let mut role_of = |value, script: &Script| {
            if script == self.delayed_output_script() {
                return Some(OutputRole::ToBroadcaster);
            }
            if script == to_countersignatory.as_script() {
                return Some(OutputRole::ToCountersignatory);
            }
            if script == shared_anchor.as_script() {
                return Some(OutputRole::SharedAnchor);
            }
            if let Some((party, _)) = anchors.iter().find(|(_, anchor)| anchor == script) {
                return Some(OutputRole::Anchor(*party));
            }
            let place = missing
                .iter()
                .position(|(htlc, htlc_script)| htlc_script == script && htlc.amount.to_sat_floor() == value)?;
            Some(OutputRole::Htlc(*missing.remove(place).0))
        };
        let recognised = (0..).zip(&transaction.output).filter_map(|(vout, output)| {
            Some(CommitmentOutput {
                outpoint: OutPoint { txid, vout },
                value: output.value,
                role: role_of(output.value, &output.script_pubkey)?,
            })
        });
        recognised.collect()
    }
}
