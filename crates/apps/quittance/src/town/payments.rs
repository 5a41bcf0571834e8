//! Payments from Alice to Carol, as their users order them.

use quittance_api::{ChannelList, CreateInvoice, Decode, Decoded, Hex, Invoice, Pay, Payment, PaymentState};

use crate::people::{ALICE, BOB, CAPACITY_SAT, CAROL, Town};
use crate::{CallFailed, Caller, Ledger, Outcome};

/// Alice's order to pay an invoice of Carol's.
#[derive(Clone, Debug)]
pub struct Order {
    /// Alice's name for the payment.
    pub id: Hex<32>,
    /// What it is.
    pub amount_msat: u64,
    /// The hash of what Carol reveals for it.
    pub payment_hash: Hex<32>,
    invoice: String,
}

impl Order {
    /// Gives the order. A node that dies meanwhile gives no answer: then it is given again, under the same id.
    ///
    /// # Errors
    /// [`CallFailed`].
    pub fn give(&self, payer: &Caller) -> Result<Payment, CallFailed> {
        let body = Pay {
            id: Some(self.id),
            invoice: self.invoice.clone(),
            amount_msat: None,
            fee_limit_msat: None,
            patience_s: None,
            routes: Vec::new(),
            wait_s: 0,
        };
        payer.post("/v1/payments", &body)
    }

    /// How the payment stands; nothing if the node knows of none.
    ///
    /// # Errors
    /// When the node does not answer.
    pub fn state(&self, payer: &Caller) -> Outcome<Option<PaymentState>> {
        match payer.get::<Payment>(&format!("/v1/payments/{}", self.id)) {
            Ok(payment) => Ok(Some(payment.state)),
            Err(CallFailed::Refused(404, _)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

impl Town {
    /// Carol asks for a payment, and this is Alice's order to pay it.
    ///
    /// # Errors
    /// When Carol cannot.
    pub fn order(&self, amount_msat: u64, id: Hex<32>) -> Outcome<Order> {
        self.order_held(amount_msat, id, None)
    }

    /// The same, and Carol holds what is paid until she claims it with the preimage of `hold_hash`, if there is one.
    ///
    /// # Errors
    /// When Carol cannot.
    pub fn order_held(&self, amount_msat: u64, id: Hex<32>, hold_hash: Option<Hex<32>>) -> Outcome<Order> {
        let body = CreateInvoice {
            amount_msat: Some(amount_msat),
            description: "from Alice to Carol".to_owned(),
            hold_hash,
            ..CreateInvoice::default()
        };
        let (mut invoice, mut payment_hash) = (String::new(), Hex([0; 32]));
        // Until Bob has told Carol his terms, her invoices have no hint, and nobody finds her.
        Self::wait_for("an invoice has a hint", || {
            let carol = self.nodes[CAROL].caller()?;
            let made: Invoice = carol.post("/v1/invoices", &body)?;
            let decoded: Decoded = carol.post(
                "/v1/decode",
                &Decode {
                    invoice: made.invoice.clone(),
                },
            )?;
            (invoice, payment_hash) = (made.invoice, made.payment_hash);
            Ok(!decoded.hints.is_empty())
        })?;
        Ok(Order {
            id,
            amount_msat,
            payment_hash,
            invoice,
        })
    }

    /// Waits until every payment has its end, and no HTLC is left. Whoever had no answer asks again, under the same id.
    ///
    /// # Errors
    /// When one has none in time.
    pub fn settle(&self, orders: &[Order]) -> Outcome<()> {
        let payer = self.nodes[ALICE].caller()?;
        for order in orders {
            if order.state(payer)?.is_none() {
                order.give(payer)?;
            }
            let ended = Self::wait_for("a payment has ended", || {
                let state = order.state(payer)?;
                Ok(matches!(state, Some(PaymentState::Sent | PaymentState::Failed)))
            });
            ended.map_err(|why| format!("payment {}: {why}", order.id))?;
        }
        self.wait_for_no_htlc()
    }

    /// Waits until no HTLC is left in any channel.
    ///
    /// # Errors
    /// When one is left.
    pub fn wait_for_no_htlc(&self) -> Outcome<()> {
        Self::wait_for("no HTLC is left", || {
            for node in [ALICE, BOB, CAROL] {
                if self.channels(node)?.channels.iter().any(|channel| channel.htlcs > 0) {
                    return Ok(false);
                }
            }
            Ok(true)
        })
    }

    /// A node's channels.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn channels(&self, node: usize) -> Outcome<ChannelList> {
        Ok(self.nodes[node].caller()?.get("/v1/channels")?)
    }

    /// To the msat: what left Alice's channel is what was paid and its fees, and Carol has what was paid. No channel is closed.
    ///
    /// # Errors
    /// What is not so.
    pub fn check_balances(&self, alice: &Ledger) -> Outcome<()> {
        let outcomes = alice.outcomes()?;
        let sent = || outcomes.values().flatten();
        let (paid, fees): (u64, u64) = (
            sent().map(|sent| sent.amount_msat).sum(),
            sent().map(|sent| sent.fee_msat).sum(),
        );
        for node in [ALICE, BOB, CAROL] {
            let channels = self.channels(node)?.channels;
            if let Some(channel) = channels.iter().find(|channel| channel.state != "open") {
                return Err(format!("{} has a channel that is {}", self.nodes[node].name, channel.state).into());
            }
        }
        let ours = |list: ChannelList| -> u64 { list.channels.iter().map(|channel| channel.ours_msat).sum() };
        let (has_alice, has_carol) = (ours(self.channels(ALICE)?), ours(self.channels(CAROL)?));
        let expected = (CAPACITY_SAT * 1_000 - paid - fees, paid);
        if (has_alice, has_carol) != expected {
            return Err(format!(
                "Alice and Carol have {has_alice} and {has_carol} msat; by the ledger it should be {expected:?}"
            )
            .into());
        }
        Ok(())
    }
}
