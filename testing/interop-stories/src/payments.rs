//! Payments between a node of ours and one of LDK's, and their ledgers.

use std::collections::BTreeMap;

use quittance_api::{CreateInvoice, Decode, Decoded, Hex, Invoice, Keysend, Pay, Payment, PaymentState};
use quittance_town::{CallFailed, Outcome};

use crate::protocol::{Call, State};
use crate::world::{World, wait_for};

/// How long a call of ours may wait for a payment's end.
pub(crate) const WAIT_S: u32 = 40;

impl World {
    /// An invoice of LDK's.
    pub(crate) fn ldk_invoice(
        &mut self,
        ldk: usize,
        amount_msat: Option<u64>,
        hold: Option<Hex<32>>,
    ) -> Outcome<String> {
        self.ldk[ldk].ask(&Call::Invoice {
            amount_msat,
            hold_hash: hold.map(|hash| hash.to_string()),
        })
    }

    /// An invoice of ours, with a hint: nobody finds a node without one that has no announced channel.
    pub(crate) fn our_invoice(&self, ours: usize, amount_msat: Option<u64>, hold: Option<Hex<32>>) -> Outcome<Invoice> {
        let body = CreateInvoice {
            amount_msat,
            description: "to ours".to_owned(),
            hold_hash: hold,
            ..CreateInvoice::default()
        };
        let caller = self.ours[ours].caller()?;
        let mut made = None;
        wait_for("an invoice has a hint", || {
            let invoice: Invoice = caller.post("/v1/invoices", &body)?;
            let read = Decode {
                invoice: invoice.invoice.clone(),
            };
            let has_hint = !caller.post::<Decoded>("/v1/decode", &read)?.hints.is_empty();
            made = Some(invoice);
            Ok(has_hint)
        })?;
        made.ok_or_else(|| "an invoice was made".into())
    }

    /// Our node is to pay an invoice; the answer comes after `wait_s` at the latest.
    pub(crate) fn order(
        &mut self,
        ours: usize,
        invoice: &str,
        amount_msat: Option<u64>,
        wait_s: u32,
    ) -> Outcome<Payment> {
        let body = Pay {
            id: Some(self.name()),
            invoice: invoice.to_owned(),
            amount_msat,
            fee_limit_msat: None,
            patience_s: None,
            routes: Vec::new(),
            wait_s,
        };
        Ok(self.ours[ours].caller()?.post("/v1/payments", &body)?)
    }

    /// Our node pays an invoice, to the end.
    pub(crate) fn pay(&mut self, ours: usize, invoice: &str, amount_msat: Option<u64>) -> Outcome<Payment> {
        let payment = self.order(ours, invoice, amount_msat, WAIT_S)?;
        expect_sent(payment)
    }

    /// Our node pays LDK without an invoice.
    pub(crate) fn keysend(&mut self, ours: usize, ldk: usize, amount_msat: u64) -> Outcome<Payment> {
        let body = Keysend {
            id: self.name(),
            node: self.ldk[ldk].node.parse()?,
            amount_msat,
            fee_limit_msat: None,
            routes: Vec::new(),
            wait_s: WAIT_S,
        };
        expect_sent(self.ours[ours].caller()?.post("/v1/keysend", &body)?)
    }

    /// LDK is to pay an invoice; the payment's hash.
    pub(crate) fn ldk_orders(&mut self, ldk: usize, invoice: &str, amount_msat: Option<u64>) -> Outcome<String> {
        self.ldk[ldk].ask(&Call::Pay {
            invoice: invoice.to_owned(),
            amount_msat,
        })
    }

    /// LDK pays an invoice, to the end.
    pub(crate) fn ldk_pays(&mut self, ldk: usize, invoice: &str, amount_msat: Option<u64>) -> Outcome<()> {
        let hash = self.ldk_orders(ldk, invoice, amount_msat)?;
        let state = self.ldk_outcome(ldk, &hash)?;
        if state != State::Succeeded {
            return Err(format!("LDK's payment {hash} is {state:?}").into());
        }
        Ok(())
    }

