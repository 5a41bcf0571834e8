//! Openings that come to nothing (BOLT 2, channel establishment v1): whoever asked is told why, the coins are free again, and neither side keeps
//! anything of them.

use bitcoin::Amount;
use quittance_channel::opening::{ChannelType, OpenRefusal, OpeningPolicy};
use quittance_channel::{Attached, Channel, Phase};
use quittance_manager::{Command, Input, NewChannel, OpeningEnd, Response};
use quittance_primitives::{BlockCount, ChannelId, Feature, FeeratePerKw, MilliSatoshi, NodeId, PaymentId};
use quittance_regtest::{MineOptions, faucet};
use quittance_simulator::{End, Garbage, NodeIndex, RowsAfterCrash, World};
use quittance_store::memory::Keep;
use quittance_transactions::CommitmentFormat;
use quittance_wire::{ErrorMessage, FundingCreated, Message, Warning};

const A: NodeIndex = 0;
const B: NodeIndex = 1;

fn world() -> World {
    let mut world = World::new(2, 1);
    world.connect(A, B);
    world
}

/// A world in which A's wallet makes no transaction.
fn world_without_coins() -> World {
    let mut world = world();
    world.batch = Some((usize::MAX, Vec::new()));
    world
}

/// A's wallet has coins after all: the opening that waited for them is funded. Who its peer is.
fn find_coins(world: &mut World) -> NodeId {
    let (_, waiting) = world.batch.take().expect("an opening waits");
    let (peer, temporary, output) = waiting.into_iter().next().expect("it asked for coins");
    world.fund(A, peer, temporary, output);
    peer
}

/// B begins anew, and asks something else of channels.
fn demand(world: &mut World, change: impl FnOnce(&mut OpeningPolicy)) {
    change(&mut world.nodes[B].opening);
    world.crash(B, Keep::All, RowsAfterCrash::Whole);
    world.start(B);
    world.connect(A, B);
}

fn new_channel(world: &mut World, capacity: u64) -> NewChannel {
    NewChannel {
        peer: world.nodes[B].id(),
        capacity: Amount::from_sat(capacity),
        push: MilliSatoshi(0),
        channel_type: None,
        announce: false,
        feerate: FeeratePerKw(1_000),
        keys: world.nodes[A].signer.new_channel_keys(),
    }
}

/// A opens a channel to B: the opening's temporary id.
fn open(world: &mut World, capacity: u64) -> ChannelId {
    let new = new_channel(world, capacity);
    world.command(A, Command::OpenChannel(Box::new(new)));
    world.settle();
    let last = world.nodes[A].user.responses.last_key_value();
    let Some((_, Response::Opening(temporary))) = last else {
        panic!("it is opened: {last:?}")
    };
    *temporary
}

/// How an opening of A's ended, and whether its coins are given back.
fn end(world: &World, opening: ChannelId) -> Option<(OpeningEnd, bool)> {
    let ended = &world.nodes[A].user.openings_ended;
    let mut of_it = ended.iter().filter(|(gone, _)| gone.temporary_channel_id == opening);
    let (gone, why) = of_it.next()?;
    assert!(of_it.next().is_none(), "its end is told once");
    Some((why.clone(), gone.funding.is_some()))
}

/// A opens a channel to B, up to B's signature, which A has not read.
fn open_until_signed(world: &mut World) {
    let new = new_channel(world, 1_000_000);
    world.command(A, Command::OpenChannel(Box::new(new)));
    world.settle_until(B, A, "funding_signed");
}

fn count(world: &World, node: NodeIndex, name: &str) -> usize {
    world.nodes[node].sent.iter().filter(|sent| **sent == name).count()
}

/// Symptom: after eight openings for which there were no coins the peer refused every other one until the next connection. Cause: what the
/// wallet could not pay for was forgotten by the wallet only.
#[test]
fn what_the_wallet_cannot_pay_for_is_given_up_and_the_peer_is_told() {
    let mut world = world_without_coins();
    let peer = world.nodes[B].id();
    for _ in 0..20 {
        let opening = open(&mut world, 1_000_000);
        world.command(A, Command::AbandonOpening(peer, opening));
        world.settle();
        assert_eq!(end(&world, opening), Some((OpeningEnd::GivenUp, false)));
    }
    assert_eq!(count(&world, B, "accept_channel"), 20);
    assert_eq!(count(&world, B, "error"), 0);
    world.batch = None;
    open(&mut world, 1_000_000);
    assert_eq!(world.broadcast.len(), 1, "and the next one is funded");
}

