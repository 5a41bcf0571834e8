//! The link is cut before and after every message of the dance, in both directions, and either side may restart, with and
//! without what it had not synced: afterwards both sides agree, nothing is lost or doubled, and the channel goes on (BOLT 2,
//! message retransmission).

mod pair;

use pair::cuts::{RESTARTS, deliver_up_to};
use pair::{Pair, Setup, Who, failed, feerate, fulfilled};
use quittance_channel::{HtlcState, Outcome, Phase, Removal};
use quittance_primitives::{FeeratePerKw, HtlcId};
use quittance_transactions::CommitmentFormat;

/// Runs `act` on a pair made by `start`, cut at every message, with every kind of restart; then `check`.
fn cut_everywhere(start: impl Fn() -> Pair, act: impl Fn(&mut Pair), check: impl Fn(&mut Pair)) {
    let mut whole = start();
    act(&mut whole);
    let messages = deliver_up_to(&mut whole, usize::MAX);
    assert!(messages >= 2, "there is something to cut");
    check(&mut whole);
    for cut_after in 0..=messages {
        for restarts in RESTARTS {
            let mut pair = start();
            act(&mut pair);
            deliver_up_to(&mut pair, cut_after);
            pair.cut();
            for (who, kept) in restarts {
                pair.end(*who).crash(*kept);
            }
            pair.reconnect();
            pair.settle();
            for who in Who::BOTH {
                let end = pair.end(who);
                assert!(
                    end.violations.is_empty(),
                    "cut after {cut_after}, {restarts:?}: {:?}",
                    end.violations
                );
            }
            pair.check_agreement();
            // What a side had not synced it has not promised: the command is given again.
            act_again_if_lost(&mut pair, &act);
            check(&mut pair);
        }
    }
}

/// Repeats a command whose effect was lost with an unsynced log: then nothing of it had left.
fn act_again_if_lost(pair: &mut Pair, act: &impl Fn(&mut Pair)) {
    if pair.alice.is_forgetful || pair.bob.is_forgetful {
        act(pair);
        pair.settle();
    }
}

fn formats() -> impl Iterator<Item = Setup> {
    let all = [
        CommitmentFormat::StaticRemotekey,
        CommitmentFormat::Anchors,
        CommitmentFormat::ZeroFee,
    ];
    all.into_iter().map(|format| Setup::default().with_format(format))
}

/// Every format, and either end as the one who offers the HTLC.
fn formats_and_payers() -> impl Iterator<Item = (Setup, Who)> {
    formats().flat_map(|setup| Who::BOTH.map(|payer| (setup.clone(), payer)))
}

#[test]
fn a_channel_gets_ready_once() {
    for setup in formats() {
        cut_everywhere(
            || Pair::unready(&setup),
            |pair| {
                for who in Who::BOTH {
                    if matches!(pair.end(who).channel.state().phase, Phase::AwaitingReady(_)) {
                        pair.end(who).confirm_funding();
                    }
                }
            },
            |pair| {
                for who in Who::BOTH {
                    assert_eq!(pair.end(who).channel.state().phase, Phase::Normal);
                    pair.offer(who, 50_000_000, 3);
                    pair.settle();
                    assert!(pair.end(who).violations.is_empty());
                    let offered = &pair.end(who).channel.state().commitments.offered;
                    assert_eq!(offered[&HtlcId(0)].state, HtlcState::SentAddAckRevocation);
                }
            },
        );
    }
}

#[test]
fn an_htlc_is_added_once() {
    for (setup, payer) in formats_and_payers() {
        cut_everywhere(
            || Pair::of(&setup),
            |pair| {
                if pair.end(payer).channel.state().commitments.next_htlc_id.local == HtlcId(0) {
                    pair.offer(payer, 50_000_000, 3);
                }
            },
            |pair| {
                let offered = &pair.end(payer).channel.state().commitments.offered;
                assert_eq!(offered.len(), 1);
                assert_eq!(offered[&HtlcId(0)].state, HtlcState::SentAddAckRevocation);
                let received = &pair.end(payer.other()).channel.state().commitments.received;
                assert_eq!(received[&HtlcId(0)].state, HtlcState::RcvdAddAckRevocation);
            },
        );
    }
}

