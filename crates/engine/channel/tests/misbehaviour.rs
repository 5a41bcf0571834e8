//! A peer that breaks a MUST of BOLT 2 on an open channel: it is named with the values compared, answered as the BOLT wants, and
//! nothing of ours has changed.

mod pair;

use bitcoin::Txid;
use bitcoin::hashes::Hash;
use pair::blame::{breaks, failed, warned, with_high_s};
use pair::{Pair, Setup, Who, fulfilled};
use quittance_channel::{Answer, HtlcState, Violation};
use quittance_primitives::{CltvExpiry, CommitmentNumber, FeeratePerKw, HtlcId, MilliSatoshi};
use quittance_transactions::{CommitmentFormat, InvalidSignatures};
use quittance_wire::{
    ChannelReady, ChannelReestablish, CommitmentSigned, Message, RevokeAndAck, UpdateAddHtlc, UpdateFailHtlc,
    UpdateFailMalformedHtlc, UpdateFee, UpdateFulfillHtlc,
};

fn add(pair: &Pair) -> UpdateAddHtlc {
    UpdateAddHtlc {
        channel_id: pair.alice.channel.state().facts.channel_id,
        id: HtlcId(0),
        amount_msat: MilliSatoshi(50_000_000),
        payment_hash: pair::preimage_of(3).hash(),
        cltv_expiry: CltvExpiry(700_144),
        onion_routing_packet: Box::new([0; 1366]),
        blinded_path: None,
    }
}

fn fulfil(pair: &Pair, id: u64, preimage: u8) -> UpdateFulfillHtlc {
    UpdateFulfillHtlc {
        channel_id: pair.alice.channel.state().facts.channel_id,
        id: HtlcId(id),
        payment_preimage: pair::preimage_of(preimage),
        attribution_data: None,
    }
}

fn fail(pair: &Pair, id: u64) -> UpdateFailHtlc {
    let channel_id = pair.alice.channel.state().facts.channel_id;
    UpdateFailHtlc {
        channel_id,
        id: HtlcId(id),
        reason: vec![1; 292],
        attribution_data: None,
    }
}

/// The next message that `who` has sent, taken off the wire and decoded.
fn intercept(pair: &mut Pair, who: Who) -> Message {
    Message::decode(&pair.end(who).take_message().expect("a message is on its way")).expect("ours")
}

fn intercept_commitment(pair: &mut Pair, who: Who) -> CommitmentSigned {
    loop {
        match intercept(pair, who) {
            Message::CommitmentSigned(message) => return message,
            other => pair.end(who.other()).receive(&other.encode()),
        }
    }
}

fn intercept_revocation(pair: &mut Pair, who: Who) -> RevokeAndAck {
    let Message::RevokeAndAck(message) = intercept(pair, who) else {
        panic!("the revocation comes first")
    };
    message
}

// update_add_htlc

#[test]
fn an_htlc_id_that_skips_one() {
    let mut pair = Pair::normal();
    let message = UpdateAddHtlc {
        id: HtlcId(1),
        ..add(&pair)
    };
    let violation = Violation::HtlcIdOutOfOrder {
        got: HtlcId(1),
        expected: HtlcId(0),
    };
    warned(&mut pair, Who::Bob, message, violation);
}

#[test]
fn an_htlc_id_that_comes_twice() {
    let mut pair = Pair::normal().with_htlc(Who::Alice, 1_000_000, 3);
    let message = add(&pair);
    warned(
        &mut pair,
        Who::Bob,
        message,
        Violation::HtlcIdOutOfOrder {
            got: HtlcId(0),
            expected: HtlcId(1),
        },
    );
}

#[test]
fn an_htlc_of_nothing() {
    let mut pair = Pair::normal();
    let message = UpdateAddHtlc {
        amount_msat: MilliSatoshi(0),
        ..add(&pair)
    };
    warned(&mut pair, Who::Bob, message, Violation::HtlcOfNothing);
}

