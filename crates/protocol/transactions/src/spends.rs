//! Every way in which an output of a commitment, or of its second stages, can be spent (BOLT 3, BOLT 5).
//!
//! Each function describes one as a [`ClaimInput`], from public keys. Delays and expiries are in the claim; whether they
//! have passed, and whether the claim is worth its fee, is for the caller to know.

use bitcoin::transaction::Version;
use bitcoin::{Amount, OutPoint, ScriptBuf, Sequence, TxOut, absolute};
use quittance_primitives::PaymentPreimage;
use secp256k1::{PublicKey, SecretKey, ecdsa};

use crate::claim::{ClaimInput, ClaimKey, KeyPath, SecondStageTerms, WitnessForm};
use crate::format::{ANCHOR_DELAY_BLOCKS, ANCHOR_VALUE};
use crate::{
    CommitmentFormat, CommitmentOutput, CommitmentScripts, CommitmentTransaction, Htlc, HtlcDirection, HtlcOutput,
    OutputRole, Party, PerCommitmentSecret, scripts, second_stage,
};

/// A commitment whose secret its owner revealed: everything that it pays to its owner is ours to take.
#[derive(Clone, Copy, Debug)]
pub struct RevokedCommitment<'a> {
    scripts: &'a CommitmentScripts,
    secret: SecretKey,
}

/// The secret is that of another commitment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the secret does not belong to this commitment's point")]
pub struct WrongSecret;

impl CommitmentScripts {
    /// The broadcaster takes its balance, or the output of a second stage of its own, after the delay.
    pub fn delayed_claim(&self, outpoint: OutPoint, value: Amount) -> ClaimInput {
        let keys = self.keys();
        ClaimInput {
            key: Some(ClaimKey {
                public_key: keys.broadcaster_delayed,
                path: KeyPath::DelayedPayment(keys.per_commitment_point),
            }),
            sequence: Sequence::from_height(self.to_self_delay().0),
            ..script_claim(
                outpoint,
                value,
                self.delayed().to_owned(),
                WitnessForm::SignatureAndNothing,
            )
        }
    }

    /// The countersignatory takes its balance: at once, or after a block with `option_anchors`.
    pub fn to_countersignatory_claim(&self, outpoint: OutPoint, value: Amount) -> ClaimInput {
        let payment = self.countersignatory_payment_key();
        let key = Some(ClaimKey {
            public_key: *payment,
            path: KeyPath::Payment,
        });
        if self.format().outputs_wait_one_block() {
            let script = scripts::to_remote_one_block(payment);
            ClaimInput {
                key,
                sequence: self.countersignatory_sequence(),
                ..script_claim(outpoint, value, script, WitnessForm::Signature)
            }
        } else {
            let output = scripts::to_remote_key_hash(payment);
            ClaimInput {
                key,
                ..plain_claim(outpoint, value, output, WitnessForm::KeyHash)
            }
        }
    }

    /// `party` spends its own anchor, for its commitment's fee (`option_anchors`).
    pub fn anchor_claim(&self, party: Party, outpoint: OutPoint) -> ClaimInput {
        ClaimInput {
            key: Some(ClaimKey {
                public_key: *self.funding_key(party),
                path: KeyPath::Funding,
            }),
            ..script_claim(outpoint, ANCHOR_VALUE, self.anchor(party), WitnessForm::Signature)
        }
    }

    /// Anyone spends `party`'s anchor, 16 blocks after the commitment (`option_anchors`).
    pub fn abandoned_anchor_claim(&self, party: Party, outpoint: OutPoint) -> ClaimInput {
        ClaimInput {
            sequence: Sequence::from_height(ANCHOR_DELAY_BLOCKS),
            ..script_claim(outpoint, ANCHOR_VALUE, self.anchor(party), WitnessForm::NoSignature)
        }
    }

    /// Anyone spends the shared anchor (`zero_fee_commitments`).
    ///
    /// While the commitment is unconfirmed, its child must be of version 3 too (BIP 431).
    pub fn shared_anchor_claim(&self, outpoint: OutPoint, value: Amount) -> ClaimInput {
        ClaimInput {
            version: Some(CommitmentFormat::ZeroFee.transaction_version()),
            ..plain_claim(outpoint, value, scripts::shared_anchor(), WitnessForm::Empty)
        }
    }

    /// The countersignatory resolves an HTLC: with the preimage when the broadcaster offered it, after its expiry when the broadcaster
    /// received it. `None` when a preimage is needed and none is given.
    ///
    /// # Panics
    /// When the scripts were derived for a commitment without HTLC outputs.
    pub fn countersignatory_htlc_claim(
        &self,
        htlc: &Htlc,
        outpoint: OutPoint,
        preimage: Option<PaymentPreimage>,
    ) -> Option<ClaimInput> {
        let form = match htlc.direction {
            HtlcDirection::Offered => WitnessForm::SignatureAndPreimage(preimage?),
            HtlcDirection::Received => WitnessForm::SignatureAndNothing,
        };
        Some(ClaimInput {
            key: self.keys().htlc.map(|keys| ClaimKey {
                public_key: keys.countersignatory,
                path: KeyPath::Htlc(self.keys().per_commitment_point),
            }),
            sequence: self.countersignatory_sequence(),
            lock_time: match htlc.direction {
                HtlcDirection::Offered => absolute::LockTime::ZERO,
                HtlcDirection::Received => absolute::LockTime::from_consensus(htlc.cltv_expiry.0),
            },
            ..script_claim(outpoint, htlc.amount.to_sat_floor(), self.htlc(htlc), form)
        })
    }

