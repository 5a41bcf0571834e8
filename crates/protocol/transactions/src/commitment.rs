//! The commitment transaction, built the same on both sides (BOLT 3, commitment transaction construction).
//!
//! [`CommitmentTransaction::build`] takes what a channel fixed and what this commitment shares out, and gives the unsigned
//! transaction with everything that its signatures and its spending need: which output is what, the digest of the funding
//! input, and for each untrimmed HTLC its second stage. Keys and scripts are derived once. Nothing here is secret.
//!
//! Invariant: outputs and fee together are the funding value; no output but an anchor is below the broadcaster's dust limit.

use bitcoin::{Amount, OutPoint, Script, ScriptBuf, Transaction, TxIn, TxOut, Txid, Witness};
use quittance_primitives::{CltvExpiry, HtlcId, MilliSatoshi};
use secp256k1::{Message, ecdsa};

use crate::format::{ANCHOR_VALUE, SHARED_ANCHOR_VALUE_MAX};
use crate::{
    ChannelTerms, CommitmentContents, CommitmentFormat, CommitmentKeys, CommitmentScripts, Htlc, HtlcOutput,
    HtlcOutputs, ObscuringFactor, Party, Role, fees, funding, ordering, scripts, second_stage, sighash,
};

/// A commitment transaction without signatures, and all that belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitmentTransaction {
    transaction: Transaction,
    txid: Txid,
    roles: Vec<OutputRole>,
    htlc_outputs: Vec<HtlcOutput>,
    trimmed_htlcs: Vec<Htlc>,
    fee: Amount,
    funding_sighash: Message,
    scripts: CommitmentScripts,
}

/// What an output of a commitment transaction is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputRole {
    /// The broadcaster's balance, delayed (`to_local`).
    ToBroadcaster,
    /// The countersignatory's balance (`to_remote`).
    ToCountersignatory,
    /// The anchor of one side (`option_anchors`).
    Anchor(Party),
    /// The anchor that anyone can spend (`zero_fee_commitments`).
    SharedAnchor,
    /// An HTLC.
    Htlc(Htlc),
}

/// An output of a commitment transaction, and what it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommitmentOutput {
    /// Where it is.
    pub outpoint: OutPoint,
    /// What it holds.
    pub value: Amount,
    /// What it is for.
    pub role: OutputRole,
}

/// The opener's balance does not cover the fee and the anchors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the opener's balance of {balance} does not cover the fee and anchors of {cost}")]
pub struct OpenerCannotAfford {
    /// Fee and anchors of the commitment.
    pub cost: Amount,
    /// What the opener has, before both.
    pub balance: MilliSatoshi,
}

impl OutputRole {
    /// The HTLC that the output is for, if it is for one.
    pub const fn htlc(&self) -> Option<&Htlc> {
        match self {
            Self::Htlc(htlc) => Some(htlc),
            Self::ToBroadcaster | Self::ToCountersignatory | Self::Anchor(_) | Self::SharedAnchor => None,
        }
    }
}

impl CommitmentTransaction {
    /// Builds the commitment that `contents` describe.
    ///
    /// # Errors
    /// [`OpenerCannotAfford`] when fee and anchors exceed the opener's balance.
    ///
    /// # Panics
    /// When balances and HTLCs are not together the funding value: whoever keeps the channel's state keeps that.
    pub fn build(terms: &ChannelTerms, contents: &CommitmentContents) -> Result<Self, OpenerCannotAfford> {
        let shares = Shares::of(terms, contents);
        match shares.shortfall {
            Some(shortfall) => Err(shortfall),
            None => Ok(Self::assemble(terms, contents, shares, derivation_for(terms, contents))),
        }
    }

    /// Builds it even when the opener cannot afford the fee: then all that it has goes there, which is less than the feerate asks
    /// for (BOLT 3, appendix C, "fee greater than funder amount").
    ///
    /// # Errors
    /// [`OpenerCannotAfford`] when its balance does not even cover the anchors.
    ///
    /// # Panics
    /// As [`Self::build`].
    pub fn build_with_reduced_fee(
        terms: &ChannelTerms,
        contents: &CommitmentContents,
    ) -> Result<Self, OpenerCannotAfford> {
        Self::build_with_keys(terms, contents, derivation_for(terms, contents))
    }

    /// The same with keys from elsewhere: `derive` gives what [`CommitmentKeys::derive`] would, and may remember it.
    ///
    /// # Errors
    /// As [`Self::build_with_reduced_fee`].
    ///
    /// # Panics
    /// As [`Self::build`], and when `derive` leaves out the HTLC keys that it was asked for.
    pub fn build_with_keys(
        terms: &ChannelTerms,
        contents: &CommitmentContents,
        derive: impl FnOnce(HtlcOutputs) -> CommitmentKeys,
    ) -> Result<Self, OpenerCannotAfford> {
        let shares = Shares::of(terms, contents);
        match shares.shortfall {
            Some(shortfall) if shortfall.balance.to_sat_floor() < terms.format.anchors_cost() => Err(shortfall),
            Some(_) | None => Ok(Self::assemble(terms, contents, shares, derive)),
        }
    }