#[test]
fn an_htlc_below_our_minimum() {
    let mut pair = Pair::of(&Setup {
        htlc_minimum: MilliSatoshi(1_000),
        ..Setup::default()
    });
    let message = UpdateAddHtlc {
        amount_msat: MilliSatoshi(999),
        ..add(&pair)
    };
    let violation = Violation::HtlcBelowMinimum {
        got: MilliSatoshi(999),
        minimum: MilliSatoshi(1_000),
    };
    warned(&mut pair, Who::Bob, message, violation);
}

#[test]
fn an_expiry_that_is_a_time() {
    let mut pair = Pair::normal();
    let message = UpdateAddHtlc {
        cltv_expiry: CltvExpiry(500_000_000),
        ..add(&pair)
    };
    warned(
        &mut pair,
        Who::Bob,
        message,
        Violation::ExpiryIsTime(CltvExpiry(500_000_000)),
    );
}

#[test]
fn one_htlc_too_many() {
    let setup = Setup {
        max_accepted_htlcs: 2,
        ..Setup::default()
    };
    let mut pair = Pair::of(&setup)
        .with_htlc(Who::Alice, 1_000_000, 3)
        .with_htlc(Who::Alice, 1_000_000, 4);
    let message = UpdateAddHtlc {
        id: HtlcId(2),
        ..add(&pair)
    };
    warned(
        &mut pair,
        Who::Bob,
        message,
        Violation::TooManyHtlcs { got: 3, limit: 2 },
    );
}

#[test]
fn more_in_flight_than_we_allow() {
    let setup = Setup {
        max_in_flight: MilliSatoshi(60_000_000),
        ..Setup::default()
    };
    let mut pair = Pair::of(&setup).with_htlc(Who::Alice, 20_000_000, 3);
    let message = UpdateAddHtlc {
        id: HtlcId(1),
        ..add(&pair)
    };
    let violation = Violation::TooMuchInFlight {
        got: MilliSatoshi(70_000_000),
        limit: MilliSatoshi(60_000_000),
    };
    warned(&mut pair, Who::Bob, message, violation);
}

#[test]
fn an_htlc_that_the_opener_cannot_pay_the_fee_for() {
    let mut pair = Pair::normal();
    // 6,000,000 sat less the reserve of 100,000 sat, the anchors of 660 sat and a fee of 1,296 sat.
    let message = UpdateAddHtlc {
        amount_msat: MilliSatoshi(5_898_044_001),
        ..add(&pair)
    };
    let violation = Violation::CannotAfford {
        balance: MilliSatoshi(101_955_999),
        needed: MilliSatoshi(101_956_000),
    };
    warned(&mut pair, Who::Bob, message, violation);
}

#[test]
fn an_htlc_that_leaves_the_accepter_below_its_reserve() {
    let mut pair = Pair::normal();
    let message = UpdateAddHtlc {
        amount_msat: MilliSatoshi(3_900_000_001),
        ..add(&pair)
    };
    let violation = Violation::CannotAfford {
        balance: MilliSatoshi(99_999_999),
        needed: MilliSatoshi(100_000_000),
    };
    warned(&mut pair, Who::Alice, message, violation);
}

#[test]
fn an_htlc_of_more_than_there_is() {
    let mut pair = Pair::normal();
    let message = UpdateAddHtlc {
        amount_msat: MilliSatoshi(u64::MAX),
        ..add(&pair)
    };
    let violation = Violation::CannotAfford {
        balance: MilliSatoshi(6_000_000_000),
        needed: MilliSatoshi(u64::MAX),
    };
    warned(&mut pair, Who::Bob, message, violation);
}

#[test]
fn an_htlc_before_the_channel_is_ready() {
    let mut pair = Pair::unready(&Setup::default());
    let message = add(&pair);
    let violation = Violation::WrongPhase {
        message: "update_add_htlc",
        phase: "waiting for its funding",
    };
    warned(&mut pair, Who::Bob, message, violation);
}

#[test]
fn an_htlc_before_channel_reestablish() {
    let mut pair = Pair::normal();
    pair.reconnect();
    pair.alice.take_message().unwrap();
    pair.bob.take_message().unwrap();
    let message = add(&pair);
    warned(
        &mut pair,
        Who::Bob,
        message,
        Violation::BeforeReestablish {
            message: "update_add_htlc",
        },
    );
}

