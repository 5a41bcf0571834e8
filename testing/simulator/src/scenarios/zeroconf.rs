//! CH: a channel that is used before its funding is in a block. A has a confirmed channel with B; B opens one to C, who trusts it.

use bitcoin::Amount;
use quittance_channel::Phase;
use quittance_channel::opening::ChannelType;
use quittance_manager::{Command, NewChannel};
use quittance_payments::HintHop;
use quittance_primitives::{Feature, FeeratePerKw, MilliSatoshi, PaymentId, ShortChannelId};
use quittance_regtest::Chain;
use quittance_store::memory::Keep;
use quittance_transactions::CommitmentFormat;

use super::stage::{A, AMOUNT, B, C, ID, channel_between, pay_through};
use crate::{ChannelSetup, Effort, End, Report, RowsAfterCrash, Schedule, World};

const CAPACITY: Amount = Amount::from_sat(1_000_000);

/// A and B with a channel, and C, who trusts B.
fn trusting() -> World {
    let mut world = World::new(3, 1);
    world.features = world
        .features
        .clone()
        .offering(Feature::ScidAlias)
        .offering(Feature::Zeroconf);
    world.open_channel(A, B, &ChannelSetup::default());
    let opener = world.nodes[B].id();
    world.nodes[C].zeroconf_peers.insert(opener);
    world.crash(C, Keep::All, RowsAfterCrash::Whole);
    world.start(C);
    world
}

/// B opens a channel of this type to C.
fn open(world: &mut World, channel_type: ChannelType) {
    world.connect(B, C);
    if !world.is_up(B) {
        return;
    }
    let new = NewChannel {
        peer: world.nodes[C].id(),
        capacity: CAPACITY,
        push: MilliSatoshi(0),
        channel_type: Some(channel_type),
        announce: false,
        feerate: FeeratePerKw(1_000),
        keys: world.nodes[B].signer.new_channel_keys(),
    };
    world.command(B, Command::OpenChannel(Box::new(new)));
    world.settle();
}

/// The hint by which A pays C, if B has a channel with C that has a name.
fn hint(world: &World) -> Option<HintHop> {
    world.is_up(B).then(|| world.hints(B, C).into_iter().next())?
}

/// A pays C through B, by the name that the hint has.
fn pay(world: &mut World, number: u8, hint: HintHop) -> Option<End> {
    let id = PaymentId([number; 32]);
    let invoice = world.invoice(C, AMOUNT);
    world.pay(A, C, id, &invoice, AMOUNT, vec![vec![hint]]);
    world.settle();
    world.checker.end_of(A, id).cloned()
}

/// The channel is used by its alias before its funding is in a block, and after; by its place in the chain only where that is no secret.
fn is_used_by_its_alias(world: &mut World, channel_type: ChannelType) {
    let opened = world.nodes[B].channel_with(&world.nodes[C].id());
    let state = opened.expect("B has the channel").state();
    assert_eq!(
        (&state.phase, state.funding),
        (&Phase::Normal, None),
        "it waits for no block"
    );
    let alias = state.aliases.local.expect("B gave it an alias");
    let hint = hint(world).expect("the alias is its name");
    assert_eq!(hint.short_channel_id, alias);
    let by_alias = pay(world, 5, hint);
    assert!(matches!(by_alias, Some(End::Sent { .. })), "{by_alias:?}");
    world.mine(8);
    let peer = world.nodes[C].id();
    let state = world.nodes[B].channel_with(&peer).expect("B has the channel").state();
    let place = state.funding.expect("it is confirmed").short_channel_id;
    assert_eq!(state.aliases.local, Some(alias), "the alias stays the same");
    let theirs = world.nodes[C]
        .channel_with(&world.nodes[B].id())
        .expect("so has C")
        .state();
    assert_eq!(theirs.aliases.remote, Some(alias), "C knows it by that alias");
    assert_eq!(theirs.name_at_peer(), Some(alias), "and would tell it to payers");
    let by_alias = pay(world, 6, hint);
    assert!(matches!(by_alias, Some(End::Sent { .. })), "{by_alias:?}");
    let by_place = pay(world, 7, named(hint, place));
    if channel_type.scid_alias {
        assert!(
            matches!(by_place, Some(End::Failed(_))),
            "its place is not listened to: {by_place:?}"
        );
    } else {
        assert!(matches!(by_place, Some(End::Sent { .. })), "{by_place:?}");
    }
    world.conclude_well();
}

const fn named(hint: HintHop, short_channel_id: ShortChannelId) -> HintHop {
    HintHop {
        short_channel_id,
        ..hint
    }
}

/// The opening was lost before anything of it was durable at B: nobody uses it.
fn never_was(world: &World) {
    assert_eq!(
        channel_between(world, B, C),
        None,
        "B has no channel whose funding never left"
    );
    assert_eq!(world.chain.chain.mempool(), [], "and no transaction of it is anywhere");
    let kept = world.nodes[C].channel_with(&world.nodes[B].id());
    let waits = kept.is_none_or(|channel| matches!(channel.state().phase, Phase::AwaitingReady(_)));
    assert!(waits, "C has not begun to use it");
    let end = world.checker.end_of(A, ID);
    assert!(
        !matches!(end, Some(End::Sent { .. })),
        "and nothing was paid over it: {end:?}"
    );
}

pub(super) fn zero_conf_channel_is_used_only_once_durable(effort: Effort) -> Report {
    [false, true]
        .into_iter()
        .map(|scid_alias| expand(scid_alias, effort))
        .sum()
}

fn expand(scid_alias: bool, effort: Effort) -> Report {
    let channel_type = ChannelType {
        scid_alias,
        zeroconf: true,
        ..ChannelType::basic(CommitmentFormat::Anchors)
    };
    let mut world = trusting();
    let invoice = world.invoice(C, AMOUNT);
    let script = move |world: &mut World| {
        open(world, channel_type);
        if hint(world).is_some() {
            pay_through(world, &invoice);
        }
        world.settle();
    };
    let end = move |world: &mut World| {
        if world.broadcast.is_empty() {
            never_was(world);
        } else {
            is_used_by_its_alias(world, channel_type);
        }
    };
    Schedule::new(world, &[B, C], script, end).run(effort)
}
