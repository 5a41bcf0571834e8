//! One step in the making: the records and effects that an input has caused so far, and what is still to follow from it.

use std::collections::{BTreeSet, VecDeque};

use quittance_channel::Consequence;
use quittance_journal::{Scope, Step};
use quittance_primitives::{ChannelId, PaymentId};

use crate::api::{Context, Effect};

/// One step in the making.
pub(crate) struct Turn<'a> {
    pub(crate) context: Context<'a>,
    pub(crate) step: Step<Effect>,
    /// What the channels' decisions mean for the rest of the node, in order.
    pub(crate) pending: VecDeque<(ChannelId, Consequence)>,
    /// Channels whose logs have grown.
    pub(crate) channels: BTreeSet<ChannelId>,
    /// Channels whose monitor's record is to be written.
    pub(crate) monitors: BTreeSet<ChannelId>,
    /// Payments whose rows have changed.
    pub(crate) payments: BTreeSet<PaymentId>,
    drawn: u64,
}

impl<'a> Turn<'a> {
    pub(crate) fn new(context: Context<'a>) -> Self {
        Self {
            context,
            step: Step::new(),
            pending: VecDeque::new(),
            channels: BTreeSet::new(),
            monitors: BTreeSet::new(),
            payments: BTreeSet::new(),
            drawn: 0,
        }
    }

    /// Adds an effect that does not depend on a connection.
    pub(crate) fn emit(&mut self, effect: Effect) {
        self.step.emit(Scope::Global, effect);
    }

    /// 32 bytes that nobody can guess, other ones each time.
    pub(crate) fn draw(&mut self) -> [u8; 32] {
        use bitcoin::hashes::{Hash, HashEngine, Hmac, HmacEngine, sha256};
        self.drawn += 1;
        let mut engine = HmacEngine::<sha256::Hash>::new(&self.context.entropy);
        engine.input(&self.drawn.to_be_bytes());
        Hmac::from_engine(engine).to_byte_array()
    }
}