#[test]
fn a_peer_opens_only_so_many_at_a_time_and_reads_why() {
    let mut world = world_without_coins();
    for _ in 0..8 {
        let opening = open(&mut world, 1_000_000);
        assert_eq!(end(&world, opening), None);
    }
    let ninth = open(&mut world, 1_000_000);
    let why = "8 channels of yours are being opened, which is the most at a time".to_owned();
    assert_eq!(end(&world, ninth), Some((OpeningEnd::RefusedByPeer(why), false)));
}

#[test]
fn an_opening_that_is_unknown_is_not_given_up() {
    let mut world = world();
    let (ours, theirs) = (world.nodes[A].id(), world.nodes[B].id());
    let unknown = ChannelId([7; 32]);
    world.command(A, Command::AbandonOpening(theirs, unknown));
    let last = |world: &World, node: NodeIndex| {
        let last = world.nodes[node].user.responses.last_key_value();
        last.map(|(_, response)| response.clone())
    };
    assert_eq!(last(&world, A), Some(Response::UnknownOpening(unknown)));
    // Nor is the peer's own.
    world.batch = Some((usize::MAX, Vec::new()));
    let opening = open(&mut world, 1_000_000);
    world.command(B, Command::AbandonOpening(ours, opening));
    world.settle();
    assert_eq!(last(&world, B), Some(Response::UnknownOpening(opening)));
    assert_eq!(end(&world, opening), None);
    find_coins(&mut world);
    world.settle();
    assert_eq!(world.broadcast.len(), 1, "and it goes on");
}

#[test]
fn an_opening_that_the_peer_refuses_ends_with_its_words() {
    let mut world = world();
    demand(&mut world, |policy| policy.funding_min = Amount::from_sat(2_000_000));
    let opening = open(&mut world, 1_000_000);
    let Some((OpeningEnd::RefusedByPeer(why), false)) = end(&world, opening) else {
        panic!("it ends: {:?}", end(&world, opening))
    };
    assert!(
        why.contains("funding_satoshis of 1000000 is below the minimum of 2000000"),
        "{why}"
    );
}

/// Symptom: whoever opened a channel waited in vain when the peer's terms were refused by his own node. Cause: only the peer was told.
#[test]
fn an_opening_whose_terms_we_refuse_ends_with_the_reason() {
    let mut world = world();
    demand(&mut world, |policy| policy.minimum_depth = BlockCount(10_000));
    let opening = open(&mut world, 1_000_000);
    let Some((OpeningEnd::Refused(OpenRefusal::DepthTooLarge { got, .. }), false)) = end(&world, opening) else {
        panic!("it ends: {:?}", end(&world, opening))
    };
    assert_eq!(got, BlockCount(10_000));
    assert_eq!(count(&world, A, "error"), 1, "the peer is told too");
}

/// Symptom: the coins of an opening that was cut off could not be spent before the next start. Cause: nobody told the wallet.
#[test]
fn an_opening_that_is_cut_off_after_it_was_funded_gives_its_coins_back() {
    let mut world = world_without_coins();
    let opening = open(&mut world, 1_000_000);
    find_coins(&mut world);
    assert_eq!(count(&world, A, "funding_created"), 1);
    world.crash(B, Keep::All, RowsAfterCrash::Whole);
    world.settle();
    assert_eq!(end(&world, opening), Some((OpeningEnd::Disconnected, true)));
    assert!(world.broadcast.is_empty(), "and nothing was spent");
}

#[test]
fn coins_for_an_opening_that_is_gone_are_given_back() {
    let mut world = world_without_coins();
    let opening = open(&mut world, 1_000_000);
    world.crash(B, Keep::All, RowsAfterCrash::Whole);
    world.settle();
    world.nodes[A].user.openings_ended.clear();
    find_coins(&mut world);
    assert_eq!(end(&world, opening), Some((OpeningEnd::GivenUp, true)));
}

#[test]
fn an_opening_that_became_a_channel_has_no_other_end() {
    let mut world = world();
    let opening = open(&mut world, 1_000_000);
    world.crash(B, Keep::All, RowsAfterCrash::Whole);
    world.settle();
    assert_eq!(end(&world, opening), None);
    assert_eq!(world.broadcast.len(), 1);
}

