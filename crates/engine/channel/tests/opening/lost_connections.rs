//! The connection is lost, or a side starts anew, in the middle of an opening (BOLT 2): what was not durable never was.

use quittance_channel::opening::{Funder, Proposal, Trust};
use quittance_channel::{
    AbandonedFunding, Channel, ChannelEffect, ChannelState, Decision, Link, Phase, SecretCheck, Step,
};
use quittance_primitives::BlockHeight;
use quittance_wire::{ChannelReestablish, Message};

use crate::party::{Opened, Party, negotiated, opened, sent, until_accepted, until_funded};

#[test]
fn before_funding_created_a_new_proposal_takes_the_place_of_the_old_one() {
    let (alice, bob) = (Party::alice(), Party::bob());
    let (first, _) = alice.propose(alice.request(&bob));
    assert_eq!(Funder::AwaitingAccept(Box::new(first)).forget().funding, None);
    // The same id again is a new opening to the fundee too, which dropped its state with the connection.
    let accepted = until_accepted(&alice, &bob, alice.request(&bob), Trust::Ordinary);
    assert!(accepted.is_ok());
}

#[test]
fn when_funding_signed_is_lost_the_funder_forgets_and_the_fundee_waits_for_2016_blocks() {
    let (alice, bob) = (Party::alice(), Party::bob());
    let accepted = until_accepted(&alice, &bob, alice.request(&bob), Trust::Ordinary).expect("a fair request");
    let (funder, created, fundee) = until_funded(&alice, accepted);
    let (mut channel, _) = fundee
        .funding_created(&created, |_| false, &bob.context())
        .expect("a valid signature");
    channel.disconnect();
    let forgotten = Funder::AwaitingFundingSigned(Box::new(funder)).forget();
    assert!(forgotten.funding.is_some(), "its inputs are the wallet's again");

    assert_eq!(channel.decide_funding_timeout(BlockHeight(702_015)), None);
    let decision = channel.decide_funding_timeout(BlockHeight(702_016));
    let given_up = Decision::step(Step::FundingAbandoned(AbandonedFunding::TimedOut));
    assert_eq!(decision, Some(given_up));
}

#[test]
fn when_both_are_durable_the_channel_goes_on_after_a_restart_of_either() {
    let (alice, bob) = (Party::alice(), Party::bob());
    let opened = opened(&alice, &bob, alice.request(&bob), Trust::Ordinary).expect("a fair request");
    let Opened { alice, bob, .. } = opened;
    let restarted = |channel: &Channel| {
        let checkpoint = channel.state().to_checkpoint();
        Channel::restore(ChannelState::from_checkpoint(&checkpoint).expect("what we wrote can be read"))
    };
    let (mut alice, mut bob) = (restarted(&alice), restarted(&bob));
    let from_alice = greeting(&mut alice);
    let from_bob = greeting(&mut bob);
    for (channel, message) in [(&mut alice, from_bob), (&mut bob, from_alice)] {
        assert_eq!((message.next_commitment_number, message.next_revocation_number), (1, 0));
        let decision = channel.decide_reestablish(&message, SecretCheck::NotOurs);
        let reaction = channel.adopt(decision.expect("both are at their first commitments"));
        assert_eq!(reaction.effects, [], "nothing was missed");
        assert!(matches!(channel.link(), Link::Up(_)));
        assert!(matches!(channel.state().phase, Phase::AwaitingReady(_)));
    }
}

fn greeting(channel: &mut Channel) -> ChannelReestablish {
    let decision = channel.decide_connected(negotiated());
    let reaction = channel.adopt(decision);
    let [ChannelEffect::Send(message)] = reaction.effects.as_slice() else {
        panic!("channel_reestablish is sent: {:?}", reaction.effects);
    };
    sent(message.as_ref().clone(), |message| match message {
        Message::ChannelReestablish(message) => Some(message),
        _ => None,
    })
}

#[test]
fn a_restart_of_the_fundee_in_between_leaves_no_trace_of_the_proposal() {
    let (alice, bob) = (Party::alice(), Party::bob());
    let request = alice.request(&bob);
    let features = request.negotiated.clone();
    let (awaiting_accept, open) = alice.propose(request);
    let judge = |open| {
        Proposal::check(
            open,
            alice.node_id(),
            features.clone(),
            Trust::Ordinary,
            &bob.policy,
            &bob.limits,
        )
    };
    let proposal = judge(open.clone()).expect("a fair offer");
    let (_, first) = bob.accept(proposal);
    let (_, second) = bob.accept(judge(open).expect("it is as fair as before"));
    assert_eq!(first, second, "the answer depends on nothing that was kept");
    assert!(awaiting_accept.accept_channel(&second, &alice.policy).is_ok());
}
