//! RE-14: a channel that rests (BOLT 2, `stfu`).

use quittance_channel::{Link, Quiescence};
use quittance_manager::{Command, Input};
use quittance_primitives::PaymentId;

use super::stage::{A, AMOUNT, B, OTHER_ID, channel_between, claim, held_by_b, is_sent};
use crate::{Effort, End, NodeIndex, Report, Schedule, World};

/// Longer than a channel with HTLCs may rest.
const A_MINUTE_MS: u64 = 61_000;
const AFTERWARDS: PaymentId = PaymentId([3; 32]);

/// B holds A's payment. A wants rest while a payment of its own is on its way and B's last revocation is not synced; or B does, or both do.
pub(super) fn quiescence_dies_with_its_connection(effort: Effort) -> Report {
    let wants: [&[NodeIndex]; 3] = [&[A], &[B], &[A, B]];
    let reports = wants.map(|who| {
        let (mut world, hold) = held_by_b();
        let (first, afterwards) = (world.invoice(B, AMOUNT), world.invoice(B, AMOUNT));
        let script = |world: &mut World| {
            world.pay(A, B, OTHER_ID, &first, AMOUNT, Vec::new());
            world.settle_until(A, B, "commitment_signed");
            world.nodes[B].syncs_wait = true;
            for node in who {
                wants_rest(world, *node);
            }
            world.settle();
            assert!(
                is_disturbed(world) || !world.nodes[A].sent.contains(&"stfu"),
                "its own update is pending: what B owes for it is not synced"
            );
            world.nodes[B].syncs_wait = false;
            world.sync(B);
            world.settle();
            assert!(
                is_disturbed(world) || rests(world, A) && rests(world, B),
                "nothing is owed any more"
            );
            // A removal that is decided now waits for the next connection.
            claim(world, B, &hold);
            world.settle();
            world.now_ms += A_MINUTE_MS;
            for node in [A, B] {
                world.input(node, Input::Tick);
            }
            world.settle();
            assert!(
                is_disturbed(world) || !rests(world, A),
                "with HTLCs it rests for a minute"
            );
            for node in [A, B] {
                world.start(node);
            }
            world.reconnect();
            world.settle();
        };
        let end = |world: &mut World| {
            world.nodes[B].syncs_wait = false;
            world.recover();
            assert!(
                !rests(world, A) && !rests(world, B),
                "a new connection knows of no rest"
            );
            claim(world, B, &hold);
            world.settle();
            world.pay(A, B, AFTERWARDS, &afterwards, AMOUNT, Vec::new());
            world.settle();
            let is_paid = |id| matches!(world.checker.end_of(A, id), Some(End::Sent { .. }));
            assert!(is_paid(AFTERWARDS), "payments flow");
            is_sent(world);
            world.conclude_well();
        };
        Schedule::new(world, &[A, B], script, end).run(effort)
    });
    reports.into_iter().sum()
}

fn wants_rest(world: &mut World, node: NodeIndex) {
    if let Some(channel) = channel_between(world, node, 1 - node) {
        world.command(node, Command::Quiesce(channel));
    }
}

/// Whether somebody has died.
fn is_disturbed(world: &World) -> bool {
    [A, B]
        .into_iter()
        .any(|node| !world.is_up(node) || world.nodes[node].crashes > 0)
}

fn rests(world: &World, node: NodeIndex) -> bool {
    let channel = world.nodes[node].channel_with(&world.nodes[1 - node].id());
    let quiescence = channel.map(|channel| match channel.link() {
        Link::Up(session) => session.quiescence,
        Link::Down | Link::AwaitingReestablish(_) => Quiescence::Off,
    });
    quiescence.is_some_and(Quiescence::is_quiet)
}
