//! A channel is closed by agreement, in the legacy way and in the simple one, and what the chain sees is right to the sat.

mod pair;

use bitcoin::{Amount, ScriptBuf};
use pair::closing::{balances_of, simple_close};
use pair::random::Seeded;
use pair::{Kept, Pair, Setup, Who, fulfilled};
use quittance_channel::{AbandonedFunding, CloseRequest, ForceCloseReason, Phase, Refusal, Step, Violation};
use quittance_primitives::{BlockHeight, FeeratePerKw, HtlcId, MilliSatoshi};
use quittance_wire::Message;

#[test]
fn the_opener_pays_the_fee_of_closing_signed() {
    let mut pair = Pair::normal();
    pair.close(Who::Bob);
    pair.settle();
    pair.check_closed();
    assert_eq!((pair.alice.broadcast.len(), pair.bob.broadcast.len()), (1, 1));
    // 676 units of weight at 1000 sat each.
    let closing = pair.alice.broadcast[0].clone();
    assert_eq!(pair.paid_by(&closing), (Some(5_999_324), Some(4_000_000)));
    assert_eq!(pair.bob.broadcast, [closing]);
}

#[test]
fn a_simple_close_makes_two_transactions_and_each_side_pays_for_its_own() {
    let mut pair = Pair::with_simple_close();
    pair.close(Who::Alice);
    pair.settle();
    pair.check_closed();
    let mut broadcast = pair.alice.broadcast.clone();
    assert_eq!(broadcast.len(), 2);
    broadcast.sort_by_key(|transaction| pair.paid_by(transaction));
    assert_eq!(pair.paid_by(&broadcast[0]), (Some(5_999_324), Some(4_000_000)));
    assert_eq!(pair.paid_by(&broadcast[1]), (Some(6_000_000), Some(3_999_324)));
    assert!(
        broadcast
            .iter()
            .all(|transaction| pair.bob.broadcast.contains(transaction))
    );
}

#[test]
fn a_close_waits_for_the_last_htlc() {
    for setup in [Setup::default(), simple_close()] {
        let mut pair = Pair::of(&setup).with_htlc(Who::Alice, 50_000_000, 3);
        pair.close(Who::Alice);
        pair.settle();
        assert!(matches!(pair.bob.channel.state().phase, Phase::ShuttingDown(_)));
        assert!(pair.alice.broadcast.is_empty() && pair.bob.broadcast.is_empty());
        assert_eq!(
            pair.bob.offer(pair::new_htlc(1_000_000, 4)),
            Err(Refusal::WrongPhase("shutting down"))
        );

        pair.bob.remove(HtlcId(0), fulfilled(3)).unwrap();
        pair.settle();
        pair.check_closed();
        assert_eq!(balances_of(&pair).0.to_sat(), 5_950_000);
        let closing = pair.alice.broadcast.last().unwrap();
        assert!(pair.paid_by(closing).0.unwrap() <= 5_950_000);
    }
}

#[test]
fn shutdown_follows_the_commitment_that_holds_our_last_update() {
    let mut pair = Pair::normal();
    pair.alice.set_auto_commit(false);
    pair.offer(Who::Alice, 50_000_000, 3);
    pair.close(Who::Alice);
    let names = |pair: &Pair| -> Vec<_> { pair.alice.sent().iter().map(Message::name).collect() };
    assert_eq!(names(&pair), ["update_add_htlc"]);
    pair.alice.set_auto_commit(true);
    pair.alice.take_in(quittance_channel::Decision::default());
    assert_eq!(names(&pair), ["update_add_htlc", "commitment_signed", "shutdown"]);
}

#[test]
fn an_order_to_close_survives_a_restart_before_shutdown_could_leave() {
    let mut pair = Pair::normal();
    pair.cut();
    pair.alice.close(CloseRequest::default()).unwrap();
    assert!(matches!(pair::last_steps(&pair.alice)[..], [Step::CloseWanted(_)]));
    pair.alice.crash(Kept::Everything);
    pair.reconnect();
    pair.settle();
    pair.check_closed();
}

