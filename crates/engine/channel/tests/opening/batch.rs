//! Several channels that one transaction funds: it leaves once all of them are durable, or never.

use bitcoin::Amount;
use quittance_channel::opening::{AwaitingFundingSigned, FundingTransaction, Trust};
use quittance_channel::{AbandonedFunding, Channel, FundingConfirmation, Phase, Reaction, Step};
use quittance_primitives::{BlockHeight, ChannelId, ShortChannelId};
use quittance_wire::FundingSigned;

use crate::party::{
    Accepted, HEIGHT, Party, funding_created, funding_signed, opened, until_accepted, wallet_transaction,
};

/// One opening of a batch, up to the message that completes it.
struct Member {
    alice: Party,
    state: AwaitingFundingSigned,
    signed: FundingSigned,
}

/// Alice opens to Bob and to Carol by one transaction. Her keys differ from channel to channel.
fn batch() -> [Member; 2] {
    let sides = [(Party::alice(), Party::bob()), (Party::new(4), Party::new(5))];
    let accepted = sides.each_ref().map(|(alice, peer)| {
        let request = alice.request(peer);
        until_accepted(alice, peer, request, Trust::Ordinary).expect("a fair request")
    });
    let outputs = accepted.each_ref().map(|opening| opening.wanted.output.clone());
    let funding = FundingTransaction::new(wallet_transaction(&outputs), &outputs).expect("it has both outputs");
    assert!(funding.is_batch());
    let mut members = sides.into_iter().zip(accepted).map(|((alice, peer), opening)| {
        let Accepted {
            alice: awaiting, bob, ..
        } = opening;
        let (state, effect) = awaiting.fund(funding.clone(), HEIGHT).expect("it funds this one too");
        let created = funding_created(alice.sign(&effect));
        let answer = bob.funding_created(&created, |_| false, &peer.context());
        let (_, reaction) = answer.expect("a valid signature");
        let signed = funding_signed(peer.sign(&reaction.effects[0]));
        Member { alice, state, signed }
    });
    [members.next().expect("Bob's"), members.next().expect("Carol's")]
}

fn complete(member: Member) -> Channel {
    let Member { alice, state, signed } = member;
    let (channel, reaction) = state
        .funding_signed(&signed, &alice.context())
        .expect("a valid signature");
    assert_eq!(
        reaction,
        Reaction::default(),
        "no member of a batch broadcasts by itself"
    );
    *channel
}

#[test]
fn the_transaction_leaves_once_every_channel_is_durable() {
    let [bobs, carols] = batch();
    let transaction = {
        let mut forgotten =
            quittance_channel::opening::Funder::AwaitingFundingSigned(Box::new(carols.state.clone())).forget();
        forgotten.funding.take().expect("it was funded").transaction().clone()
    };
    let bobs = complete(bobs);
    let mut durable: Vec<ChannelId> = vec![bobs.state().facts.channel_id];
    let is_durable = |durable: &[ChannelId], id: &ChannelId| durable.contains(id);
    let due = |channel: &Channel, durable: &[ChannelId]| {
        let state = channel.state();
        state.funding_to_broadcast(|id| is_durable(durable, id)).cloned()
    };
    assert_eq!(due(&bobs, &durable), None, "Carol has not signed");
    let mut carols = complete(carols);
    assert_eq!(due(&carols, &durable), None, "her channel is not durable");
    durable.push(carols.state().facts.channel_id);
    assert_eq!(due(&bobs, &durable), Some(transaction.clone()));
    assert_eq!(due(&carols, &durable), Some(transaction));

    let confirmation = FundingConfirmation {
        height: BlockHeight(700_001),
        short_channel_id: ShortChannelId::new(BlockHeight(700_001), 5, 2).expect("in range"),
    };
    let decision = carols.decide_funding_confirmed(confirmation);
    let _ = carols.adopt(decision);
    assert_eq!(due(&carols, &durable), None, "it is in the chain");
}

#[test]
fn the_same_holds_after_a_restart() {
    let [bobs, carols] = batch();
    let carols_id = carols.state.channel_id();
    let mut bobs = complete(bobs);
    let update = bobs.take_update().expect("its first step");
    let bobs = quittance_channel::ChannelState::restore_first(&update).expect("it opens the channel");
    let bobs_id = bobs.facts.channel_id;
    assert_ne!(bobs_id, carols_id);
    assert_eq!(bobs.funding_to_broadcast(|id| *id == bobs_id), None);
    assert!(
        bobs.funding_to_broadcast(|id| *id == bobs_id || *id == carols_id)
            .is_some()
    );
}

#[test]
fn a_batch_of_which_one_channel_failed_is_given_up_and_never_broadcast() {
    let [bobs, _] = batch();
    let mut bobs = complete(bobs);
    let decision = bobs.decide_batch_failed().expect("it shares its transaction");
    assert_eq!(
        decision.steps,
        [Step::FundingAbandoned(AbandonedFunding::NeverBroadcast)]
    );
    let _ = bobs.adopt(decision);
    assert_eq!(bobs.state().phase, Phase::Abandoned(AbandonedFunding::NeverBroadcast));
    assert_eq!(bobs.state().funding_to_broadcast(|_| true), None);
    assert_eq!(bobs.decide_batch_failed(), None, "once");
}

#[test]
fn a_channel_with_a_transaction_of_its_own_cannot_be_given_up_like_that() {
    let (alice, bob) = (Party::alice(), Party::bob());
    let request = alice.request_of(
        &bob,
        Amount::from_sat(50_000),
        quittance_transactions::CommitmentFormat::Anchors,
    );
    let opened = opened(&alice, &bob, request, Trust::Ordinary).unwrap();
    assert_eq!(opened.alice.decide_batch_failed(), None);
    let own = opened.alice.state().facts.channel_id;
    assert!(opened.alice.state().funding_to_broadcast(|id| *id == own).is_some());
    assert!(opened.bob.state().funding_to_broadcast(|_| true).is_none());
}
