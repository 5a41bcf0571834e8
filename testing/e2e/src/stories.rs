//! What is done to the nodes, and what must be so afterwards.

use std::path::Path;
use std::time::Duration;

use quittance_api::{ChannelList, CreateInvoice, Hex, Invoice, Pay, Payment, PaymentState};

use crate::Outcome;
use crate::caller::{CallFailed, Caller};
use crate::ledger::{Ledger, compare};
use crate::process::copy_folder;
use crate::random::Random;
use crate::town::{ALICE, BOB, CAPACITY_SAT, CAROL, Town};

/// What is left of a dead node's manager rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rows {
    Whole,
    RolledBack,
    Deleted,
}

const ROWS: [Rows; 3] = [Rows::Whole, Rows::RolledBack, Rows::Deleted];

/// The payer dies when its receipt has come and its user has not confirmed it, and starts again with its rows whole, from before the
/// payment, and without any. Each time it must still tell that it paid, with the receipt.
pub(crate) fn worst_moment(program: &Path, mutant: Option<&str>) -> Outcome<()> {
    let folder = tempfile::tempdir()?;
    let payer: Vec<&str> = mutant.into_iter().flat_map(|mutant| ["--mutant", mutant]).collect();
    let mut town = Town::new(program, folder.path(), &payer)?;
    let (mut alice, mut carol) = (Ledger::default(), Ledger::default());
    for (number, rows) in (1_u8..).zip(ROWS) {
        let older = folder.path().join("older");
        restart_with_copy(&mut town, ALICE, &older)?;
        town.wait_until_usable()?;
        let payment = order(&town, 25_000_000, Hex([number; 32]))?;
        pay(town.nodes[ALICE].caller()?, &payment)?;
        Town::wait_for("the payment is sent", || {
            Ok(state(town.nodes[ALICE].caller()?, payment.id_of())? == Some(PaymentState::Sent))
        })?;
        // The HTLC leaves both commitments, so that nothing but the outcome's own record can tell of it.
        Town::wait_for("no HTLC is left", || {
            let list: ChannelList = town.nodes[ALICE].caller()?.get("/v1/channels")?;
            Ok(list.channels.iter().all(|channel| channel.htlcs == 0))
        })?;
        town.nodes[ALICE].kill()?;
        damage(&town, ALICE, rows, &older)?;
        town.start(ALICE)?;
        let state = state(town.nodes[ALICE].caller()?, payment.id_of())?;
        if state != Some(PaymentState::Sent) {
            return Err(format!("rows {rows:?}: the payment was made, and the payer tells {state:?}").into());
        }
        alice.listen(town.nodes[ALICE].caller()?)?;
        carol.listen(town.nodes[CAROL].caller()?)?;
        compare(&alice, &carol).map_err(|why| format!("rows {rows:?}: {why}"))?;
        alice.handle_all(town.nodes[ALICE].caller()?)?;
    }
    Ok(())
}

/// Payments run, and the payer, the forwarder or the payee dies at a random moment, again and again.
pub(crate) fn random_kills(program: &Path, kills: u32, payments: u32, seed: u64) -> Outcome<String> {
    let folder = tempfile::tempdir()?;
    let mut random = Random::new(seed);
    let mut town = Town::new(program, folder.path(), &[])?;
    let (mut alice, mut carol) = (Ledger::default(), Ledger::default());
    for kill in 0..kills {
        let victim = kill as usize % 3;
        let rows = ROWS[(kill as usize / 3) % 3];
        let older = folder.path().join("older");
        restart_with_copy(&mut town, victim, &older)?;
        town.wait_until_usable()?;
        let orders: Vec<Pay> = (0..payments)
            .map(|_| order(&town, 1_000_000 + random.below(1_000_000), Hex(random.bytes())))
            .collect::<Outcome<_>>()?;
        let payer = town.nodes[ALICE].caller()?.clone();
        let moment = Duration::from_millis(random.below(400));
        std::thread::scope(|threads| {
            for order in &orders {
                let payer = payer.clone();
                // Who gets no answer asks again below.
                threads.spawn(move || drop(pay(&payer, order)));
            }
            std::thread::sleep(moment);
            town.nodes[victim].kill()
        })?;
        damage(&town, victim, rows, &older)?;
        town.start(victim)?;
        town.wait_until_usable()?;
        let name = town.nodes[victim].name;
        let told =
            |why: Box<dyn std::error::Error>| format!("kill {kill} ({name} after {moment:?}, rows {rows:?}): {why}");
        settle(&town, &orders).map_err(told)?;
        alice.listen(town.nodes[ALICE].caller()?).map_err(told)?;
        carol.listen(town.nodes[CAROL].caller()?).map_err(told)?;
        compare(&alice, &carol).map_err(told)?;
        let outcomes = alice.outcomes().map_err(told)?;
        if let Some(order) = orders.iter().find(|order| !outcomes.contains_key(&order.id_of())) {
            return Err(told(format!("payment {} has no outcome", order.id_of()).into()).into());
        }
        // Sometimes the user lets events wait over another death.
        if random.below(3) > 0 {
            alice.handle_all(town.nodes[ALICE].caller()?)?;
            carol.handle_all(town.nodes[CAROL].caller()?)?;
        }
    }
    check_balances(&town, &alice)?;
    let outcomes = alice.outcomes()?;
    let sent = outcomes.values().flatten().count();
    Ok(format!(
        "{kills} kills: {} payments, {sent} sent and {} failed, and the payee's ledger is the payer's; no channel was closed",
        outcomes.len(),
        outcomes.len() - sent
    ))
}

