//! Our side: the nodes of `testing/payments-bench`, their costs charged to accounts.

use std::path::Path;
use std::time::Duration;

use bitcoin::Amount;
use quittance_channel::{InlineVerifier, Verifier};
use quittance_payments_bench::node::{Disk, Outcome};
use quittance_payments_bench::payments::{Threads, town_of};
use quittance_payments_bench::town::Town;
use quittance_store::memory::MemoryStore;

use crate::counts::{Account, charge_new_threads, charge_time, write_for};

/// Where records are kept.
#[derive(Clone, Copy)]
pub(crate) enum Durability<'a> {
    Memory,
    Disk(&'a Path),
}

/// Our nodes in a row, each with a channel to the next.
pub(crate) struct Nodes {
    pub(crate) town: Town,
    accounts: Vec<Account>,
    payments: u64,
}

impl Nodes {
    pub(crate) fn new(accounts: &[Account], capacity: Amount, durability: Durability) -> Outcome<Self> {
        // Where nothing is written there is no time in which keys could be derived ahead.
        let verifier: Option<&'static (dyn Verifier + Sync)> = match durability {
            Durability::Memory => Some(&InlineVerifier),
            Durability::Disk(_) => None,
        };
        let disk = |number: u8| match durability {
            Durability::Memory => Ok(Disk::Memory(Box::new(MemoryStore::new()))),
            Durability::Disk(folder) => charge_new_threads(accounts[usize::from(number)], || {
                let disk = Disk::create(&folder.join(number.to_string()));
                wait_for_threads();
                disk
            }),
        };
        let mut town = town_of(u8::try_from(accounts.len())?, disk, verifier, capacity)?;
        for (node, account) in town.nodes.iter_mut().zip(accounts.iter().copied()) {
            node.around_write = Some(Box::new(move |write| write_for(account, write)));
            charge_new_threads(account, || {
                node.start_task();
                wait_for_threads();
            });
        }
        Ok(Self {
            town,
            accounts: accounts.to_vec(),
            payments: 0,
        })
    }

    /// Pays `count` times from the first node to the last, with at most `at_once` payments under way, until nothing is on its way.
    pub(crate) fn pay(&mut self, count: u64, at_once: usize, threads: Threads) -> Outcome<()> {
        let numbers = self.payments..self.payments + count;
        self.payments = numbers.end;
        let before: Vec<Duration> = self.town.nodes.iter().map(|node| node.time).collect();
        self.town
            .pay_on((0, self.town.nodes.len() - 1), numbers, at_once, threads)?;
        for ((node, before), account) in self.town.nodes.iter().zip(before).zip(&self.accounts) {
            charge_time(*account, node.time.saturating_sub(before));
        }
        match self.town.failed.first() {
            None => Ok(()),
            Some(id) => Err(format!("payment {id} failed").into()),
        }
    }

    /// Bytes of the records of each node so far.
    pub(crate) fn record_bytes(&self) -> Vec<u64> {
        self.town.nodes.iter().map(|node| node.record_bytes).collect()
    }
}

/// Threads are there some time after they were asked for, and those of a store start one another.
fn wait_for_threads() {
    std::thread::sleep(Duration::from_millis(100));
}
