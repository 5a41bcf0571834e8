//! A channel is made quiescent (BOLT 2, `stfu`): both commitments match, and no update is sent until the connection ends.

mod pair;

use pair::blame::{breaks, warned};
use pair::cuts::{RESTARTS, deliver_up_to};
use pair::{End, Pair, Setup, Who, failed, feerate, fulfilled, new_htlc};
use quittance_channel::{Answer, HtlcState, Link, Quiescence, Refusal, Side, Violation};
use quittance_primitives::{Feature, HtlcId};
use quittance_wire::{Message, Stfu};

fn able() -> Pair {
    Pair::of(&Setup::default().with_feature(Feature::Quiesce))
}

fn stfu(pair: &Pair, initiator: u8) -> Stfu {
    Stfu {
        channel_id: pair.alice.channel.state().facts.channel_id,
        initiator,
    }
}

fn quiescence(end: &End) -> Quiescence {
    match end.channel.link() {
        Link::Up(session) => session.quiescence,
        Link::Down | Link::AwaitingReestablish(_) => panic!("{} is connected", end.name),
    }
}

const fn quiet(initiator: Side) -> Quiescence {
    Quiescence::Quiet {
        initiator,
        since_ms: 1_000,
    }
}

fn names(end: &End) -> Vec<&'static str> {
    end.sent().iter().map(Message::name).collect()
}

#[test]
fn who_asks_is_the_initiator() {
    for (who, at_alice, at_bob) in [
        (Who::Alice, Side::Local, Side::Remote),
        (Who::Bob, Side::Remote, Side::Local),
    ] {
        let mut pair = able();
        pair.end(who).quiesce().unwrap();
        assert_eq!(names(pair.end(who)), ["stfu"]);
        pair.settle();
        assert_eq!(quiescence(&pair.alice), quiet(at_alice));
        assert_eq!(quiescence(&pair.bob), quiet(at_bob));
    }
}

#[test]
fn of_two_who_ask_at_once_the_opener_is_the_initiator() {
    let mut pair = able();
    for who in Who::BOTH {
        pair.end(who).quiesce().unwrap();
    }
    pair.settle();
    assert_eq!(quiescence(&pair.alice), quiet(Side::Local));
    assert_eq!(quiescence(&pair.bob), quiet(Side::Remote));
}

#[test]
fn stfu_waits_for_the_last_acknowledgement_of_our_updates() {
    let mut pair = able();
    let id = pair.offer(Who::Alice, 50_000_000, 3);
    pair.alice.quiesce().unwrap();
    while pair.alice.channel.state().commitments.offered[&id].state != HtlcState::SentAddAckRevocation {
        assert!(!names(&pair.alice).contains(&"stfu"));
        assert!(pair.deliver(Who::Alice) | pair.deliver(Who::Bob));
    }
    assert_eq!(names(&pair.alice), ["revoke_and_ack", "stfu"]);
    pair.settle();
    assert_eq!(quiescence(&pair.bob), quiet(Side::Remote));
    assert!(pair.bob.violations.is_empty());
}

#[test]
fn the_answer_waits_for_the_updates_of_who_answers() {
    let mut pair = able();
    pair.offer(Who::Bob, 50_000_000, 3);
    pair.alice.quiesce().unwrap();
    pair.deliver(Who::Alice);
    assert_eq!(quiescence(&pair.bob), Quiescence::AwaitingUs { since_ms: 1_000 });
    assert_eq!(names(&pair.bob), ["update_add_htlc", "commitment_signed"]);
    pair.settle();
    assert_eq!(quiescence(&pair.bob), quiet(Side::Remote));
    assert_eq!(quiescence(&pair.alice), quiet(Side::Local));
    pair.check_agreement();
    assert!(pair.alice.channel.state().commitments.is_at_rest());
}

#[test]
fn nothing_is_proposed_from_the_wish_on() {
    let mut pair = able().with_htlc(Who::Bob, 50_000_000, 3);
    pair.alice.quiesce().unwrap();
    pair.settle();
    for who in Who::BOTH {
        assert_eq!(pair.end(who).offer(new_htlc(1_000_000, 4)), Err(Refusal::Quiescent));
        assert_eq!(pair.end(who).quiesce(), Err(Refusal::Quiescent));
        assert_eq!(pair.end(who).channel.sendable().0, 0);
    }
    assert_eq!(pair.alice.set_fee(feerate(2_000)), Err(Refusal::Quiescent));
    assert!(names(&pair.alice).is_empty() && names(&pair.bob).is_empty());
}

