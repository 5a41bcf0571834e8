//! What a transaction must look like to be relayed: its form, its outputs, the outputs it spends, its witnesses.

use bitcoin::consensus::encode::serialize;
use bitcoin::script::Instruction;
use bitcoin::{Amount, FeeRate, Script, Transaction, TxOut, WitnessVersion};

use super::policy::Policy;
use crate::rejection::{Reason, Rejected};

const VERSION_MAX: i32 = 3;
const WEIGHT_MAX: u64 = 400_000;
const BASE_SIZE_MIN: usize = 65;
const SCRIPT_SIG_SIZE_MAX: usize = 1_650;
const DUST_OUTPUTS_MAX: usize = 1;
const P2SH_SIGOPS_MAX: usize = 15;
const WITNESS_SCRIPT_SIZE_MAX: usize = 3_600;
const WITNESS_ITEMS_MAX: usize = 100;
const WITNESS_ITEM_SIZE_MAX: usize = 80;
const SCRIPT_SIZE_MAX: usize = 10_000;
const TAPROOT_ANNEX_TAG: u8 = 0x50;
const TAPSCRIPT_LEAF_VERSION: u8 = 0xc0;
/// Pay-to-anchor: `OP_1 <4e73>`, spendable by anyone without a witness.
pub const PAY_TO_ANCHOR: [u8; 4] = [0x51, 0x02, 0x4e, 0x73];
/// The outpoint, the sequence and the empty script of an input that spends an output.
const SPEND_SIZE: u64 = 32 + 4 + 1 + 4;
/// A public key and a signature.
const SATISFACTION_SIZE: u64 = 107;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ScriptKind {
    PubKey,
    PubKeyHash,
    ScriptHash,
    Multisig,
    NullData,
    WitnessKeyHash,
    WitnessScriptHash,
    Taproot,
    Anchor,
    WitnessUnknown,
    Nonstandard,
}

/// The form of the transaction and of its outputs.
pub fn check_transaction(transaction: &Transaction, policy: &Policy) -> Result<(), Rejected> {
    if !(1..=VERSION_MAX).contains(&transaction.version.0) {
        return Err(Reason::Version.into());
    }
    if transaction.weight().to_wu() > WEIGHT_MAX {
        return Err(Reason::TransactionSize.into());
    }
    for input in &transaction.input {
        if input.script_sig.len() > SCRIPT_SIG_SIZE_MAX {
            return Err(Reason::ScriptSigSize.into());
        }
        if !input.script_sig.is_push_only() {
            return Err(Reason::ScriptSigNotPushOnly.into());
        }
    }
    // Bitcoin Core's limit for OP_RETURN outputs, 100,000 bytes in all, lies above the limit for the whole transaction.
    if transaction
        .output
        .iter()
        .any(|output| kind(&output.script_pubkey) == ScriptKind::Nonstandard)
    {
        return Err(Reason::ScriptPubkey.into());
    }
    if dust_outputs(transaction, policy.dust_relay_feerate).len() > DUST_OUTPUTS_MAX {
        return Err(Reason::Dust.into());
    }
    Ok(())
}

/// Transactions that could be mistaken for an inner node of the merkle tree are not relayed.
pub fn check_size(transaction: &Transaction) -> Result<(), Rejected> {
    if transaction.base_size() < BASE_SIZE_MIN {
        Err(Reason::TransactionTooSmall.into())
    } else {
        Ok(())
    }
}

/// The outputs that a transaction spends must be of known kinds.
pub fn check_inputs(transaction: &Transaction, spent: &[TxOut]) -> Result<(), Rejected> {
    for (index, (input, output)) in transaction.input.iter().zip(spent).enumerate() {
        let problem = match kind(&output.script_pubkey) {
            ScriptKind::Nonstandard => Some("script unknown"),
            ScriptKind::WitnessUnknown => Some("witness program is undefined"),
            ScriptKind::ScriptHash => match redeem_script(&input.script_sig) {
                None => Some("P2SH redeemscript missing"),
                Some(script) if script.count_sigops() > P2SH_SIGOPS_MAX => {
                    Some("p2sh redeemscript sigops exceed limit")
                }
                Some(_) => None,
            },
            _ => None,
        };
        if let Some(problem) = problem {
            return Err(Reason::NonstandardInputs.because(format!("input {index} {problem}")));
        }
    }
    Ok(())
}

/// Witnesses must be of the kind that the spent output asks for, and within limits.
pub fn check_witnesses(transaction: &Transaction, spent: &[TxOut]) -> Result<(), Rejected> {
    for (input, output) in transaction.input.iter().zip(spent) {
        if input.witness.is_empty() {
            continue;
        }
        let (program, nested) = match kind(&output.script_pubkey) {
            ScriptKind::ScriptHash => (redeem_script(&input.script_sig), true),
            _ => (Some(&*output.script_pubkey), false),
        };
        let items: Vec<&[u8]> = input.witness.iter().collect();
        let standard = program.is_some_and(|program| match kind(program) {
            ScriptKind::WitnessKeyHash => true,
            ScriptKind::WitnessScriptHash => p2wsh_witness_is_standard(&items),
            ScriptKind::Taproot if !nested => taproot_witness_is_standard(&items),
            ScriptKind::Anchor => false,
            _ => program.is_witness_program(),
        });
        if !standard {
            return Err(Reason::NonstandardWitness.into());
        }
    }
    Ok(())
}

/// The indices of the outputs that cost more to spend than they are worth.
pub fn dust_outputs(transaction: &Transaction, dust_relay_feerate: FeeRate) -> Vec<u32> {
    let is_dust = |output: &TxOut| output.value < dust_threshold(output, dust_relay_feerate);
    (0..)
        .zip(&transaction.output)
        .filter(|(_, output)| is_dust(output))
        .map(|(vout, _)| vout)
        .collect()
}

