//! What nodes tell each other of their own channels (BOLT 7).

use quittance_channel::{Attached, ForwardingPolicy};
use quittance_manager::{Command, GossipToSign, Input, Outgoing, Response};
use quittance_primitives::{ChannelId, CltvExpiryDelta, MilliSatoshi, PaymentId, ShortChannelId};
use quittance_simulator::{ChannelSetup, End, RowsAfterCrash, World};
use quittance_store::memory::Keep;
use quittance_wire::{ChannelUpdate, Message};

const AMOUNT: MilliSatoshi = MilliSatoshi(50_000_000);

/// A node and its peers in a line, a second after they met.
fn line(nodes: u8) -> (World, Vec<ChannelId>) {
    let mut world = World::new(nodes, 1);
    let pairs = (1..usize::from(nodes)).map(|node| (node - 1, node));
    let channels: Vec<_> = pairs
        .map(|(one, other)| world.open_channel(one, other, &ChannelSetup::default()))
        .collect();
    world.tick();
    (world, channels)
}

fn count(world: &World, node: usize, name: &str) -> usize {
    world.nodes[node].sent.iter().filter(|sent| **sent == name).count()
}

/// `from` says this to `to`, under its own signature.
fn say(world: &mut World, from: usize, to: usize, update: ChannelUpdate) {
    let signed = world.nodes[from]
        .signer
        .complete(Outgoing::Gossip(Box::new(GossipToSign::Update(update))));
    bring(world, from, to, signed);
}

fn bring(world: &mut World, from: usize, to: usize, message: Message) {
    let input = Input::PeerMessage {
        peer: world.nodes[from].id(),
        message: Box::new(message),
        attached: Attached::Nothing,
    };
    world.input(to, input);
    world.settle();
}

#[test]
fn each_end_hears_what_the_other_goes_by_and_is_told_once() {
    let (mut world, channels) = line(2);
    let policy = world.policy(0, channels[0]).unwrap();
    let heard = world.heard(1, channels[0]).unwrap().clone();
    assert_eq!(MilliSatoshi(u64::from(heard.fee_base_msat)), policy.fee_base);
    assert_eq!(heard.cltv_expiry_delta, policy.cltv_expiry_delta);
    assert_eq!(
        heard.htlc_maximum_msat,
        MilliSatoshi(10_000_000_000),
        "no more than it holds"
    );
    let direction = u8::from(world.nodes[0].id() > world.nodes[1].id());
    assert_eq!(heard.channel_flags, direction);
    assert_eq!(heard.message_flags, 3, "for this peer alone");
    let key = world.nodes[0].id().public_key().unwrap();
    let verified = secp256k1::SECP256K1.verify_ecdsa(&heard.signature_hash(), &heard.signature, &key);
    assert_eq!(verified, Ok(()));
    let told = count(&world, 0, "channel_update");
    let invoice = world.invoice(1, AMOUNT);
    world.pay(0, 1, PaymentId([1; 32]), &invoice, AMOUNT, Vec::new());
    world.settle();
    assert_eq!(count(&world, 0, "channel_update"), told, "nothing has changed");
    world.checker.assert_kept();
}

#[test]
fn a_reconnection_says_the_same_words_and_writes_nothing() {
    let (mut world, channels) = line(2);
    let before = (world.heard(1, channels[0]).cloned(), world.lsn(0), world.lsn(1));
    world.now_ms += 3_600_000;
    world.disconnect(0, 1);
    world.connect(0, 1);
    world.settle();
    assert_eq!(
        (world.heard(1, channels[0]).cloned(), world.lsn(0), world.lsn(1)),
        before
    );
    assert_eq!(count(&world, 0, "channel_update"), 2);
}

#[test]
fn what_was_heard_survives_a_restart_and_is_heard_again_when_rows_are_lost() {
    let (mut world, channels) = line(2);
    let heard = world.heard(1, channels[0]).cloned();
    world.crash(1, Keep::All, RowsAfterCrash::Whole);
    world.start(1);
    assert_eq!(world.heard(1, channels[0]).cloned(), heard, "it has a row");
    world.crash(1, Keep::All, RowsAfterCrash::Lost);
    world.start(1);
    assert_eq!(world.heard(1, channels[0]), None);
    world.reconnect();
    assert_eq!(world.heard(1, channels[0]).cloned(), heard, "its peer said it again");
}

