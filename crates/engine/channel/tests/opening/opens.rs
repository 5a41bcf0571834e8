//! Openings that succeed, in every type, and what both sides have then.

use bitcoin::{Amount, ScriptBuf};
use quittance_channel::opening::{ChannelType, OpenRequest, Trust};
use quittance_channel::{Channel, ChannelEffect, FundingConfirmation, Phase, Side, View};
use quittance_primitives::{BlockCount, BlockHeight, ChannelId, Feature, MilliSatoshi, ShortChannelId};
use quittance_transactions::{CommitmentFormat, CommitmentTransaction};
use quittance_wire::{ChannelReady, Message};

use crate::party::{HEIGHT, Opened, Party, negotiated, opened, sent, without};

/// A variation of the plain request, and what it is to the fundee.
struct Variation {
    name: &'static str,
    change: fn(&mut OpenRequest),
    trust: Trust,
}

const VARIATIONS: [Variation; 7] = [
    Variation {
        name: "private",
        change: |_| {},
        trust: Trust::Ordinary,
    },
    Variation {
        name: "announced",
        change: |request| request.announce = true,
        trust: Trust::Ordinary,
    },
    Variation {
        name: "scid_alias",
        change: |request| request.channel_type.scid_alias = true,
        trust: Trust::Ordinary,
    },
    Variation {
        name: "zeroconf",
        change: |request| request.channel_type.zeroconf = true,
        trust: Trust::Zeroconf,
    },
    Variation {
        name: "zeroconf and scid_alias",
        change: |request| {
            request.channel_type.zeroconf = true;
            request.channel_type.scid_alias = true;
        },
        trust: Trust::Zeroconf,
    },
    Variation {
        name: "push",
        change: |request| request.push = MilliSatoshi(200_000_001),
        trust: Trust::Ordinary,
    },
    Variation {
        name: "wumbo",
        change: |request| request.capacity = Amount::from_sat(1 << 24),
        trust: Trust::Ordinary,
    },
];

const FORMATS: [CommitmentFormat; 3] = [
    CommitmentFormat::StaticRemotekey,
    CommitmentFormat::Anchors,
    CommitmentFormat::ZeroFee,
];

#[test]
fn every_type_opens_in_every_variation_and_both_sides_build_the_same_commitments() {
    let (mut alice, mut bob) = (Party::alice(), Party::bob());
    alice.policy.formats = FORMATS.to_vec();
    bob.policy.formats = FORMATS.to_vec();
    for format in FORMATS {
        for variation in &VARIATIONS {
            let mut request = alice.request_of(&bob, Amount::from_sat(1_000_000), format);
            (variation.change)(&mut request);
            let wanted = request.clone();
            let opened = opened(&alice, &bob, request, variation.trust)
                .unwrap_or_else(|refused| panic!("{format:?} {}: {refused}", variation.name));
            assert_same_commitments(&opened, variation.name);
            assert_facts(&opened, &wanted, variation);
            assert_ready_on_both_sides(opened, &wanted);
        }
    }
}

fn commitment(channel: &Channel, view: View) -> CommitmentTransaction {
    let state = channel.state();
    let contents = state
        .commitments
        .contents(&state.facts, view)
        .expect("its point is known");
    CommitmentTransaction::build(&state.facts.terms(), &contents).expect("the opener affords it")
}

fn assert_same_commitments(opened: &Opened, name: &str) {
    let Opened { alice, bob, .. } = opened;
    for (owner, other) in [(alice, bob), (bob, alice)] {
        let (own, others) = (commitment(owner, View::Local), commitment(other, View::Remote));
        assert_eq!(own.transaction(), others.transaction(), "{name}");
        let signature = &owner.state().commitments.local.signature;
        assert_eq!(own.verify_funding_signature(signature), Ok(()), "{name}");
    }
    assert_ne!(
        commitment(alice, View::Local).txid(),
        commitment(bob, View::Local).txid()
    );
}

