//! Payments between two neighbours.

use bitcoin::hashes::{Hash, sha256};
use quittance_api::{Claim, Claimed, Done, Event, EventKind, Hex, PaymentState, Refuse};
use quittance_town::Outcome;

use super::{CAPACITY_SAT, Effort};
use crate::protocol::{Call, State};
use crate::world::{World, wait_for};

/// Of the smallest, around what is trimmed, and larger ones; in msat.
const AMOUNTS: [u64; 6] = [1, 353_999, 354_000, 1_000_001, 25_000_000, 400_000_000];

pub(crate) fn ours_pays(world: &mut World, _: &Effort) -> Outcome<String> {
    for amount in AMOUNTS {
        let invoice = world.ldk_invoice(0, Some(amount), None)?;
        let payment = world.pay(0, &invoice, None)?;
        if (payment.amount_msat, payment.fee_msat) != (amount, Some(0)) {
            return Err(format!("{amount} msat were asked for, and this was paid: {payment:?}").into());
        }
    }
    Ok(format!("{} payments", AMOUNTS.len()))
}

pub(crate) fn ldk_pays(world: &mut World, _: &Effort) -> Outcome<String> {
    for amount in AMOUNTS {
        let invoice = world.our_invoice(0, Some(amount), None)?;
        world.ldk_pays(0, &invoice.invoice, None)?;
    }
    Ok(format!("{} payments", AMOUNTS.len()))
}

pub(crate) fn any_amount(world: &mut World, _: &Effort) -> Outcome<String> {
    let invoice = world.ldk_invoice(0, None, None)?;
    world.pay(0, &invoice, Some(1_234_567))?;
    let invoice = world.our_invoice(0, None, None)?;
    world.ldk_pays(0, &invoice.invoice, Some(7_654_321))?;
    Ok(String::new())
}

pub(crate) fn keysends(world: &mut World, _: &Effort) -> Outcome<String> {
    world.keysend(0, 0, 2_000_000)?;
    let node = world.ours[0].node.to_string();
    let hash: String = world.ldk[0].ask(&Call::Keysend {
        node,
        amount_msat: 3_000_000,
    })?;
    let state = world.ldk_outcome(0, &hash)?;
    if state != State::Succeeded {
        return Err(format!("LDK's payment without an invoice is {state:?}").into());
    }
    Ok(String::new())
}

pub(crate) fn ldk_holds(world: &mut World, _: &Effort) -> Outcome<String> {
    for is_claimed in [true, false] {
        let (preimage, hash) = secret(world);
        let invoice = world.ldk_invoice(0, Some(5_000_000), Some(hash))?;
        let order = world.order(0, &invoice, None, 0)?;
        world.wait_until_ldk_holds(hash)?;
        let expected = if is_claimed {
            world.ldk[0].ask::<()>(&Call::Claim {
                preimage: preimage.to_string(),
                amount_msat: 5_000_000,
            })?;
            PaymentState::Sent
        } else {
            world.ldk[0].ask::<()>(&Call::Refuse { hash: hash.to_string() })?;
            PaymentState::Failed
        };
        wait_for("our payment has the end that LDK gave it", || {
            Ok(world.state(0, order.id)? == Some(expected))
        })?;
    }
    Ok(String::new())
}

pub(crate) fn ours_holds(world: &mut World, _: &Effort) -> Outcome<String> {
    for is_claimed in [true, false] {
        let (preimage, hash) = secret(world);
        let invoice = world.our_invoice(0, Some(6_000_000), Some(hash))?;
        let order = world.ldk_orders(0, &invoice.invoice, None)?;
        world.wait_until_ours_holds(0, hash)?;
        let caller = world.ours[0].caller()?;
        let expected = if is_claimed {
            let _: Claimed = caller.post("/v1/held/claim", &Claim { preimage })?;
            State::Succeeded
        } else {
            let _: Done = caller.post("/v1/held/refuse", &Refuse { payment_hash: hash })?;
            State::Failed
        };
        let state = world.ldk_outcome(0, &order)?;
        if state != expected {
            return Err(format!("LDK's payment is {state:?}, and our node made it {expected:?}").into());
        }
    }
    Ok(String::new())
}

/// A preimage and its hash, which only the story knows.
pub(crate) fn secret(world: &mut World) -> (Hex<32>, Hex<32>) {
    let Hex(name) = world.name();
    let preimage = sha256::Hash::hash(&name).to_byte_array();
    (Hex(preimage), Hex(sha256::Hash::hash(&preimage).to_byte_array()))
}

/// More than one channel can carry, over two of them; by either.
pub(crate) fn in_parts(world: &mut World, _: &Effort) -> Outcome<String> {
    // In a channel that ours opened, LDK accepts a tenth of the capacity at once; the rest of more than half has to take the other.
    let amount = CAPACITY_SAT * 1_000 / 100 * 55;
    let invoice = world.ldk_invoice(0, Some(amount), None)?;
    world.pay(0, &invoice, None)?;
    world.agree()?;
    let invoice = world.our_invoice(0, Some(amount), None)?;
    world.ldk_pays(0, &invoice.invoice, None)?;
    Ok(String::new())
}

impl World {
    /// Waits until LDK tells that it holds a payment.
    pub(crate) fn wait_until_ldk_holds(&mut self, hash: Hex<32>) -> Outcome<()> {
        let hash = hash.to_string();
        wait_for("LDK holds the payment", || {
            let events: Vec<String> = self.ldk[0].ask(&Call::Events { from: 0 })?;
            let is_it = |event: &String| event.starts_with("PaymentClaimable") && event.contains(&hash);
            Ok(events.iter().any(is_it))
        })
    }

    /// Waits until our node tells that it holds a payment.
    pub(crate) fn wait_until_ours_holds(&mut self, ours: usize, hash: Hex<32>) -> Outcome<()> {
        wait_for("our node holds the payment", || {
            self.listen()?;
            let is_it = |event: &Event| matches!(event.event, EventKind::PaymentClaimable { payment_hash, .. } if payment_hash == hash);
            Ok(self.ours[ours].ledger.events().any(is_it))
        })
    }
}
