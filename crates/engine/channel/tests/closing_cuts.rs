//! The link is cut before and after every message of a close by agreement, in both protocols, and either side may restart, with
//! and without what it had not synced: the channel is closed all the same, and every signature that left is known.

mod pair;

use pair::closing::simple_close;
use pair::cuts::{RESTARTS, deliver_up_to};
use pair::{Pair, Setup, Who, failed, fulfilled};
use quittance_channel::{CloseRequest, HtlcState, Phase};
use quittance_primitives::{FeeratePerKw, HtlcId};

/// Runs `act` on a pair made by `start`, cut at every message, with every kind of restart; then both have closed, and `check`.
/// `act` only does what is not done yet: it is repeated when its order was lost with an unsynced log.
fn closes(start: impl Fn() -> Pair, act: impl Fn(&mut Pair), check: impl Fn(&Pair)) {
    let mut whole = start();
    act(&mut whole);
    let messages = deliver_up_to(&mut whole, usize::MAX);
    whole.check_closed();
    check(&whole);
    assert!(messages >= 2, "there is something to cut");
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
            if pair.alice.is_forgetful || pair.bob.is_forgetful {
                act(&mut pair);
                pair.settle();
            }
            for end in [&pair.alice, &pair.bob] {
                let wrong = &end.violations;
                assert!(wrong.is_empty(), "cut after {cut_after}, {restarts:?}: {wrong:?}");
            }
            pair.check_agreement();
            pair.check_closed();
            pair.check_shares();
            check(&pair);
        }
    }
}

fn order(who: Who) -> impl Fn(&mut Pair) {
    move |pair| {
        if !matches!(
            pair.end(who).channel.state().phase,
            Phase::ShuttingDown(_) | Phase::ClosingAgreed(_)
        ) {
            pair.close(who);
        }
    }
}

/// What the agreed transactions that each end would broadcast after a restart pay, Alice's and Bob's share.
fn owed(pair: &Pair) -> Vec<(Option<u64>, Option<u64>)> {
    let mut paid: Vec<_> = pair.alice.owed_closings().iter().map(|one| pair.paid_by(one)).collect();
    paid.sort_unstable();
    paid
}

#[test]
fn a_legacy_close_of_either_side() {
    for who in Who::BOTH {
        closes(Pair::normal, order(who), |pair| {
            assert_eq!(owed(pair), [(Some(5_999_324), Some(4_000_000))]);
            assert_eq!(pair.alice.owed_closings(), pair.bob.owed_closings());
        });
    }
}

#[test]
fn a_legacy_close_whose_fee_the_accepter_picks() {
    let start = || {
        let mut pair = Pair::normal();
        pair.alice.limits.closing.feerate = FeeratePerKw(300);
        pair.bob.limits.closing.feerate_min = FeeratePerKw(500);
        pair
    };
    closes(start, order(Who::Alice), |pair| {
        assert_eq!(owed(pair), [(Some(5_999_662), Some(4_000_000))]);
    });
}

#[test]
fn a_simple_close_of_either_side() {
    for who in Who::BOTH {
        closes(Pair::with_simple_close, order(who), |pair| {
            let both = [(Some(5_999_324), Some(4_000_000)), (Some(6_000_000), Some(3_999_324))];
            // A restart may leave one of the two where the other one closes the channel already.
            assert!(owed(pair).iter().all(|paid| both.contains(paid)));
            assert!(!owed(pair).is_empty());
        });
    }
}

#[test]
fn a_close_before_the_channel_was_ever_open() {
    for setup in [Setup::default(), simple_close()] {
        closes(|| Pair::unready(&setup), order(Who::Bob), |_| {});
    }
}

#[test]
fn a_close_that_crosses_channel_ready_and_an_htlc() {
    for setup in [Setup::default(), simple_close()] {
        let start = || {
            let mut pair = Pair::unready(&setup);
            pair.alice.confirm_funding();
            pair.deliver(Who::Alice);
            // Bob can use the channel as soon as he is ready; Alice does not know it yet.
            pair.bob.confirm_funding();
            pair
        };
        let act = |pair: &mut Pair| {
            if matches!(pair.bob.channel.state().phase, Phase::Normal)
                && pair.bob.channel.state().commitments.next_htlc_id.local == HtlcId(0)
            {
                pair.offer(Who::Bob, 5_000_000, 3);
            }
            order(Who::Alice)(pair);
        };
        let mut pair = start();
        act(&mut pair);
        pair.settle();
        assert!(pair.alice.violations.is_empty() && pair.bob.violations.is_empty());
        let htlc = &pair.alice.channel.state().commitments.received[&HtlcId(0)];
        assert_eq!(htlc.state, HtlcState::RcvdAddAckRevocation);
        pair.alice.remove(HtlcId(0), failed(3)).expect("it is irrevocable");
        pair.settle();
        pair.check_closed();
    }
}

#[test]
fn a_close_while_the_last_htlc_is_fulfilled() {
    for setup in [Setup::default(), simple_close()] {
        closes(
            || Pair::of(&setup).with_htlc(Who::Alice, 50_000_000, 3),
            |pair| {
                order(Who::Alice)(pair);
                let received = &pair.bob.channel.state().commitments.received;
                if received.get(&HtlcId(0)).is_some_and(|htlc| htlc.removal.is_none()) {
                    pair.bob.remove(HtlcId(0), fulfilled(3)).expect("it is there");
                }
            },
            |pair| assert_eq!(pair.balances(), (5_950_000_000, 4_050_000_000)),
        );
    }
}

#[test]
fn a_closing_transaction_that_is_replaced() {
    let request = || CloseRequest {
        feerate: Some(FeeratePerKw(3_000)),
        script: Some(pair::facts::closing_script("Zoe")),
    };
    closes(
        || {
            let mut pair = Pair::with_simple_close();
            pair.close(Who::Alice);
            pair.settle();
            pair
        },
        |pair| {
            let closing = pair.bob.channel.state().shutting_down().expect("it began");
            if closing.wanted.is_none() {
                pair.bob.close(request()).expect("it can be replaced");
            }
        },
        |pair| {
            // 2028 sat, three times the first fee.
            assert_eq!(owed(pair).last(), Some(&(Some(6_000_000), Some(3_997_972))));
            let known = pair.alice.channel.state().shutting_down().expect("it began");
            assert_eq!(known.scripts.remote, Some(pair::facts::closing_script("Zoe")));
        },
    );
}
