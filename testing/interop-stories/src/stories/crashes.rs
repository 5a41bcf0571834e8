//! Deaths: of our node, with what is left of its rows; and of LDK's.

use std::time::Duration;

use quittance_api::PaymentState;
use quittance_town::{Outcome, Random, Rows};

use super::load::Load;
use super::{Effort, even};
use crate::protocol::State;
use crate::world::{By, World, wait_for};

/// LDK is paid.
pub(crate) fn receipt_unhandled(world: &mut World, effort: &Effort) -> Outcome<String> {
    deaths_of_payer(world, effort, By::Ldk)
}

/// LDK forwards to another node of ours.
pub(crate) fn forwarded_receipt_unhandled(world: &mut World, effort: &Effort) -> Outcome<String> {
    deaths_of_payer(world, effort, By::Ours)
}

/// Our node dies when its receipt has come and its user has not confirmed it. It starts again with its rows whole, from before the
/// payment, and without any; each time it must still tell that it paid, with the receipt, and go on with the channel.
fn deaths_of_payer(world: &mut World, effort: &Effort, payee: By) -> Outcome<String> {
    let deaths = effort.count(3, 100);
    let channels = world.channel_ids(0, 0)?.len();
    for death in 0..deaths {
        let rows = Rows::ALL[death as usize % Rows::ALL.len()];
        let older = world.folder.path().join("older");
        world.ours[0].process.stop_and_copy(&older)?;
        world.ours[0].start()?;
        world.wait_until_usable(0, 0, channels)?;
        let amount = Some(25_000_000 + u64::from(death));
        let invoice = match payee {
            By::Ldk => world.ldk_invoice(0, amount, None)?,
            By::Ours => world.our_invoice(1, amount, None)?.invoice,
        };
        let order = world.order(0, &invoice, None, 0)?;
        wait_for("the payment is sent", || {
            Ok(world.state(0, order.id)? == Some(PaymentState::Sent))
        })?;
        // The HTLC leaves both commitments, so that nothing but the outcome's own record can tell of it.
        world.wait_for_no_htlc()?;
        world.ours[0].process.kill()?;
        world.ours[0].process.damage(rows, &older)?;
        world.ours[0].start()?;
        let state = world.state(0, order.id)?;
        if state != Some(PaymentState::Sent) {
            let words = rows.in_words();
            return Err(format!("death {death}, {words}: the payment was made, and the payer tells {state:?}").into());
        }
        world.wait_until_usable(0, 0, channels)?;
        world.agree()?;
        let told = world.ours[0].ledger.outcomes()?;
        if told.get(&order.id).is_none_or(Option::is_none) {
            return Err(format!(
                "death {death}: the user was not told that payment {} was sent",
                order.id
            )
            .into());
        }
    }
    Ok(format!("{deaths} deaths, each receipt told; no channel closed"))
}

/// LDK is killed when nothing is on its way: it goes on with the channel.
pub(crate) fn idle_ldk_dies(world: &mut World, effort: &Effort) -> Outcome<String> {
    let kills = effort.count(2, 50);
    let mut random = Random::new(effort.seed);
    for _ in 0..kills {
        let load = Load::new(world, &mut random, 2)?;
        load.settle(world)?;
        world.agree()?;
        // It writes its own state after it has said what follows from it, in the background.
        std::thread::sleep(Duration::from_secs(2));
        world.ldk[0].kill()?;
        world.ldk[0].start()?;
        world.wait_until_usable(0, 0, 1)?;
    }
    let load = Load::new(world, &mut random, 2)?;
    load.settle(world)?;
    Ok(format!("{kills} kills"))
}

/// LDK is killed while payments go both ways. Its manager may then be older than what it knows of a channel, which it closes by force:
/// every payment has its end all the same, both ledgers agree, and the next channel takes its place. What has no output on chain is left
/// out: a close takes it from the payee, who may have claimed it already.
///
/// After a close each block waits until LDK has done what follows from the last: its queue for the network has fifty places, and what finds
/// none is dropped, which on a real chain, with ten minutes a block, does not happen.
///
/// What LDK wrote down and had not sent before it died stays pending in its list for ever.
pub(crate) fn ldk_dies_under_load(world: &mut World, effort: &Effort) -> Outcome<String> {
    let kills = effort.count(4, 50);
    let mut random = Random::new(effort.seed);
    let (mut sent, mut all, mut closed, mut lost) = (0, 0, 0, Vec::new());
    world.is_paced = true;
    for kill in 0..kills {
        let mut load = Load::of_at_least(NO_DUST_MSAT, world, &mut random, 4)?;
        let moment = Duration::from_millis(random.below(150));
        std::thread::sleep(moment);
        let told = |why: Box<dyn std::error::Error>| format!("kill {kill} after {moment:?}: {why}");
        world.ldk[0].kill()?;
        world.ldk[0].start().map_err(told)?;
        let mut is_closed = false;
        wait_for("the channel can be used, or LDK has closed it", || {
            is_closed = world.ldk[0].channels()?.is_empty();
            Ok(is_closed || !world.channel_ids(0, 0)?.is_empty())
        })
        .map_err(|why| format!("kill {kill} after {moment:?}: {why}"))?;
        if is_closed {
            closed += 1;
            world.closings += 1;
            world.wait_until_ldk_rests().map_err(told)?;
            world.mine_what_comes(1).map_err(told)?;
            let mut steps = 0;
            world
                .mine_until("every payment has its end", |world| {
                    steps = if load.is_decided(world)? { steps + 1 } else { 0 };
                    Ok(load.has_ended(world)? || steps > STEPS_BURIED)
                })
                .map_err(told)?;
            lost.extend(load.leave_out_lost(world).map_err(told)?);
            world.mine(6).map_err(told)?;
            world.open(0, 0, even(By::Ours)).map_err(told)?;
        }
        world.wait_until_usable(0, 0, 1).map_err(told)?;
        sent += load.settle(world).map_err(told)?;
        all += load.len();
        world.agree().map_err(told)?;
    }
    let payments = world.ldk[0].payments()?;
    if let Some(ended) = payments
        .iter()
        .find(|payment| payment.state != State::Pending && lost.contains(&payment.hash))
    {
        return Err(format!("LDK's payment {} had its end after all", ended.hash).into());
    }
    let lost = lost.len();
    let dropped = world.ldk[0].log().matches(DROPPED).count();
    Ok(format!(
        "{kills} kills, {all} payments, {sent} made; LDK closed {closed} channels by itself, lost {lost} payments that it had not sent, and \
         dropped {dropped} broadcasts"
    ))
}

/// More than what a commitment leaves out.
const NO_DUST_MSAT: u64 = 1_000_000;
/// Of four blocks each: LDK tells the end that the chain gave an HTLC after six.
const STEPS_BURIED: u32 = 3;
/// What LDK logs of a transaction for which its queue has no place.
const DROPPED: &str = "Failed to broadcast transactions: no available capacity";
