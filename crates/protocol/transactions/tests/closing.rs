//! Closing in agreement: legacy `closing_signed` and the three variants of `closing_complete`.

mod channel;

use SimpleCloseVariant::{CloseeOutputOnly, CloserAndCloseeOutputs, CloserOutputOnly};
use bitcoin::consensus::serialize;
use bitcoin::{Amount, ScriptBuf, Sequence, Transaction, absolute};
use bitcoinconsensus::VERIFY_ALL_PRE_TAPROOT;
use channel::{Channel, FUNDING};
use quittance_primitives::MilliSatoshi;
use quittance_transactions::{
    ClosingError, ClosingShare, ClosingShares, ClosingTransaction, CommitmentFormat, InvalidClosingSignature,
    MissingVariant, Role, ShutdownForms, ShutdownScript, SimpleClose, SimpleCloseVariant, closing,
};

const FEE: Amount = Amount::from_sat(1_000);
const DUST_LIMIT: Amount = Amount::from_sat(354);

fn script(hex: &str) -> ShutdownScript {
    let forms = ShutdownForms {
        any_segwit: true,
        op_return: true,
    };
    ShutdownScript::new(ScriptBuf::from_hex(hex).expect("hex"), forms).expect("an agreed form")
}

/// Pays the accepter this much, to a lower script than the opener's.
fn shares(accepter_msat: u64) -> ClosingShares {
    ClosingShares {
        opener: ClosingShare {
            balance: MilliSatoshi(FUNDING.to_sat() * 1_000 - accepter_msat),
            script: script(&format!("0014{}", "bb".repeat(20))),
        },
        accepter: ClosingShare {
            balance: MilliSatoshi(accepter_msat),
            script: script(&format!("0014{}", "aa".repeat(20))),
        },
    }
}

fn values(closing: &ClosingTransaction) -> Vec<u64> {
    closing
        .transaction()
        .output
        .iter()
        .map(|output| output.value.to_sat())
        .collect()
}

fn is_accepted(channel: &Channel, transaction: &Transaction) -> bool {
    let funding = channel.terms.funding_output();
    let bytes = serialize(transaction);
    let script = funding.script_pubkey.as_bytes();
    bitcoinconsensus::verify_with_flags(script, funding.value.to_sat(), &bytes, None, 0, VERIFY_ALL_PRE_TAPROOT).is_ok()
}

#[test]
fn the_opener_pays_the_legacy_fee_and_both_sign() {
    let channel = Channel::new(CommitmentFormat::Anchors);
    let closing = closing::legacy(&channel.terms, &shares(4_000_000_999), FEE, DUST_LIMIT, None).unwrap();
    // The fraction of a satoshi that each side loses goes to the fee.
    assert_eq!(values(&closing), [4_000_000, 10_000_000 - 4_000_001 - 1_000]);
    let transaction = closing.transaction();
    assert_eq!(
        (transaction.version.0, transaction.lock_time),
        (2, absolute::LockTime::ZERO)
    );
    assert_eq!(transaction.input[0].sequence, Sequence::MAX);

    let (opener, accepter) = (
        channel.opener.sign_closing(&closing),
        channel.accepter.sign_closing(&closing),
    );
    assert_eq!(closing.verify(Role::Opener, &opener), Ok(()));
    assert_eq!(closing.verify(Role::Accepter, &opener), Err(InvalidClosingSignature));
    let signed = closing.signed(&opener, &accepter);
    assert!(is_accepted(&channel, &signed));
    assert!(!is_accepted(&channel, &closing.signed(&accepter, &opener)));
    let (expected, actual) = (closing.signed_weight().to_wu(), signed.weight().to_wu());
    assert!((actual..=actual + 6).contains(&expected), "{expected} for {actual}");
}

#[test]
fn a_legacy_output_below_the_signers_limit_is_left_out_and_its_owner_may_leave_it_out() {
    let terms = Channel::new(CommitmentFormat::StaticRemotekey).terms;
    let built = |accepter_sat: u64, omitted| {
        values(&closing::legacy(&terms, &shares(accepter_sat * 1_000), FEE, DUST_LIMIT, omitted).unwrap())
    };
    assert_eq!(built(354, None), [354, 9_998_646]);
    assert_eq!(built(353, None), [9_998_647]);
    assert_eq!(built(5_000, Some(Role::Accepter)), [9_994_000]);
    assert_eq!(built(5_000, Some(Role::Opener)), [5_000]);
}

#[test]
fn a_legacy_fee_beyond_the_openers_balance_is_refused() {
    let terms = Channel::new(CommitmentFormat::StaticRemotekey).terms;
    let shares = shares(9_999_500_000);
    let balance = MilliSatoshi(500_000);
    assert_eq!(
        closing::legacy(&terms, &shares, FEE, DUST_LIMIT, None),
        Err(ClosingError::FeeExceedsBalance { fee: FEE, balance })
    );
    let all = Amount::from_sat(500);
    assert_eq!(
        closing::legacy(&terms, &shares, all, DUST_LIMIT, Some(Role::Accepter)),
        Err(ClosingError::NoOutput)
    );
}

