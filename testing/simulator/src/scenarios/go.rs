//! GO: what nodes tell each other of their own channels.

use quittance_channel::ForwardingPolicy;
use quittance_primitives::{CltvExpiryDelta, MilliSatoshi};
use quittance_wire::Message;

use super::stage::{A, AMOUNT, B, C, ID, channel_between, ends_once, is_sent, line};
use crate::checker::FORWARDING;
use crate::{ChannelSetup, Effort, Report, Schedule, World};

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

pub(super) fn announcement_is_agreed_on_whatever_crashes(effort: Effort) -> Report {
    let mut world = World::new(3, 1);
    world.open_channel(A, B, &ChannelSetup::default());
    let public = ChannelSetup {
        announce: true,
        ..ChannelSetup::default()
    };
    world.open_channel(B, C, &public);
    let script = |world: &mut World| {
        // It is three blocks deep, and gets six.
        world.mine(4);
        world.disconnect(B, C);
        world.connect(B, C);
        world.settle();
        if let Some(channel) = channel_between(world, B, C) {
            world.set_policy(B, channel, DEARER);
        }
        world.settle();
    };
    let end = |world: &mut World| {
        world.conclude();
        // A node that knows nothing of it hears of it when it asks, or connects.
        world.disconnect(A, B);
        world.connect(A, B);
        world.settle();
        let heard = world.sent_lately(B, A);
        let announced = heard
            .iter()
            .any(|message| matches!(message, Message::ChannelAnnouncement(_)));
        assert!(announced, "A hears of the channel of B and C");
    };
    let schedule = Schedule::new(world, &[B, C], script, end);
    schedule.run(effort)
}