    fn countersignatory_sequence(&self) -> Sequence {
        if self.format().outputs_wait_one_block() {
            Sequence(1)
        } else {
            Sequence::ENABLE_RBF_NO_LOCKTIME
        }
    }
}

impl CommitmentTransaction {
    /// The broadcaster resolves an HTLC of its own commitment by its second stage: HTLC-timeout when it offered the HTLC, HTLC-success
    /// with the preimage when it received it. `None` when a preimage is needed and none is given.
    ///
    /// In [`CommitmentFormat::StaticRemotekey`] the claim is the whole transaction, as
    /// [`Self::second_stage_transaction`] gives it; in the others it pays no fee of its own and needs further inputs.
    pub fn second_stage_claim(
        &self,
        output: &HtlcOutput,
        countersignature: &ecdsa::Signature,
        preimage: Option<PaymentPreimage>,
    ) -> Option<ClaimInput> {
        let (scripts, format) = (self.scripts(), self.scripts().format());
        let preimage = match output.htlc.direction {
            HtlcDirection::Offered => None,
            HtlcDirection::Received => Some(preimage?),
        };
        let form = WitnessForm::SecondStage {
            countersignature: *countersignature,
            sighash_type: format.htlc_sighash_type(),
            preimage,
        };
        let outpoint = OutPoint {
            txid: self.txid(),
            vout: output.vout,
        };
        let value = output.htlc.amount.to_sat_floor();
        Some(ClaimInput {
            key: scripts.keys().htlc.map(|keys| ClaimKey {
                public_key: keys.broadcaster,
                path: KeyPath::Htlc(scripts.keys().per_commitment_point),
            }),
            sequence: format.htlc_sequence(),
            lock_time: second_stage::lock_time(&output.htlc),
            version: Some(format.transaction_version()),
            second_stage: Some(SecondStageTerms {
                output: TxOut {
                    value: output.second_stage_value,
                    script_pubkey: scripts.delayed_output(),
                },
                sighash_type: format.htlc_sighash_type(),
            }),
            ..script_claim(outpoint, value, output.witness_script.clone(), form)
        })
    }
}

impl<'a> RevokedCommitment<'a> {
    /// A commitment with these scripts, and the secret that revoked it.
    ///
    /// # Errors
    /// [`WrongSecret`] when the secret belongs to another commitment.
    pub fn new(scripts: &'a CommitmentScripts, secret: &PerCommitmentSecret) -> Result<Self, WrongSecret> {
        let private_key = secret.private_key().map_err(|_| WrongSecret)?;
        if !secret.is_secret_of(&scripts.keys().per_commitment_point) {
            return Err(WrongSecret);
        }
        Ok(Self {
            scripts,
            secret: private_key,
        })
    }

    /// We take an output of the revoked commitment: the cheater's balance, or an HTLC in either direction. `None` for what is ours
    /// anyway, and for anchors.
    ///
    /// # Panics
    /// When there is an HTLC, and the scripts were derived for a commitment without HTLC outputs.
    pub fn penalty(&self, output: &CommitmentOutput) -> Option<ClaimInput> {
        match output.role {
            OutputRole::ToBroadcaster => Some(self.delayed_penalty(output.outpoint, output.value)),
            OutputRole::Htlc(htlc) => {
                let script = self.scripts.htlc(&htlc);
                let form = WitnessForm::SignatureAndKey;
                Some(ClaimInput {
                    key: Some(self.key()),
                    ..script_claim(output.outpoint, output.value, script, form)
                })
            }
            OutputRole::ToCountersignatory | OutputRole::Anchor(_) | OutputRole::SharedAnchor => None,
        }
    }

    /// We take a delayed output: the cheater's balance, or what its second stage made of an HTLC.
    pub fn delayed_penalty(&self, outpoint: OutPoint, value: Amount) -> ClaimInput {
        let script = self.scripts.delayed().to_owned();
        ClaimInput {
            key: Some(self.key()),
            ..script_claim(outpoint, value, script, WitnessForm::SignatureAndOne)
        }
    }

    fn key(&self) -> ClaimKey {
        let public_key: PublicKey = self.scripts.keys().revocation;
        ClaimKey {
            public_key,
            path: KeyPath::Revocation(self.secret),
        }
    }
}

fn script_claim(outpoint: OutPoint, value: Amount, script: ScriptBuf, form: WitnessForm) -> ClaimInput {
    let script_pubkey = script.to_p2wsh();
    ClaimInput {
        witness_script: Some(script),
        ..plain_claim(outpoint, value, script_pubkey, form)
    }
}

fn plain_claim(outpoint: OutPoint, value: Amount, script_pubkey: ScriptBuf, form: WitnessForm) -> ClaimInput {
    ClaimInput {
        outpoint,
        output: TxOut { value, script_pubkey },
        key: None,
        witness: form,
        witness_script: None,
        sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
        lock_time: absolute::LockTime::ZERO,
        version: None::<Version>,
        second_stage: None,
    }
}
