//! What a channel weighs after so many payments, made one at a time.

use bitcoin::Amount;
use quittance_journal::{KeyRange, Space};
use quittance_payments_bench::node::Outcome;
use quittance_payments_bench::payments::Threads;
use quittance_records::Record;

use crate::Plan;
use crate::counts::Account;
use crate::figures::{short, to_float};
use crate::goals::{Bound, Goals};
use crate::ldk::{Network, Persistence};
use crate::ours::{Durability, Nodes};

const CAPACITY: Amount = Amount::from_sat(1_000_000_000);

/// Bytes of what our payer keeps.
struct Weight {
    /// The channel's state, as a checkpoint holds it.
    state: u64,
    /// Records of outcomes, and of commitments for penalties.
    cold: u64,
    /// Finished payments, by id.
    finished: u64,
    /// All else: the log since the last checkpoint, the monitor's row, and what the manager has of its own.
    rest: u64,
}

/// Weighs both sides after each number of payments, and prints a table.
pub(crate) fn measure(plan: &Plan, goals: &mut Goals) -> Outcome<()> {
    if !plan.includes("storage") {
        return Ok(());
    }
    let accounts = [Account(1), Account(2)];
    let mut ldk = Network::new(&accounts, Persistence::Nowhere)?;
    ldk.open_channels(0, CAPACITY, 1)?;
    let mut ours = Nodes::new(&accounts, CAPACITY, Durability::Memory)?;
    println!(
        "| payer's bytes after payments | LDK: monitor | LDK: manager | Quittance: the channel's live state | its cold records | finished payments | the rest |"
    );
    println!("|---:|---:|---:|---:|---:|---:|---:|");
    let mut paid = 0;
    let mut last = None;
    for payments in plan.weighed_after {
        ldk.pay(payments - paid, 1)?;
        ours.pay(payments - paid, 1, Threads::One)?;
        ours.town.handle_all_events()?;
        paid = *payments;
        let (monitor, manager) = ldk.sizes()?;
        let weight = weigh(&mut ours)?;
        let figures = [
            u64::try_from(monitor)?,
            u64::try_from(manager)?,
            weight.state,
            weight.cold,
            weight.finished,
            weight.rest,
        ];
        let figures = figures.map(|bytes| short(to_float(bytes)));
        println!("| {} | {} |", short(to_float(paid)), figures.join(" | "));
        last = Some(weight);
    }
    println!();
    if let Some(weight) = last {
        let what = format!("live state of a channel after {paid} payments");
        goals.judge(what, Bound::AtMost(20_000.0), "bytes", to_float(weight.state));
    }
    Ok(())
}

fn weigh(ours: &mut Nodes) -> Outcome<Weight> {
    let node = &mut ours.town.nodes[0];
    let channel = node.manager.channels().next().ok_or("there is a channel")?;
    let state = u64::try_from(channel.state().to_bytes().len())?;
    let mut bytes_of = |range: KeyRange| -> Outcome<u64> {
        let records = node.disk.store().read(&range)?;
        Ok(u64::try_from(
            records.iter().map(|(_, record)| record.len()).sum::<usize>(),
        )?)
    };
    let cold = bytes_of(KeyRange::space(Space::Cold))?;
    let finished = bytes_of(KeyRange::space(Space::FinishedPayments))?;
    let all = bytes_of(KeyRange::all())?;
    Ok(Weight {
        state,
        cold,
        finished,
        rest: all - cold - finished,
    })
}
