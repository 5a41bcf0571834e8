//! What tests ask of a close by agreement: messages read and changed on their way, and transactions that the chain accepts.

use bitcoin::absolute::LockTime;
use bitcoin::consensus::serialize;
use bitcoin::{Amount, ScriptBuf, Transaction};
use bitcoinconsensus::VERIFY_ALL_PRE_TAPROOT;
use quittance_channel::{CloseRequest, Phase};
use quittance_primitives::Feature;
use quittance_transactions::{
    ClosingShare, ClosingShares, ClosingTransaction, Role, ShutdownForms, ShutdownScript, SimpleClose,
    SimpleCloseVariant, closing,
};
use quittance_wire::{ClosingComplete, ClosingSigned, FeeRange, Message};

use super::curve::Curve;
use super::{End, Pair, Setup, Who, facts};

impl Pair {
    /// An open channel between ends that close it in the simple way.
    pub fn with_simple_close() -> Self {
        Self::of(&simple_close())
    }

    /// Orders `who` to close.
    pub fn close(&mut self, who: Who) {
        self.end(who).close(CloseRequest::default()).expect("it can be closed");
    }

    /// What a closing transaction pays to Alice and to Bob, after the chain has accepted it, unless its signatures are stand-ins.
    pub fn paid_by(&self, transaction: &Transaction) -> (Option<u64>, Option<u64>) {
        let funding = self.alice.channel.state().facts.terms().funding_output();
        let (script, bytes) = (funding.script_pubkey.as_bytes(), serialize(transaction));
        let value = funding.value.to_sat();
        if self.alice.curve == Curve::Real {
            bitcoinconsensus::verify_with_flags(script, value, &bytes, None, 0, VERIFY_ALL_PRE_TAPROOT)
                .expect("the chain accepts the closing transaction");
        }
        let paid: u64 = transaction.output.iter().map(|output| output.value.to_sat()).sum();
        assert!(paid <= value, "no more is paid than there was");
        (
            paid_to(&script_of(&self.alice), transaction),
            paid_to(&script_of(&self.bob), transaction),
        )
    }

    /// Both ends hold the closing transactions of the other, signed, and know each as one of theirs.
    pub fn check_closed(&self) {
        for (end, other) in [(&self.alice, &self.bob), (&self.bob, &self.alice)] {
            let state = end.channel.state();
            assert!(
                matches!(state.phase, Phase::ClosingAgreed(_)),
                "{} is {}",
                end.name,
                state.phase.name()
            );
            for transaction in other.broadcast.iter().chain(&other.owed_closings()) {
                assert!(
                    state.is_closing_of_ours(&transaction.compute_txid()),
                    "{} signed it",
                    end.name
                );
                self.paid_by(transaction);
            }
            for owed in end.owed_closings() {
                assert!(
                    end.broadcast.contains(&owed),
                    "what is owed after a restart was broadcast before"
                );
            }
        }
    }

    /// Every agreed transaction pays each end all that it has, less the fee for the one that pays it. Nobody has dust.
    pub fn check_shares(&self) {
        let (alice, bob) = balances_of(self);
        for (end, others) in [(&self.alice, &self.bob), (&self.bob, &self.alice)] {
            let Phase::ClosingAgreed(agreed) = &end.channel.state().phase else {
                panic!("{} has agreed", end.name)
            };
            let payers = [(&agreed.closings.local, end), (&agreed.closings.remote, others)];
            let agreed = payers
                .into_iter()
                .filter_map(|(agreed, payer)| Some((agreed.as_ref()?, payer)));
            for ((agreed, payer), transaction) in agreed.zip(end.owed_closings()) {
                let fee = agreed.closing.fee;
                let (of_alice, of_bob) = match payer.name {
                    "Alice" => (alice - fee, bob),
                    _ => (alice, bob - fee),
                };
                let (ours, theirs) = match end.name {
                    "Alice" => (of_alice, of_bob),
                    _ => (of_bob, of_alice),
                };
                let scripts = &agreed.closing.scripts;
                let paid = (
                    paid_to(&scripts.local, &transaction),
                    paid_to(&scripts.remote, &transaction),
                );
                let share = (Some(ours.to_sat()), Some(theirs.to_sat()));
                assert_eq!(paid, share, "{} pays {fee}", payer.name);
            }
        }
    }

    /// Takes the next message of `from` off the wire.
    pub fn intercept(&mut self, from: Who) -> Message {
        let bytes = self.end(from).take_message().expect("a message is on its way");
        Message::decode(&bytes).expect("ours")
    }

    /// Gives `to` a message, as if the other end had sent it.
    pub fn inject(&mut self, to: Who, message: impl Into<Message>) {
        self.end(to).receive(&message.into().encode());
    }
}

pub fn simple_close() -> Setup {
    Setup::default()
        .with_feature(Feature::ShutdownAnysegwit)
        .with_feature(Feature::SimpleClose)
}