// Removals

#[test]
fn a_fulfilment_of_an_htlc_that_is_not_there() {
    let mut pair = Pair::normal();
    let message = fulfil(&pair, 0, 3);
    warned(&mut pair, Who::Alice, message, Violation::UnknownHtlc(HtlcId(0)));
}

#[test]
fn a_failure_of_an_htlc_that_is_not_there() {
    let mut pair = Pair::normal();
    let message = fail(&pair, 7);
    warned(&mut pair, Who::Alice, message, Violation::UnknownHtlc(HtlcId(7)));
}

#[test]
fn a_fulfilment_of_the_peers_own_htlc() {
    let mut pair = Pair::normal().with_htlc(Who::Alice, 1_000_000, 3);
    let message = fulfil(&pair, 0, 3);
    warned(&mut pair, Who::Bob, message, Violation::UnknownHtlc(HtlcId(0)));
}

#[test]
fn a_wrong_preimage() {
    let mut pair = Pair::normal().with_htlc(Who::Alice, 1_000_000, 3);
    let message = fulfil(&pair, 0, 4);
    warned(&mut pair, Who::Alice, message, Violation::WrongPreimage(HtlcId(0)));
}

#[test]
fn a_fulfilment_before_the_htlc_is_irrevocable() {
    let mut pair = Pair::normal();
    pair.offer(Who::Alice, 1_000_000, 3);
    pair.alice.take_message();
    pair.alice.take_message();
    let message = fulfil(&pair, 0, 3);
    let violation = Violation::HtlcNotRemovable {
        id: HtlcId(0),
        state: HtlcState::SentAddCommit,
    };
    warned(&mut pair, Who::Alice, message, violation);
}

#[test]
fn a_failure_before_the_htlc_is_irrevocable() {
    let mut pair = Pair::normal();
    pair.offer(Who::Alice, 1_000_000, 3);
    pair.alice.take_message();
    pair.alice.take_message();
    let message = fail(&pair, 0);
    let violation = Violation::HtlcNotRemovable {
        id: HtlcId(0),
        state: HtlcState::SentAddCommit,
    };
    warned(&mut pair, Who::Alice, message, violation);
}

#[test]
fn a_second_removal_of_the_same_htlc() {
    let mut pair = Pair::normal().with_htlc(Who::Alice, 1_000_000, 3);
    pair.bob.remove(HtlcId(0), fulfilled(3)).unwrap();
    pair.deliver(Who::Bob);
    let message = fail(&pair, 0);
    let violation = Violation::HtlcNotRemovable {
        id: HtlcId(0),
        state: HtlcState::RcvdRemoveHtlc,
    };
    warned(&mut pair, Who::Alice, message, violation);
}

#[test]
fn a_malformed_failure_without_badonion() {
    let mut pair = Pair::normal().with_htlc(Who::Alice, 1_000_000, 3);
    let channel_id = pair.alice.channel.state().facts.channel_id;
    let message = UpdateFailMalformedHtlc {
        channel_id,
        id: HtlcId(0),
        sha256_of_onion: [0; 32],
        failure_code: 0x4005,
    };
    warned(
        &mut pair,
        Who::Alice,
        message,
        Violation::NotBadOnion {
            id: HtlcId(0),
            failure_code: 0x4005,
        },
    );
}

#[test]
fn a_malformed_failure_of_an_htlc_that_is_not_there() {
    let mut pair = Pair::normal();
    let channel_id = pair.alice.channel.state().facts.channel_id;
    let message = UpdateFailMalformedHtlc {
        channel_id,
        id: HtlcId(2),
        sha256_of_onion: [0; 32],
        failure_code: 0xc005,
    };
    warned(&mut pair, Who::Alice, message, Violation::UnknownHtlc(HtlcId(2)));
}

#[test]
fn a_removal_before_channel_reestablish() {
    let mut pair = Pair::normal().with_htlc(Who::Alice, 1_000_000, 3);
    pair.reconnect();
    pair.alice.take_message();
    let message = fulfil(&pair, 0, 3);
    warned(
        &mut pair,
        Who::Alice,
        message,
        Violation::BeforeReestablish {
            message: "update_fulfill_htlc",
        },
    );
}