#[test]
fn a_legacy_output_can_be_dust_for_its_script() {
    let terms = Channel::new(CommitmentFormat::StaticRemotekey).terms;
    let mut shares = shares(340_000);
    let closing = |shares: &ClosingShares| closing::legacy(&terms, shares, FEE, Amount::from_sat(300), None).unwrap();
    assert!(!closing(&shares).has_dust_output());
    shares.accepter.script = script(&format!("5120{}", "aa".repeat(32)));
    assert!(closing(&shares).has_dust_output());
}

fn simple(closer: Role, accepter_msat: u64) -> SimpleClose {
    SimpleClose {
        closer,
        shares: shares(accepter_msat),
        fee: FEE,
        lock_time: absolute::LockTime::from_consensus(812_345),
    }
}

#[test]
fn the_closer_pays_the_fee_in_every_variant() {
    let channel = Channel::new(CommitmentFormat::Anchors);
    for (closer, both) in [
        (Role::Opener, [4_000_000, 5_999_000]),
        (Role::Accepter, [3_999_000, 6_000_000]),
    ] {
        let close = simple(closer, 4_000_000_000);
        let [accepter, opener] = both;
        let (closer_only, closee_only) = match closer {
            Role::Opener => (opener, accepter),
            Role::Accepter => (accepter, opener),
        };
        for (variant, outputs) in [
            (CloserAndCloseeOutputs, both.to_vec()),
            (CloserOutputOnly, vec![closer_only]),
            (CloseeOutputOnly, vec![closee_only]),
        ] {
            let closing = close.build(&channel.terms, variant).unwrap();
            assert_eq!(values(&closing), outputs, "{closer:?} {variant:?}");
            assert_eq!(closing.transaction().input[0].sequence, Sequence(0xffff_fffd));
            assert_eq!(closing.transaction().lock_time.to_consensus_u32(), 812_345);
            let signatures = (
                channel.opener.sign_closing(&closing),
                channel.accepter.sign_closing(&closing),
            );
            assert!(is_accepted(&channel, &closing.signed(&signatures.0, &signatures.1)));
        }
    }
}

#[test]
fn the_closer_offers_the_variants_that_bolt_2_asks_for() {
    let offered = |closer, accepter_sat: u64| simple(closer, accepter_sat * 1_000).variants_to_offer();
    assert_eq!(
        offered(Role::Opener, 4_000_000),
        Ok(vec![CloserOutputOnly, CloserAndCloseeOutputs])
    );
    assert_eq!(offered(Role::Accepter, 4_000_000), Ok(vec![CloserAndCloseeOutputs]));
    // 293 sat are dust for a key hash, whoever closes.
    assert_eq!(offered(Role::Opener, 293), Ok(vec![CloserOutputOnly]));
    assert_eq!(
        offered(Role::Opener, 294),
        Ok(vec![CloserOutputOnly, CloserAndCloseeOutputs])
    );
    assert_eq!(offered(Role::Accepter, 1_293), Ok(vec![CloseeOutputOnly]));
    let balance = MilliSatoshi(999_000);
    assert_eq!(
        offered(Role::Accepter, 999),
        Err(ClosingError::FeeExceedsBalance { fee: FEE, balance })
    );

    // A fee that leaves the side with more only dust leaves nothing to offer, but an output that was given away is never dust.
    let mut high_fee = simple(Role::Opener, 4_000_000_000);
    high_fee.fee = Amount::from_sat(5_999_900);
    assert_eq!(high_fee.variants_to_offer(), Err(ClosingError::NoOutput));
    high_fee.shares.opener.script = script(&format!("6a08{}", "cc".repeat(8)));
    assert_eq!(
        high_fee.variants_to_offer(),
        Ok(vec![CloserOutputOnly, CloserAndCloseeOutputs])
    );
}

#[test]
fn the_closee_signs_the_variant_that_bolt_2_names() {
    let close = |accepter_sat: u64| simple(Role::Opener, accepter_sat * 1_000);
    let all = [CloserOutputOnly, CloserAndCloseeOutputs];
    assert_eq!(close(4_000_000).variant_to_sign(&all), Ok(CloserAndCloseeOutputs));
    assert_eq!(
        close(4_000_000).variant_to_sign(&[CloseeOutputOnly]),
        Ok(CloseeOutputOnly)
    );
    assert_eq!(
        close(4_000_000).variant_to_sign(&[CloserOutputOnly]),
        Err(MissingVariant {
            needed: CloseeOutputOnly
        })
    );
    assert_eq!(close(293).variant_to_sign(&all), Ok(CloserOutputOnly));
    assert_eq!(
        close(293).variant_to_sign(&[CloserAndCloseeOutputs]),
        Err(MissingVariant {
            needed: CloserOutputOnly
        })
    );
}

#[test]
fn an_op_return_output_holds_nothing_and_its_share_is_the_fee() {
    let channel = Channel::new(CommitmentFormat::Anchors);
    let mut close = simple(Role::Accepter, 4_000_000);
    close.shares.accepter.script = script(&format!("6a08{}", "cc".repeat(8)));
    let closing = close.build(&channel.terms, CloserAndCloseeOutputs).unwrap();
    assert_eq!(values(&closing), [0, 9_996_000]);
    assert!(!closing.has_dust_output());
    close.closer = Role::Opener;
    let closing = close.build(&channel.terms, CloserAndCloseeOutputs).unwrap();
    assert_eq!(values(&closing), [0, 9_995_000]);
}