fn assert_facts(opened: &Opened, wanted: &OpenRequest, variation: &Variation) {
    let (ours, theirs) = (&opened.alice.state().facts, &opened.bob.state().facts);
    assert_eq!((ours.opener, theirs.opener), (Side::Local, Side::Remote));
    for facts in [ours, theirs] {
        assert_eq!(facts.channel_id, ChannelId::v1(facts.funding));
        assert_eq!(facts.funding.vout, 1, "the change is in front");
        assert_eq!(facts.capacity, wanted.capacity);
        assert_eq!(facts.channel_type, wanted.channel_type.features());
        assert_eq!(facts.format, wanted.channel_type.format);
        assert_eq!(facts.announce, wanted.announce);
        assert_eq!(facts.initial_feerate, wanted.feerate);
        assert_eq!(facts.opened_at, HEIGHT);
        let depth = if wanted.channel_type.zeroconf { 0 } else { 6 };
        assert_eq!(facts.minimum_depth, BlockCount(depth), "{}", variation.name);
    }
    assert_eq!(ours.funding, theirs.funding);
    assert_eq!(ours.terms(), theirs.terms());
    assert_eq!(ours.sides.local, theirs.sides.remote);
    assert_eq!(ours.sides.remote, theirs.sides.local);
    assert_eq!((ours.signer_keys_id, theirs.signer_keys_id), ([1; 32], [2; 32]));
    let left = MilliSatoshi(wanted.capacity.to_sat() * 1_000 - wanted.push.0);
    assert_eq!(
        (ours.initial_balance.local, ours.initial_balance.remote),
        (left, wanted.push)
    );
    assert_eq!(
        (theirs.initial_balance.remote, theirs.initial_balance.local),
        (left, wanted.push)
    );
    let funding = ours.funding_transaction.as_ref().expect("the funder keeps it");
    let broadcast = ChannelEffect::BroadcastFunding(Box::new(funding.transaction().clone()));
    assert_eq!(opened.alice_effects, [broadcast]);
    assert_eq!(theirs.funding_transaction, None);
}

/// Goes on to `channel_ready` on both sides: at once without confirmations, else at the agreed depth.
fn assert_ready_on_both_sides(opened: Opened, wanted: &OpenRequest) {
    let Opened { mut alice, mut bob, .. } = opened;
    let alias = Some(ShortChannelId(0xa11a5));
    let tip = if wanted.channel_type.zeroconf {
        HEIGHT
    } else {
        for channel in [&mut alice, &mut bob] {
            let confirmation = FundingConfirmation {
                height: BlockHeight(700_001),
                short_channel_id: ShortChannelId::new(BlockHeight(700_001), 5, 1).expect("in range"),
            };
            let decision = channel.decide_funding_confirmed(confirmation);
            let _ = channel.adopt(decision);
            assert_eq!(
                channel.decide_ready(BlockHeight(700_005), alias),
                None,
                "five deep is not six"
            );
        }
        BlockHeight(700_006)
    };
    let from_alice = ready(&mut alice, tip, alias);
    let from_bob = ready(&mut bob, tip, alias);
    for (channel, message) in [(&mut alice, from_bob), (&mut bob, from_alice)] {
        let decision = channel.decide_channel_ready(&message).expect("a first channel_ready");
        let _ = channel.adopt(decision);
        assert_eq!(channel.state().phase, Phase::Normal);
    }
}

fn ready(channel: &mut Channel, tip: BlockHeight, alias: Option<ShortChannelId>) -> ChannelReady {
    let decision = channel.decide_ready(tip, alias).expect("deep enough");
    let reaction = channel.adopt(decision);
    let [ChannelEffect::Send(message)] = reaction.effects.as_slice() else {
        panic!("channel_ready is sent: {:?}", reaction.effects);
    };
    sent(message.as_ref().clone(), |message| match message {
        Message::ChannelReady(message) => Some(message),
        _ => None,
    })
}

#[test]
fn upfront_scripts_bind_both_sides_and_an_empty_one_nobody() {
    let (mut alice, bob) = (Party::alice(), Party::bob());
    let taproot = ScriptBuf::from_hex(&format!("5120{}", "07".repeat(32))).unwrap();
    alice.upfront_shutdown_script = Some(taproot.clone());
    let request = alice.request(&bob);
    let opened = opened(&alice, &bob, request, Trust::Ordinary).unwrap();
    let (ours, theirs) = (&opened.alice.state().facts.sides, &opened.bob.state().facts.sides);
    assert_eq!(ours.local.upfront_shutdown_script, Some(taproot.clone()));
    assert_eq!(theirs.remote.upfront_shutdown_script, Some(taproot));
    assert_eq!(theirs.local.upfront_shutdown_script, None);
    assert_eq!(ours.remote.upfront_shutdown_script, None);
}

