//! GO: what nodes tell each other of their own channels.

use bitcoin::constants::ChainHash;
use quittance_channel::ForwardingPolicy;
use quittance_primitives::{CltvExpiryDelta, MilliSatoshi, ShortChannelId};
use quittance_wire::{
    BigSize, EncodedShortIds, GossipTimestampFilter, Message, QueryChannelRange, QueryShortChannelIds, WANT_CHECKSUMS,
    WANT_TIMESTAMPS,
};

use super::stage::{A, AMOUNT, B, C, ID, channel_between, ends_once, is_sent, line};
use crate::checker::FORWARDING;
use crate::{ChannelSetup, Effort, Lie, Report, Schedule, World};

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

/// A, B and C in a line; the channel of B and C is to be known.
fn with_public() -> World {
    let mut world = World::new(3, 1);
    world.open_channel(A, B, &ChannelSetup::default());
    let public = ChannelSetup {
        announce: true,
        ..ChannelSetup::default()
    };
    world.open_channel(B, C, &public);
    world
}

pub(super) fn announcement_is_agreed_on_whatever_crashes(effort: Effort) -> Report {
    let world = with_public();
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

/// A wants to hear from B whatever others say.
fn listen(world: &mut World) {
    let filter = GossipTimestampFilter {
        chain_hash: ChainHash::REGTEST,
        first_timestamp: 0,
        timestamp_range: u32::MAX,
    };
    world.say(A, B, &filter.into());
    world.settle();
}

/// What was heard is passed on: once in a minute.
fn minutes_pass(world: &mut World) {
    for _ in 0..3 {
        world.now_ms += 61_000;
        world.tick();
    }
}

pub(super) fn false_words_are_believed_by_nobody(effort: Effort) -> Report {
    let mut world = with_public();
    world.mine(4);
    minutes_pass(&mut world);
    let channel = channel_between(&world, B, C).expect("they share one");
    let place = world.hint(B, C).short_channel_id;
    let script = |world: &mut World| {
        listen(world);
        for lie in [Lie::Unsigned, Lie::OfOtherEnd, Lie::OutOfDate] {
            if let Some(terms) = world.false_terms(C, B, channel, lie) {
                world.say(C, B, &terms);
                world.settle();
            }
        }
        let now_s = u32::try_from(world.now_ms / 1_000).expect("before 2106");
        let name = world.falsely_renamed(C, now_s + 1);
        world.say(C, B, &World::false_half(channel, place).into());
        world.say(C, B, &name);
        world.settle();
        minutes_pass(world);
    };
    // What leaves B, and what B believes, the world looks at all the time.
    let end = |world: &mut World| {
        world.reconnect();
        world.set_policy(C, channel, DEARER);
        listen(world);
        minutes_pass(world);
        world.conclude();
        let heard = world.heard(B, channel).map(|heard| heard.fee_base_msat);
        assert_eq!(heard, Some(5_000), "who lied is heard when it says what is true");
        let passed_on = world.sent_lately(B, A).into_iter().any(|message| match message {
            Message::ChannelUpdate(update) => update.fee_base_msat == 5_000,
            _ => false,
        });
        assert!(passed_on, "A hears of it");
    };
    Schedule::new(world, &[B, C], script, end).run(effort)
}

pub(super) fn questions_are_answered_whole_whatever_crashes(effort: Effort) -> Report {
    let mut world = with_public();
    world.mine(4);
    let place = world.hint(B, C).short_channel_id;
    let ask_for_blocks = move |world: &mut World| {
        for (first_blocknum, number_of_blocks) in [(0, u32::MAX), (place.block().0, 1), (place.block().0 + 1, 100)] {
            let blocks = QueryChannelRange {
                chain_hash: ChainHash::REGTEST,
                first_blocknum,
                number_of_blocks,
                query_option: Some(BigSize(WANT_TIMESTAMPS | WANT_CHECKSUMS)),
            };
            world.say(A, B, &blocks.into());
        }
        world.settle();
    };
    let ask_for_the_rest = move |world: &mut World| {
        let channels = QueryShortChannelIds {
            chain_hash: ChainHash::REGTEST,
            encoded_short_ids: EncodedShortIds(vec![ShortChannelId(7), place]),
            query_flags: None,
        };
        world.say(A, B, &channels.into());
        world.settle();
        listen(world);
    };
    let end = |world: &mut World| {
        world.recover();
        ask_for_blocks(world);
        let told = world.sent_lately(B, A).into_iter().filter_map(|message| match message {
            Message::ReplyChannelRange(reply) => Some(reply.encoded_short_ids.0),
            _ => None,
        });
        let told: Vec<_> = told.collect();
        assert!(
            told.ends_with(&[vec![place], vec![place], vec![]]),
            "A was told {told:?}"
        );
        // Whether each question has its answer, the world looks at all the time and in the end.
        ask_for_the_rest(world);
        world.conclude();
    };
    let script = |world: &mut World| {
        ask_for_blocks(world);
        ask_for_the_rest(world);
    };
    Schedule::new(world, &[B], script, end).run(effort)
}