    /// The unsigned transaction.
    pub const fn transaction(&self) -> &Transaction {
        &self.transaction
    }

    /// Its id, which signatures do not change.
    pub const fn txid(&self) -> Txid {
        self.txid
    }

    /// What the transaction leaves to miners: the base fee, all trimmed amounts and all fractions of a satoshi.
    pub const fn fee(&self) -> Amount {
        self.fee
    }

    /// What both signatures of the funding input sign (`SIGHASH_ALL`).
    pub const fn funding_sighash(&self) -> Message {
        self.funding_sighash
    }

    /// The HTLCs that have outputs, in the order of the outputs: the order of the signatures in `commitment_signed`.
    pub fn htlc_outputs(&self) -> &[HtlcOutput] {
        &self.htlc_outputs
    }

    /// The HTLCs that are too small for an output.
    pub fn trimmed_htlcs(&self) -> &[Htlc] {
        &self.trimmed_htlcs
    }

    /// The scripts and keys of this commitment, from which every claim on it is made.
    pub const fn scripts(&self) -> &CommitmentScripts {
        &self.scripts
    }

    /// Every output and what it is for, in order.
    pub fn outputs(&self) -> impl Iterator<Item = CommitmentOutput> + '_ {
        let places = (0..).zip(self.transaction.output.iter().zip(&self.roles));
        places.map(|(vout, (output, role))| CommitmentOutput {
            outpoint: OutPoint { txid: self.txid, vout },
            value: output.value,
            role: *role,
        })
    }

    /// The second-stage transaction of an HTLC output, without its witness: HTLC-timeout when offered, HTLC-success when received.
    pub fn second_stage_transaction(&self, htlc: &HtlcOutput) -> Transaction {
        second_stage::transaction(&self.scripts, self.txid, htlc)
    }

    /// The transaction with both signatures, as only its broadcaster can have it.
    pub fn signed(&self, broadcaster: &ecdsa::Signature, countersignatory: &ecdsa::Signature) -> Transaction {
        let own = (self.scripts.funding_key(Party::Broadcaster), broadcaster);
        let other = (self.scripts.funding_key(Party::Countersignatory), countersignatory);
        let mut transaction = self.transaction.clone();
        transaction.input[0].witness = funding::witness(own, other);
        transaction
    }

    fn assemble(
        terms: &ChannelTerms,
        contents: &CommitmentContents,
        shares: Shares,
        derive: impl FnOnce(HtlcOutputs) -> CommitmentKeys,
    ) -> Self {
        let keys = derive(HtlcOutputs::of(&shares.untrimmed));
        let commitment_scripts = CommitmentScripts::with_keys(terms, contents.broadcaster, keys);
        let mut drafts = shares.drafts(terms, &commitment_scripts);
        drafts.sort_by(|one, other| {
            ordering::compare_outputs(one.sort_key(), other.sort_key())
                .then_with(|| one.tie_break().cmp(&other.tie_break()))
        });
        let spent: Amount = drafts.iter().map(|draft| draft.value).sum();
        let fee = terms
            .funding_value
            .checked_sub(spent)
            .expect("outputs never exceed the funding value");

        let obscuring = ObscuringFactor::of(terms);
        let mut transaction = Transaction {
            version: terms.format.transaction_version(),
            lock_time: obscuring.lock_time(contents.number),
            input: vec![TxIn {
                previous_output: terms.funding_outpoint,
                script_sig: ScriptBuf::new(),
                sequence: obscuring.sequence(contents.number),
                witness: Witness::new(),
            }],
            output: Vec::with_capacity(drafts.len()),
        };
        let mut roles = Vec::with_capacity(drafts.len());
        let mut htlc_scripts = Vec::with_capacity(shares.untrimmed.len());
        for (vout, draft) in (0..).zip(drafts) {
            transaction.output.push(TxOut {
                value: draft.value,
                script_pubkey: draft.script_pubkey,
            });
            roles.push(draft.role);
            if let (OutputRole::Htlc(htlc), Some(witness_script)) = (draft.role, draft.htlc_script) {
                htlc_scripts.push((htlc, vout, witness_script));
            }
        }
        let txid = transaction.compute_txid();
        let funding_sighash =
            sighash::only_input_sighash(&transaction, commitment_scripts.funding_script(), terms.funding_value);
        let htlc_outputs = second_stage::outputs(&commitment_scripts, contents.feerate, txid, htlc_scripts);
        Self {
            transaction,
            txid,
            roles,
            htlc_outputs,
            trimmed_htlcs: shares.trimmed,
            fee,
            funding_sighash,
            scripts: commitment_scripts,
        }
    }
}

/// The derivation of the keys of the commitment that `contents` describe.
fn derivation_for<'a>(
    terms: &'a ChannelTerms,
    contents: &'a CommitmentContents,
) -> impl FnOnce(HtlcOutputs) -> CommitmentKeys + 'a {
    |outputs| CommitmentKeys::derive(terms, contents.broadcaster, contents.per_commitment_point, outputs)
}