/// B opens a channel to A.
fn open_to_a(world: &mut World) {
    let new = NewChannel {
        peer: world.nodes[A].id(),
        capacity: Amount::from_sat(1_000_000),
        push: MilliSatoshi(0),
        channel_type: None,
        announce: false,
        feerate: FeeratePerKw(1_000),
        keys: world.nodes[B].signer.new_channel_keys(),
    };
    world.command(B, Command::OpenChannel(Box::new(new)));
}

/// Symptom: the node died by an assertion, two channels having one id. Cause: a peer that was told our funding output could name it as its
/// own in another opening before it signed ours; only channels were asked whether they have the id, and not openings.
#[test]
fn a_peer_that_opens_under_the_id_of_our_own_opening_is_refused() {
    let mut world = world_without_coins();
    open(&mut world, 1_000_000);
    find_coins(&mut world);
    assert!(world.settle_until(A, B, "funding_created"));
    // B reads where our funding will be, and does not answer.
    let told = std::cell::RefCell::new(None);
    let is_there = world.forge(A, B, |message| match message {
        Message::FundingCreated(created) => {
            *told.borrow_mut() = Some((created.funding_txid, created.funding_output_index));
            warning()
        }
        other => other,
    });
    assert!(is_there);
    let (txid, index) = told.into_inner().expect("it was told");
    world.settle();

    open_to_a(&mut world);
    assert!(world.settle_until(B, A, "funding_created"));
    world.forge(B, A, |message| match message {
        Message::FundingCreated(created) => FundingCreated {
            funding_txid: txid,
            funding_output_index: index,
            ..created
        }
        .into(),
        other => other,
    });
    world.settle();
    let (_, why) = world.nodes[B].user.openings_ended.last().expect("it is refused");
    let OpeningEnd::RefusedByPeer(why) = why else {
        panic!("by A: {why:?}")
    };
    assert!(why.contains("which is in use"), "{why}");
}

fn warning() -> Message {
    let data = b"nothing to say".to_vec();
    let channel_id = ChannelId::ALL;
    Warning { channel_id, data }.into()
}

fn channels(world: &World, node: NodeIndex) -> usize {
    let process = world.nodes[node].process.as_ref().expect("it runs");
    process.manager.channels().count()
}

/// Symptom: memory and disk grew with every opening whose funding never came, by as many as a peer liked. Cause: only openings that were not
/// signed yet were counted.
#[test]
fn a_peer_has_only_so_many_channels_that_it_never_funds() {
    let mut world = world();
    for _ in 0..9 {
        // The funding transaction is never mined.
        open(&mut world, 1_000_000);
    }
    assert_eq!(channels(&world, B), 8);
    let (_, why) = world.nodes[A].user.openings_ended.last().expect("the ninth is refused");
    let text = "8 channels of yours are being opened, which is the most at a time".to_owned();
    assert_eq!(*why, OpeningEnd::RefusedByPeer(text));
    world.mine(1);
    world.settle();
    open(&mut world, 1_000_000);
    assert_eq!(channels(&world, B), 9, "those that are funded count no more");
}

/// Symptom: a channel that its opener failed before any block had its funding was kept for ever, and its commitment broadcast with each block.
/// Cause: only a channel that still opens was given up in time; and what was closed by force was not counted among its peer's openings.
#[test]
fn a_channel_that_was_failed_before_it_was_funded_is_given_up_in_time_too() {
    let mut world = world();
    for _ in 0..8 {
        open(&mut world, 1_000_000);
    }
    let error = ErrorMessage {
        channel_id: ChannelId::ALL,
        data: b"I changed my mind".to_vec(),
    };
    let input = Input::PeerMessage {
        peer: world.nodes[A].id(),
        message: Box::new(error.into()),
        attached: Attached::Nothing,
    };
    world.input(B, input);
    world.settle();
    let process = world.nodes[B].process.as_ref().expect("it runs");
    let is_closed = |channel: &Channel| matches!(channel.state().phase, Phase::ForceClosed(_));
    assert!(process.manager.channels().all(is_closed));
    open(&mut world, 1_000_000);
    assert_eq!(channels(&world, B), 8, "they count as before");

    world.crash(A, Keep::All, RowsAfterCrash::Whole);
    world.forget_mempool();
    world.mine(2_015);
    world.settle();
    assert_eq!(channels(&world, B), 8);
    // Given up by the next block, and a cold record with the one after it.
    world.mine(2);
    world.settle();
    assert_eq!(channels(&world, B), 0);
}

