//! What a monitor keeps of the chain: how far it has read, what spent the funding output, and what spent the outputs that came
//! from it. Nothing else: the rest is derived.
//!
//! Invariant M-3: the view is a function of the active chain up to its tip. Connecting and disconnecting are inverse.

use std::collections::BTreeMap;

use bitcoin::hashes::Hash;
use bitcoin::{Amount, BlockHash, OutPoint, Script, Transaction, Txid, Witness};
use quittance_primitives::{BlockHeight, PaymentHash, PaymentPreimage};
use quittance_records::{BadRecord, Listed, Record, record};

use crate::RevokedHtlcs;

/// The part of the active chain that concerns one channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainView {
    /// The last block that was read.
    pub tip: Tip,
    /// What spent the funding output, if anything has.
    pub closing: Option<SeenClosing>,
    /// By which input each output of the closing, and of the second stages on it, was spent. At most one for each.
    pub spends: BTreeMap<OutPoint, Spend>,
    /// The HTLCs of the revoked commitment that was seen, once they were loaded.
    pub revoked: Option<RevokedHtlcs>,
    /// The block in which another transaction spent an input of our funding transaction.
    pub conflict: Option<BlockHeight>,
}

record!(ChainView {
    tip,
    closing,
    spends,
    revoked,
    conflict
});

/// A block, as a monitor remembers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tip {
    /// Its height.
    pub height: BlockHeight,
    /// Its hash.
    pub hash: BlockHash,
}

/// The transaction that spent the funding output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenClosing {
    /// The block that holds it.
    pub height: BlockHeight,
    /// The transaction.
    pub transaction: Transaction,
}

record!(SeenClosing { height, transaction });

/// How an output was spent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spend {
    /// The block that holds the spending transaction.
    pub height: BlockHeight,
    /// The spending transaction.
    pub txid: Txid,
    /// The input, and for a second stage also the output, that it is.
    pub index: u32,
    /// Every element of its witness that may be a preimage, by its length.
    pub preimages: Vec<PossiblePreimage>,
    /// What the delayed output of a second stage holds, when it stands at the same place.
    pub second_stage: Option<Amount>,
}

record!(Spend {
    height,
    txid,
    index,
    preimages,
    second_stage
});

/// 32 bytes of a witness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PossiblePreimage(pub [u8; 32]);

impl Record for PossiblePreimage {
    fn write(&self, out: &mut Vec<u8>) {
        self.0.write(out);
    }

    fn read(input: &mut &[u8]) -> Result<Self, BadRecord> {
        <[u8; 32]>::read(input).map(Self)
    }
}

impl Listed for PossiblePreimage {}

impl Record for Tip {
    fn write(&self, out: &mut Vec<u8>) {
        self.height.write(out);
        self.hash.to_byte_array().write(out);
    }

    fn read(input: &mut &[u8]) -> Result<Self, BadRecord> {
        Ok(Self {
            height: BlockHeight::read(input)?,
            hash: BlockHash::from_byte_array(<[u8; 32]>::read(input)?),
        })
    }
}

impl Spend {
    /// What input `index` of `transaction` tells. `delayed` is the output script of the commitment's second stages.
    pub(crate) fn by(transaction: &Transaction, txid: Txid, index: u32, height: BlockHeight, delayed: &Script) -> Self {
        let place = usize::try_from(index).expect("an index fits the address space");
        let successor = transaction.output.get(place);
        Self {
            height,
            txid,
            index,
            preimages: possible_preimages(&transaction.input[place].witness),
            second_stage: successor
                .filter(|output| output.script_pubkey.as_script() == delayed)
                .map(|output| output.value),
        }
    }

    /// The preimage of `hash`, if the witness shows it.
    pub fn preimage_of(&self, hash: &PaymentHash) -> Option<PaymentPreimage> {
        let mut shown = self.preimages.iter().map(|shown| PaymentPreimage(shown.0));
        shown.find(|preimage| hash.is_paid_by(preimage))
    }

    /// The output of the spending transaction at the place of the input.
    pub(crate) const fn successor(&self) -> OutPoint {
        OutPoint {
            txid: self.txid,
            vout: self.index,
        }
    }
}

impl ChainView {
    /// A view of nothing, up to `tip`. No transaction of the channel may stand at or below it, the funding excepted.
    pub const fn new(tip: Tip) -> Self {
        Self {
            tip,
            closing: None,
            spends: BTreeMap::new(),
            revoked: None,
            conflict: None,
        }
    }

    /// Forgets what stood at `height` and above.
    pub(crate) fn cut(&mut self, height: BlockHeight) {
        #[cfg(feature = "mutants")]
        if quittance_journal::mutant::is_on(quittance_journal::mutant::Mutant::ReorgForgotten) {
            return;
        }
        self.closing.take_if(|closing| closing.height >= height);
        self.conflict.take_if(|conflict| *conflict >= height);
        self.spends.retain(|_, spend| spend.height < height);
    }
}

fn possible_preimages(witness: &Witness) -> Vec<PossiblePreimage> {
    let elements = witness.iter().filter_map(|element| <[u8; 32]>::try_from(element).ok());
    elements.map(PossiblePreimage).collect()
}