// update_fee

fn fee(pair: &Pair, feerate: u32) -> UpdateFee {
    UpdateFee {
        channel_id: pair.alice.channel.state().facts.channel_id,
        feerate_per_kw: FeeratePerKw(feerate),
    }
}

#[test]
fn a_fee_from_the_accepter() {
    let mut pair = Pair::normal();
    let message = fee(&pair, 2_000);
    warned(&mut pair, Who::Alice, message, Violation::FeeFromAccepter);
}

#[test]
fn a_fee_too_low_to_relay() {
    let mut pair = Pair::normal();
    let (minimum, maximum) = (FeeratePerKw(253), FeeratePerKw(250_000));
    let message = fee(&pair, 252);
    warned(
        &mut pair,
        Who::Bob,
        message,
        Violation::FeerateOutOfRange {
            got: FeeratePerKw(252),
            minimum,
            maximum,
        },
    );
}

#[test]
fn a_fee_beyond_reason() {
    let mut pair = Pair::normal();
    let (minimum, maximum) = (FeeratePerKw(253), FeeratePerKw(250_000));
    let message = fee(&pair, 250_001);
    warned(
        &mut pair,
        Who::Bob,
        message,
        Violation::FeerateOutOfRange {
            got: FeeratePerKw(250_001),
            minimum,
            maximum,
        },
    );
}

#[test]
fn a_fee_that_the_opener_cannot_pay() {
    let setup = Setup {
        pushed: MilliSatoshi(9_800_000_000),
        ..Setup::default()
    };
    let mut pair = Pair::of(&setup);
    // 200,000 sat are left; 1,124 weight units at 180,000 sat/kw and the anchors are more.
    let message = fee(&pair, 180_000);
    let violation = Violation::CannotAfford {
        balance: MilliSatoshi(200_000_000),
        needed: MilliSatoshi(202_980_000),
    };
    warned(&mut pair, Who::Bob, message, violation);
}

#[test]
fn a_fee_on_a_channel_of_zero_fee_commitments() {
    let mut pair = Pair::of(&Setup::default().with_format(CommitmentFormat::ZeroFee));
    let message = fee(&pair, 2_000);
    warned(&mut pair, Who::Bob, message, Violation::FeeOnZeroFeeChannel);
}

// commitment_signed

#[test]
fn a_commitment_without_an_update() {
    let mut pair = Pair::normal();
    let channel_id = pair.alice.channel.state().facts.channel_id;
    let signature = pair.alice.channel.state().commitments.local.signature;
    let message = CommitmentSigned {
        channel_id,
        signature,
        htlc_signature: Vec::new(),
        funding_txid: None,
    };
    warned(&mut pair, Who::Bob, message, Violation::CommitmentWithoutUpdate);
}

#[test]
fn a_wrong_commitment_signature() {
    let mut pair = Pair::normal();
    pair.offer(Who::Alice, 50_000_000, 3);
    let mut message = intercept_commitment(&mut pair, Who::Alice);
    message.signature = message.htlc_signature[0];
    warned(
        &mut pair,
        Who::Bob,
        message,
        Violation::InvalidSignatures(InvalidSignatures::Funding),
    );
}

#[test]
fn a_signature_with_a_high_s() {
    let mut pair = Pair::normal();
    pair.offer(Who::Alice, 50_000_000, 3);
    let mut message = intercept_commitment(&mut pair, Who::Alice);
    message.signature = with_high_s(message.signature);
    warned(
        &mut pair,
        Who::Bob,
        message,
        Violation::InvalidSignatures(InvalidSignatures::Funding),
    );
}

#[test]
fn a_missing_htlc_signature() {
    let mut pair = Pair::normal();
    pair.offer(Who::Alice, 50_000_000, 3);
    let mut message = intercept_commitment(&mut pair, Who::Alice);
    message.htlc_signature.clear();
    let violation = Violation::InvalidSignatures(InvalidSignatures::HtlcCount { expected: 1, got: 0 });
    warned(&mut pair, Who::Bob, message, violation);
}