/// The least value with which an output of this form is not dust.
pub fn dust_threshold(output: &TxOut, dust_relay_feerate: FeeRate) -> Amount {
    let script = &output.script_pubkey;
    if script.is_op_return() || script.len() > SCRIPT_SIZE_MAX {
        return Amount::ZERO;
    }
    let satisfaction = if script.is_witness_program() {
        SATISFACTION_SIZE / 4
    } else {
        SATISFACTION_SIZE
    };
    let size = serialize(output).len() as u64 + SPEND_SIZE + satisfaction;
    dust_relay_feerate.fee_vb(size).expect("an output fits a block")
}

fn kind(script: &Script) -> ScriptKind {
    if script.is_p2sh() {
        return ScriptKind::ScriptHash;
    }
    if let Some(version) = script.witness_version() {
        return match version {
            WitnessVersion::V0 if script.is_p2wpkh() => ScriptKind::WitnessKeyHash,
            WitnessVersion::V0 if script.is_p2wsh() => ScriptKind::WitnessScriptHash,
            WitnessVersion::V0 => ScriptKind::Nonstandard,
            WitnessVersion::V1 if script.is_p2tr() => ScriptKind::Taproot,
            _ if script.as_bytes() == PAY_TO_ANCHOR => ScriptKind::Anchor,
            _ => ScriptKind::WitnessUnknown,
        };
    }
    if script.is_op_return() && Script::from_bytes(&script.as_bytes()[1..]).is_push_only() {
        ScriptKind::NullData
    } else if script.is_p2pk() {
        ScriptKind::PubKey
    } else if script.is_p2pkh() {
        ScriptKind::PubKeyHash
    } else if is_standard_multisig(script) {
        ScriptKind::Multisig
    } else {
        ScriptKind::Nonstandard
    }
}

/// Bare multisig is standard up to three keys.
fn is_standard_multisig(script: &Script) -> bool {
    let keys = script
        .instructions()
        .filter(|next| matches!(next, Ok(Instruction::PushBytes(key)) if !key.is_empty()))
        .count();
    script.is_multisig() && keys <= 3
}

fn redeem_script(script_sig: &Script) -> Option<&Script> {
    match script_sig.instructions().last()?.ok()? {
        Instruction::PushBytes(bytes) => Some(Script::from_bytes(bytes.as_bytes())),
        Instruction::Op(_) => None,
    }
}

fn p2wsh_witness_is_standard(items: &[&[u8]]) -> bool {
    items.split_last().is_some_and(|(script, stack)| {
        script.len() <= WITNESS_SCRIPT_SIZE_MAX
            && stack.len() <= WITNESS_ITEMS_MAX
            && stack.iter().all(|item| item.len() <= WITNESS_ITEM_SIZE_MAX)
    })
}

fn taproot_witness_is_standard(items: &[&[u8]]) -> bool {
    match items {
        [.., last] if items.len() >= 2 && last.first() == Some(&TAPROOT_ANNEX_TAG) => false,
        [stack @ .., _script, control_block] => control_block.first().is_some_and(|version| {
            version & 0xfe != TAPSCRIPT_LEAF_VERSION || stack.iter().all(|item| item.len() <= WITNESS_ITEM_SIZE_MAX)
        }),
        [_signature] => true,
        [] => false,
    }
}

#[cfg(test)]
mod tests {
    use bitcoin::ScriptBuf;

    use super::*;

    fn threshold(script: &[u8]) -> u64 {
        let output = TxOut {
            value: Amount::ZERO,
            script_pubkey: ScriptBuf::from_bytes(script.to_vec()),
        };
        dust_threshold(&output, Policy::default().dust_relay_feerate).to_sat()
    }

    /// The figures of BOLT 3, "Dust Limits".
    #[test]
    fn dust_limits_are_those_of_bolt_3() {
        let p2pkh = [&[0x76, 0xa9, 20][..], &[7; 20], &[0x88, 0xac]].concat();
        let p2sh = [&[0xa9, 20][..], &[7; 20], &[0x87]].concat();
        let p2wpkh = [&[0, 20][..], &[7; 20]].concat();
        let p2wsh = [&[0, 32][..], &[7; 32]].concat();
        let unknown_witness = [&[0x60, 40][..], &[7; 40]].concat();
        assert_eq!(threshold(&p2pkh), 546);
        assert_eq!(threshold(&p2sh), 540);
        assert_eq!(threshold(&p2wpkh), 294);
        assert_eq!(threshold(&p2wsh), 330);
        assert_eq!(threshold(&unknown_witness), 354);
        assert_eq!(threshold(&PAY_TO_ANCHOR), 240);
        assert_eq!(threshold(&[0x6a, 1, 7]), 0);
    }

    #[test]
    fn kinds_of_scripts() {
        let of = |bytes: &[u8]| kind(Script::from_bytes(bytes));
        assert_eq!(of(&PAY_TO_ANCHOR), ScriptKind::Anchor);
        assert_eq!(of(&[0x51, 2, 1, 1]), ScriptKind::WitnessUnknown);
        assert_eq!(of(&[0, 2, 1, 1]), ScriptKind::Nonstandard);
        assert_eq!(of(&[0x51]), ScriptKind::Nonstandard);
        assert_eq!(of(&[0x6a, 2, 1, 1]), ScriptKind::NullData);
        assert_eq!(of(&[0x6a, 0x61]), ScriptKind::Nonstandard);
    }
}
