//! What the users of two nodes wrote down of what they were told, and whether it is the same.

use std::collections::BTreeMap;

use quittance_api::{Event, EventKind, Hex, Info};

use crate::Caller;
use crate::Outcome;

/// What a user was told, over all lives of its node.
#[derive(Debug, Default)]
pub struct Ledger {
    /// By number: what comes again must be the same.
    told: BTreeMap<u64, Event>,
    /// All up to here were confirmed as handled.
    handled: Option<u64>,
}

impl Ledger {
    /// Hears what there is to hear.
    pub fn listen(&mut self, caller: &Caller) -> Outcome<()> {
        let info: Info = caller.get("/v1/info")?;
        let Some(last) = info.last_event else { return Ok(()) };
        for event in caller.events(0, last)? {
            if self.handled >= Some(event.number) {
                // Kept for those who listen again within one life of the node.
                continue;
            }
            if let Some(before) = self.told.insert(event.number, event.clone())
                && before != event
            {
                return Err(format!("event {} was {before:?}, and is now {event:?}", event.number).into());
            }
        }
        Ok(())
    }

    /// Everything that was heard, in order.
    pub fn events(&self) -> impl Iterator<Item = &Event> {
        self.told.values()
    }

    /// Confirms everything that was heard.
    pub fn handle_all(&mut self, caller: &Caller) -> Outcome<()> {
        if let Some((last, event)) = self.told.last_key_value() {
            let handled = caller.post("/v1/events/handled", &quittance_api::Handled { number: *last });
            let _: quittance_api::Done = handled.map_err(|error| format!("{event:?}: {error}"))?;
            self.handled = Some(*last);
        }
        Ok(())
    }

    /// How payments of ours ended: what was sent, with the fee, or nothing for one that failed.
    ///
    /// # Errors
    /// When one has two ends, or a receipt that is none.
    pub fn outcomes(&self) -> Outcome<BTreeMap<Hex<32>, Option<Sent>>> {
        let mut outcomes = BTreeMap::new();
        for event in self.told.values() {
            let (id, outcome) = match &event.event {
                EventKind::PaymentSent {
                    id,
                    payment_hash,
                    preimage,
                    amount_msat,
                    fee_msat,
                } => {
                    let receipt = quittance_api::Receipt {
                        id: *id,
                        payment_hash: *payment_hash,
                        preimage: *preimage,
                        amount_msat: *amount_msat,
                        fee_msat: *fee_msat,
                    };
                    if !receipt.is_valid() {
                        return Err(format!("the receipt of payment {id} is none").into());
                    }
                    let sent = Sent {
                        payment_hash: *payment_hash,
                        preimage: *preimage,
                        amount_msat: *amount_msat,
                        fee_msat: *fee_msat,
                    };
                    (*id, Some(sent))
                }
                EventKind::PaymentFailed { id, .. } => (*id, None),
                _ => continue,
            };
            if let Some(before) = outcomes.insert(id, outcome) {
                return Err(format!("payment {id} ended twice: {before:?}, then {:?}", outcomes[&id]).into());
            }
        }
        Ok(outcomes)
    }

    /// What was received, by hash.
    ///
    /// # Errors
    /// When one was received twice.
    pub fn received(&self) -> Outcome<BTreeMap<Hex<32>, u64>> {
        let mut received = BTreeMap::new();
        for event in self.told.values() {
            if let EventKind::PaymentClaimed {
                payment_hash,
                amount_msat,
                ..
            } = &event.event
                && received.insert(*payment_hash, *amount_msat).is_some()
            {
                return Err(format!("hash {payment_hash} was received twice").into());
            }
        }
        Ok(received)
    }
}

/// A payment that was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Its hash.
    pub payment_hash: Hex<32>,
    /// The receipt: what the payee revealed for being paid.
    pub preimage: Hex<32>,
    /// What the payee received.
    pub amount_msat: u64,
    /// What it cost beside.
    pub fee_msat: u64,
}

/// Holds the payer's ledger against the payee's.
///
/// # Errors
/// The first entry that one has and the other has not.
pub fn compare(payer: &Ledger, payee: &Ledger) -> Outcome<()> {
    let (outcomes, received) = (payer.outcomes()?, payee.received()?);
    let sent: BTreeMap<Hex<32>, u64> = outcomes
        .values()
        .flatten()
        .map(|sent| (sent.payment_hash, sent.amount_msat))
        .collect();
    for (hash, amount) in &sent {
        if received.get(hash) != Some(amount) {
            return Err(format!(
                "the payer was told that {amount} msat for {hash} were paid; the payee has {:?}",
                received.get(hash)
            )
            .into());
        }
    }
    for (hash, amount) in &received {
        if sent.get(hash) != Some(amount) {
            return Err(format!(
                "the payee has {amount} msat for {hash}; the payer was told {:?}",
                sent.get(hash)
            )
            .into());
        }
    }
    Ok(())
}
