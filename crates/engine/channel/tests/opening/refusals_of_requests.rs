//! What our own side cannot have: refused before anything is sent.

use bitcoin::Amount;
use quittance_channel::SideFacts;
use quittance_channel::opening::{AwaitingAccept, OpenRefusal, OpenRequest, OpeningPolicy, Proposal, Trust};
use quittance_primitives::{ChannelId, Feature, FeeratePerKw, MilliSatoshi, ToSelfDelay};
use quittance_transactions::{CommitmentFormat, OpenerCannotAfford};

use crate::party::{Party, without};

fn sat(amount: u64) -> Amount {
    Amount::from_sat(amount)
}

/// A change to the demands of a side that accepts, and why they are refused.
type DemandsRow = (fn(&mut SideFacts), OpenRefusal);

/// A change to a fair request, and why it is refused.
type Row = (fn(&mut OpenRequest, &mut OpeningPolicy), OpenRefusal);

fn check(rows: Vec<Row>) {
    for (change, why) in rows {
        let (mut alice, bob) = (Party::alice(), Party::bob());
        let mut request = alice.request(&bob);
        change(&mut request, &mut alice.policy);
        let proposed = AwaitingAccept::propose(request, &alice.policy, &alice.limits);
        assert_eq!(proposed.map(|_| ()), Err(why));
    }
}

#[test]
fn a_request_for_a_channel_that_no_peer_could_accept_is_refused_before_anything_is_sent() {
    check(vec![
        (
            |request, _| request.temporary_channel_id = ChannelId([0; 32]),
            OpenRefusal::TemporaryIdZero,
        ),
        (
            |request, _| request.capacity = sat(19_999),
            OpenRefusal::FundingTooSmall {
                got: sat(19_999),
                minimum: sat(20_000),
            },
        ),
        (
            |request, _| {
                request.capacity = sat(16_777_216);
                request.negotiated = without(Feature::LargeChannel);
            },
            OpenRefusal::FundingNeedsLargeChannel {
                got: sat(16_777_216),
                limit: sat(16_777_216),
            },
        ),
        (
            |request, policy| {
                policy.funding_max = sat(u64::MAX);
                request.capacity = sat(u64::MAX);
            },
            OpenRefusal::FundingTooLarge {
                got: sat(u64::MAX),
                maximum: Amount::MAX_MONEY,
            },
        ),
        (
            |request, _| request.push = MilliSatoshi(1_000_000_001),
            OpenRefusal::PushAboveFunding {
                push: MilliSatoshi(1_000_000_001),
                funding: MilliSatoshi(1_000_000_000),
            },
        ),
        (
            |request, _| request.push = MilliSatoshi(998_216_001),
            OpenRefusal::FunderCannotAfford(OpenerCannotAfford {
                cost: sat(1_784),
                balance: MilliSatoshi(1_783_999),
            }),
        ),
        (
            |request, _| request.feerate = FeeratePerKw(252),
            OpenRefusal::FeerateOutOfRange {
                got: FeeratePerKw(252),
                minimum: FeeratePerKw(253),
                maximum: FeeratePerKw(250_000),
            },
        ),
    ]);
}

#[test]
fn so_is_one_of_a_type_or_with_demands_that_no_peer_could_accept() {
    check(vec![
        (
            |request, _| {
                request.announce = true;
                request.channel_type.scid_alias = true;
            },
            OpenRefusal::ScidAliasAnnounced,
        ),
        (
            |request, _| {
                request.channel_type.zeroconf = true;
                request.negotiated = without(Feature::Zeroconf);
            },
            OpenRefusal::ChannelTypeNotNegotiated(Feature::Zeroconf),
        ),
        (
            |request, _| request.channel_type.format = CommitmentFormat::ZeroFee,
            OpenRefusal::ChannelTypeUnwanted(CommitmentFormat::ZeroFee),
        ),
        (
            |request, _| request.ours.demands.dust_limit = sat(353),
            OpenRefusal::DustLimitTooSmall {
                got: sat(353),
                minimum: sat(354),
            },
        ),
        (
            |request, _| request.ours.demands.channel_reserve = sat(353),
            OpenRefusal::DustLimitAboveReserve {
                dust_limit: sat(354),
                reserve: sat(353),
            },
        ),
        (
            |request, _| request.ours.demands.channel_reserve = sat(998_216),
            OpenRefusal::BothBelowReserve {
                to_opener: MilliSatoshi(998_216_000),
                to_accepter: MilliSatoshi(0),
                reserve: sat(998_216),
            },
        ),
        (
            |request, _| request.ours.demands.max_accepted_htlcs = 484,
            OpenRefusal::AcceptedHtlcsTooMany { got: 484, maximum: 483 },
        ),
        (
            |request, _| request.ours.demands.to_self_delay = ToSelfDelay(2_017),
            OpenRefusal::DelayTooLarge {
                got: ToSelfDelay(2_017),
                maximum: ToSelfDelay(2_016),
            },
        ),
    ]);
}

#[test]
fn an_accepting_side_whose_demands_do_not_fit_keeps_the_proposal() {
    let rows: Vec<DemandsRow> = vec![
        (
            |demands| demands.dust_limit = sat(353),
            OpenRefusal::DustLimitTooSmall {
                got: sat(353),
                minimum: sat(354),
            },
        ),
        (
            |demands| demands.channel_reserve = sat(545),
            OpenRefusal::ReserveBelowOthersDustLimit {
                reserve: sat(545),
                dust_limit: sat(546),
            },
        ),
        (
            |demands| {
                demands.dust_limit = sat(10_001);
                demands.channel_reserve = sat(10_001);
            },
            OpenRefusal::DustLimitAboveOthersReserve {
                dust_limit: sat(10_001),
                reserve: sat(10_000),
            },
        ),
        (
            |demands| demands.channel_reserve = sat(998_216),
            OpenRefusal::BothBelowReserve {
                to_opener: MilliSatoshi(998_216_000),
                to_accepter: MilliSatoshi(0),
                reserve: sat(998_216),
            },
        ),
    ];
    for (change, why) in rows {
        let (mut alice, bob) = (Party::alice(), Party::bob());
        alice.policy.ours.dust_limit = sat(546);
        let request = alice.request(&bob);
        let features = request.negotiated.clone();
        let (_, open) = alice.propose(request);
        let proposal = Proposal::check(
            open,
            alice.node_id(),
            features,
            Trust::Ordinary,
            &bob.policy,
            &bob.limits,
        )
        .unwrap();
        let mut demands = proposal.demands(&bob.policy, bob.keys.public_keys(), None);
        change(&mut demands);
        let unchanged = proposal.clone().accept(bob.part(demands), &bob.policy).unwrap_err();
        assert_eq!(unchanged.why, why);
        assert_eq!(unchanged.state, proposal);
    }
}