/// Who gets how much, before outputs are made of it.
struct Shares {
    untrimmed: Vec<Htlc>,
    trimmed: Vec<Htlc>,
    to_broadcaster: Amount,
    to_countersignatory: Amount,
    dust_limit: Amount,
    shortfall: Option<OpenerCannotAfford>,
}

/// An output before it has its place.
struct Draft {
    value: Amount,
    script_pubkey: ScriptBuf,
    role: OutputRole,
    htlc_script: Option<ScriptBuf>,
}

impl Shares {
    fn of(terms: &ChannelTerms, contents: &CommitmentContents) -> Self {
        assert_eq!(
            contents.total(),
            MilliSatoshi::try_from_sat(terms.funding_value).ok(),
            "balances and HTLCs are together the funding value"
        );
        let dust_limit = terms.side(contents.broadcaster).dust_limit;
        let has_output =
            |htlc: &&Htlc| !fees::is_trimmed(terms.format, htlc.direction, contents.feerate, dust_limit, htlc.amount);
        let (untrimmed, trimmed): (Vec<_>, Vec<_>) = contents.htlcs.iter().partition(has_output);
        let count = u32::try_from(untrimmed.len()).expect("a commitment has fewer than 2^32 HTLCs");
        let cost = fees::opener_cost(terms.format, contents.feerate, count);

        let (mut to_broadcaster, mut to_countersignatory) = (
            contents.to_broadcaster.to_sat_floor(),
            contents.to_countersignatory.to_sat_floor(),
        );
        let (to_opener, balance) = match contents.broadcaster {
            Role::Opener => (&mut to_broadcaster, contents.to_broadcaster),
            Role::Accepter => (&mut to_countersignatory, contents.to_countersignatory),
        };
        let after_cost = to_opener.checked_sub(cost);
        *to_opener = after_cost.unwrap_or(Amount::ZERO);
        Self {
            untrimmed,
            trimmed,
            to_broadcaster,
            to_countersignatory,
            dust_limit,
            shortfall: after_cost.is_none().then_some(OpenerCannotAfford { cost, balance }),
        }
    }

    /// The outputs, in no order.
    fn drafts(&self, terms: &ChannelTerms, commitment_scripts: &CommitmentScripts) -> Vec<Draft> {
        let mut drafts = Vec::with_capacity(self.untrimmed.len() + 4);
        for htlc in &self.untrimmed {
            let witness_script = commitment_scripts.htlc(htlc);
            drafts.push(Draft {
                value: htlc.amount.to_sat_floor(),
                script_pubkey: witness_script.to_p2wsh(),
                role: OutputRole::Htlc(*htlc),
                htlc_script: Some(witness_script),
            });
        }
        let mut add = |value, role, script_pubkey| {
            drafts.push(Draft {
                value,
                script_pubkey,
                role,
                htlc_script: None,
            });
        };
        let has_to_broadcaster = self.to_broadcaster >= self.dust_limit;
        let has_to_countersignatory = self.to_countersignatory >= self.dust_limit;
        if has_to_broadcaster {
            add(
                self.to_broadcaster,
                OutputRole::ToBroadcaster,
                commitment_scripts.delayed_output(),
            );
        }
        if has_to_countersignatory {
            add(
                self.to_countersignatory,
                OutputRole::ToCountersignatory,
                commitment_scripts.to_countersignatory_output(),
            );
        }
        match terms.format {
            CommitmentFormat::StaticRemotekey => {}
            CommitmentFormat::Anchors => {
                for (party, has_output) in [
                    (Party::Broadcaster, has_to_broadcaster),
                    (Party::Countersignatory, has_to_countersignatory),
                ] {
                    if has_output || !self.untrimmed.is_empty() {
                        add(
                            ANCHOR_VALUE,
                            OutputRole::Anchor(party),
                            commitment_scripts.anchor(party).to_p2wsh(),
                        );
                    }
                }
            }
            CommitmentFormat::ZeroFee => {
                let spent: Amount = drafts.iter().map(|draft| draft.value).sum();
                let left = terms
                    .funding_value
                    .checked_sub(spent)
                    .expect("outputs never exceed the funding value");
                drafts.push(Draft {
                    value: left.min(SHARED_ANCHOR_VALUE_MAX),
                    script_pubkey: scripts::shared_anchor(),
                    role: OutputRole::SharedAnchor,
                    htlc_script: None,
                });
            }
        }
        drafts
    }
}

impl Draft {
    fn sort_key(&self) -> (Amount, &Script, Option<CltvExpiry>) {
        let expiry = self.role.htlc().map(|htlc| htlc.cltv_expiry);
        (self.value, &self.script_pubkey, expiry)
    }

    /// HTLCs that are equal in all that BOLT 3 orders by have the same second stage, so their order is free; by id, it is the same
    /// on both sides and in every run.
    fn tie_break(&self) -> Option<HtlcId> {
        self.role.htlc().map(|htlc| htlc.id)
    }
}
