//! A channel that rests (BOLT 2, `stfu`). LDK begins that only for a splice, so ours begins it.

use std::time::Duration;

use quittance_api::{Claim, Claimed, Done};
use quittance_town::Outcome;

use super::Effort;
use super::paying::secret;
use crate::protocol::{Call, State};
use crate::world::{World, wait_for};

/// How long it is watched that nothing moves.
const WATCHED: Duration = Duration::from_millis(500);

/// Ours lets the channel rest while it holds a payment of LDK's, and claims it meanwhile; LDK pays once more. Nothing moves before the
/// connection has ended, and everything after it.
pub(crate) fn ours_asks(world: &mut World, _: &Effort) -> Outcome<String> {
    let channel = world
        .channel_ids(0, 0)?
        .into_iter()
        .next()
        .ok_or("there is a channel")?;
    let (preimage, hash) = secret(world);
    let held = world.our_invoice(0, Some(7_000_000), Some(hash))?;
    let held = world.ldk_orders(0, &held.invoice, None)?;
    world.wait_until_ours_holds(0, hash)?;
    let caller = world.ours[0].caller()?;
    let _: Done = caller.post(&format!("/v1/channels/{channel}/quiesce"), &())?;
    wait_for("LDK agrees to rest", || {
        let channels = world.ours[0].channels()?.channels;
        Ok(channels.iter().any(|channel| channel.state == "quiescent"))
    })?;
    let caller = world.ours[0].caller()?;
    let _: Claimed = caller.post("/v1/held/claim", &Claim { preimage })?;
    let meanwhile = world.our_invoice(0, Some(3_000_000), None)?;
    let meanwhile = world.ldk_orders(0, &meanwhile.invoice, None)?;
    std::thread::sleep(WATCHED);
    let payments = world.ldk[0].payments()?;
    if let Some(moved) = payments
        .iter()
        .find(|payment| [&held, &meanwhile].contains(&&payment.hash) && payment.state != State::Pending)
    {
        return Err(format!("the channel rests, and this has ended: {moved:?}").into());
    }
    let node = world.ours[0].node.to_string();
    world.ldk[0].ask::<()>(&Call::Disconnect { node })?;
    world.wait_until_usable(0, 0, 1)?;
    for order in [held, meanwhile] {
        let state = world.ldk_outcome(0, &order)?;
        if state != State::Succeeded {
            return Err(format!("LDK's payment {order} is {state:?} after the rest").into());
        }
    }
    let invoice = world.ldk_invoice(0, Some(2_000_000), None)?;
    world.pay(0, &invoice, None)?;
    world.agree()?;
    Ok(String::new())
}
