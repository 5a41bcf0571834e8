//! Stories about single commitments: who pays, who signed what, and what a funding transaction must be.

mod channel;

use bitcoin::{Amount, OutPoint, ScriptBuf, Transaction, TxOut, absolute, transaction::Version};
use channel::{Channel, FORMATS, FUNDING, htlc};
use quittance_primitives::{CommitmentNumber, FeeratePerKw, MilliSatoshi};
use quittance_transactions::funding::{self, WrongFunding};
use quittance_transactions::{
    CommitmentContents, CommitmentFormat, CommitmentKeys, CommitmentTransaction, HtlcDirection, HtlcOutputs,
    InvalidSignatures, ObscuringFactor, OpenerCannotAfford, OutputRole, Party, RevokedCommitment, Role, WrongSecret,
};

/// The opener's balance, all else being the accepter's.
fn with_opener_balance(broadcaster: Role, opener: MilliSatoshi) -> CommitmentContents {
    let mut contents = Channel::contents(broadcaster, 0, Vec::new());
    let accepter = MilliSatoshi::from_sat(FUNDING)
        .checked_sub(opener)
        .expect("a part of it");
    (contents.to_broadcaster, contents.to_countersignatory) = match broadcaster {
        Role::Opener => (opener, accepter),
        Role::Accepter => (accepter, opener),
    };
    contents
}

#[test]
fn an_opener_without_the_fee_is_reported_and_never_overdrawn() {
    for (format, cost) in [
        (CommitmentFormat::StaticRemotekey, 724),
        (CommitmentFormat::Anchors, 1_124 + 660),
    ] {
        let channel = Channel::new(format);
        let cost = Amount::from_sat(cost);
        for broadcaster in [Role::Opener, Role::Accepter] {
            let balance = MilliSatoshi(cost.to_sat() * 1_000 - 1);
            let contents = with_opener_balance(broadcaster, balance);
            let refused = CommitmentTransaction::build(&channel.terms, &contents).map(|_| ());
            assert_eq!(refused, Err(OpenerCannotAfford { cost, balance }));

            let reduced = CommitmentTransaction::build_with_reduced_fee(&channel.terms, &contents).unwrap();
            assert!(
                reduced
                    .outputs()
                    .all(|output| output.value == Amount::from_sat(330) || output.value > FUNDING / 2)
            );

            let exact = with_opener_balance(broadcaster, MilliSatoshi::from_sat(cost));
            assert!(CommitmentTransaction::build(&channel.terms, &exact).is_ok());
        }
    }
}

#[test]
fn an_opener_without_the_anchors_has_no_commitment_at_all() {
    let channel = Channel::new(CommitmentFormat::Anchors);
    let balance = MilliSatoshi(659_999);
    let contents = with_opener_balance(Role::Accepter, balance);
    let refused = CommitmentTransaction::build_with_reduced_fee(&channel.terms, &contents).map(|_| ());
    let cost = Amount::from_sat(1_124 + 660);
    assert_eq!(refused, Err(OpenerCannotAfford { cost, balance }));
}

#[test]
#[should_panic(expected = "balances and HTLCs are together the funding value")]
fn a_missing_millisatoshi_is_the_callers_mistake() {
    let channel = Channel::new(CommitmentFormat::Anchors);
    let mut contents = Channel::contents(Role::Opener, 0, Vec::new());
    contents.to_broadcaster = MilliSatoshi(contents.to_broadcaster.0 - 1);
    let _ = CommitmentTransaction::build(&channel.terms, &contents);
}

