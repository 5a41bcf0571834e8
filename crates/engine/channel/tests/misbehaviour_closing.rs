//! A peer that breaks a MUST of closing by agreement (BOLT 2, channel close): it is named with the values compared, answered as
//! the BOLT wants, and nothing of ours has changed.

mod pair;

use bitcoin::{Amount, ScriptBuf};
use pair::blame::{breaks, failed, warned, with_high_s};
use pair::closing::simple_close;
use pair::{Pair, Setup, Who, feerate};
use quittance_channel::{Answer, BySide, CLOSINGS_MAX, ForceCloseReason, Phase, Violation};
use quittance_primitives::{Feature, MilliSatoshi};
use quittance_transactions::SimpleCloseVariant::{self, CloseeOutputOnly, CloserAndCloseeOutputs, CloserOutputOnly};
use quittance_wire::{ClosingComplete, ClosingSig, ClosingSigned, Message, Shutdown, UpdateFee};
use secp256k1::ecdsa::Signature;

const SATS: fn(u64) -> Amount = Amount::from_sat;

/// Something that spoils a `closing_sig`.
type Change<'a> = Box<dyn Fn(&mut ClosingSig) + 'a>;

fn shutdown(pair: &Pair, script: &str) -> Shutdown {
    Shutdown {
        channel_id: pair.alice.channel.state().facts.channel_id,
        scriptpubkey: ScriptBuf::from_hex(script).expect("hex"),
    }
}

fn p2wpkh(byte: u8) -> String {
    format!("0014{}", format!("{byte:02x}").repeat(20))
}

fn taproot() -> String {
    format!("5120{}", "07".repeat(32))
}

// shutdown.

#[test]
fn a_shutdown_to_a_script_that_is_not_segwit() {
    let mut pair = Pair::normal();
    let message = shutdown(&pair, &format!("76a914{}88ac", "07".repeat(20)));
    breaks(
        &mut pair,
        Who::Bob,
        message,
        Violation::InvalidShutdownScript,
        Answer::Warn,
    );
}

#[test]
fn a_shutdown_to_a_later_segwit_version_without_the_feature() {
    let mut pair = Pair::normal();
    let message = shutdown(&pair, &taproot());
    breaks(
        &mut pair,
        Who::Bob,
        message,
        Violation::InvalidShutdownScript,
        Answer::Warn,
    );

    let mut able = Pair::of(&Setup::default().with_feature(Feature::ShutdownAnysegwit));
    let message = shutdown(&able, &taproot());
    able.inject(Who::Bob, message);
    assert!(able.bob.violations.is_empty());
}

#[test]
fn a_shutdown_to_op_return_without_simple_close() {
    let script = format!("6a08{}", "07".repeat(8));
    let mut pair = Pair::of(&Setup::default().with_feature(Feature::ShutdownAnysegwit));
    let message = shutdown(&pair, &script);
    breaks(
        &mut pair,
        Who::Bob,
        message,
        Violation::InvalidShutdownScript,
        Answer::Warn,
    );

    let mut able = Pair::with_simple_close();
    let message = shutdown(&able, &script);
    able.inject(Who::Bob, message);
    assert!(able.bob.violations.is_empty());
}

fn with_promise() -> Setup {
    let mut setup = simple_close();
    setup.promised = BySide {
        local: Some(ScriptBuf::from_hex(&p2wpkh(9)).expect("hex")),
        remote: None,
    };
    setup
}

#[test]
fn a_shutdown_to_another_script_than_the_promised_one() {
    let mut pair = Pair::of(&with_promise());
    let message = shutdown(&pair, &p2wpkh(8));
    let violation = Violation::NotUpfrontScript { message: "shutdown" };
    warned(&mut pair, Who::Bob, message, violation);
}

#[test]
fn a_second_shutdown_on_one_connection() {
    let mut pair = Pair::shut_down(&Setup::default());
    let message = shutdown(&pair, &p2wpkh(b'A'));
    breaks(&mut pair, Who::Bob, message, Violation::ShutdownTwice, Answer::Warn);
}