#[test]
fn an_htlc_signature_too_many() {
    let mut pair = Pair::normal();
    pair.offer(Who::Alice, 50_000_000, 3);
    let mut message = intercept_commitment(&mut pair, Who::Alice);
    message.htlc_signature.push(message.signature);
    let violation = Violation::InvalidSignatures(InvalidSignatures::HtlcCount { expected: 1, got: 2 });
    warned(&mut pair, Who::Bob, message, violation);
}

#[test]
fn a_wrong_htlc_signature() {
    let mut pair = Pair::normal();
    pair.offer(Who::Alice, 50_000_000, 3);
    let mut message = intercept_commitment(&mut pair, Who::Alice);
    message.htlc_signature[0] = message.signature;
    let end = pair.end(Who::Bob);
    let before = end.channel.state().to_checkpoint();
    end.receive(&Message::from(message).encode());
    let [Violation::InvalidSignatures(InvalidSignatures::Htlc { htlc })] = &end.violations[..] else {
        panic!("{:?}", end.violations)
    };
    assert_eq!((htlc.id, htlc.amount), (HtlcId(0), MilliSatoshi(50_000_000)));
    assert_eq!(end.channel.state().to_checkpoint(), before);
}

#[test]
fn a_commitment_for_another_funding() {
    let mut pair = Pair::normal();
    pair.offer(Who::Alice, 50_000_000, 3);
    let mut message = intercept_commitment(&mut pair, Who::Alice);
    let got = Txid::from_byte_array([9; 32]);
    message.funding_txid = Some(got);
    warned(&mut pair, Who::Bob, message, Violation::UnknownFunding { got });
}

#[test]
fn a_commitment_before_channel_reestablish() {
    let mut pair = Pair::normal();
    pair.offer(Who::Alice, 50_000_000, 3);
    let message = intercept_commitment(&mut pair, Who::Alice);
    pair.reconnect();
    pair.bob.take_message();
    warned(
        &mut pair,
        Who::Bob,
        message,
        Violation::BeforeReestablish {
            message: "commitment_signed",
        },
    );
}

// revoke_and_ack

#[test]
fn a_revocation_that_nobody_awaits() {
    let mut pair = Pair::normal();
    let channel_id = pair.alice.channel.state().facts.channel_id;
    let next_per_commitment_point = pair.bob.channel.state().commitments.local.next_point;
    let message = RevokeAndAck {
        channel_id,
        per_commitment_secret: [1; 32],
        next_per_commitment_point,
    };
    warned(&mut pair, Who::Alice, message, Violation::NoRevocationAwaited);
}

#[test]
fn a_revocation_that_comes_twice() {
    let mut pair = Pair::normal();
    pair.offer(Who::Alice, 50_000_000, 3);
    while pair.deliver(Who::Alice) {}
    let message = intercept_revocation(&mut pair, Who::Bob);
    pair.alice.receive(&Message::from(message.clone()).encode());
    warned(&mut pair, Who::Alice, message, Violation::NoRevocationAwaited);
}

#[test]
fn a_secret_of_another_commitment() {
    let mut pair = Pair::normal();
    pair.offer(Who::Alice, 50_000_000, 3);
    while pair.deliver(Who::Alice) {}
    let mut message = intercept_revocation(&mut pair, Who::Bob);
    message.per_commitment_secret = pair.bob.keys.seed.secret(CommitmentNumber(1)).0;
    failed(
        &mut pair,
        Who::Alice,
        message,
        Violation::WrongSecret(CommitmentNumber(0)),
    );
}

#[test]
fn a_secret_that_is_no_key() {
    let mut pair = Pair::normal();
    pair.offer(Who::Alice, 50_000_000, 3);
    while pair.deliver(Who::Alice) {}
    let mut message = intercept_revocation(&mut pair, Who::Bob);
    message.per_commitment_secret = [0; 32];
    failed(
        &mut pair,
        Who::Alice,
        message,
        Violation::WrongSecret(CommitmentNumber(0)),
    );
}