#[test]
fn an_anchor_stands_only_beside_its_owners_output_unless_there_are_htlcs() {
    let channel = Channel::new(CommitmentFormat::Anchors);
    let roles = |contents: &CommitmentContents| -> Vec<_> {
        channel
            .commitment(contents)
            .outputs()
            .map(|output| output.role)
            .collect()
    };
    let alone = with_opener_balance(Role::Opener, MilliSatoshi::from_sat(FUNDING));
    assert_eq!(
        roles(&alone),
        [OutputRole::Anchor(Party::Broadcaster), OutputRole::ToBroadcaster]
    );
    let alone = with_opener_balance(Role::Accepter, MilliSatoshi::from_sat(FUNDING));
    assert_eq!(
        roles(&alone),
        [
            OutputRole::Anchor(Party::Countersignatory),
            OutputRole::ToCountersignatory
        ]
    );

    let received = htlc(HtlcDirection::Received, 0, 20_000);
    let mut contents = Channel::contents(Role::Opener, 0, vec![received]);
    contents.to_broadcaster = contents
        .to_broadcaster
        .checked_add(contents.to_countersignatory)
        .unwrap();
    contents.to_countersignatory = MilliSatoshi::ZERO;
    let anchors = roles(&contents)
        .into_iter()
        .filter(|role| matches!(role, OutputRole::Anchor(_)));
    assert_eq!(anchors.count(), 2);
}

#[test]
fn each_wrong_signature_is_named() {
    for format in FORMATS {
        let channel = Channel::new(format);
        let htlcs = vec![
            htlc(HtlcDirection::Offered, 1, 20_000),
            htlc(HtlcDirection::Received, 2, 30_000),
        ];
        let commitment = channel.commitment(&Channel::contents(Role::Opener, 3, htlcs.clone()));
        let good = channel.accepter.countersign(&commitment);
        assert_eq!(commitment.verify(&good), Ok(()));

        let by_the_wrong_side = channel.opener.countersign(&commitment);
        assert_eq!(commitment.verify(&by_the_wrong_side), Err(InvalidSignatures::Funding));

        let mut swapped = good.clone();
        swapped.htlcs.swap(0, 1);
        assert_eq!(
            commitment.verify(&swapped),
            Err(InvalidSignatures::Htlc { htlc: htlcs[0] })
        );

        let mut short = good.clone();
        short.htlcs.pop();
        assert_eq!(
            commitment.verify(&short),
            Err(InvalidSignatures::HtlcCount { expected: 2, got: 1 })
        );

        let mut long = good.clone();
        long.htlcs.push(good.funding);
        assert_eq!(
            commitment.verify(&long),
            Err(InvalidSignatures::HtlcCount { expected: 2, got: 3 })
        );

        let of_the_next = channel
            .accepter
            .countersign(&channel.commitment(&Channel::contents(Role::Opener, 4, htlcs)));
        assert_eq!(commitment.verify(&of_the_next), Err(InvalidSignatures::Funding));
    }
}

#[test]
fn a_signature_with_a_high_s_is_refused() {
    let channel = Channel::new(CommitmentFormat::Anchors);
    let commitment = channel.commitment(&Channel::contents(Role::Opener, 0, Vec::new()));
    let good = channel.accepter.countersign(&commitment).funding;
    let mut bytes = good.serialize_compact();
    let s = secp256k1::SecretKey::from_slice(&bytes[32..]).unwrap().negate();
    bytes[32..].copy_from_slice(&s.secret_bytes());
    let high = secp256k1::ecdsa::Signature::from_compact(&bytes).unwrap();
    assert_ne!(high, good);
    assert_eq!(
        commitment.verify_funding_signature(&high),
        Err(InvalidSignatures::Funding)
    );
}

#[test]
fn a_secret_of_another_commitment_revokes_nothing() {
    let channel = Channel::new(CommitmentFormat::Anchors);
    let commitment = channel.commitment(&Channel::contents(Role::Opener, 3, Vec::new()));
    let revoked = |number| {
        let secret = Channel::seed(Role::Opener).secret(CommitmentNumber(number));
        RevokedCommitment::new(commitment.scripts(), &secret).map(|_| ())
    };
    assert_eq!(revoked(3), Ok(()));
    assert_eq!(revoked(2), Err(WrongSecret));
}