#[test]
fn a_shutdown_with_another_script_on_a_new_connection() {
    let mut pair = Pair::shut_down(&Setup::default());
    pair.reconnect();
    pair.deliver(Who::Alice);
    pair.silence();
    let message = shutdown(&pair, &p2wpkh(8));
    warned(&mut pair, Who::Bob, message, Violation::ShutdownScriptChanged);
}

#[test]
fn a_shutdown_with_an_htlc_that_is_not_committed_to() {
    let mut pair = Pair::normal();
    pair.offer(Who::Alice, 50_000_000, 3);
    pair.deliver(Who::Alice);
    let message = shutdown(&pair, &p2wpkh(8));
    warned(&mut pair, Who::Bob, message, Violation::ShutdownWithUpdatesPending);
}

#[test]
fn a_shutdown_before_channel_reestablish() {
    let mut pair = Pair::normal();
    pair.reconnect();
    pair.silence();
    let message = shutdown(&pair, &p2wpkh(8));
    let violation = Violation::BeforeReestablish { message: "shutdown" };
    warned(&mut pair, Who::Bob, message, violation);
}

#[test]
fn a_shutdown_of_a_channel_that_is_closed() {
    let mut pair = Pair::normal();
    let decision = pair.bob.channel.decide_force_close(ForceCloseReason::Ordered);
    pair.bob.take_in(decision.expect("an open channel can be closed"));
    let message = shutdown(&pair, &p2wpkh(8));
    let violation = Violation::WrongPhase {
        message: "shutdown",
        phase: "force-closed",
    };
    warned(&mut pair, Who::Bob, message, violation);
}

#[test]
fn an_htlc_after_shutdown() {
    let mut pair = Pair::normal();
    pair.offer(Who::Alice, 50_000_000, 3);
    let add = pair.intercept(Who::Alice);
    let message = shutdown(&pair, &p2wpkh(8));
    pair.inject(Who::Bob, message);
    pair.silence();
    warned(&mut pair, Who::Bob, add, Violation::AddAfterShutdown);
}

// closing_signed. The opener offers 676 sat of at most 16,900.

fn offered() -> Pair {
    Pair::shut_down(&Setup::default())
}

#[test]
fn a_closing_signed_before_shutdown() {
    let mut pair = Pair::normal();
    let message = pair.closing_signed(Who::Alice, 676, None);
    let violation = Violation::WrongPhase {
        message: "closing_signed",
        phase: "open",
    };
    warned(&mut pair, Who::Bob, message, violation);
}

#[test]
fn a_closing_signed_with_an_htlc_left() {
    let mut pair = Pair::normal().with_htlc(Who::Alice, 50_000_000, 3);
    let message = pair.closing_signed(Who::Alice, 676, None);
    pair.close(Who::Alice);
    pair.settle();
    let violation = Violation::ClosingTooEarly {
        message: "closing_signed",
    };
    warned(&mut pair, Who::Bob, message, violation);
}

#[test]
fn a_closing_signed_where_simple_close_was_negotiated() {
    let mut pair = Pair::shut_down(&simple_close());
    let message = pair.closing_signed(Who::Alice, 676, None);
    let violation = Violation::WrongClosingProtocol {
        message: "closing_signed",
    };
    warned(&mut pair, Who::Bob, message, violation);
}

#[test]
fn a_signature_on_another_closing_transaction() {
    let mut pair = offered();
    let message = ClosingSigned {
        fee_satoshis: SATS(677),
        ..pair.closing_signed(Who::Alice, 676, None)
    };
    warned(&mut pair, Who::Bob, message, Violation::InvalidClosingSignature);
}