#[test]
fn a_channel_is_closed_before_it_was_ever_open() {
    for setup in [Setup::default(), simple_close()] {
        let mut pair = Pair::unready(&setup);
        pair.close(Who::Bob);
        pair.settle();
        pair.check_closed();
        let closing = pair.alice.broadcast[0].clone();
        pair.paid_by(&closing);
    }
}

#[test]
fn a_simple_close_is_replaced_by_a_higher_fee_as_often_as_either_side_wants() {
    let mut pair = Pair::with_simple_close();
    pair.close(Who::Alice);
    pair.settle();
    for (who, sat_per_kw, paid) in [
        (Who::Alice, 2_000, (5_998_648, 4_000_000)),
        (Who::Bob, 1_500, (6_000_000, 3_998_986)),
        (Who::Alice, 4_000, (5_997_296, 4_000_000)),
    ] {
        let request = CloseRequest {
            feerate: Some(FeeratePerKw(sat_per_kw)),
            script: None,
        };
        pair.end(who).close(request).unwrap();
        pair.settle();
        pair.check_closed();
        let newest = pair.bob.broadcast.last().unwrap();
        assert_eq!(pair.paid_by(newest), (Some(paid.0), Some(paid.1)));
        assert_eq!(pair.alice.broadcast.last(), Some(newest));
    }
    assert!(pair.alice.violations.is_empty() && pair.bob.violations.is_empty());
}

fn script(hex: &str) -> ScriptBuf {
    ScriptBuf::from_hex(hex).expect("hex")
}

fn taproot(byte: u8) -> ScriptBuf {
    script(&format!("5120{}", format!("{byte:02x}").repeat(32)))
}

fn to(script: &ScriptBuf) -> CloseRequest {
    CloseRequest {
        script: Some(script.clone()),
        feerate: None,
    }
}

fn at(sat_per_kw: u32) -> CloseRequest {
    CloseRequest {
        script: None,
        feerate: Some(FeeratePerKw(sat_per_kw)),
    }
}

#[test]
fn a_replacement_waits_for_the_answer_to_what_it_replaces() {
    let mut pair = Pair::with_simple_close();
    pair.close(Who::Alice);
    assert!(pair.deliver(Who::Alice) && pair.deliver(Who::Bob), "both shutdowns");
    let proposals = |pair: &Pair| -> Vec<u64> {
        let sent = pair.alice.sent().into_iter();
        let fees = sent.filter_map(|message| match message {
            Message::ClosingComplete(message) => Some(message.fee_satoshis.to_sat()),
            _ => None,
        });
        fees.collect()
    };
    assert_eq!(proposals(&pair), [676]);
    pair.alice.close(at(2_000)).unwrap();
    assert_eq!(proposals(&pair), [676], "the answer comes first");
    pair.settle();
    pair.check_closed();
    pair.check_shares();
    let (newest, _) = pair.paid_by(pair.alice.owed_closings().first().unwrap());
    assert_eq!(newest, Some(6_000_000 - 1_352));
}

#[test]
fn two_ends_that_change_their_scripts_at_once_are_warned_and_meet_on_the_next_connection() {
    let mut pair = Pair::with_simple_close();
    pair.close(Who::Alice);
    pair.settle();
    let (of_alice, of_bob) = (taproot(1), taproot(2));
    for (who, script) in [(Who::Alice, &of_alice), (Who::Bob, &of_bob)] {
        let request = CloseRequest {
            feerate: Some(FeeratePerKw(1_500)),
            ..to(script)
        };
        pair.end(who).close(request).unwrap();
    }
    pair.settle();
    assert_eq!(pair.alice.violations, [Violation::StaleClosingScript]);
    assert_eq!(pair.bob.violations, [Violation::StaleClosingScript]);

    pair.reconnect();
    pair.settle();
    assert_eq!((pair.alice.violations.len(), pair.bob.violations.len()), (1, 1));
    pair.check_closed();
    pair.check_shares();
    for owed in pair.bob.owed_closings() {
        let scripts: Vec<_> = owed.output.iter().map(|output| &output.script_pubkey).collect();
        assert!(scripts.contains(&&of_alice) && scripts.contains(&&of_bob));
    }
}

