//! The worlds in which the rows are played, and what they have in common.

use quittance_journal::Lsn;
use quittance_manager::{Command, Event};
use quittance_payments::NewInvoice;
use quittance_primitives::{ChannelId, MilliSatoshi, PaymentId};
use quittance_store::memory::Keep;

use crate::{ChannelSetup, End, Hold, NodeIndex, RowsAfterCrash, World};

pub(super) const A: NodeIndex = 0;
pub(super) const B: NodeIndex = 1;
pub(super) const C: NodeIndex = 2;
pub(super) const AMOUNT: MilliSatoshi = MilliSatoshi(50_000_000);
pub(super) const ID: PaymentId = PaymentId([1; 32]);
pub(super) const OTHER_ID: PaymentId = PaymentId([2; 32]);

/// A and B with a channel.
pub(super) fn direct() -> World {
    let mut world = World::new(2, 1);
    world.open_channel(A, B, &ChannelSetup::default());
    world
}

/// A, B and C in a line.
pub(super) fn line() -> World {
    let mut world = World::new(3, 1);
    world.open_channel(A, B, &ChannelSetup::default());
    world.open_channel(B, C, &ChannelSetup::default());
    world
}

/// The world with users that never say that they handled anything.
pub(super) fn unhandled(mut world: World) -> World {
    for node in &mut world.nodes {
        node.user.handles_at_once = false;
    }
    world
}

/// `node` closes its channel with `peer` by its commitment, as its user orders.
pub(super) fn closes(world: &mut World, node: NodeIndex, peer: NodeIndex) {
    world.checker.closable = true;
    if let Some(id) = channel_between(world, node, peer) {
        world.command(node, Command::ForceClose(id));
    }
}

/// The channel of `node` with `peer`, if it runs and has one.
pub(super) fn channel_between(world: &World, node: NodeIndex, peer: NodeIndex) -> Option<ChannelId> {
    let channel = world.nodes[node].channel_with(&world.nodes[peer].id())?;
    Some(channel.state().facts.channel_id)
}

/// Everyone runs again, and so many blocks pass that nothing in the chain is undecided any more; then the run ends.
pub(super) fn settle_on_chain(world: &mut World) {
    world.checker.closable = true;
    world.recover();
    world.mine(170);
    world.conclude();
}

/// A pays B an invoice.
pub(super) fn pay_direct(world: &mut World, invoice: &NewInvoice) {
    world.pay(A, B, ID, invoice, AMOUNT, Vec::new());
}

/// A pays C an invoice through B.
pub(super) fn pay_through(world: &mut World, invoice: &NewInvoice) {
    if world.is_up(B) {
        let hint = world.hint(B, C);
        world.pay(A, C, ID, invoice, AMOUNT, vec![vec![hint]]);
    }
}

/// A world in which B holds A's payment.
pub(super) fn held_by_b() -> (World, Hold) {
    let mut world = direct();
    let hold = world.hold_invoice(B, AMOUNT);
    pay_direct(&mut world, &hold.invoice);
    world.settle();
    assert!(is_claimable(&world, B), "B holds the payment");
    (world, hold)
}

/// A world in which C holds A's payment, which B forwarded.
pub(super) fn held_by_c() -> (World, Hold) {
    let mut world = line();
    let hold = world.hold_invoice(C, AMOUNT);
    pay_through(&mut world, &hold.invoice);
    world.settle();
    assert!(is_claimable(&world, C), "C holds the payment");
    (world, hold)
}

/// Whether the last question that a user was asked is about a payment that it may claim.
pub(super) fn is_claimable(world: &World, node: NodeIndex) -> bool {
    let shown = world.nodes[node].user.shown.iter();
    shown
        .into_iter()
        .any(|shown| matches!(shown.event, Event::PaymentClaimable { .. }))
}

pub(super) fn claim(world: &mut World, node: NodeIndex, hold: &Hold) {
    world.command(node, Command::ClaimPayment(hold.preimage));
}

pub(super) fn refuse(world: &mut World, node: NodeIndex, hold: &Hold) {
    world.command(node, Command::RefusePayment(hold.preimage.hash()));
}

/// What a payee decides about a payment that it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    Claim,
    Refuse,
}

/// A payee decides.
pub(super) fn say(world: &mut World, node: NodeIndex, hold: &Hold, word: Word) {
    match word {
        Word::Claim => claim(world, node, hold),
        Word::Refuse => refuse(world, node, hold),
    }
}

/// The payment ended as its payee decided.
pub(super) fn ended_as(world: &World, word: Word) {
    match word {
        Word::Claim => is_sent(world),
        Word::Refuse => is_failed(world),
    }
}

/// A peer's store comes back from an older moment: it broke its word, and nothing is asked of it.
pub(super) fn put_back(world: &mut World, node: NodeIndex, lsn: Lsn) {
    world.crash(node, Keep::All, RowsAfterCrash::Whole);
    world.nodes[node].store = std::mem::take(&mut world.nodes[node].store).restored(lsn);
    world.checker.excused.insert(node);
    world.start(node);
}

/// The caller asks again if it has no outcome; then the payment is made, once.
pub(super) fn is_paid_once(world: &mut World) {
    world.conclude();
    if world.checker.end_of(A, ID).is_none() {
        world.repeat(ID);
        world.settle();
    }
    world.conclude();
    is_sent(world);
}

/// The payment ends once, and truly: it may fail where another node than the payer was away when it was made.
pub(super) fn ends_once(world: &mut World) {
    world.conclude();
    if world.checker.end_of(A, ID).is_none() {
        world.repeat(ID);
        world.settle();
    }
    world.conclude();
    assert!(world.checker.end_of(A, ID).is_some(), "the payment has its outcome");
}

pub(super) fn is_sent(world: &World) {
    let end = world.checker.end_of(A, ID);
    assert!(matches!(end, Some(End::Sent { .. })), "the payment ended as {end:?}");
}

pub(super) fn is_failed(world: &World) {
    let end = world.checker.end_of(A, ID);
    assert!(matches!(end, Some(End::Failed(_))), "the payment ended as {end:?}");
}

/// A node dies and starts again.
pub(super) fn restart(world: &mut World, node: NodeIndex, rows: RowsAfterCrash) {
    world.crash(node, Keep::All, rows);
    world.start(node);
    world.reconnect();
}