#[test]
fn a_preimage_claim_needs_the_preimage() {
    let channel = Channel::new(CommitmentFormat::Anchors);
    let htlcs = vec![
        htlc(HtlcDirection::Offered, 1, 20_000),
        htlc(HtlcDirection::Received, 2, 30_000),
    ];
    let commitment = channel.commitment(&Channel::contents(Role::Opener, 3, htlcs.clone()));
    let signatures = channel.accepter.countersign(&commitment);
    let outpoint = OutPoint::null();
    let by_other_side = htlcs.iter().map(|htlc| {
        commitment
            .scripts()
            .countersignatory_htlc_claim(htlc, outpoint, None)
            .is_some()
    });
    assert_eq!(by_other_side.collect::<Vec<_>>(), [false, true]);
    let outputs = commitment.htlc_outputs().iter().zip(&signatures.htlcs);
    let by_owner = outputs.map(|(output, signature)| commitment.second_stage_claim(output, signature, None).is_some());
    assert_eq!(by_owner.collect::<Vec<_>>(), [true, false]);
}

#[test]
fn a_closing_transaction_has_no_commitment_number() {
    let channel = Channel::new(CommitmentFormat::Anchors);
    let mut transaction = channel
        .commitment(&Channel::contents(Role::Opener, 3, Vec::new()))
        .transaction()
        .clone();
    let factor = ObscuringFactor::of(&channel.terms);
    assert_eq!(factor.number_of(&transaction), Some(CommitmentNumber(3)));
    transaction.lock_time = absolute::LockTime::ZERO;
    assert_eq!(factor.number_of(&transaction), None);
    transaction.input.clear();
    assert_eq!(factor.number_of(&transaction), None);
}

#[test]
fn a_funding_transaction_is_checked_in_every_part() {
    let mut terms = Channel::new(CommitmentFormat::Anchors).terms;
    let output = funding::output(&terms.accepter.keys.funding, &terms.opener.keys.funding, FUNDING);
    let elsewhere = TxOut {
        value: FUNDING,
        script_pubkey: ScriptBuf::new_p2a(),
    };
    let short = TxOut {
        value: FUNDING - Amount::ONE_SAT,
        ..output.clone()
    };
    let transaction = Transaction {
        version: Version::TWO,
        lock_time: absolute::LockTime::ZERO,
        input: Vec::new(),
        output: vec![output, elsewhere, short],
    };
    let expected = terms.funding_outpoint.txid;
    assert_eq!(
        funding::check(&terms, &transaction),
        Err(WrongFunding::OtherTransaction { expected })
    );
    let mut at = |vout| {
        terms.funding_outpoint = OutPoint::new(transaction.compute_txid(), vout);
        funding::check(&terms, &transaction)
    };
    assert_eq!(at(0), Ok(()));
    assert_eq!(at(1), Err(WrongFunding::WrongScript));
    let got = FUNDING - Amount::ONE_SAT;
    assert_eq!(at(2), Err(WrongFunding::WrongValue { expected: FUNDING, got }));
    assert_eq!(at(3), Err(WrongFunding::NoSuchOutput { vout: 3 }));
}

#[test]
fn the_feerate_has_no_effect_where_commitments_pay_no_fee() {
    let channel = Channel::new(CommitmentFormat::ZeroFee);
    let mut contents = Channel::contents(Role::Opener, 0, vec![htlc(HtlcDirection::Offered, 1, 1_000)]);
    let before = channel.commitment(&contents).txid();
    contents.feerate = FeeratePerKw(50_000);
    assert_eq!(channel.commitment(&contents).txid(), before);
}

#[test]
fn signers_derive_the_same_keys_of_a_commitment_by_what_they_know() {
    let channel = Channel::new(CommitmentFormat::Anchors);
    for broadcaster in [Role::Opener, Role::Accepter] {
        for number in [0, 7, 300] {
            let (seed, number) = (Channel::seed(broadcaster), CommitmentNumber(number));
            let point = seed.point(number);
            for htlc_outputs in [HtlcOutputs::None, HtlcOutputs::Some] {
                let signer = channel.secrets(broadcaster.other());
                let keys = CommitmentKeys::derive(&channel.terms, broadcaster, point, htlc_outputs);
                let theirs = signer.keys_of_theirs(&channel.terms, broadcaster, point, htlc_outputs);
                assert_eq!(theirs, keys, "as who signs it derives them");
                let ours = seed.keys_of_ours(&channel.terms, broadcaster, (number, point), htlc_outputs);
                assert_eq!(ours, keys, "as its owner derives them");
            }
        }
    }
}