#[test]
fn a_share_that_is_given_away_leaves_an_output_of_nothing() {
    let mut pair = Pair::with_simple_close();
    let nothing = script(&format!("6a08{}", "07".repeat(8)));
    pair.bob.close(to(&nothing)).unwrap();
    pair.settle();
    pair.check_closed();
    for transaction in &pair.alice.broadcast {
        let (alice, bob) = pair.paid_by(transaction);
        assert_eq!(bob, Some(0));
        assert!(alice >= Some(5_999_324));
    }
}

#[test]
fn a_share_that_is_dust_is_left_out() {
    // Before the fee, and too little to pay for anything: then only the other end proposes.
    let of = |pushed_sat: u64| Setup {
        pushed: MilliSatoshi(pushed_sat * 1_000),
        ..simple_close()
    };
    let mut pair = Pair::of(&of(100));
    pair.close(Who::Bob);
    pair.settle();
    pair.check_closed();
    assert_eq!(pair.bob.broadcast.len(), 1);
    assert_eq!(pair.paid_by(&pair.bob.broadcast[0]), (Some(9_999_900 - 676), None));

    // Only after the fee: then Bob leaves his own output out, and Alice keeps it in hers.
    let mut pair = Pair::of(&of(800));
    pair.close(Who::Bob);
    pair.settle();
    pair.check_closed();
    let mut paid: Vec<_> = pair.bob.broadcast.iter().map(|one| pair.paid_by(one)).collect();
    paid.sort_unstable();
    assert_eq!(paid, [(Some(9_999_200 - 676), Some(800)), (Some(9_999_200), None)]);
}

#[test]
fn a_legacy_output_below_the_dust_limit_of_who_signs_is_left_out() {
    // Alice's limit is 354 sat and Bob's 546: each broadcasts what the other one signed.
    let setup = Setup {
        pushed: MilliSatoshi(400_000),
        ..Setup::default()
    };
    let mut pair = Pair::of(&setup);
    pair.close(Who::Alice);
    pair.settle();
    pair.check_closed();
    let left = 9_999_600 - 676;
    assert_eq!(pair.paid_by(&pair.bob.broadcast[0]), (Some(left), Some(400)));
    assert_eq!(pair.paid_by(&pair.alice.broadcast[0]), (Some(left), None));
}

#[test]
fn a_side_may_leave_its_own_legacy_output_out() {
    let mut pair = Pair::shut_down(&Setup::default());
    let message = pair.closing_signed_without_own_output(Who::Bob, 676);
    pair.inject(Who::Alice, message);
    assert!(pair.alice.violations.is_empty());
    assert_eq!(pair.paid_by(&pair.alice.broadcast[0]), (Some(5_999_324), None));
}

#[test]
fn a_promised_script_is_the_only_one() {
    let mut setup = simple_close();
    setup.promised.local = Some(taproot(9));
    let mut pair = Pair::of(&setup);
    assert_eq!(pair.alice.close(to(&taproot(8))), Err(Refusal::NotUpfrontScript));
    pair.close(Who::Bob);
    pair.settle();
    pair.check_closed();
    let paid = pair.bob.broadcast[0].output.iter();
    assert!(paid.into_iter().any(|output| output.script_pubkey == taproot(9)));
    assert_eq!(pair.alice.close(to(&taproot(8))), Err(Refusal::NotUpfrontScript));
}

