//! What a channel costs: bytes of log for an HTLC's life, and a state that does not grow with history.

mod pair;

use pair::{End, Pair, Who, fulfilled};
use quittance_primitives::HtlcId;

fn log_bytes(end: &End) -> usize {
    end.log.iter().map(Vec::len).sum()
}

/// An HTLC from Alice to Bob lives and ends, and whoever waited for its outcome has it.
fn one_payment(pair: &mut Pair, preimage: u8) {
    let id = pair.offer(Who::Alice, 10_000_000, preimage);
    pair.settle();
    pair.bob.remove(id, fulfilled(preimage)).expect("it is there");
    pair.settle();
    let decision = pair.alice.channel.decide_acknowledged(id);
    pair.alice.take_in(decision);
}

#[test]
fn the_log_of_one_payment_is_small_on_both_sides() {
    let mut pair = Pair::normal();
    let before = (log_bytes(&pair.alice), log_bytes(&pair.bob));
    one_payment(&mut pair, 3);
    let (payer, payee) = (log_bytes(&pair.alice) - before.0, log_bytes(&pair.bob) - before.1);
    println!("log bytes of one payment: payer {payer}, payee {payee}");
    // Two commitments each way (64 bytes of signatures), one HTLC signature, two secrets, four points, and the HTLC itself.
    assert!(payer <= 750 && payee <= 750, "payer {payer}, payee {payee}");
}

#[test]
fn the_state_does_not_grow_with_history() {
    let mut pair = Pair::normal();
    one_payment(&mut pair, 1);
    let sizes = |pair: &Pair| {
        (
            pair.alice.channel.state().to_checkpoint().len(),
            pair.bob.channel.state().to_checkpoint().len(),
        )
    };
    let early = sizes(&pair);
    for number in 0..300_u32 {
        one_payment(&mut pair, u8::try_from(number % 250).expect("a byte"));
    }
    let late = sizes(&pair);
    println!("checkpoint bytes: {early:?} after 1 payment, {late:?} after 301");
    assert_eq!(pair.alice.channel.state().commitments.next_htlc_id.local, HtlcId(301));
    // The store of the peer's secrets grows by 32 bytes each time their count doubles; nothing else may.
    assert!(
        late.0 <= early.0 + 10 * 32 + 16 && late.1 <= early.1 + 10 * 32 + 16,
        "{early:?} {late:?}"
    );
}

#[test]
fn the_state_grows_with_what_is_in_flight_and_shrinks_with_it() {
    let mut pair = Pair::normal();
    let empty = pair.alice.channel.state().to_checkpoint().len();
    for number in 0..100 {
        pair.offer(Who::Alice, 10_000_000, number);
    }
    pair.settle();
    let full = pair.alice.channel.state().to_checkpoint().len();
    println!("bytes of state for each HTLC in flight: {}", (full - empty) / 100);
    assert!(full - empty < 100 * 450, "{empty} {full}");
}
