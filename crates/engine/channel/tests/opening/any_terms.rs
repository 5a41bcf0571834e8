//! Terms at random, and under a policy that puts up with everything: what is accepted can be opened, and nothing panics.

use bitcoin::Amount;
use proptest::prelude::*;
use quittance_channel::View;
use quittance_channel::opening::{Announcement, OpenRequest, OpeningPolicy, Trust};
use quittance_primitives::{FeeratePerKw, MilliSatoshi, ToSelfDelay};
use quittance_transactions::{CommitmentFormat, CommitmentTransaction, OutputRole};

use crate::party::{Party, opened};

/// Mostly in `usual`, and now and then anything at all.
fn mostly(usual: std::ops::Range<u64>) -> impl Strategy<Value = u64> {
    prop_oneof![
        20 => usual,
        1 => prop_oneof![Just(0), Just(Amount::MAX_MONEY.to_sat()), any::<u64>()],
    ]
}

fn mostly_short(usual: std::ops::Range<u16>) -> impl Strategy<Value = u16> {
    prop_oneof![20 => usual, 1 => any::<u16>()]
}

/// A feerate, which is mostly zero where it has to be.
fn format_and_feerate() -> impl Strategy<Value = (CommitmentFormat, u32)> {
    use CommitmentFormat::{Anchors, StaticRemotekey, ZeroFee};
    prop_oneof![
        20 => (prop_oneof![Just(StaticRemotekey), Just(Anchors)], 0..10_000_u32),
        10 => Just((ZeroFee, 0)),
        1 => (prop_oneof![Just(StaticRemotekey), Just(Anchors), Just(ZeroFee)], any::<u32>()),
    ]
}

/// A capacity in sat, and a gift in msat that is mostly a part of it.
fn capacity_and_push() -> impl Strategy<Value = (u64, u64)> {
    mostly(800..30_000).prop_flat_map(|capacity| {
        let msat = capacity.saturating_mul(1_000).saturating_add(1);
        (Just(capacity), mostly(0..msat))
    })
}

fn lenient(policy: &mut OpeningPolicy) {
    policy.formats = vec![
        CommitmentFormat::Anchors,
        CommitmentFormat::StaticRemotekey,
        CommitmentFormat::ZeroFee,
    ];
    policy.announcement = Announcement::Either;
    policy.funding_min = Amount::ZERO;
    policy.funding_max = Amount::from_sat(u64::MAX);
    policy.theirs.dust_limit_max = Amount::from_sat(u64::MAX);
    policy.theirs.htlc_minimum_max = MilliSatoshi(u64::MAX);
    policy.theirs.in_flight_max_min = MilliSatoshi(0);
    policy.theirs.reserve_percent_max = u8::MAX;
    policy.theirs.to_self_delay_max = ToSelfDelay(u16::MAX);
    policy.theirs.max_accepted_htlcs_min = 0;
}

proptest! {
    #[test]
    fn what_is_accepted_can_be_opened(
        (format, feerate) in format_and_feerate(),
        (capacity, push) in capacity_and_push(),
        (dust_limit, reserve) in (mostly(354..1_000), mostly(600..20_000)),
        (in_flight, htlc_minimum) in (any::<u64>(), any::<u64>()),
        (htlcs, delay) in (mostly_short(0..115), any::<u16>()),
        (other_dust_limit, reserve_percent) in (354..700_u64, 0..60_u8),
    ) {
        let (mut alice, mut bob) = (Party::alice(), Party::bob());
        for party in [&mut alice, &mut bob] {
            lenient(&mut party.policy);
            party.limits.feerate_min = FeeratePerKw(0);
            party.limits.feerate_max = FeeratePerKw(u32::MAX);
        }
        bob.policy.ours.dust_limit = Amount::from_sat(other_dust_limit);
        bob.policy.ours.reserve_percent = reserve_percent;
        let mut request = OpenRequest {
            push: MilliSatoshi(push),
            feerate: FeeratePerKw(feerate),
            ..alice.request_of(&bob, Amount::from_sat(capacity), format)
        };
        let demands = &mut request.ours.demands;
        demands.dust_limit = Amount::from_sat(dust_limit);
        demands.channel_reserve = Amount::from_sat(reserve);
        demands.max_htlc_value_in_flight = MilliSatoshi(in_flight);
        demands.htlc_minimum = MilliSatoshi(htlc_minimum);
        demands.max_accepted_htlcs = htlcs;
        demands.to_self_delay = ToSelfDelay(delay);

        let Some(opened) = open_if_fair(&alice, &bob, request) else {
            return Ok(());
        };
        for (channel, other) in [(&opened.alice, &opened.bob), (&opened.bob, &opened.alice)] {
            let (state, others) = (channel.state(), other.state());
            let build = |state: &quittance_channel::ChannelState, view| {
                let contents = state.commitments.contents(&state.facts, view).expect("its point is known");
                CommitmentTransaction::build(&state.facts.terms(), &contents).expect("the opener affords it")
            };
            let commitment = build(state, View::Local);
            prop_assert_eq!(commitment.txid(), build(others, View::Remote).txid());
            let pays_a_side =
                |role| matches!(role, OutputRole::ToBroadcaster | OutputRole::ToCountersignatory);
            prop_assert!(commitment.outputs().any(|output| pays_a_side(output.role)), "somebody can be paid");
        }
    }
}

/// Opens the channel if both sides agree to its terms, after every check of their own.
fn open_if_fair(alice: &Party, bob: &Party, request: OpenRequest) -> Option<crate::party::Opened> {
    use quittance_channel::opening::{AwaitingAccept, Proposal};
    let (_, message) = AwaitingAccept::propose(request.clone(), &alice.policy, &alice.limits).ok()?;
    let features = request.negotiated.clone();
    let proposal = Proposal::check(
        message,
        alice.node_id(),
        features,
        Trust::Ordinary,
        &bob.policy,
        &bob.limits,
    );
    let proposal = proposal.expect("what our own check lets pass, another's does under the same policy");
    let demands = proposal.demands(&bob.policy, bob.keys.public_keys(), None);
    proposal.accept(bob.part(demands), &bob.policy).ok()?;
    opened(alice, bob, request, Trust::Ordinary).ok()
}
