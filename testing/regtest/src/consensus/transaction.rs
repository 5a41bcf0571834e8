//! What makes a transaction valid by itself, and against the outputs it spends; scripts and lock times excepted.

use std::collections::BTreeSet;

use bitcoin::{Amount, OutPoint, Transaction, TxOut, Weight};

use crate::rejection::{Reason, Rejected};

/// An output that a transaction may spend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coin {
    /// The output.
    pub output: TxOut,
    /// The height at which it was confirmed, or of the next block if it is unconfirmed.
    pub height: u32,
    /// Whether it is a miner's reward.
    pub coinbase: bool,
}

/// The rules that need no context.
pub fn check_form(transaction: &Transaction) -> Result<(), Rejected> {
    if transaction.input.is_empty() {
        return Err(Reason::NoInputs.into());
    }
    if transaction.output.is_empty() {
        return Err(Reason::NoOutputs.into());
    }
    // Without witness each byte weighs four, and a block bounds the weight.
    if transaction.base_size() as u64 * 4 > Weight::MAX_BLOCK.to_wu() {
        return Err(Reason::Oversize.into());
    }
    let mut total = Amount::ZERO;
    for output in &transaction.output {
        if output.value > Amount::MAX_MONEY {
            return Err(Reason::OutputTooLarge.into());
        }
        total = total
            .checked_add(output.value)
            .filter(|sum| *sum <= Amount::MAX_MONEY)
            .ok_or(Reason::OutputTotalTooLarge)?;
    }
    let outpoints: BTreeSet<OutPoint> = transaction.input.iter().map(|input| input.previous_output).collect();
    if outpoints.len() != transaction.input.len() {
        return Err(Reason::DuplicateInputs.into());
    }
    if transaction.is_coinbase() {
        return match transaction.input[0].script_sig.len() {
            2..=100 => Ok(()),
            _ => Err(Reason::CoinbaseLength.into()),
        };
    }
    if outpoints.iter().any(OutPoint::is_null) {
        return Err(Reason::NullPrevout.into());
    }
    Ok(())
}

/// The rules about amounts and maturity; returns the fee.
pub fn check_amounts(
    transaction: &Transaction,
    coins: &[Coin],
    spend_height: u32,
    coinbase_maturity: u32,
) -> Result<Amount, Rejected> {
    let mut total_in = Amount::ZERO;
    for coin in coins {
        let age = spend_height.saturating_sub(coin.height);
        if coin.coinbase && age < coinbase_maturity {
            return Err(Reason::ImmatureCoinbase.because(format!("tried to spend coinbase at depth {age}")));
        }
        total_in = total_in
            .checked_add(coin.output.value)
            .filter(|sum| *sum <= Amount::MAX_MONEY)
            .ok_or(Reason::InputsOutOfRange)?;
    }
    let total_out: Amount = transaction.output.iter().map(|output| output.value).sum();
    total_in
        .checked_sub(total_out)
        .ok_or_else(|| Reason::OutputsExceedInputs.because(format!("value in ({total_in}) < value out ({total_out})")))
}