#[test]
fn a_change_is_told_at_once_with_a_later_time_and_the_old_terms_hold_for_ten_minutes() {
    let (mut world, channels) = line(3);
    let (invoices, old_hint) = ([(); 2].map(|()| world.invoice(2, AMOUNT)), world.hint_as_told(1, 2));
    let before = world.heard(2, channels[1]).unwrap().timestamp;
    let policy = ForwardingPolicy {
        fee_base: MilliSatoshi(9_000),
        ..world.policy(1, channels[1]).unwrap()
    };
    world.set_policy(1, channels[1], policy);
    world.settle();
    let heard = world.heard(2, channels[1]).unwrap();
    assert_eq!(heard.fee_base_msat, 9_000);
    assert!(heard.timestamp > before, "{} after {before}", heard.timestamp);

    world.pay(0, 2, PaymentId([1; 32]), &invoices[0], AMOUNT, vec![vec![old_hint]]);
    world.settle();
    let end = world.checker.end_of(0, PaymentId([1; 32]));
    assert!(matches!(end, Some(End::Sent { .. })), "{end:?}");
    world.now_ms += 600_000;
    world.tick();
    world.pay(0, 2, PaymentId([2; 32]), &invoices[1], AMOUNT, vec![vec![old_hint]]);
    world.settle();
    let end = world.checker.end_of(0, PaymentId([2; 32]));
    assert!(matches!(end, Some(End::Failed(_))), "{end:?}");
    world.checker.assert_kept();
}

#[test]
fn a_policy_that_would_lose_money_is_refused() {
    let (mut world, channels) = line(2);
    let policy = world.policy(0, channels[0]).unwrap();
    let bad = ForwardingPolicy {
        cltv_expiry_delta: CltvExpiryDelta(33),
        ..policy
    };
    let request = world.command(0, Command::SetPolicy(channels[0], bad));
    let Some(Response::ChannelRefused(_, why)) = world.nodes[0].user.responses.get(&request) else {
        panic!("it is refused")
    };
    assert_eq!(
        why.to_string(),
        "a CLTV delta of 33 blocks; below 34 there is no time to claim on chain what we forward"
    );
    assert_eq!(world.policy(0, channels[0]), Some(policy));
}

#[test]
fn after_a_week_the_same_is_said_again_under_a_later_time() {
    let (mut world, channels) = line(2);
    let before = world.heard(1, channels[0]).unwrap().clone();
    world.now_ms += 7 * 24 * 3_600_000;
    world.tick();
    let after = world.heard(1, channels[0]).unwrap();
    assert_eq!(after.checksum(), before.checksum());
    assert!(after.timestamp >= before.timestamp + 7 * 24 * 3_600);
}

#[test]
fn only_the_peers_own_news_of_our_channel_is_kept() {
    let (mut world, channels) = line(2);
    let heard = world.heard(1, channels[0]).unwrap().clone();
    let news = ChannelUpdate {
        timestamp: heard.timestamp + 60,
        fee_base_msat: 77,
        ..heard.clone()
    };
    let others = [
        (
            "not newer",
            ChannelUpdate {
                timestamp: heard.timestamp,
                ..news.clone()
            },
        ),
        (
            "of the far future",
            ChannelUpdate {
                timestamp: u32::MAX,
                ..news.clone()
            },
        ),
        (
            "of our end",
            ChannelUpdate {
                channel_flags: heard.channel_flags ^ 1,
                ..news.clone()
            },
        ),
        (
            "of another chain",
            ChannelUpdate {
                chain_hash: bitcoin::constants::ChainHash::BITCOIN,
                ..news.clone()
            },
        ),
        (
            "of another channel",
            ChannelUpdate {
                short_channel_id: ShortChannelId(7),
                ..news.clone()
            },
        ),
    ];
    for (what, update) in others {
        say(&mut world, 0, 1, update);
        assert_eq!(world.heard(1, channels[0]), Some(&heard), "{what}");
    }
    assert_eq!(count(&world, 1, "warning"), 0);
    bring(&mut world, 0, 1, news.clone().into());
    assert_eq!(
        world.heard(1, channels[0]),
        Some(&heard),
        "with a signature of something else"
    );
    assert_eq!(count(&world, 1, "warning"), 1);
    assert!(world.is_connected(0, 1), "a channel is worth more");
    say(&mut world, 0, 1, news);
    assert_eq!(world.heard(1, channels[0]).unwrap().fee_base_msat, 77);
}