    /// How a payment of LDK's ended.
    pub(crate) fn ldk_outcome(&mut self, ldk: usize, hash: &str) -> Outcome<State> {
        let mut state = State::Pending;
        wait_for("LDK's payment has ended", || {
            let payments = self.ldk[ldk].payments()?;
            let found = payments.iter().find(|payment| !payment.inbound && payment.hash == hash);
            state = found.map_or(State::Pending, |payment| payment.state);
            Ok(state != State::Pending)
        })?;
        Ok(state)
    }

    /// The state of a payment of ours; nothing if the node knows of none.
    pub(crate) fn state(&self, ours: usize, id: Hex<32>) -> Outcome<Option<PaymentState>> {
        match self.ours[ours].caller()?.get::<Payment>(&format!("/v1/payments/{id}")) {
            Ok(payment) => Ok(Some(payment.state)),
            Err(CallFailed::Refused(404, _)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits until no HTLC is left in any open channel of ours.
    pub(crate) fn wait_for_no_htlc(&self) -> Outcome<()> {
        wait_for("no HTLC is left", || {
            for node in &self.ours {
                let channels = node.channels()?.channels;
                if channels
                    .iter()
                    .any(|channel| channel.state == "open" && channel.htlcs > 0)
                {
                    return Ok(false);
                }
            }
            Ok(true)
        })
    }

    /// Hears what every node of ours has told, and confirms it: only so many events are told before that.
    pub(crate) fn listen(&mut self) -> Outcome<()> {
        for node in &mut self.ours {
            let caller = node.process.caller()?;
            node.ledger.listen(caller)?;
            node.ledger.handle_all(caller)?;
        }
        Ok(())
    }

    /// When nothing is on its way any more: what all payers were told that they paid is what all payees were told that they have.
    pub(crate) fn agree(&mut self) -> Outcome<()> {
        if !self.is_of_one_mind {
            return Ok(());
        }
        self.wait_for_no_htlc()?;
        let mut differing = String::new();
        let agreed = wait_for("the ledgers agree", || {
            self.listen()?;
            let (paid, received) = self.ledgers()?;
            let only = |these: &BTreeMap<String, u64>, those: &BTreeMap<String, u64>| {
                let mut only: Vec<String> = these
                    .iter()
                    .filter(|(hash, amount)| those.get(*hash) != Some(*amount))
                    .map(|(hash, amount)| format!("{amount} msat for {hash}"))
                    .collect();
                only.truncate(5);
                only.join(", ")
            };
            differing = format!(
                "paid and not received: {}; received and not paid: {}",
                only(&paid, &received),
                only(&received, &paid)
            );
            Ok(paid == received)
        });
        Ok(agreed.map_err(|why| format!("{why}; {differing}"))?)
    }

    /// What was paid, and what was received, in msat by hash, over all nodes.
    fn ledgers(&mut self) -> Outcome<(BTreeMap<String, u64>, BTreeMap<String, u64>)> {
        let (mut paid, mut received) = (BTreeMap::new(), BTreeMap::new());
        for node in &self.ours {
            for sent in node.ledger.outcomes()?.values().flatten() {
                paid.insert(sent.payment_hash.to_string(), sent.amount_msat);
            }
            for (hash, amount) in node.ledger.received()? {
                received.insert(hash.to_string(), amount);
            }
        }
        for node in &mut self.ldk {
            for payment in node.payments()? {
                if payment.state == State::Succeeded {
                    let ledger = if payment.inbound { &mut received } else { &mut paid };
                    ledger.insert(payment.hash, payment.amount_msat);
                }
            }
        }
        Ok((paid, received))
    }
}

pub(crate) fn expect_sent(payment: Payment) -> Outcome<Payment> {
    if payment.state != PaymentState::Sent {
        let (state, reason) = (payment.state, payment.reason.unwrap_or_default());
        return Err(format!("payment {} is {state:?}: {reason}", payment.id).into());
    }
    Ok(payment)
}
