//! GO: what nodes tell each other of their own channels.

use quittance_channel::ForwardingPolicy;
use quittance_primitives::{CltvExpiryDelta, MilliSatoshi};

use super::stage::{A, AMOUNT, B, C, ID, channel_between, ends_once, is_sent, line};
use crate::checker::FORWARDING;
use crate::{Effort, Report, Schedule, World};

/// Dearer than what every channel begins with.
const DEARER: ForwardingPolicy = ForwardingPolicy {
    fee_base: MilliSatoshi(5_000),
    fee_proportional_millionths: 700,
    cltv_expiry_delta: CltvExpiryDelta(90),
    ..FORWARDING
};

pub(super) fn terms_reach_the_peer_whatever_crashes(effort: Effort) -> Report {
    let mut world = line();
    world.tick();
    let channel = channel_between(&world, B, C).expect("they share one");
    let invoice = world.invoice(C, AMOUNT);
    let script = |world: &mut World| {
        world.set_policy(B, channel, DEARER);
        world.settle();
        world.tick();
        world.disconnect(B, C);
        world.connect(B, C);
        world.settle();
    };
    let end = |world: &mut World| {
        if world.policy(B, channel) != Some(DEARER) {
            // The caller had no answer, and asks again.
            world.set_policy(B, channel, DEARER);
            world.settle();
        }
        let before = world.balance(B);
        let hint = world.hint_as_told(B, C);
        world.pay(A, C, ID, &invoice, AMOUNT, vec![vec![hint]]);
        world.settle();
        ends_once(world);
        is_sent(world);
        let earned = world.balance(B) - before;
        assert_eq!(earned, 5_000 + AMOUNT.0 * 700 / 1_000_000, "C's hint has B's new fee");
    };
    Schedule::new(world, &[B, C], script, end).run(effort)
}