/// Symptom: coins stayed locked until the next start, and other channels of the same batch waited for ever. Cause: an opening that ended because
/// the peer accepted it twice did not say that it had a funding transaction by then.
#[test]
fn an_opening_that_is_accepted_twice_gives_its_coins_back() {
    let mut world = world_without_coins();
    let opening = open(&mut world, 1_000_000);
    let peer = find_coins(&mut world);
    assert!(world.settle_until(A, B, "funding_created"));
    let accepts = world.sent_lately(B, A).into_iter();
    let mut accepts = accepts.filter(|message| matches!(message, Message::AcceptChannel(_)));
    let again = Input::PeerMessage {
        peer,
        message: Box::new(accepts.next().expect("B accepted it")),
        attached: Attached::Nothing,
    };
    world.input(A, again);
    world.settle();
    let Some((OpeningEnd::Refused(OpenRefusal::OutOfPlace { message, .. }), is_funded)) = end(&world, opening) else {
        panic!("it ends: {:?}", end(&world, opening))
    };
    assert_eq!((message, is_funded), ("accept_channel", true));
}

/// Symptom: what the opener of a channel paid was passed on and claimed after a reorganisation had taken the funding back, which the opener
/// could spend otherwise by then. Cause: only a channel that was not yet ready was asked for its funding.
#[test]
fn nothing_is_accepted_of_an_opener_whose_funding_was_taken_back() {
    let mut world = world();
    open(&mut world, 1_000_000);
    world.mine(6);
    world.settle();
    let amount = MilliSatoshi(50_000_000);
    let pay = |world: &mut World, id: u8| {
        let (id, invoice) = (PaymentId([id; 32]), world.invoice(B, amount));
        world.pay(A, B, id, &invoice, amount, Vec::new());
        world.settle();
        matches!(world.checker.end_of(A, id), Some(End::Sent { .. }))
    };
    assert!(pay(&mut world, 1));
    world.reorg(6, &MineOptions::empty(7));
    world.settle();
    assert!(!pay(&mut world, 2));
    // The funding is in a block again.
    world.mine(1);
    world.settle();
    assert!(pay(&mut world, 3));
    world.checker.assert_kept();
}

/// Symptom: a fundee broadcast its commitment with every block, with coins of its wallet's bound to it, for a channel whose funder had died before
/// it was durable, and said so. Cause: nobody asked whether there is anything to spend.
#[test]
fn a_channel_that_its_funder_lost_is_closed_without_a_broadcast() {
    let mut world = world();
    world.checker.closable = true;
    open_until_signed(&mut world);
    world.crash(A, Keep::All, RowsAfterCrash::Whole);
    world.start(A);
    world.connect(A, B);
    world.settle();
    let phase = |world: &World| {
        let process = world.nodes[B].process.as_ref().expect("it runs");
        let mut states = process.manager.channels().map(Channel::state);
        states.next().map(|state| state.phase.name())
    };
    assert_eq!(phase(&world), Some("force-closed"));
    let coins = world.nodes[B].wallet.coins_left();
    world.mine(30);
    assert_eq!(world.chain.enforced, [], "there is nothing to spend");
    assert_eq!(world.nodes[B].wallet.coins_left(), coins, "and no coin is bound");
    world.mine(2_016);
    assert_eq!(phase(&world), None, "it is forgotten when it is overdue");
}

/// The funder's transaction gets into the chain after all: what is the fundee's is claimed.
#[test]
fn a_commitment_that_waited_for_its_funding_is_broadcast_when_that_confirms() {
    let mut world = world();
    world.checker.closable = true;
    open(&mut world, 1_000_000);
    let (_, funding, _) = world.broadcast[0].clone();
    let process = world.nodes[B].process.as_ref().expect("it runs");
    let channel = process
        .manager
        .channels()
        .next()
        .expect("B has it")
        .state()
        .facts
        .channel_id;
    world.command(B, Command::ForceClose(channel));
    world.settle();
    assert_eq!(world.chain.enforced, []);
    world.mine_with(&MineOptions::empty(1).including([funding]));
    assert!(!world.chain.enforced.is_empty(), "now it is");
}