#[test]
fn a_closing_signature_with_a_high_s() {
    let mut pair = offered();
    let mut message = pair.closing_signed(Who::Alice, 676, None);
    message.signature = with_high_s(message.signature);
    warned(&mut pair, Who::Bob, message, Violation::InvalidClosingSignature);
}

#[test]
fn a_closing_fee_that_the_opener_does_not_have() {
    let mut pair = offered();
    let message = pair.closing_signed(Who::Alice, 6_000_001, None);
    let violation = Violation::ClosingFeeAboveBalance {
        fee: SATS(6_000_001),
        balance: SATS(6_000_000),
    };
    warned(&mut pair, Who::Bob, message, violation);
}

#[test]
fn a_range_of_closing_fees_that_cannot_suit() {
    let mut pair = offered();
    let message = pair.closing_signed(Who::Bob, 20_000, Some((20_000, 30_000)));
    let violation = Violation::NoCommonClosingFee {
        minimum: SATS(172),
        maximum: SATS(16_900),
        their_minimum: SATS(20_000),
        their_maximum: SATS(30_000),
    };
    breaks(&mut pair, Who::Alice, message, violation, Answer::Warn);
}

#[test]
fn a_fee_outside_of_what_both_accept() {
    let mut pair = offered();
    let message = pair.closing_signed(Who::Bob, 17_000, Some((10_000, 30_000)));
    let violation = Violation::ClosingFeeOutsideOverlap {
        got: SATS(17_000),
        minimum: SATS(10_000),
        maximum: SATS(16_900),
    };
    failed(&mut pair, Who::Alice, message, violation);
}

#[test]
fn an_opener_that_does_not_repeat_what_the_accepter_picked() {
    let mut pair = offered();
    let message = pair.closing_signed(Who::Alice, 100, Some((100, 1_000)));
    pair.inject(Who::Bob, message);
    let Message::ClosingSigned(picked) = pair.intercept(Who::Bob) else {
        panic!("Bob picks a fee")
    };
    assert_eq!(picked.fee_satoshis, SATS(172), "the lowest that both accept");
    let message = pair.closing_signed(Who::Alice, 150, Some((100, 1_000)));
    let violation = Violation::ClosingFeeNotRepeated {
        got: SATS(150),
        expected: SATS(172),
    };
    failed(&mut pair, Who::Bob, message, violation);
}

#[test]
fn a_fee_that_is_not_between_the_two_before_it() {
    let mut pair = offered();
    let message = pair.closing_signed(Who::Bob, 20_000, None);
    pair.inject(Who::Alice, message);
    let Message::ClosingSigned(middle) = pair.intercept(Who::Alice) else {
        panic!("Alice meets Bob half-way")
    };
    assert_eq!(middle.fee_satoshis, SATS(10_338));
    for got in [10_338 - 5_000, 20_000, 25_000] {
        let mut pair = offered();
        let message = pair.closing_signed(Who::Bob, 20_000, None);
        pair.inject(Who::Alice, message);
        pair.silence();
        let message = pair.closing_signed(Who::Bob, got, None);
        if got < 16_900 {
            // Our range was told, so that any fee in it is agreed on, wherever it lies.
            pair.inject(Who::Alice, message);
            assert!(matches!(pair.alice.channel.state().phase, Phase::ClosingAgreed(_)));
            continue;
        }
        let violation = Violation::ClosingFeeNotBetween {
            got: SATS(got),
            low: SATS(10_338),
            high: SATS(20_000),
        };
        warned(&mut pair, Who::Alice, message, violation);
    }
}

#[test]
fn an_output_that_is_dust_for_its_script() {
    let mut setup = Setup {
        pushed: MilliSatoshi(310_000),
        ..Setup::default()
    };
    setup.dust_limit.local = SATS(300);
    let mut pair = Pair::of(&setup);
    // 310 sat relay to a key, and not to a script.
    pair.bob.limits.closing.script = Some(ScriptBuf::from_hex(&format!("0020{}", "07".repeat(32))).expect("hex"));
    pair.close(Who::Bob);
    assert!(pair.deliver(Who::Bob) && pair.deliver(Who::Alice));
    pair.silence();
    let message = pair.closing_signed(Who::Alice, 1_000, None);
    failed(&mut pair, Who::Bob, message, Violation::ClosingOutputIsDust);
}

