//! Messages that came together: what follows from all of them is signed for once.

use quittance_manager::Command;
use quittance_primitives::{MilliSatoshi, PaymentId};
use quittance_simulator::{ChannelSetup, World};

const AMOUNT: MilliSatoshi = MilliSatoshi(50_000_000);
const PAYMENTS: u8 = 5;

/// A has paid C through B five times, and C has claimed all of it: five fulfilments, and a commitment after the first, are on their way to B.
fn five_are_claimed() -> World {
    let mut world = World::new(3, 1);
    world.open_channel(0, 1, &ChannelSetup::default());
    world.open_channel(1, 2, &ChannelSetup::default());
    let holds: Vec<_> = (1..=PAYMENTS)
        .map(|number| {
            let (hold, hint) = (world.hold_invoice(2, AMOUNT), world.hint(1, 2));
            let id = PaymentId([number; 32]);
            world.pay(0, 2, id, &hold.invoice, AMOUNT, vec![vec![hint]]);
            hold
        })
        .collect();
    world.settle();
    for hold in holds {
        world.command(2, Command::ClaimPayment(hold.preimage));
    }
    world
}

/// What B has sent since, of those that fulfil or sign.
fn sent_by_b(world: &World, since: usize) -> Vec<&str> {
    let sent = world.nodes[1].sent[since..].iter().copied();
    sent.filter(|name| ["update_fulfill_htlc", "commitment_signed"].contains(name))
        .collect()
}

#[test]
fn fulfilments_that_came_together_are_signed_for_once() {
    let mut world = five_are_claimed();
    let since = world.nodes[1].sent.len();
    world.deliver_together(2, 1);
    // Upstream the five at once, then one commitment to each side. Signed one by one, the first would have had four HTLCs to sign for.
    let mut expected = vec!["update_fulfill_htlc"; usize::from(PAYMENTS)];
    expected.extend(["commitment_signed"; 2]);
    assert_eq!(sent_by_b(&world, since), expected);
    world.settle();
    world.conclude_well();
}

#[test]
fn what_was_left_unsigned_is_signed_when_the_connection_that_promised_more_is_lost() {
    let mut world = five_are_claimed();
    let since = world.nodes[1].sent.len();
    world.nodes[1].syncs_wait = true;
    // What the user has handled would be signed for at once, like any other input.
    world.nodes[1].user.handles_at_once = false;
    // More is on its way from C, and never arrives.
    world.deliver(2, 1);
    world.sync(1);
    assert_eq!(sent_by_b(&world, since), ["update_fulfill_htlc"]);
    assert!(owes_signatures(&world));
    world.disconnect(1, 2);
    world.sync(1);
    assert_eq!(sent_by_b(&world, since), ["update_fulfill_htlc", "commitment_signed"]);
    assert!(!owes_signatures(&world));
    world.nodes[1].syncs_wait = false;
    world.reconnect();
    world.conclude_well();
}

fn owes_signatures(world: &World) -> bool {
    let process = world.nodes[1].process.as_ref().expect("it runs");
    process.manager.owes_signatures()
}