/// Symptom: a channel was taken for confirmed, under a name that is not its own, and its funding was not broadcast any more. Cause: the block of the
/// funding was replaced while the node was away, and the last block that it remembered was an older one: of a block that was taken back it
/// never heard.
#[test]
fn a_funding_that_was_taken_back_while_the_node_was_away_is_noticed() {
    for node in [A, B] {
        let mut world = world();
        open(&mut world, 1_000_000);
        let (_, funding, _) = world.broadcast[0].clone();
        world.mine_with(&MineOptions::empty(1).including([funding]));
        world.crash(node, Keep::All, RowsAfterCrash::Whole);
        world.reorg(1, &MineOptions::empty(2));
        world.forget_mempool();
        world.start(node);
        world.connect(A, B);
        world.settle();
        let fundings = [A, B].map(|end| {
            let process = world.nodes[end].process.as_ref().expect("it runs");
            let mut states = process.manager.channels().map(Channel::state);
            states.next().expect("it has the channel").funding
        });
        assert_eq!(fundings, [None, None]);
        world.mine(8);
        world.conclude_well();
    }
}

/// Symptom: a channel was closed when its peer sent `funding_signed` twice. Cause: what is said of an opening that is none was answered by `error`
/// with the id of the channel.
#[test]
fn funding_signed_again_harms_nothing() {
    let mut world = world();
    open(&mut world, 1_000_000);
    let sent = world.sent_lately(B, A);
    let ago = sent
        .iter()
        .rev()
        .position(|sent| matches!(sent, Message::FundingSigned(_)));
    assert!(world.send_garbage(B, A, Garbage::Repeated(ago.expect("it was sent"))));
    world.settle();
    assert_eq!(count(&world, A, "error"), 0);
    assert_eq!(count(&world, A, "warning"), 1);
    world.mine(8);
    world.conclude_well();
}

/// Symptom: a channel that was used before its funding was in a block, and closed with an HTLC, was kept for ever, and so was the HTLC, after
/// the funding's coin was spent otherwise. Cause: only a channel that was not in use yet was given up. BOLT 5: absence proves nothing; a buried
/// conflict does.
#[test]
fn an_htlc_of_a_channel_whose_funding_can_never_confirm_ends_with_it() {
    for is_closed in [false, true] {
        let mut world = World::new(2, 1);
        world.features = world
            .features
            .clone()
            .offering(Feature::ScidAlias)
            .offering(Feature::Zeroconf);
        let opener = world.nodes[A].id();
        world.nodes[B].zeroconf_peers.insert(opener);
        world.crash(B, Keep::All, RowsAfterCrash::Whole);
        world.start(B);
        world.connect(A, B);
        let new = NewChannel {
            channel_type: Some(ChannelType {
                zeroconf: true,
                ..ChannelType::basic(CommitmentFormat::Anchors)
            }),
            ..new_channel(&mut world, 1_000_000)
        };
        world.command(A, Command::OpenChannel(Box::new(new)));
        world.settle();
        let id = PaymentId([5; 32]);
        let amount = MilliSatoshi(50_000_000);
        let hold = world.hold_invoice(B, amount);
        world.pay(A, B, id, &hold.invoice, amount, Vec::new());
        world.settle();
        let channel = world.nodes[A].channel_with(&world.nodes[B].id());
        let channel = channel.expect("it is used").state().facts.channel_id;
        if is_closed {
            world.checker.closable = true;
            world.disconnect(A, B);
            world.command(A, Command::ForceClose(channel));
            world.settle();
        }
        let funding = world.broadcast.first().expect("its funding was broadcast").1.clone();
        let mut rival = funding.clone();
        rival.output.truncate(1);
        rival.output[0].script_pubkey = faucet::reward_script();
        world.mine_with(&MineOptions::empty(1).including([rival]));
        world.mine(4);
        assert_eq!(world.checker.end_of(A, id), None, "five blocks may be taken back");
        world.mine(1);
        world.settle();
        assert!(
            matches!(world.checker.end_of(A, id), Some(End::Failed(_))),
            "nobody can claim it"
        );
        world.mine(2);
        assert!(
            world.nodes[A].channel_with(&world.nodes[B].id()).is_none(),
            "nothing of it is kept"
        );
    }
}