#[test]
fn an_order_that_cannot_be_is_refused() {
    let mut pair = Pair::normal();
    assert_eq!(pair.alice.close(to(&taproot(1))), Err(Refusal::InvalidShutdownScript));
    let legacy = script(&format!("76a914{}88ac", "07".repeat(20)));
    assert_eq!(pair.alice.close(to(&legacy)), Err(Refusal::InvalidShutdownScript));
    let out_of_range = |sat_per_kw| Refusal::ClosingFeerateOutOfRange {
        got: FeeratePerKw(sat_per_kw),
        minimum: FeeratePerKw(253),
        maximum: FeeratePerKw(25_000),
    };
    assert_eq!(pair.alice.close(at(252)), Err(out_of_range(252)));
    assert_eq!(pair.alice.close(at(25_001)), Err(out_of_range(25_001)));
    pair.alice.limits.closing.script = None;
    assert_eq!(
        pair.alice.close(CloseRequest::default()),
        Err(Refusal::NoShutdownScript)
    );
    assert_eq!(pair.alice.log.len(), 4, "nothing has changed");

    let decision = pair.bob.channel.decide_force_close(ForceCloseReason::Ordered);
    pair.bob.take_in(decision.expect("an open channel can be closed"));
    assert_eq!(
        pair.bob.close(CloseRequest::default()),
        Err(Refusal::WrongPhase("force-closed"))
    );
}

#[test]
fn a_replacement_that_cannot_be_is_refused() {
    let mut pair = Pair::normal();
    pair.close(Who::Alice);
    assert_eq!(pair.alice.close(at(2_000)), Err(Refusal::ShutdownSent));
    pair.settle();
    assert_eq!(pair.alice.close(at(2_000)), Err(Refusal::ShutdownSent));

    let mut pair = Pair::with_simple_close();
    pair.close(Who::Alice);
    pair.settle();
    let refusal = Refusal::ClosingFeeNotHigher {
        got: Amount::from_sat(676),
        previous: Amount::from_sat(676),
    };
    assert_eq!(pair.alice.close(at(1_000)), Err(refusal));
    pair.cut();
    assert_eq!(pair.alice.close(at(2_000)), Err(Refusal::PeerNotConnected));
}

#[test]
fn a_shutdown_is_answered_once_there_is_a_script_to_name() {
    let mut pair = Pair::normal();
    let script = pair.bob.limits.closing.script.take();
    pair.close(Who::Alice);
    pair.settle();
    assert!(
        pair.alice
            .channel
            .state()
            .shutting_down()
            .unwrap()
            .scripts
            .remote
            .is_none()
    );
    pair.bob.limits.closing.script = script;
    pair.bob.take_in(quittance_channel::Decision::default());
    pair.settle();
    pair.check_closed();
}

#[test]
fn a_script_that_the_peer_does_not_take_waits_for_another_order() {
    let mut pair = Pair::normal();
    pair.cut();
    pair.alice.close(to(&taproot(1))).unwrap();
    pair.reconnect();
    pair.settle();
    assert!(matches!(pair.bob.channel.state().phase, Phase::Normal));
    pair.alice.close(to(&pair::facts::closing_script("Alice"))).unwrap();
    pair.settle();
    pair.check_closed();
}

#[test]
fn a_legacy_close_ends_where_it_ended_on_the_last_connection() {
    let mut pair = Pair::normal();
    pair.close(Who::Alice);
    pair.settle();
    let closed = pair.alice.broadcast.clone();
    pair.alice.limits.closing.feerate = FeeratePerKw(5_000);
    for _ in 0..3 {
        pair.reconnect();
        pair.settle();
    }
    pair.check_closed();
    assert_eq!(pair.alice.owed_closings(), closed);
    assert_eq!((&pair.alice.broadcast, &pair.bob.broadcast), (&closed, &closed));
    assert_eq!(pair.alice.channel.state().closings.len(), 1);
    assert_eq!(pair.bob.channel.state().closings.len(), 1);
}

