//! The closing transactions of `closing_complete` and `closing_sig` (BOLT 2, closing negotiation; BOLT 3, closing transaction).
//!
//! Each side makes its own: the closer proposes a fee that it pays itself, in up to three variants; the closee signs one.

use bitcoin::{Amount, Sequence, absolute};

use crate::closing::{ClosingError, ClosingShares, ClosingTransaction};
use crate::{ChannelTerms, Role, ShutdownScript};

/// What one `closing_complete` proposes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SimpleClose {
    /// Who proposes, and pays the fee.
    pub closer: Role,
    /// Balances, and the scripts that the message names.
    pub shares: ClosingShares,
    /// `fee_satoshis`.
    pub fee: Amount,
    /// `locktime`.
    pub lock_time: absolute::LockTime,
}

/// Which outputs a closing transaction has; each variant has its own signature field in the messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SimpleCloseVariant {
    /// `closer_output_only`.
    CloserOutputOnly,
    /// `closee_output_only`.
    CloseeOutputOnly,
    /// `closer_and_closee_outputs`.
    CloserAndCloseeOutputs,
}

/// A `closing_complete` lacks the signature that the closee must use. The closer is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("closing_complete has no signature for {needed:?}")]
pub struct MissingVariant {
    /// The variant that the closee would sign.
    pub needed: SimpleCloseVariant,
}

impl SimpleClose {
    /// The transaction of one variant.
    ///
    /// # Errors
    /// [`ClosingError::FeeExceedsBalance`] when the closer cannot pay.
    ///
    /// # Panics
    /// When the balances are not together the funding value.
    pub fn build(&self, terms: &ChannelTerms, variant: SimpleCloseVariant) -> Result<ClosingTransaction, ClosingError> {
        self.shares.assert_conserved(terms);
        let (closer, closee) = (self.closer_output()?, self.closee_output());
        let outputs = match variant {
            SimpleCloseVariant::CloserOutputOnly => vec![closer],
            SimpleCloseVariant::CloseeOutputOnly => vec![closee],
            SimpleCloseVariant::CloserAndCloseeOutputs => vec![closer, closee],
        };
        ClosingTransaction::new(terms, outputs, SIMPLE_CLOSE_SEQUENCE, self.lock_time)
    }

    /// The variants that the closer must sign: as many as BOLT 2 allows, but for an own output that it could do without.
    ///
    /// # Errors
    /// [`ClosingError::FeeExceedsBalance`] when the closer cannot pay; [`ClosingError::NoOutput`] when every output would be
    /// dust, so that a lower fee or `OP_RETURN` is needed.
    pub fn variants_to_offer(&self) -> Result<Vec<SimpleCloseVariant>, ClosingError> {
        use SimpleCloseVariant::{CloseeOutputOnly, CloserAndCloseeOutputs, CloserOutputOnly};
        let closer_is_dust = is_dust(self.closer_output()?);
        let closee_is_dust = is_dust(self.closee_output());
        let closer_has_less = self.shares.side(self.closer).balance < self.shares.side(self.closer.other()).balance;
        match (closer_is_dust, closee_is_dust) {
            (true, false) if closer_has_less => Ok(vec![CloseeOutputOnly]),
            // Only the side with less may drop its own output, and dust does not relay.
            (true, true | false) => Err(ClosingError::NoOutput),
            // Only the side with more may drop the other's output.
            (false, true) if closer_has_less => Err(ClosingError::NoOutput),
            (false, true) => Ok(vec![CloserOutputOnly]),
            (false, false) if closer_has_less => Ok(vec![CloserAndCloseeOutputs]),
            (false, false) => Ok(vec![CloserOutputOnly, CloserAndCloseeOutputs]),
        }
    }

    /// The variant that the closee signs, out of those that a `closing_complete` has signatures for.
    ///
    /// # Errors
    /// [`MissingVariant`] when the signature that BOLT 2 tells the closee to use is not there.
    pub fn variant_to_sign(&self, offered: &[SimpleCloseVariant]) -> Result<SimpleCloseVariant, MissingVariant> {
        use SimpleCloseVariant::{CloseeOutputOnly, CloserAndCloseeOutputs, CloserOutputOnly};
        let needed = if is_dust(self.closee_output()) {
            CloserOutputOnly
        } else if offered.contains(&CloserAndCloseeOutputs) {
            CloserAndCloseeOutputs
        } else {
            CloseeOutputOnly
        };
        offered
            .contains(&needed)
            .then_some(needed)
            .ok_or(MissingVariant { needed })
    }

    fn closer_output(&self) -> Result<(Amount, &ShutdownScript), ClosingError> {
        let share = self.shares.side(self.closer);
        let after_fee = share.after_fee(self.fee)?;
        let value = if share.script.is_op_return() {
            Amount::ZERO
        } else {
            after_fee
        };
        Ok((value, &share.script))
    }

    fn closee_output(&self) -> (Amount, &ShutdownScript) {
        let share = self.shares.side(self.closer.other());
        let value = if share.script.is_op_return() {
            Amount::ZERO
        } else {
            share.balance.to_sat_floor()
        };
        (value, &share.script)
    }
}

fn is_dust((value, script): (Amount, &ShutdownScript)) -> bool {
    value < script.dust_threshold()
}

/// Final enough for lock time and replacement (BOLT 3, closing transaction).
const SIMPLE_CLOSE_SEQUENCE: Sequence = Sequence::ENABLE_RBF_NO_LOCKTIME;