#[test]
fn a_removal_after_our_stfu_is_recorded_and_leaves_with_the_next_connection() {
    let mut pair = able().with_htlc(Who::Bob, 50_000_000, 3);
    pair.alice.quiesce().unwrap();
    // Before the answer, and with an update of Bob's on its way, which Alice has to acknowledge.
    pair.bob.offer(new_htlc(10_000_000, 4)).unwrap();
    pair.alice.remove(HtlcId(0), fulfilled(3)).unwrap();
    pair.settle();
    assert!(pair.alice.violations.is_empty() && pair.bob.violations.is_empty());
    assert!(
        pair.bob.channel.state().commitments.offered[&HtlcId(0)]
            .removal
            .is_none()
    );
    // Neither side can go on: the rule of 60 seconds ends it.
    assert_eq!(pair.alice.channel.overdue(61_000), Some(Violation::QuiescentTooLong));

    pair.reconnect();
    pair.settle();
    pair.check_agreement();
    assert_eq!(pair.balances(), (6_050_000_000, 3_950_000_000));
}

#[test]
fn a_removal_before_our_stfu_comes_first() {
    let mut pair = able().with_htlc(Who::Bob, 50_000_000, 3);
    pair.alice.set_auto_commit(false);
    pair.bob.quiesce().unwrap();
    pair.alice.remove(HtlcId(0), failed(3)).unwrap();
    pair.deliver(Who::Bob);
    assert_eq!(names(&pair.alice), ["update_fail_htlc"], "and no stfu");
    pair.alice.set_auto_commit(true);
    pair.alice.take_in(quittance_channel::Decision::default());
    pair.settle();
    assert_eq!(quiescence(&pair.alice), quiet(Side::Remote));
    assert!(pair.bob.channel.state().commitments.offered.is_empty());
}

#[test]
fn quiescence_with_htlcs_lasts_sixty_seconds_and_without_them_for_ever() {
    let mut pair = able().with_htlc(Who::Bob, 50_000_000, 3);
    pair.alice.quiesce().unwrap();
    pair.settle();
    for end in [&pair.alice, &pair.bob] {
        assert_eq!(end.channel.overdue(60_999), None);
        assert_eq!(end.channel.overdue(61_000), Some(Violation::QuiescentTooLong));
    }
    assert_eq!(Violation::QuiescentTooLong.answer(), Answer::WarnAndDisconnect);

    let mut empty = able();
    empty.alice.quiesce().unwrap();
    empty.settle();
    assert_eq!(empty.alice.channel.overdue(u64::MAX), None);
}

#[test]
fn a_stfu_that_is_not_answered_is_overdue_too() {
    let mut pair = able();
    pair.alice.quiesce().unwrap();
    assert_eq!(pair.alice.channel.overdue(60_999), None);
    assert_eq!(pair.alice.channel.overdue(61_000), Some(Violation::QuiescentTooLong));
}

#[test]
fn quiescence_is_refused_where_it_cannot_be() {
    let mut pair = Pair::normal();
    assert_eq!(pair.alice.quiesce(), Err(Refusal::NotNegotiated("option_quiesce")));
    let mut unready = Pair::unready(&Setup::default().with_feature(Feature::Quiesce));
    assert_eq!(
        unready.alice.quiesce(),
        Err(Refusal::WrongPhase("waiting for its funding"))
    );
    let mut apart = able();
    apart.cut();
    assert_eq!(apart.alice.quiesce(), Err(Refusal::PeerNotConnected));
}

#[test]
fn a_wish_to_close_waits_for_the_end_of_quiescence_and_a_shutdown_is_answered_in_it() {
    let mut pair = able();
    pair.alice.quiesce().unwrap();
    pair.settle();
    pair.close(Who::Bob);
    assert!(names(&pair.bob).is_empty(), "no shutdown on a quiescent channel");
    let shutdown = quittance_wire::Shutdown {
        channel_id: pair.alice.channel.state().facts.channel_id,
        scriptpubkey: pair::facts::closing_script("Bob"),
    };
    pair.inject(Who::Alice, shutdown);
    assert_eq!(names(&pair.alice)[0], "shutdown");

    pair.reconnect();
    pair.settle();
    pair.check_closed();
}

