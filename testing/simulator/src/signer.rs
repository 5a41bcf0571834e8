//! The secrets of a simulated node: the local signer of the product, from a seed that the node's number gives.

use bitcoin::Transaction;
use quittance_channel::opening::NewChannelKeys;
use quittance_channel::{Attached, Need, NextCommitment, SigningAhead, Verifier};
use quittance_manager::{Enforcement, Outgoing};
use quittance_monitor::FeeRequest;
use quittance_primitives::NodeId;
use quittance_signer::{ChannelSecrets, LocalSigner, SignedAhead};
use quittance_transactions::ClaimTransaction;
use quittance_wire::Message;

/// A node's secrets.
#[derive(Clone, Debug)]
pub struct Signer {
    number: u8,
    local: LocalSigner,
    opened: u64,
}

impl Signer {
    /// The secrets of node `number`.
    pub fn new(number: u8) -> Self {
        Self {
            number,
            local: LocalSigner::new([number + 1; 32]),
            opened: 0,
        }
    }

    /// Its process has ended: what was derived ahead is gone.
    pub fn crash(&mut self) {
        self.local = LocalSigner::new([self.number + 1; 32]);
    }

    /// Derives what the peer's next signature will need.
    pub fn prepare(&self, next: NextCommitment) {
        self.local.prepare(next);
    }

    /// Who checks what peers send.
    pub fn verifier(&self) -> &dyn Verifier {
        self.local.verifier()
    }

    /// The node's id.
    pub fn node_id(&self) -> NodeId {
        self.local.node_id()
    }

    /// The secrets of the channel whose log names `keys_id`.
    pub fn channel(&self, keys_id: [u8; 32]) -> ChannelSecrets {
        self.local.channel(keys_id)
    }

    /// Keys for a channel that is about to be opened.
    pub fn new_channel_keys(&mut self) -> NewChannelKeys {
        let keys_id = self.fresh_id();
        self.local.new_channel_keys(keys_id)
    }

    /// What the engine needs with a message.
    pub fn attach(&mut self, need: Need, keys_id: Option<[u8; 32]>, message: &Message) -> Attached {
        let fresh_id = self.fresh_id();
        self.local.attach(need, keys_id, fresh_id, message)
    }

    /// What an enforcement stands for, signed but for the wallet's coins.
    pub fn enforce(
        &self,
        enforcement: &Enforcement,
        fund: impl FnMut(&FeeRequest) -> Option<ClaimTransaction>,
    ) -> Vec<Transaction> {
        self.local.enforce(enforcement, fund)
    }

    /// Signs a commitment whose batch is being written.
    pub fn sign_ahead(&self, work: SigningAhead, ahead: &mut SignedAhead) {
        self.local.sign_ahead(work, ahead);
    }

    /// The message that an effect stands for, signed or with its secret.
    ///
    /// # Panics
    /// When the effect is no message: such effects are not sent.
    pub fn complete(&self, outgoing: Outgoing, ahead: &mut SignedAhead) -> Message {
        let message = self.local.complete_with(outgoing, ahead);
        message.expect("what is sent is a message")
    }

    fn fresh_id(&mut self) -> [u8; 32] {
        self.opened += 1;
        let mut id = [0x22; 32];
        id[..8].copy_from_slice(&self.opened.to_be_bytes());
        id
    }
}