/// Where an end is paid to by its latest word.
pub fn script_of(end: &End) -> ScriptBuf {
    let closing = end.channel.state().shutting_down();
    let script = closing.and_then(|closing| closing.scripts.local.clone());
    script.unwrap_or_else(|| facts::closing_script(end.name))
}

fn paid_to(script: &ScriptBuf, transaction: &Transaction) -> Option<u64> {
    let output = transaction.output.iter().find(|output| output.script_pubkey == *script);
    output.map(|output| output.value.to_sat())
}

/// What the two ends have, in whole satoshis.
pub fn balances_of(pair: &Pair) -> (Amount, Amount) {
    let (alice, bob) = pair.balances();
    (Amount::from_sat(alice / 1_000), Amount::from_sat(bob / 1_000))
}

impl Pair {
    /// A channel that both ends shut down, with nothing of the closing negotiation delivered: what the two would say is lost.
    pub fn shut_down(setup: &Setup) -> Self {
        let mut pair = Self::of(setup);
        pair.close(Who::Alice);
        assert!(pair.deliver(Who::Alice) && pair.deliver(Who::Bob), "both shutdowns");
        pair.silence();
        pair
    }

    /// Loses every message that is on its way.
    pub fn silence(&mut self) {
        for who in Who::BOTH {
            while self.end(who).take_message().is_some() {}
        }
    }

    /// A well-made `closing_signed` of `signer`.
    pub fn closing_signed(&self, signer: Who, fee: u64, range: Option<(u64, u64)>) -> ClosingSigned {
        let range = range.map(|(minimum, maximum)| FeeRange {
            min_fee_satoshis: Amount::from_sat(minimum),
            max_fee_satoshis: Amount::from_sat(maximum),
        });
        self.sign_legacy(signer, fee, None, range)
    }

    /// A `closing_signed` of a `signer` that gives its own output away.
    pub fn closing_signed_without_own_output(&self, signer: Who, fee: u64) -> ClosingSigned {
        let role = match signer {
            Who::Alice => Role::Opener,
            Who::Bob => Role::Accepter,
        };
        self.sign_legacy(signer, fee, Some(role), None)
    }

    fn sign_legacy(&self, signer: Who, fee: u64, omitted: Option<Role>, fee_range: Option<FeeRange>) -> ClosingSigned {
        let end = match signer {
            Who::Alice => &self.alice,
            Who::Bob => &self.bob,
        };
        let facts = &end.channel.state().facts;
        let dust_limit = facts.sides.local.dust_limit;
        let fee_satoshis = Amount::from_sat(fee);
        let closing = closing::legacy(&facts.terms(), &self.shares(), fee_satoshis, dust_limit, omitted);
        let closing = closing.unwrap_or_else(|_| self.any_closing());
        ClosingSigned {
            channel_id: facts.channel_id,
            fee_satoshis,
            signature: end.keys.channel.sign_closing(&closing),
            fee_range,
        }
    }

    /// A `closing_complete` of Alice's with signatures for `variants`.
    pub fn closing_complete(&self, fee: u64, variants: &[SimpleCloseVariant]) -> ClosingComplete {
        let facts = &self.alice.channel.state().facts;
        let fee_satoshis = Amount::from_sat(fee);
        let close = SimpleClose {
            closer: Role::Opener,
            shares: self.shares(),
            fee: fee_satoshis,
            lock_time: LockTime::ZERO,
        };
        let sign = |variant: SimpleCloseVariant| {
            let closing = close.build(&facts.terms(), variant);
            let closing = closing.unwrap_or_else(|_| self.any_closing());
            let signature = self.alice.keys.channel.sign_closing(&closing);
            variants.contains(&variant).then_some(signature)
        };
        ClosingComplete {
            channel_id: facts.channel_id,
            closer_scriptpubkey: script_of(&self.alice),
            closee_scriptpubkey: script_of(&self.bob),
            fee_satoshis,
            locktime: 0,
            closer_output_only: sign(SimpleCloseVariant::CloserOutputOnly),
            closee_output_only: sign(SimpleCloseVariant::CloseeOutputOnly),
            closer_and_closee_outputs: sign(SimpleCloseVariant::CloserAndCloseeOutputs),
        }
    }

    /// A transaction for a peer that breaks the rules to sign.
    fn any_closing(&self) -> ClosingTransaction {
        let terms = self.alice.channel.state().facts.terms();
        closing::legacy(&terms, &self.shares(), Amount::ZERO, Amount::ZERO, None).expect("it costs nothing")
    }

    fn shares(&self) -> ClosingShares {
        let settled = self.alice.channel.state().commitments.settled;
        let every_form = ShutdownForms {
            any_segwit: true,
            op_return: true,
        };
        let share = |balance, end| ClosingShare {
            balance,
            script: ShutdownScript::new(script_of(end), every_form).expect("an agreed form"),
        };
        ClosingShares {
            opener: share(settled.local, &self.alice),
            accepter: share(settled.remote, &self.bob),
        }
    }
}
