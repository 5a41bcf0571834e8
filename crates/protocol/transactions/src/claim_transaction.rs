//! Several claims in one transaction.
//!
//! Second stages bring an output that must stand at their own place, and an exact lock time; everything else can be
//! combined freely. Fees and further outputs are the caller's choice: it passes the outputs, and inputs of its wallet where
//! claims cannot pay for themselves.

use bitcoin::sighash::{EcdsaSighashType, SighashCache};
use bitcoin::transaction::Version;
use bitcoin::{ScriptBuf, Transaction, TxIn, TxOut, Weight, Witness, absolute};
use secp256k1::{Message, ecdsa};

use crate::ClaimInput;

/// A transaction that spends claims, second stages first, then the others, then inputs of the caller's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimTransaction {
    claims: Vec<ClaimInput>,
    transaction: Transaction,
}

/// Claims cannot stand in one transaction. The caller is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IncompatibleClaims {
    /// Two claims need different transaction versions.
    #[error("claims need different transaction versions")]
    Version,
    /// A second stage needs another lock time than the rest.
    #[error("a second stage needs another lock time than the other claims")]
    LockTime,
    /// The other side signed a second stage as a whole transaction.
    #[error("the second stage is a whole transaction of its own")]
    WholeTransaction,
}

impl ClaimTransaction {
    /// Puts `claims` together with inputs of the caller's own and the given outputs, which come after those of second stages.
    ///
    /// # Errors
    /// [`IncompatibleClaims`] when they cannot stand in one transaction.
    pub fn new(
        mut claims: Vec<ClaimInput>,
        own_inputs: Vec<TxIn>,
        own_outputs: Vec<TxOut>,
    ) -> Result<Self, IncompatibleClaims> {
        claims.sort_by_key(|claim| claim.second_stage.is_none());
        let version = common_version(&claims)?;
        let lock_time = common_lock_time(&claims)?;
        let is_whole = |claim: &ClaimInput| {
            claim
                .second_stage
                .as_ref()
                .is_some_and(|terms| terms.sighash_type == EcdsaSighashType::All)
        };
        let stands_alone = claims.len() == 1 && own_inputs.is_empty() && own_outputs.is_empty();
        if claims.iter().any(is_whole) && !stands_alone {
            return Err(IncompatibleClaims::WholeTransaction);
        }
        let claim_inputs = claims.iter().map(|claim| TxIn {
            previous_output: claim.outpoint,
            script_sig: ScriptBuf::new(),
            sequence: claim.sequence,
            witness: Witness::new(),
        });
        let second_stages = claims.iter().filter_map(|claim| claim.second_stage.as_ref());
        let transaction = Transaction {
            version,
            lock_time,
            input: claim_inputs.chain(own_inputs).collect(),
            output: second_stages
                .map(|terms| terms.output.clone())
                .chain(own_outputs)
                .collect(),
        };
        Ok(Self { claims, transaction })
    }

    /// The claims, in the order of the inputs.
    pub fn claims(&self) -> &[ClaimInput] {
        &self.claims
    }

    /// The transaction; its claims have no witness yet.
    pub const fn transaction(&self) -> &Transaction {
        &self.transaction
    }

    /// The most that the transaction weighs once its claims are signed. Inputs of the caller's count as they are.
    pub fn weight(&self) -> Weight {
        let witnesses = self.claims.iter().map(ClaimInput::witness_weight).sum::<Weight>();
        let has_witness = self.transaction.input.iter().any(|input| !input.witness.is_empty());
        // Marker and flag, and an empty witness for each input, are counted as soon as one input has a witness.
        let empty_witnesses = u64::try_from(self.claims.len()).expect("inputs are few");
        let added = if has_witness {
            witnesses - Weight::from_wu(empty_witnesses)
        } else {
            let own = u64::try_from(self.transaction.input.len()).expect("inputs are few") - empty_witnesses;
            witnesses + Weight::from_wu(2 + own)
        };
        self.transaction.weight() + added
    }

    /// What each claim's key signs; `None` for claims that need no signature.
    pub fn sighashes(&self) -> Vec<Option<Message>> {
        let mut cache = SighashCache::new(&self.transaction);
        let claims = self.claims.iter().enumerate();
        claims.map(|(index, claim)| claim.sighash(&mut cache, index)).collect()
    }

    /// The transaction with the witnesses of its claims, or `None` when a signature is missing. `signatures` are in the order of
    /// [`Self::claims`].
    pub fn signed(&self, signatures: &[Option<ecdsa::Signature>]) -> Option<Transaction> {
        let mut transaction = self.transaction.clone();
        for (index, (input, claim)) in transaction.input.iter_mut().zip(&self.claims).enumerate() {
            let signature = signatures.get(index).and_then(Option::as_ref);
            input.witness = claim.witness(signature)?;
        }
        Some(transaction)
    }
}

fn common_version(claims: &[ClaimInput]) -> Result<Version, IncompatibleClaims> {
    let mut needed = claims.iter().filter_map(|claim| claim.version);
    let version = needed.next().unwrap_or(Version::TWO);
    if needed.all(|other| other == version) {
        Ok(version)
    } else {
        Err(IncompatibleClaims::Version)
    }
}

fn common_lock_time(claims: &[ClaimInput]) -> Result<absolute::LockTime, IncompatibleClaims> {
    let height = |claim: &ClaimInput| claim.lock_time.to_consensus_u32();
    let latest = claims.iter().map(height).max().unwrap_or(0);
    let mut second_stages = claims.iter().filter(|claim| claim.second_stage.is_some());
    if second_stages.all(|claim| height(claim) == latest) {
        Ok(absolute::LockTime::from_consensus(latest))
    } else {
        Err(IncompatibleClaims::LockTime)
    }
}
