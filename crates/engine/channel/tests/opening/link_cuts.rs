//! The link is cut before and after every message of an opening, and either side may restart, with and without what it had not synced.
//! Afterwards there is a channel that both ends can use; or the fundee alone has one, whose funding never leaves, and gives it up in time;
//! or there is nothing. The funder never has one alone, and its coins are its own again (BOLT 2).

use quittance_channel::opening::{Fundee, Funder, FundingTransaction, Proposal, Trust};
use quittance_channel::{AbandonedFunding, Channel, Decision, HtlcState, Phase, Step};
use quittance_primitives::{BlockHeight, HtlcId};
use quittance_wire::OpenChannel;

use crate::pair::cuts::RESTARTS;
use crate::pair::facts::Keys;
use crate::pair::{End, Kept, Pair, Who};
use crate::party::{HEIGHT, Party, funding_created, funding_signed, negotiated, wallet_transaction};

/// What the funder has.
enum Opener {
    Asks(Box<Funder>),
    Has(Box<End>),
}

/// What the fundee has.
enum Accepter {
    Nothing,
    /// The channel is on its disk, or on its way there.
    Answers,
    Has(Box<End>),
}

/// An opening of which `delivered` messages have arrived. The funder has made its transaction as soon as it could.
fn opening(delivered: usize, alice: &Party, bob: &Party) -> (Opener, Accepter) {
    let (asking, open) = alice.propose(alice.request(bob));
    if delivered == 0 {
        return (
            Opener::Asks(Box::new(Funder::AwaitingAccept(Box::new(asking)))),
            Accepter::Nothing,
        );
    }
    let (answering, accept) = bob.accept(judged(open, alice, bob));
    if delivered == 1 {
        return (
            Opener::Asks(Box::new(Funder::AwaitingAccept(Box::new(asking)))),
            Accepter::Answers,
        );
    }
    let (awaiting, wanted) = asking.accept_channel(&accept, &alice.policy).expect("a fair answer");
    let transaction = wallet_transaction(std::slice::from_ref(&wanted.output));
    let funding = FundingTransaction::new(transaction, &[wanted.output]).expect("it has the output");
    let (funded, effect) = awaiting.fund(funding, HEIGHT).expect("it is for this channel");
    let funded = Funder::AwaitingFundingSigned(Box::new(funded));
    if delivered == 2 {
        return (Opener::Asks(Box::new(funded)), Accepter::Answers);
    }
    let created = funding_created(alice.sign(&effect));
    let accepter = Fundee::AwaitingFundingCreated(Box::new(answering));
    let (channel, reaction) = accepter
        .funding_created(&created, |_| false, &bob.context())
        .expect("a valid signature");
    let signed = funding_signed(bob.sign(&reaction.effects[0]));
    let fundee = Accepter::Has(Box::new(end("Bob", channel, bob)));
    if delivered == 3 {
        return (Opener::Asks(Box::new(funded)), fundee);
    }
    let (channel, _) = funded
        .funding_signed(&signed, &alice.context())
        .expect("a valid signature");
    (Opener::Has(Box::new(end("Alice", channel, alice))), fundee)
}

fn judged(open: OpenChannel, alice: &Party, bob: &Party) -> Proposal {
    Proposal::check(
        open,
        alice.node_id(),
        negotiated(),
        Trust::Ordinary,
        &bob.policy,
        &bob.limits,
    )
    .expect("a fair offer")
}

fn end(name: &'static str, channel: Box<Channel>, party: &Party) -> End {
    let keys = Keys {
        channel: party.keys.clone(),
        seed: party.seed.clone(),
    };
    End::new(name, *channel, keys)
}

/// How a side restarts, if it does.
fn restart_of(who: Who, restarts: &[(Who, Kept)]) -> Option<Kept> {
    restarts
        .iter()
        .find(|(restarting, _)| *restarting == who)
        .map(|(_, kept)| *kept)
}

/// What is left of a side whose first update is on disk if `is_synced`.
fn left(end: Box<End>, restart: Option<Kept>, is_synced: bool) -> Option<End> {
    let mut end = *end;
    end.lose_connection();
    match restart {
        None => Some(end),
        Some(Kept::OnlySynced) if !is_synced => None,
        Some(kept) => {
            end.crash(kept);
            Some(end)
        }
    }
}

#[test]
fn an_opening_leaves_a_channel_to_both_or_to_the_fundee_alone_or_to_nobody() {
    let (alice, bob) = (Party::alice(), Party::bob());
    for delivered in 0..=4 {
        for restarts in RESTARTS {
            let context = format!("{delivered} delivered, {restarts:?}");
            let (opener, accepter) = opening(delivered, &alice, &bob);
            let fundee = match accepter {
                Accepter::Nothing | Accepter::Answers => None,
                // `funding_signed` left after the sync, and not before.
                Accepter::Has(end) => left(end, restart_of(Who::Bob, restarts), delivered == 4),
            };
            let funder = match opener {
                Opener::Asks(funder) => {
                    let funded = funder.funding().is_some();
                    assert_eq!(
                        funder.forget().funding.is_some(),
                        funded,
                        "{context}: its coins are the wallet's again"
                    );
                    assert_eq!(funded, delivered >= 2, "{context}");
                    None
                }
                Opener::Has(end) => left(end, restart_of(Who::Alice, restarts), false),
            };
            match (funder, fundee) {
                (Some(alice), Some(bob)) => goes_on(Pair { alice, bob }, &context),
                (None, Some(bob)) => is_given_up(&bob, &context),
                (None, None) => assert!(delivered < 4, "{context}: whoever answered has it"),
                (Some(_), None) => panic!("{context}: the funder has a channel alone"),
            }
        }
    }
}

/// Both have it: the funding is owed, and the channel can be used once that is deep enough.
fn goes_on(mut pair: Pair, context: &str) {
    let owed = pair.alice.channel.state().funding_to_broadcast(|_| true);
    assert!(
        owed.is_some(),
        "{context}: the funding transaction is owed again after a restart"
    );
    pair.reconnect();
    pair.settle();
    for who in Who::BOTH {
        assert!(
            matches!(pair.end(who).channel.state().phase, Phase::AwaitingReady(_)),
            "{context}"
        );
        pair.end(who).confirm_funding();
    }
    pair.settle();
    pair.check_agreement();
    pair.offer(Who::Alice, 50_000_000, 3);
    pair.settle();
    assert!(
        pair.alice.violations.is_empty() && pair.bob.violations.is_empty(),
        "{context}"
    );
    let received = &pair.bob.channel.state().commitments.received;
    assert_eq!(received[&HtlcId(0)].state, HtlcState::RcvdAddAckRevocation, "{context}");
}

/// Only the fundee has it: its funding never comes, and 2016 blocks later it is given up.
fn is_given_up(bob: &End, context: &str) {
    assert!(
        bob.channel.state().funding_to_broadcast(|_| true).is_none(),
        "{context}: it is not the fundee's to broadcast"
    );
    assert_eq!(
        bob.channel.decide_funding_timeout(BlockHeight(HEIGHT.0 + 2_015)),
        None,
        "{context}"
    );
    let given_up = Decision::step(Step::FundingAbandoned(AbandonedFunding::TimedOut));
    assert_eq!(
        bob.channel.decide_funding_timeout(BlockHeight(HEIGHT.0 + 2_016)),
        Some(given_up),
        "{context}"
    );
}