/// Delivers every message, with `fee_range` taken out where it is.
fn settle_without_ranges(pair: &mut Pair) {
    loop {
        let mut silent = true;
        for who in Who::BOTH {
            if pair.end(who).sent().is_empty() {
                continue;
            }
            silent = false;
            match pair.intercept(who) {
                Message::ClosingSigned(mut message) => {
                    message.fee_range = None;
                    pair.inject(who.other(), message);
                }
                other => pair.inject(who.other(), other),
            }
        }
        if silent {
            return;
        }
    }
}

#[test]
fn two_ends_that_tell_no_range_meet_half_way() {
    let mut pair = Pair::normal();
    pair.alice.limits.closing.feerate = FeeratePerKw(1_000);
    pair.bob.limits.closing.feerate_min = FeeratePerKw(9_000);
    pair.close(Who::Alice);
    settle_without_ranges(&mut pair);
    pair.check_closed();
    // Bob asks for at least 6,084 sat, which Alice would pay.
    assert_eq!(
        pair.paid_by(&pair.alice.broadcast[0]),
        (Some(6_000_000 - 6_084), Some(4_000_000))
    );
}

#[test]
fn any_ranges_lead_to_one_transaction_or_to_the_word_that_there_is_none() {
    let (mut agreed, mut apart) = (0, 0);
    for seed in 0..300 {
        let mut random = Seeded(seed);
        let mut pair = Pair::normal();
        for who in Who::BOTH {
            let feerate = |random: &mut Seeded, above: FeeratePerKw, width: u64| {
                let more = u32::try_from(random.below(width)).expect("a small number");
                FeeratePerKw(above.0 + more)
            };
            let closing = &mut pair.end(who).limits.closing;
            closing.feerate_min = feerate(&mut random, FeeratePerKw::FLOOR, 8_000);
            closing.feerate = feerate(&mut random, closing.feerate_min, 2_000);
            closing.feerate_max = feerate(&mut random, closing.feerate, 500);
        }
        pair.close(Who::Alice);
        let tells = random.chance(50);
        if tells {
            pair.settle();
        } else {
            settle_without_ranges(&mut pair);
        }
        let (ours, theirs) = (&pair.alice.limits.closing, &pair.bob.limits.closing);
        // Bob does not pay, so only his lowest fee can stand against an agreement.
        if theirs.feerate_min <= ours.feerate_max {
            pair.check_closed();
            pair.check_shares();
            assert!(
                pair.alice.violations.is_empty() && pair.bob.violations.is_empty(),
                "{seed}"
            );
            agreed += 1;
        } else {
            let violations: Vec<_> = pair.alice.violations.iter().chain(&pair.bob.violations).collect();
            assert!(
                matches!(violations[..], [Violation::NoCommonClosingFee { .. }]),
                "{seed}: {violations:?}"
            );
            assert!(pair.alice.broadcast.is_empty() && pair.bob.broadcast.is_empty());
            // Nobody moves any more: in time the channel is failed.
            assert_eq!(pair.alice.channel.overdue(601_000), Some(Violation::ClosingStalled));
            apart += 1;
        }
    }
    assert!(agreed > 100 && apart > 50, "both are seen: {agreed} and {apart}");
}

#[test]
fn a_fundee_gives_up_a_closing_whose_funding_never_came() {
    let mut pair = Pair::unready(&Setup::default());
    pair.close(Who::Bob);
    pair.settle();
    pair.check_closed();
    let late = BlockHeight(702_016);
    assert_eq!(pair.alice.channel.decide_funding_timeout(late), None);
    assert_eq!(pair.bob.channel.decide_funding_timeout(BlockHeight(702_015)), None);
    let decision = pair.bob.channel.decide_funding_timeout(late).unwrap();
    assert_eq!(decision.steps, [Step::FundingAbandoned(AbandonedFunding::TimedOut)]);
}