#[test]
fn a_closing_transaction_without_an_output() {
    let setup = Setup {
        pushed: MilliSatoshi(200_000),
        ..Setup::default()
    };
    let mut pair = Pair::shut_down(&setup);
    let message = pair.closing_signed(Who::Alice, 9_999_700, None);
    let violation = Violation::ClosingHasNoOutput { fee: SATS(9_999_700) };
    failed(&mut pair, Who::Bob, message, violation);
}

#[test]
fn an_update_fee_after_closing_signed() {
    let mut pair = offered();
    let message = pair.closing_signed(Who::Alice, 10, Some((10, 20)));
    pair.inject(Who::Bob, message);
    pair.bob.violations.clear();
    let message = pair.closing_signed(Who::Alice, 100, Some((100, 1_000)));
    pair.inject(Who::Bob, message);
    pair.silence();
    let update = UpdateFee {
        channel_id: pair.alice.channel.state().facts.channel_id,
        feerate_per_kw: feerate(2_000),
    };
    warned(&mut pair, Who::Bob, update, Violation::UpdateAfterClosing);
}

#[test]
fn an_opener_that_never_offers_a_fee() {
    let pair = offered();
    for end in [&pair.alice, &pair.bob] {
        assert_eq!(end.channel.overdue(600_999), None);
        assert_eq!(end.channel.overdue(601_000), Some(Violation::ClosingStalled));
    }
    assert_eq!(Violation::ClosingStalled.answer(), Answer::FailChannel);
}

// closing_complete. Alice has more than Bob, so that she leaves her own output in and offers to leave Bob's out.

const OFFERED: [SimpleCloseVariant; 2] = [CloserOutputOnly, CloserAndCloseeOutputs];

fn simple() -> Pair {
    Pair::shut_down(&simple_close())
}

#[test]
fn a_closing_complete_where_simple_close_was_not_negotiated() {
    let mut pair = offered();
    let message = pair.closing_complete(676, &OFFERED);
    let violation = Violation::WrongClosingProtocol {
        message: "closing_complete",
    };
    warned(&mut pair, Who::Bob, message, violation);
}

#[test]
fn a_closing_complete_before_shutdown() {
    let mut pair = Pair::with_simple_close();
    let message = pair.closing_complete(676, &OFFERED);
    let violation = Violation::WrongPhase {
        message: "closing_complete",
        phase: "open",
    };
    warned(&mut pair, Who::Bob, message, violation);
}

#[test]
fn a_closing_complete_with_an_htlc_left() {
    let mut pair = Pair::with_simple_close().with_htlc(Who::Alice, 50_000_000, 3);
    let message = pair.closing_complete(676, &[]);
    pair.close(Who::Alice);
    pair.settle();
    let violation = Violation::ClosingTooEarly {
        message: "closing_complete",
    };
    warned(&mut pair, Who::Bob, message, violation);
}

#[test]
fn a_closing_fee_that_the_closer_does_not_have() {
    let mut pair = simple();
    let message = pair.closing_complete(6_000_001, &OFFERED);
    let violation = Violation::ClosingFeeAboveBalance {
        fee: SATS(6_000_001),
        balance: SATS(6_000_000),
    };
    warned(&mut pair, Who::Bob, message, violation);
}

#[test]
fn a_closing_complete_to_a_script_that_is_not_our_latest() {
    let mut pair = simple();
    let message = ClosingComplete {
        closee_scriptpubkey: ScriptBuf::from_hex(&p2wpkh(8)).expect("hex"),
        ..pair.closing_complete(676, &OFFERED)
    };
    warned(&mut pair, Who::Bob, message, Violation::StaleClosingScript);
}

