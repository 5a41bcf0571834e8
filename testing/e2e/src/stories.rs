//! What is done to the nodes, and what must be so afterwards.

use std::path::Path;
use std::time::Duration;

use quittance_api::{Hex, PaymentState};
use quittance_town::{ALICE, CAROL, Ledger, Order, Outcome, Random, Rows, Town, compare};

use crate::Options;

/// The payer dies when its receipt has come and its user has not confirmed it, and starts again with its rows whole, from before the
/// payment, and without any: as `states` say. Each time it must still tell that it paid, with the receipt. What it tells that is not true,
/// if it does; an error is one of the test's own surroundings, and says nothing about the node.
pub(crate) fn worst_moment(program: &Path, mutant: Option<&str>, states: &[Rows]) -> Outcome<Option<String>> {
    let folder = crate::folder()?;
    let payer: Vec<&str> = mutant.into_iter().flat_map(|mutant| ["--mutant", mutant]).collect();
    let mut town = Town::new(program, folder.path(), None, &payer)?;
    let (mut alice, mut carol) = (Ledger::default(), Ledger::default());
    for (number, rows) in (1_u8..).zip(states.iter().copied()) {
        let older = folder.path().join("older");
        town.restart_with_copy(ALICE, &older)?;
        town.wait_until_usable()?;
        let order = town.order(25_000_000, Hex([number; 32]))?;
        order.give(town.nodes[ALICE].caller()?)?;
        Town::wait_for("the payment is sent", || {
            Ok(order.state(town.nodes[ALICE].caller()?)? == Some(PaymentState::Sent))
        })?;
        // The HTLC leaves both commitments, so that nothing but the outcome's own record can tell of it.
        town.wait_for_no_htlc()?;
        town.nodes[ALICE].kill()?;
        town.nodes[ALICE].damage(rows, &older)?;
        town.start(ALICE)?;
        let state = order.state(town.nodes[ALICE].caller()?)?;
        if state != Some(PaymentState::Sent) {
            let words = rows.in_words();
            return Ok(Some(format!(
                "{words}: the payment was made, and the payer tells {state:?}"
            )));
        }
        alice.listen(town.nodes[ALICE].caller()?)?;
        carol.listen(town.nodes[CAROL].caller()?)?;
        if let Err(why) = compare(&alice, &carol) {
            return Ok(Some(format!("{}: {why}", rows.in_words())));
        }
        alice.handle_all(town.nodes[ALICE].caller()?)?;
    }
    Ok(None)
}

/// Payments run, and the payer, the forwarder or the payee dies at a random moment, again and again.
pub(crate) fn random_kills(options: &Options, seed: u64) -> Outcome<String> {
    let (kills, payments) = (options.kills, options.payments);
    let folder = crate::folder()?;
    let mut random = Random::new(seed);
    let mut town = Town::new(&options.program, folder.path(), options.bitcoind.as_deref(), &[])?;
    let (mut alice, mut carol) = (Ledger::default(), Ledger::default());
    for kill in 0..kills {
        let victim = kill as usize % 3;
        let rows = Rows::ALL[(kill as usize / 3) % 3];
        let older = folder.path().join("older");
        town.restart_with_copy(victim, &older)?;
        town.wait_until_usable()?;
        let orders: Vec<Order> = (0..payments)
            .map(|_| town.order(1_000_000 + random.below(1_000_000), Hex(random.bytes())))
            .collect::<Outcome<_>>()?;
        let payer = town.nodes[ALICE].caller()?.clone();
        let moment = Duration::from_millis(random.below(400));
        std::thread::scope(|threads| {
            for order in &orders {
                let payer = payer.clone();
                // Who gets no answer asks again below.
                threads.spawn(move || drop(order.give(&payer)));
            }
            std::thread::sleep(moment);
            town.nodes[victim].kill()
        })?;
        town.nodes[victim].damage(rows, &older)?;
        town.start(victim)?;
        town.wait_until_usable()?;
        let name = town.nodes[victim].name;
        let told = |why: Box<dyn std::error::Error>| {
            format!("kill {kill} ({name} after {moment:?}, {}): {why}", rows.in_words())
        };
        town.settle(&orders).map_err(told)?;
        alice.listen(town.nodes[ALICE].caller()?).map_err(told)?;
        carol.listen(town.nodes[CAROL].caller()?).map_err(told)?;
        compare(&alice, &carol).map_err(told)?;
        let outcomes = alice.outcomes().map_err(told)?;
        if let Some(order) = orders.iter().find(|order| !outcomes.contains_key(&order.id)) {
            return Err(told(format!("payment {} has no outcome", order.id).into()).into());
        }
        // Sometimes the user lets events wait over another death.
        if random.below(3) > 0 {
            alice.handle_all(town.nodes[ALICE].caller()?)?;
            carol.handle_all(town.nodes[CAROL].caller()?)?;
        }
    }
    town.check_balances(&alice)?;
    let outcomes = alice.outcomes()?;
    let sent = outcomes.values().flatten().count();
    Ok(format!(
        "{kills} kills: {} payments, {sent} sent and {} failed, and the payee's ledger is the payer's; no channel was closed",
        outcomes.len(),
        outcomes.len() - sent
    ))
}