#[test]
fn the_link_is_cut_at_every_message_and_quiescence_is_forgotten() {
    for asks in [&[Who::Alice][..], &[Who::Bob], &Who::BOTH] {
        for cut_after in 0..8 {
            for restarts in RESTARTS {
                let mut pair = able().with_htlc(Who::Bob, 50_000_000, 3);
                pair.offer(Who::Alice, 20_000_000, 4);
                for who in asks {
                    pair.end(*who).quiesce().unwrap();
                }
                deliver_up_to(&mut pair, cut_after);
                pair.cut();
                for (who, kept) in restarts {
                    pair.end(*who).crash(*kept);
                }
                pair.reconnect();
                pair.settle();
                assert_eq!(quiescence(&pair.alice), Quiescence::Off);
                assert_eq!(quiescence(&pair.bob), Quiescence::Off);
                pair.alice.remove(HtlcId(0), fulfilled(3)).unwrap();
                pair.settle();
                pair.check_agreement();
                assert!(pair.alice.violations.is_empty() && pair.bob.violations.is_empty());
            }
        }
    }
}

#[test]
fn a_stfu_that_was_not_negotiated() {
    let mut pair = Pair::normal();
    let message = stfu(&pair, 1);
    breaks(
        &mut pair,
        Who::Bob,
        message,
        Violation::QuiescenceNotNegotiated,
        Answer::Warn,
    );
}

#[test]
fn a_stfu_before_channel_reestablish() {
    let mut pair = able();
    pair.cut();
    pair.bob.connect();
    pair.intercept(Who::Bob);
    let message = stfu(&pair, 1);
    warned(
        &mut pair,
        Who::Bob,
        message,
        Violation::BeforeReestablish { message: "stfu" },
    );
}

#[test]
fn a_stfu_before_the_channel_is_ready() {
    let mut pair = Pair::unready(&Setup::default().with_feature(Feature::Quiesce));
    let message = stfu(&pair, 1);
    let violation = Violation::WrongPhase {
        message: "stfu",
        phase: "waiting for its funding",
    };
    warned(&mut pair, Who::Bob, message, violation);
}

#[test]
fn a_stfu_with_updates_of_the_sender_pending() {
    let mut pair = able();
    pair.offer(Who::Alice, 50_000_000, 3);
    pair.deliver(Who::Alice);
    let message = stfu(&pair, 1);
    warned(&mut pair, Who::Bob, message, Violation::StfuWithUpdatesPending);
}

#[test]
fn a_second_stfu() {
    let mut pair = able();
    pair.alice.quiesce().unwrap();
    pair.settle();
    let message = stfu(&pair, 1);
    warned(&mut pair, Who::Bob, message, Violation::StfuTwice);
}

#[test]
fn a_stfu_that_answers_nothing() {
    let mut pair = able();
    let message = stfu(&pair, 0);
    warned(&mut pair, Who::Bob, message, Violation::StfuAnswersNothing);
}

#[test]
fn updates_after_stfu() {
    let offered = |pair: &mut Pair| {
        pair.offer(Who::Alice, 50_000_000, 9);
    };
    let removed = |pair: &mut Pair| pair.alice.remove(HtlcId(0), fulfilled(3)).unwrap();
    let priced = |pair: &mut Pair| pair.alice.set_fee(feerate(2_000)).unwrap();
    for update in [&offered as &dyn Fn(&mut Pair), &removed, &priced] {
        let mut pair = able().with_htlc(Who::Bob, 50_000_000, 3);
        update(&mut pair);
        let message = pair.intercept(Who::Alice);
        let silent = stfu(&pair, 1);
        pair.inject(Who::Bob, silent);
        while !names(&pair.bob).is_empty() {
            pair.intercept(Who::Bob);
        }
        warned(&mut pair, Who::Bob, message, Violation::UpdateAfterStfu);
    }
}

#[test]
fn a_commitment_on_a_quiescent_channel() {
    let mut pair = able();
    pair.offer(Who::Alice, 50_000_000, 3);
    pair.intercept(Who::Alice);
    let commitment = pair.intercept(Who::Alice);
    let silent = stfu(&pair, 1);
    pair.inject(Who::Bob, silent);
    pair.intercept(Who::Bob);
    let violation = Violation::WhileQuiescent {
        message: "commitment_signed",
    };
    warned(&mut pair, Who::Bob, commitment, violation);
}