#[test]
fn the_peers_upfront_script_binds_it_only_where_both_sides_have_the_feature() {
    let (mut alice, bob) = (Party::alice(), Party::bob());
    let script = ScriptBuf::from_hex(&format!("0014{}", "07".repeat(20))).unwrap();
    alice.upfront_shutdown_script = Some(script.clone());
    let mut request = alice.request(&bob);
    request.negotiated = without(Feature::UpfrontShutdownScript);
    let opened = opened(&alice, &bob, request, Trust::Ordinary).unwrap();
    let (ours, theirs) = (&opened.alice.state().facts.sides, &opened.bob.state().facts.sides);
    assert_eq!(
        ours.local.upfront_shutdown_script,
        Some(script),
        "we said it, so we keep to it"
    );
    assert_eq!(theirs.remote.upfront_shutdown_script, None);
}

#[test]
fn the_default_demands_are_a_hundredth_as_reserve_and_no_less_than_either_dust_limit() {
    let (mut alice, bob) = (Party::alice(), Party::bob());
    alice.policy.ours.dust_limit = Amount::from_sat(546);
    let request = alice.request_of(&bob, Amount::from_sat(20_050), CommitmentFormat::Anchors);
    let opened_small = opened(&alice, &bob, request, Trust::Ordinary).unwrap();
    let sides = &opened_small.alice.state().facts.sides;
    assert_eq!(sides.local.channel_reserve.to_sat(), 546, "our own dust limit");
    assert_eq!(
        sides.remote.channel_reserve.to_sat(),
        546,
        "the other side's dust limit"
    );
    assert_eq!(sides.remote.dust_limit.to_sat(), 354);

    let request = alice.request_of(&bob, Amount::from_sat(1_000_001), CommitmentFormat::Anchors);
    let opened_usual = opened(&alice, &bob, request, Trust::Ordinary).unwrap();
    let sides = &opened_usual.alice.state().facts.sides;
    assert_eq!(sides.local.channel_reserve.to_sat(), 10_001, "rounded up");
    assert_eq!(sides.local.max_htlc_value_in_flight, MilliSatoshi(1_000_001_000));
    assert_eq!(sides.local.to_self_delay.0, 144);
    assert_eq!(sides.local.max_accepted_htlcs, 483);
}

#[test]
fn our_own_channels_have_anchors_unless_the_peer_lacks_them() {
    let mut policy = Party::alice().policy;
    assert_eq!(policy.preferred_format(&negotiated()), Some(CommitmentFormat::Anchors));
    let no_anchors = without(Feature::Anchors);
    assert_eq!(
        policy.preferred_format(&no_anchors),
        Some(CommitmentFormat::StaticRemotekey)
    );
    policy.formats.insert(0, CommitmentFormat::ZeroFee);
    assert_eq!(policy.preferred_format(&negotiated()), Some(CommitmentFormat::ZeroFee));
    policy.formats = vec![CommitmentFormat::Anchors];
    assert_eq!(policy.preferred_format(&no_anchors), None);
}

#[test]
fn a_peer_that_is_not_trusted_waits_for_one_confirmation_at_least() {
    let (alice, mut bob) = (Party::alice(), Party::bob());
    bob.policy.minimum_depth = BlockCount(0);
    let opened = opened(&alice, &bob, alice.request(&bob), Trust::Zeroconf).unwrap();
    assert_eq!(opened.bob.state().facts.minimum_depth, BlockCount(1));
    assert_eq!(opened.alice.state().facts.minimum_depth, BlockCount(1));
}

#[test]
fn zero_fee_commitments_accept_114_htlcs() {
    let (alice, bob) = (Party::alice(), Party::bob());
    let request = alice.request_of(&bob, Amount::from_sat(1_000_000), CommitmentFormat::ZeroFee);
    assert_eq!(request.ours.demands.max_accepted_htlcs, 114);
    assert_eq!(request.channel_type, ChannelType::basic(CommitmentFormat::ZeroFee));
}