/// Stops a node in between, to copy its store as it is before what comes.
fn restart_with_copy(town: &mut Town, node: usize, copy: &Path) -> Outcome<()> {
    town.nodes[node].kill()?;
    copy_folder(&town.nodes[node].store(), copy)?;
    town.start(node)?;
    Ok(())
}

fn damage(town: &Town, node: usize, rows: Rows, older: &Path) -> Outcome<()> {
    match rows {
        Rows::Whole => Ok(()),
        Rows::RolledBack => town.nodes[node].lose_manager_rows(Some(older)),
        Rows::Deleted => town.nodes[node].lose_manager_rows(None),
    }
}

/// Carol asks for a payment, and this is Alice's order to pay it.
fn order(town: &Town, amount_msat: u64, id: Hex<32>) -> Outcome<Pay> {
    let body = CreateInvoice {
        amount_msat: Some(amount_msat),
        description: "end to end".to_owned(),
        ..CreateInvoice::default()
    };
    let mut invoice = String::new();
    // Until Bob has told Carol his terms, her invoices have no hint, and nobody finds her.
    Town::wait_for("an invoice has a hint", || {
        let made: Invoice = town.nodes[CAROL].caller()?.post("/v1/invoices", &body)?;
        let decode = quittance_api::Decode {
            invoice: made.invoice.clone(),
        };
        let decoded: quittance_api::Decoded = town.nodes[CAROL].caller()?.post("/v1/decode", &decode)?;
        invoice = made.invoice;
        Ok(!decoded.hints.is_empty())
    })?;
    Ok(Pay {
        id: Some(id),
        invoice,
        amount_msat: None,
        fee_limit_msat: None,
        patience_s: None,
        wait_s: 0,
    })
}

trait Named {
    fn id_of(&self) -> Hex<32>;
}

impl Named for Pay {
    fn id_of(&self) -> Hex<32> {
        self.id.unwrap_or(Hex([0; 32]))
    }
}

fn pay(payer: &Caller, order: &Pay) -> Result<Payment, CallFailed> {
    payer.post("/v1/payments", order)
}

/// How a payment stands; nothing if the node knows of none.
fn state(payer: &Caller, id: Hex<32>) -> Outcome<Option<PaymentState>> {
    match payer.get::<Payment>(&format!("/v1/payments/{id}")) {
        Ok(payment) => Ok(Some(payment.state)),
        Err(CallFailed::Refused(404, _)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Waits until every payment has its end. Whoever had no answer asks again, under the same id.
fn settle(town: &Town, orders: &[Pay]) -> Outcome<()> {
    let payer = town.nodes[ALICE].caller()?;
    for order in orders {
        if state(payer, order.id_of())?.is_none() {
            pay(payer, order)?;
        }
        Town::wait_for("a payment has ended", || {
            let state = state(payer, order.id_of())?;
            Ok(matches!(state, Some(PaymentState::Sent | PaymentState::Failed)))
        })
        .map_err(|why| format!("payment {}: {why}", order.id_of()))?;
    }
    Town::wait_for("no HTLC is left", || {
        for node in [ALICE, BOB, CAROL] {
            let list: ChannelList = town.nodes[node].caller()?.get("/v1/channels")?;
            if list.channels.iter().any(|channel| channel.htlcs > 0) {
                return Ok(false);
            }
        }
        Ok(true)
    })
}

/// To the msat: what left Alice's channel is what was paid and its fees, and Carol has what was paid. No channel is closed.
fn check_balances(town: &Town, alice: &Ledger) -> Outcome<()> {
    let outcomes = alice.outcomes()?;
    let sent = || outcomes.values().flatten();
    let (paid, fees): (u64, u64) = (
        sent().map(|sent| sent.amount_msat).sum(),
        sent().map(|sent| sent.fee_msat).sum(),
    );
    let channels = |node: usize| -> Outcome<ChannelList> { Ok(town.nodes[node].caller()?.get("/v1/channels")?) };
    for node in [ALICE, BOB, CAROL] {
        if let Some(channel) = channels(node)?.channels.iter().find(|channel| channel.state != "open") {
            return Err(format!("{} has a channel that is {}", town.nodes[node].name, channel.state).into());
        }
    }
    let ours = |list: ChannelList| -> u64 { list.channels.iter().map(|channel| channel.ours_msat).sum() };
    let (has_alice, has_carol) = (ours(channels(ALICE)?), ours(channels(CAROL)?));
    let expected = (CAPACITY_SAT * 1_000 - paid - fees, paid);
    if (has_alice, has_carol) != expected {
        return Err(format!(
            "Alice and Carol have {has_alice} and {has_carol} msat; by the ledger it should be {expected:?}"
        )
        .into());
    }
    Ok(())
}
