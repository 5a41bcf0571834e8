//! Payments through a node of the other kind.

use quittance_api::{Decode, Decoded, Done, PaymentState, Refuse, SetPolicy};
use quittance_town::Outcome;

use super::failing::expect_failed;
use super::paying::secret;
use super::{CAPACITY_SAT, Effort, even};
use crate::peer::ChannelKind;
use crate::protocol::State;
use crate::world::{By, Terms, Tools, World, wait_for};

/// LDK, ours, LDK; in a row.
pub(crate) fn ours_between(tools: &Tools) -> Outcome<World> {
    let mut world = World::new(tools, (1, 2), ChannelKind::Anchors)?;
    for ldk in 0..2 {
        world.connect(0, ldk, By::Ours)?;
        world.open(0, ldk, even(By::Ours))?;
    }
    for ldk in 0..2 {
        world.wait_until_usable(0, ldk, 1)?;
    }
    Ok(world)
}

/// Ours, LDK, ours; in a row.
pub(crate) fn ldk_between(tools: &Tools) -> Outcome<World> {
    let mut world = World::new(tools, (2, 1), ChannelKind::Anchors)?;
    for ours in 0..2 {
        world.connect(ours, 0, By::Ours)?;
        world.open(ours, 0, even(By::Ours))?;
    }
    for ours in 0..2 {
        world.wait_until_usable(ours, 0, 1)?;
    }
    Ok(world)
}

/// LDK with two channels to ours, and ours with all of a third to another of LDK's.
pub(crate) fn ours_between_twice(tools: &Tools) -> Outcome<World> {
    let mut world = World::new(tools, (1, 2), ChannelKind::Anchors)?;
    world.connect(0, 0, By::Ours)?;
    world.open(0, 0, even(By::Ours))?;
    world.open(0, 0, even(By::Ldk))?;
    world.connect(0, 1, By::Ours)?;
    world.open(
        0,
        1,
        Terms {
            push_msat: CAPACITY_SAT * 1_000 / 100 * 95,
            ..even(By::Ldk)
        },
    )?;
    world.wait_until_usable(0, 0, 2)?;
    world.wait_until_usable(0, 1, 1)?;
    Ok(world)
}

/// Ours with two channels to LDK, and LDK with two to another of ours.
pub(crate) fn ldk_between_twice(tools: &Tools) -> Outcome<World> {
    let mut world = World::new(tools, (2, 1), ChannelKind::Anchors)?;
    for ours in 0..2 {
        world.connect(ours, 0, By::Ours)?;
        world.open(ours, 0, even(By::Ours))?;
        world.open(ours, 0, even(By::Ldk))?;
    }
    for ours in 0..2 {
        world.wait_until_usable(ours, 0, 2)?;
    }
    Ok(world)
}

/// LDK pays more than one of its channels to ours has, to another of LDK's.
pub(crate) fn parts_through_ours(world: &mut World, _: &Effort) -> Outcome<String> {
    let invoice = world.ldk_invoice(1, Some(MORE_THAN_ONE_MSAT), None)?;
    world.ldk_pays(0, &invoice, None)?;
    Ok(String::new())
}

/// Either of ours pays the other more than one of its channels to LDK has.
pub(crate) fn parts_through_ldk(world: &mut World, _: &Effort) -> Outcome<String> {
    for (payer, payee) in [(0, 1), (1, 0)] {
        let invoice = world.our_invoice(payee, Some(MORE_THAN_ONE_MSAT), None)?;
        world.pay(payer, &invoice.invoice, None)?;
        world.agree()?;
    }
    Ok(String::new())
}

/// More than half of a channel, which is all that either side of it has.
const MORE_THAN_ONE_MSAT: u64 = CAPACITY_SAT * 1_000 / 100 * 55;

pub(crate) fn through_ours(world: &mut World, effort: &Effort) -> Outcome<String> {
    let payments = effort.count(6, 200);
    for number in 0..payments {
        let (payer, payee) = if number % 2 == 0 { (0, 1) } else { (1, 0) };
        let invoice = world.ldk_invoice(payee, Some(1_000_000 + u64::from(number)), None)?;
        world.ldk_pays(payer, &invoice, None)?;
    }
    Ok(format!("{payments} payments"))
}