#[test]
fn a_secret_that_does_not_derive_the_ones_before_it() {
    // Bob's commitment 0 comes from one seed, all others from another: each secret fits its point, and the chain is broken.
    let mut pair = Pair::unready(&Setup::default());
    let (first, other) = (
        pair.bob.keys.seed.clone(),
        quittance_transactions::CommitmentSeed::new([0x77; 32]),
    );
    let channel_id = pair.alice.channel.state().facts.channel_id;
    let second_per_commitment_point = other.point(CommitmentNumber(1));
    let ready = ChannelReady {
        channel_id,
        second_per_commitment_point,
        short_channel_id: None,
    };
    pair.alice.confirm_funding();
    pair.alice.receive(&Message::from(ready).encode());
    let revocation = |secret: quittance_transactions::PerCommitmentSecret, next| RevokeAndAck {
        channel_id,
        per_commitment_secret: secret.0,
        next_per_commitment_point: other.point(CommitmentNumber(next)),
    };
    pair.offer(Who::Alice, 5_000_000, 3);
    pair.alice
        .receive(&Message::from(revocation(first.secret(CommitmentNumber(0)), 2)).encode());
    pair.offer(Who::Alice, 6_000_000, 4);
    while pair.alice.take_message().is_some() {}
    let message = revocation(other.secret(CommitmentNumber(1)), 3);
    failed(
        &mut pair,
        Who::Alice,
        message,
        Violation::SecretNotDerived(CommitmentNumber(1)),
    );
}

// channel_ready

#[test]
fn a_second_channel_ready_with_another_point() {
    let mut pair = Pair::unready(&Setup::default());
    let channel_id = pair.alice.channel.state().facts.channel_id;
    let point = pair.bob.channel.state().commitments.local.next_point;
    let ready = |point| ChannelReady {
        channel_id,
        second_per_commitment_point: point,
        short_channel_id: None,
    };
    pair.alice.receive(&Message::from(ready(point)).encode());
    let other = pair.bob.channel.state().commitments.local.point;
    breaks(
        &mut pair,
        Who::Alice,
        ready(other),
        Violation::ReadyWithOtherPoint,
        Answer::Warn,
    );
}

#[test]
fn a_channel_ready_before_channel_reestablish() {
    let mut pair = Pair::unready(&Setup::default());
    pair.reconnect();
    pair.alice.take_message();
    let channel_id = pair.alice.channel.state().facts.channel_id;
    let point = pair.bob.channel.state().commitments.local.next_point;
    let message = ChannelReady {
        channel_id,
        second_per_commitment_point: point,
        short_channel_id: None,
    };
    warned(
        &mut pair,
        Who::Alice,
        message,
        Violation::BeforeReestablish {
            message: "channel_ready",
        },
    );
}

// channel_reestablish

/// Alice has sent two HTLCs to Bob, and both are reconnected: Bob's `channel_reestablish`, as an honest Bob sends it.
fn reconnected() -> (Pair, ChannelReestablish) {
    let mut pair = Pair::normal()
        .with_htlc(Who::Alice, 1_000_000, 3)
        .with_htlc(Who::Alice, 1_000_000, 4);
    pair.reconnect();
    pair.alice.take_message();
    let Message::ChannelReestablish(message) = intercept(&mut pair, Who::Bob) else {
        panic!("it comes first")
    };
    (pair, message)
}

#[test]
fn an_honest_reestablish_is_accepted() {
    let (mut pair, message) = reconnected();
    pair.alice.receive(&Message::from(message).encode());
    assert!(pair.alice.violations.is_empty());
}

#[test]
fn a_commitment_number_of_zero() {
    let (mut pair, mut message) = reconnected();
    message.next_commitment_number = 0;
    failed(&mut pair, Who::Alice, message, Violation::ReestablishAtZero);
}

#[test]
fn a_commitment_number_from_the_future() {
    let (mut pair, mut message) = reconnected();
    message.next_commitment_number = 4;
    failed(
        &mut pair,
        Who::Alice,
        message,
        Violation::CommitmentNumberAhead { got: 4, expected: 3 },
    );
}