#[test]
fn a_closing_complete_to_a_script_that_is_not_allowed() {
    let mut pair = simple();
    let message = ClosingComplete {
        closer_scriptpubkey: ScriptBuf::from_hex(&format!("a914{}87", "07".repeat(20))).expect("hex"),
        ..pair.closing_complete(676, &OFFERED)
    };
    warned(&mut pair, Who::Bob, message, Violation::InvalidClosingScript);
}

#[test]
fn a_closing_complete_to_another_script_than_the_promised_one() {
    let mut pair = Pair::shut_down(&with_promise());
    let message = ClosingComplete {
        closer_scriptpubkey: ScriptBuf::from_hex(&p2wpkh(8)).expect("hex"),
        ..pair.closing_complete(676, &OFFERED)
    };
    let violation = Violation::NotUpfrontScript {
        message: "closing_complete",
    };
    warned(&mut pair, Who::Bob, message, violation);
}

#[test]
fn a_closing_complete_that_leaves_our_output_out() {
    let mut pair = simple();
    let message = pair.closing_complete(676, &[CloserOutputOnly]);
    let needed = CloseeOutputOnly;
    warned(
        &mut pair,
        Who::Bob,
        message,
        Violation::MissingClosingSignature { needed },
    );
}

#[test]
fn a_closing_complete_with_a_wrong_signature() {
    for spoil in [
        (|signatures: [Option<Signature>; 2]| signatures[0]) as fn([Option<Signature>; 2]) -> Option<Signature>,
        |signatures| signatures[1].map(with_high_s),
    ] {
        let mut pair = simple();
        let mut message = pair.closing_complete(676, &OFFERED);
        message.closer_and_closee_outputs = spoil([message.closer_output_only, message.closer_and_closee_outputs]);
        warned(&mut pair, Who::Bob, message, Violation::InvalidClosingSignature);
    }
}

#[test]
fn a_closing_transaction_too_many() {
    let mut pair = simple();
    let ours = pair.bob.channel.state().closings.len();
    for fee in 0..CLOSINGS_MAX - ours {
        let message = pair.closing_complete(676 + fee as u64, &[CloserAndCloseeOutputs]);
        pair.inject(Who::Bob, message);
    }
    pair.silence();
    assert!(pair.bob.violations.is_empty());
    assert_eq!(pair.bob.channel.state().closings.len(), CLOSINGS_MAX);
    let message = pair.closing_complete(9_999, &[CloserAndCloseeOutputs]);
    let violation = Violation::TooManyClosings { limit: CLOSINGS_MAX };
    warned(&mut pair, Who::Bob, message, violation);
    // One that we signed before is signed again.
    pair.bob.violations.clear();
    let message = pair.closing_complete(676, &[CloserAndCloseeOutputs]);
    pair.inject(Who::Bob, message);
    assert!(pair.bob.violations.is_empty());
}

// closing_sig.

/// Alice awaits the answer to her `closing_complete`; this is it.
fn answered() -> (Pair, ClosingSig) {
    let mut pair = Pair::of(&simple_close());
    pair.close(Who::Alice);
    assert!(pair.deliver(Who::Alice) && pair.deliver(Who::Bob));
    assert!(pair.deliver(Who::Alice), "closing_complete");
    loop {
        if let Message::ClosingSig(answer) = pair.intercept(Who::Bob) {
            pair.silence();
            return (pair, answer);
        }
    }
}

#[test]
fn an_honest_closing_sig_is_accepted() {
    let (mut pair, message) = answered();
    pair.inject(Who::Alice, message);
    assert!(pair.alice.violations.is_empty());
    assert_eq!(pair.alice.broadcast.len(), 1);
}

#[test]
fn a_closing_sig_that_nobody_awaits() {
    let (mut pair, message) = answered();
    pair.inject(Who::Alice, message.clone());
    warned(&mut pair, Who::Alice, message, Violation::UnexpectedClosingSig);
}

