//! A channel is closed by agreement, in the legacy way and in the simple one, and what the chain sees is right to the sat.

mod pair;

use pair::closing::{balances_of, simple_close};
use pair::{Kept, Pair, Setup, Who, fulfilled};
use quittance_channel::{CloseRequest, Phase, Refusal, Step};
use quittance_primitives::{FeeratePerKw, HtlcId};
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
