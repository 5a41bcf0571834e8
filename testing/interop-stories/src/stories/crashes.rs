//! Deaths: of our node, with what is left of its rows; and of LDK's.

use quittance_api::PaymentState;
use quittance_town::{Outcome, Rows};

use super::Effort;
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