pub(crate) fn through_ldk(world: &mut World, effort: &Effort) -> Outcome<String> {
    let payments = effort.count(6, 200);
    for number in 0..payments {
        let (payer, payee) = if number % 2 == 0 { (0, 1) } else { (1, 0) };
        let invoice = world.our_invoice(payee, Some(1_000_000 + u64::from(number)), None)?;
        let payment = world.pay(payer, &invoice.invoice, None)?;
        if payment.fee_msat.unwrap_or_default() == 0 {
            return Err("LDK forwarded without a fee".into());
        }
    }
    Ok(format!("{payments} payments"))
}

/// The payee has gone: our node fails what LDK sends through it, and LDK knows.
pub(crate) fn ours_fails_back(world: &mut World, _: &Effort) -> Outcome<String> {
    let invoice = world.ldk_invoice(1, Some(1_000_000), None)?;
    world.ldk[1].stop()?;
    let outcome = world
        .ldk_orders(0, &invoice, None)
        .and_then(|hash| world.ldk_outcome(0, &hash));
    world.ldk[1].start()?;
    world.wait_until_usable(0, 1, 1)?;
    match outcome? {
        State::Failed => Ok(String::new()),
        other => Err(format!("LDK's payment to a node that has gone is {other:?}").into()),
    }
}

/// The payee has gone, or refuses: LDK fails what our node sends through it, and our node knows.
pub(crate) fn ldk_fails_back(world: &mut World, _: &Effort) -> Outcome<String> {
    let invoice = world.our_invoice(1, Some(1_000_000), None)?;
    world.ours[1].process.kill()?;
    let payment = world.order(0, &invoice.invoice, None, 70)?;
    world.ours[1].start()?;
    world.wait_until_usable(1, 0, 1)?;
    expect_failed(&payment, "no route was left to be tried")?;
    let (_, hash) = secret(world);
    let invoice = world.our_invoice(1, Some(1_000_000), Some(hash))?;
    let order = world.order(0, &invoice.invoice, None, 0)?;
    world.wait_until_ours_holds(1, hash)?;
    let refuse = Refuse { payment_hash: hash };
    let _: Done = world.ours[1].caller()?.post("/v1/held/refuse", &refuse)?;
    wait_for("our payment has failed", || {
        Ok(world.state(0, order.id)? == Some(PaymentState::Failed))
    })?;
    Ok(String::new())
}

/// Our node takes more than an invoice of LDK's says, twice. What it took last it goes by for some more minutes; for less than that it does not
/// send on, and LDK knows; and LDK's next invoice has it.
pub(crate) fn terms_change(world: &mut World, _: &Effort) -> Outcome<String> {
    let oldest = world.ldk_invoice(1, Some(1_000_000), None)?;
    world.takes(5_000)?;
    let old = world.ldk_invoice_by(5_000)?;
    world.takes(10_000)?;
    let new = world.ldk_invoice_by(10_000)?;
    let hash = world.ldk_orders(0, &oldest, None)?;
    match world.ldk_outcome(0, &hash)? {
        State::Failed => {}
        other => return Err(format!("LDK's payment for less than our node takes is {other:?}").into()),
    }
    for invoice in [old, new] {
        world.ldk_pays(0, &invoice, None)?;
    }
    Ok("two changes, the one before last refused".to_owned())
}

impl World {
    /// Our node takes this for what it sends on to LDK's second node.
    fn takes(&mut self, fee_base_msat: u32) -> Outcome<()> {
        let list = self.ours[0].channels()?.channels;
        let channel = list.iter().find(|channel| channel.peer.to_string() == self.ldk[1].node);
        let path = format!("/v1/channels/{}/policy", channel.ok_or("there is no channel")?.id);
        let policy = SetPolicy {
            fee_base_msat: Some(fee_base_msat.into()),
            ..SetPolicy::default()
        };
        let _: Done = self.ours[0].caller()?.post(&path, &policy)?;
        Ok(())
    }

    /// An invoice of LDK's second node that says that ours takes this.
    fn ldk_invoice_by(&mut self, fee_base_msat: u32) -> Outcome<String> {
        let mut invoice = String::new();
        wait_for("LDK's invoice has our new terms", || {
            invoice = self.ldk_invoice(1, Some(1_000_000), None)?;
            let read = Decode {
                invoice: invoice.clone(),
            };
            let decoded: Decoded = self.ours[0].caller()?.post("/v1/decode", &read)?;
            Ok(decoded.hints.iter().any(|hint| hint.fee_base_msat == fee_base_msat))
        })?;
        Ok(invoice)
    }
}