#[test]
fn a_commitment_number_from_the_past() {
    let (mut pair, mut message) = reconnected();
    message.next_commitment_number = 2;
    let violation = Violation::PeerFellBehind {
        what: "commitment",
        got: 2,
        expected: 3,
    };
    failed(&mut pair, Who::Alice, message, violation);
}

#[test]
fn a_revocation_number_from_the_past() {
    let (mut pair, mut message) = reconnected();
    message.next_revocation_number = 0;
    message.your_last_per_commitment_secret = [0; 32];
    let violation = Violation::PeerFellBehind {
        what: "revocation",
        got: 0,
        expected: 2,
    };
    failed(&mut pair, Who::Alice, message, violation);
}

#[test]
fn a_revocation_number_from_the_future_without_proof() {
    let (mut pair, mut message) = reconnected();
    message.next_revocation_number = 9;
    failed(
        &mut pair,
        Who::Alice,
        message,
        Violation::RevocationNumberAhead { got: 9, expected: 2 },
    );
}

#[test]
fn a_revocation_number_beyond_all_commitments() {
    let (mut pair, mut message) = reconnected();
    message.next_revocation_number = u64::MAX;
    failed(
        &mut pair,
        Who::Alice,
        message,
        Violation::RevocationNumberAhead {
            got: u64::MAX,
            expected: 2,
        },
    );
}

#[test]
fn a_last_secret_that_is_not_ours() {
    let (mut pair, mut message) = reconnected();
    message.your_last_per_commitment_secret = [7; 32];
    failed(&mut pair, Who::Alice, message, Violation::WrongLastSecret);
}

#[test]
fn a_secret_where_there_is_none_yet() {
    let mut pair = Pair::normal();
    pair.reconnect();
    pair.alice.take_message();
    let Message::ChannelReestablish(mut message) = intercept(&mut pair, Who::Bob) else {
        panic!("it comes first")
    };
    message.your_last_per_commitment_secret = [7; 32];
    failed(&mut pair, Who::Alice, message, Violation::WrongLastSecret);
}

#[test]
fn a_second_reestablish_on_one_connection() {
    let (mut pair, message) = reconnected();
    pair.alice.receive(&Message::from(message.clone()).encode());
    while pair.alice.take_message().is_some() {}
    breaks(
        &mut pair,
        Who::Alice,
        message,
        Violation::ReestablishedTwice,
        Answer::Warn,
    );
}

#[test]
fn a_proof_that_we_lost_state_stops_us_from_ever_broadcasting() {
    let (mut pair, mut message) = reconnected();
    // Bob shows the secret of a commitment that Alice's log does not know to be revoked.
    message.next_revocation_number = 3;
    message.your_last_per_commitment_secret = pair.alice.keys.seed.secret(CommitmentNumber(2)).0;
    pair.alice.receive(&Message::from(message).encode());
    assert!(pair.alice.violations.is_empty());
    assert_eq!(pair.alice.channel.state().phase, quittance_channel::Phase::FellBehind);
    assert!(
        pair.alice
            .channel
            .decide_force_close(quittance_channel::ForceCloseReason::Ordered)
            .is_none()
    );
    assert!(
        matches!(pair.alice.sent()[..], [Message::Error(_)]),
        "the peer is asked to close"
    );
}

/// Symptom: a node whose disk was of an older moment broadcast a revoked commitment. Cause: its peer had closed the channel, and greeted it with
/// `error` alone, upon which it closed the channel by the latest commitment that it knew.
#[test]
fn a_channel_that_is_closed_shows_its_numbers_before_it_says_so() {
    let (mut pair, _) = reconnected();
    let closed = pair
        .bob
        .channel
        .decide_force_close(quittance_channel::ForceCloseReason::Ordered);
    pair.bob.take_in(closed.expect("it is open"));
    let numbers = pair.bob.channel.state().commitments.local.number.next().0;
    pair.reconnect();
    let sent = pair.bob.sent();
    let [Message::ChannelReestablish(ours), Message::Error(error)] = &sent[..] else {
        panic!("its numbers, and the error: {sent:?}")
    };
    assert_eq!(ours.next_commitment_number, numbers);
    assert_eq!(error.channel_id, ours.channel_id);
}
