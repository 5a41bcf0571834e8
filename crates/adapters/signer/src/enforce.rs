//! What closes a channel on chain, and what claims what is ours of it, signed.

use bitcoin::Transaction;
use quittance_manager::Enforcement;
use quittance_monitor::{Broadcast, FeeRequest};
use quittance_transactions::ClaimTransaction;

use crate::LocalSigner;

impl LocalSigner {
    /// The transactions that an enforcement stands for, parents first: a package if there are two. `fund` adds the wallet's coins to what
    /// cannot pay for itself, or nothing when the wallet has none: then a commitment goes out alone, and a claim waits for the next
    /// block. The wallet's own inputs have yet to be signed by the wallet.
    pub fn enforce(
        &self,
        enforcement: &Enforcement,
        mut fund: impl FnMut(&FeeRequest) -> Option<ClaimTransaction>,
    ) -> Vec<Transaction> {
        let keys = self.channel(enforcement.signer_keys_id).keys;
        match &enforcement.broadcast {
            Broadcast::Mutual(closing) => vec![closing.signed(&keys.sign_closing(closing.transaction()))],
            Broadcast::Commitment {
                commitment,
                countersignature,
                child,
            } => {
                let own = keys.sign_own_commitment(commitment);
                let parent = commitment.signed(&own, countersignature);
                let child = child.as_ref().and_then(&mut fund);
                let child = child.map(|child| keys.sign_claims(&child));
                [parent].into_iter().chain(child).collect()
            }
            Broadcast::Claims(claims) => vec![keys.sign_claims(claims)],
            Broadcast::WithCoins(request) => {
                let funded = fund(request);
                funded.iter().map(|funded| keys.sign_claims(funded)).collect()
            }
        }
    }
}