fn removed_by(removal: fn() -> Removal, outcome: &Outcome, paid: u64) {
    for (setup, payer) in formats_and_payers() {
        cut_everywhere(
            || Pair::of(&setup).with_htlc(payer, 50_000_000, 3),
            |pair| {
                let payee = pair.end(payer.other());
                let received = &payee.channel.state().commitments.received;
                if received.get(&HtlcId(0)).is_some_and(|htlc| htlc.removal.is_none()) {
                    payee.remove(HtlcId(0), removal()).expect("it is there");
                }
            },
            |pair| {
                assert_eq!(
                    pair.end(payer).channel.state().gone[&HtlcId(0)].outcome.as_ref(),
                    Some(outcome)
                );
                let balances = match payer {
                    Who::Alice => (6_000_000_000 - paid, 4_000_000_000 + paid),
                    Who::Bob => (6_000_000_000 + paid, 4_000_000_000 - paid),
                };
                assert_eq!(pair.balances(), balances);
                assert!(
                    pair.end(payer.other())
                        .channel
                        .state()
                        .commitments
                        .is_empty_and_at_rest()
                );
            },
        );
    }
}

#[test]
fn an_htlc_is_fulfilled_once() {
    removed_by(|| fulfilled(3), &Outcome::Fulfilled(pair::preimage_of(3)), 50_000_000);
}

#[test]
fn an_htlc_is_failed_once() {
    removed_by(|| failed(7), &Outcome::Failed(failed(7)), 0);
}

#[test]
fn an_htlc_is_failed_as_malformed_once() {
    let malformed = || Removal::Malformed {
        failure_code: 0xc005,
        sha256_of_onion: [8; 32],
    };
    removed_by(malformed, &Outcome::Failed(malformed()), 0);
}

#[test]
fn a_feerate_is_changed_once() {
    for format in [CommitmentFormat::StaticRemotekey, CommitmentFormat::Anchors] {
        cut_everywhere(
            || Pair::of(&Setup::default().with_format(format)).with_htlc(Who::Bob, 9_000_000, 4),
            |pair| {
                // It is refused when it is on its way already.
                let _ = pair.alice.set_fee(feerate(2_500));
            },
            |pair| {
                for end in [&pair.alice, &pair.bob] {
                    let fees = &end.channel.state().commitments.fees;
                    assert_eq!(
                        fees.iter().map(|fee| fee.feerate).collect::<Vec<_>>(),
                        [FeeratePerKw(2_500)]
                    );
                }
            },
        );
    }
}

#[test]
fn updates_of_both_sides_that_cross_are_all_kept() {
    cut_everywhere(
        || {
            Pair::normal()
                .with_htlc(Who::Alice, 20_000_000, 3)
                .with_htlc(Who::Bob, 30_000_000, 4)
        },
        |pair| {
            let state = pair.alice.channel.state();
            if state.commitments.next_htlc_id.local == HtlcId(1) {
                pair.offer(Who::Alice, 70_000_000, 5);
            }
            if pair.bob.channel.state().commitments.next_htlc_id.local == HtlcId(1) {
                pair.offer(Who::Bob, 60_000_000, 6);
            }
            if pair
                .bob
                .channel
                .state()
                .commitments
                .received
                .get(&HtlcId(0))
                .is_some_and(|htlc| htlc.removal.is_none())
            {
                pair.bob.remove(HtlcId(0), fulfilled(3)).expect("it is there");
            }
            if pair
                .alice
                .channel
                .state()
                .commitments
                .received
                .get(&HtlcId(0))
                .is_some_and(|htlc| htlc.removal.is_none())
            {
                pair.alice.remove(HtlcId(0), failed(9)).expect("it is there");
            }
        },
        |pair| {
            assert_eq!(pair.balances(), (5_980_000_000, 4_020_000_000));
            for end in [&pair.alice, &pair.bob] {
                let commitments = &end.channel.state().commitments;
                assert_eq!(commitments.offered.keys().collect::<Vec<_>>(), [&HtlcId(1)]);
                assert!(commitments.is_at_rest());
            }
        },
    );
}
