//! What users ask of their nodes: invoices, payments, and any other command.

use quittance_journal::Store;
use quittance_manager::{Command, Input, NewPayment, RequestId, Response};
use quittance_payments::{ForPayee, HintHop, InvoiceTerms, NewInvoice, PaymentKind};
use quittance_primitives::{MilliSatoshi, PaymentId, PaymentPreimage};

use super::{NodeIndex, Requested, World};

/// A payment that its payee holds until the user decides.
#[derive(Clone, Copy, Debug)]
pub struct Hold {
    /// What claims it; the node does not know it.
    pub preimage: PaymentPreimage,
    /// The invoice.
    pub invoice: NewInvoice,
}

/// A part of a payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// What it brings, in msat.
    pub amount: MilliSatoshi,
    /// What all parts bring together, in msat.
    pub total: MilliSatoshi,
}

impl World {
    /// An invoice of `payee`.
    pub fn invoice(&mut self, payee: NodeIndex, amount: MilliSatoshi) -> NewInvoice {
        let entropy = self.random.bytes();
        let head = entropy[..16].try_into().expect("16 of 32 bytes");
        self.nodes[payee]
            .invoice_key()
            .own_invoice(self.invoice_terms(amount), head)
    }

    /// A hold invoice of `payee`.
    pub fn hold_invoice(&mut self, payee: NodeIndex, amount: MilliSatoshi) -> Hold {
        let preimage = PaymentPreimage(self.random.bytes());
        let terms = self.invoice_terms(amount);
        let invoice = self.nodes[payee].invoice_key().hold_invoice(terms, preimage.hash());
        Hold { preimage, invoice }
    }

    fn invoice_terms(&self, amount: MilliSatoshi) -> InvoiceTerms {
        let now_s = u32::try_from(self.now_ms / 1_000).expect("before 2106");
        InvoiceTerms {
            amount: Some(amount),
            expires_at_s: now_s + 3_600,
            min_final_cltv_expiry_delta: 30,
        }
    }

    /// `payer` pays an invoice of `payee`, over `hints` if they share no channel. Returns the request.
    pub fn pay(
        &mut self,
        payer: NodeIndex,
        payee: NodeIndex,
        id: PaymentId,
        invoice: &NewInvoice,
        amount: MilliSatoshi,
        hints: Vec<Vec<HintHop>>,
    ) -> RequestId {
        let whole = Part { amount, total: amount };
        self.pay_part(payer, payee, id, invoice, whole, hints)
    }

    /// `payer` pays a part of what an invoice of `payee` asks for, as a payment of its own. Returns the request.
    pub fn pay_part(
        &mut self,
        payer: NodeIndex,
        payee: NodeIndex,
        id: PaymentId,
        invoice: &NewInvoice,
        part: Part,
        hints: Vec<Vec<HintHop>>,
    ) -> RequestId {
        let Part { amount, total } = part;
        let kind = PaymentKind {
            payee: self.nodes[payee].id(),
            for_payee: ForPayee {
                payment_secret: Some(invoice.payment_secret),
                total,
                metadata: None,
                keysend_preimage: None,
            },
            min_final_cltv_expiry_delta: 30,
            hints,
            expires_at_ms: self.now_ms + 3_600_000,
        };
        let payment = NewPayment {
            id,
            payment_hash: invoice.payment_hash,
            amount,
            fee_limit: MilliSatoshi(amount.0 / 20 + 10_000),
            kind,
            attempts: 3,
            routes: Vec::new(),
        };
        self.checker.is_to_be_paid(payee, invoice.payment_hash);
        let request = self.command(payer, Command::SendPayment(Box::new(payment.clone())));
        self.requested.entry(id).or_insert(Requested {
            payer,
            payee,
            payment,
            request,
        });
        request
    }

    /// The caller asks again for a payment that it asked for before, word for word.
    ///
    /// # Panics
    /// When it never did.
    pub fn repeat(&mut self, id: PaymentId) -> RequestId {
        let Requested { payer, payment, .. } = self.requested[&id].clone();
        self.command(payer, Command::SendPayment(Box::new(payment)))
    }

    /// What a request was answered, if it was.
    pub fn answer(&self, node: NodeIndex, request: RequestId) -> Option<&Response> {
        self.nodes[node].user.responses.get(&request)
    }

    /// Gives a node a command, with what its disk has about the payment that it names.
    pub fn command(&mut self, node: NodeIndex, command: Command) -> RequestId {
        self.requests += 1;
        let request = RequestId(self.requests);
        if let Some(process) = &self.nodes[node].process {
            let finished = process.manager.wants(&command).and_then(|key| {
                let frame = self.nodes[node].store.get(&key).expect("the disk can be read")?;
                let record =
                    quittance_journal::decode_record(&key, &frame, quittance_manager::FINISHED_PAYMENT_VERSION)
                        .expect("the record is whole");
                Some(Box::new(
                    quittance_records::Record::from_bytes(record.body).expect("the record is a payment"),
                ))
            });
            self.input(
                node,
                Input::Command {
                    request,
                    command: Box::new(command),
                    finished,
                },
            );
        }
        request
    }

    /// A hint to `to` over the first channel from `from`.
    ///
    /// # Panics
    /// When `from` does not run, or they share no channel.
    pub fn hint(&self, from: NodeIndex, to: NodeIndex) -> HintHop {
        self.hints(from, to).into_iter().next().expect("they share a channel")
    }

    /// A hint to `to` over each channel from `from` that has a name there: by the alias that it gave `to`, or in the order in which they
    /// were confirmed.
    ///
    /// # Panics
    /// When `from` does not run.
    pub fn hints(&self, from: NodeIndex, to: NodeIndex) -> Vec<HintHop> {
        let peer = self.nodes[to].id();
        let process = self.nodes[from].process.as_ref().expect("it runs");
        let channels = process.manager.channels().map(quittance_channel::Channel::state);
        let mut hints: Vec<_> = channels
            .filter(|state| state.facts.peer == peer)
            .filter_map(|state| {
                let place = state.funding.map(|funding| funding.short_channel_id);
                Some(HintHop {
                    node: self.nodes[from].id(),
                    short_channel_id: state.aliases.local.or(place)?,
                    fee_base: state.policy.fee_base,
                    fee_proportional_millionths: state.policy.fee_proportional_millionths,
                    cltv_expiry_delta: state.policy.cltv_expiry_delta.0,
                })
            })
            .collect();
        hints.sort_by_key(|hint| hint.short_channel_id);
        hints
    }
}
