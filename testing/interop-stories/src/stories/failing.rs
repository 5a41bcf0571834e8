//! Payments that must fail, and leave nothing behind.

use quittance_api::{Keysend, Payment, PaymentState};
use quittance_town::Outcome;

use super::{CAPACITY_SAT, Effort};
use crate::protocol::State;
use crate::world::World;

/// LDK is paid twice for one invoice: it knows nothing of the second payment any more.
pub(crate) fn ldk_refuses(world: &mut World, _: &Effort) -> Outcome<String> {
    let invoice = world.ldk_invoice(0, Some(2_500_000), None)?;
    world.pay(0, &invoice, None)?;
    let again = world.order(0, &invoice, None, 30)?;
    expect_failed(&again, "the payee refused it")
}

/// What one has not cannot be sent, by either.
pub(crate) fn too_much(world: &mut World, _: &Effort) -> Outcome<String> {
    let all = CAPACITY_SAT * 1_000;
    let invoice = world.ldk_invoice(0, Some(all), None)?;
    let payment = world.order(0, &invoice, None, 30)?;
    expect_failed(&payment, "no route was left to be tried")?;
    let invoice = world.our_invoice(0, Some(all), None)?;
    match world.ldk_orders(0, &invoice.invoice, None) {
        Err(_) => Ok(String::new()),
        Ok(hash) => match world.ldk_outcome(0, &hash)? {
            State::Failed => Ok(String::new()),
            other => Err(format!("LDK's payment of more than it has is {other:?}").into()),
        },
    }
}

/// A node that nobody knows cannot be paid.
pub(crate) fn nobody(world: &mut World, _: &Effort) -> Outcome<String> {
    let body = Keysend {
        id: world.name(),
        node: "02eec7245d6b7d2ccb30380bfbe2a3648cd7a942653f5aa340edcea1f283686619".parse()?,
        amount_msat: 1_000_000,
        fee_limit_msat: None,
        routes: Vec::new(),
        wait_s: 30,
    };
    let payment: Payment = world.ours[0].caller()?.post("/v1/keysend", &body)?;
    expect_failed(&payment, "no route was left to be tried")
}

/// Holds the end of a payment of ours against the one that it must have.
pub(crate) fn expect_failed(payment: &Payment, why: &str) -> Outcome<String> {
    if payment.state != PaymentState::Failed || payment.reason.as_deref() != Some(why) {
        return Err(format!(
            "the payment is {:?} ({:?}), and must have failed: {why}",
            payment.state, payment.reason
        )
        .into());
    }
    Ok(String::new())
}