#[test]
fn a_closing_sig_that_says_something_else() {
    let other = ScriptBuf::from_hex(&p2wpkh(8)).expect("hex");
    let changes: [Change<'_>; 4] = [
        Box::new(|message| message.closer_scriptpubkey = other.clone()),
        Box::new(|message| message.closee_scriptpubkey = other.clone()),
        Box::new(|message| message.fee_satoshis = SATS(677)),
        Box::new(|message| message.locktime = 1),
    ];
    for change in changes {
        let (mut pair, mut message) = answered();
        change(&mut message);
        warned(&mut pair, Who::Alice, message, Violation::ClosingSigMismatch);
    }
}

#[test]
fn a_closing_sig_without_a_signature_or_with_two() {
    let (mut pair, mut message) = answered();
    message.closer_output_only = message.closer_and_closee_outputs;
    warned(&mut pair, Who::Alice, message, Violation::ClosingSigCount { got: 2 });

    let (mut pair, mut message) = answered();
    message.closer_and_closee_outputs = None;
    warned(&mut pair, Who::Alice, message, Violation::ClosingSigCount { got: 0 });
}

#[test]
fn a_closing_sig_for_a_variant_that_was_not_offered() {
    let (mut pair, mut message) = answered();
    message.closee_output_only = message.closer_and_closee_outputs.take();
    let got = CloseeOutputOnly;
    warned(
        &mut pair,
        Who::Alice,
        message,
        Violation::ClosingVariantNotOffered { got },
    );
}

#[test]
fn a_closing_sig_with_a_wrong_signature() {
    let (mut pair, mut message) = answered();
    message.closer_output_only = message.closer_and_closee_outputs.take();
    warned(&mut pair, Who::Alice, message, Violation::InvalidClosingSignature);

    let (mut pair, mut message) = answered();
    message.closer_and_closee_outputs = message.closer_and_closee_outputs.map(with_high_s);
    warned(&mut pair, Who::Alice, message, Violation::InvalidClosingSignature);
}

#[test]
fn a_closing_sig_where_simple_close_was_not_negotiated() {
    let (_, message) = answered();
    let mut pair = offered();
    let violation = Violation::WrongClosingProtocol { message: "closing_sig" };
    warned(&mut pair, Who::Alice, message, violation);
}

#[test]
fn a_closing_complete_that_is_never_answered() {
    let pair = simple();
    assert_eq!(pair.alice.channel.overdue(60_999), None);
    assert_eq!(pair.alice.channel.overdue(61_000), Some(Violation::ClosingSigOverdue));
    assert_eq!(Violation::ClosingSigOverdue.answer(), Answer::WarnAndDisconnect);
}

// What a peer can say of a channel that is closed for it.

#[test]
fn an_error_after_the_agreement_does_not_make_the_closing_compete_with_a_commitment() {
    let mut pair = Pair::normal();
    pair.close(Who::Alice);
    pair.settle();
    for reason in [
        ForceCloseReason::PeerFailed("no such channel".to_owned()),
        ForceCloseReason::PeerMisbehaved("confused".to_owned()),
        ForceCloseReason::PeerFellBehind,
    ] {
        assert_eq!(pair.alice.channel.decide_force_close(reason), None);
    }
    assert!(
        pair.alice
            .channel
            .decide_force_close(ForceCloseReason::Ordered)
            .is_some()
    );
}

#[test]
fn a_commitment_after_the_agreement() {
    let mut pair = Pair::normal();
    pair.offer(Who::Bob, 50_000_000, 3);
    pair.intercept(Who::Bob);
    let commitment = pair.intercept(Who::Bob);
    let mut pair = Pair::normal();
    pair.close(Who::Alice);
    pair.settle();
    let violation = Violation::WrongPhase {
        message: "commitment_signed",
        phase: "closed by agreement",
    };
    warned(&mut pair, Who::Alice, commitment, violation);
}
