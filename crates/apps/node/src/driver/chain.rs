//! The chain's news, as inputs of the engine.

use std::sync::PoisonError;

use quittance_chain::{ChainUpdate, Tip};
use quittance_journal::Key;
use quittance_manager::{ChainEvent, ConnectedBlock, Input};
use quittance_transactions::CommitmentFormat;
use tracing::{debug, info, warn};

use super::Driver;
use crate::chain::{ChainNews, ToBroadcast};
use crate::error::StopReason;

impl Driver {
    pub(super) fn chain_news(&mut self, news: ChainNews) -> Result<(), StopReason> {
        match news {
            ChainNews::AtTip(tip, feerates) => {
                debug!(height = tip.height.0, "at the tip");
                if feerates.is_some() {
                    self.feerates.send_replace(feerates);
                }
                self.wallet_at_tip();
                Ok(())
            }
            ChainNews::Update(ChainUpdate::Connected(block)) => {
                debug!(height = block.height.0, hash = %block.hash, "block");
                let followed = {
                    let mut wallet = self.wallet.lock().unwrap_or_else(PoisonError::into_inner);
                    let followed = wallet.connected(&block);
                    self.coins = wallet.fee_coins();
                    followed
                };
                if let Err(error) = followed {
                    warn!(%error, "the wallet cannot follow the chain");
                }
                let quittance_chain::ConnectedBlock {
                    height,
                    hash,
                    previous,
                    transactions,
                    best,
                    time: _,
                } = *block;
                self.handle(Input::Chain(ChainEvent::Connected(Box::new(ConnectedBlock {
                    height,
                    hash,
                    previous,
                    best,
                    transactions,
                }))))
            }
            ChainNews::Update(ChainUpdate::Rewound(tip)) => self.rewound(tip),
        }
    }

    /// The wallet hears of all that there is, and what it waits for is offered to the network again.
    fn wallet_at_tip(&mut self) {
        let is_anchored =
            |channel: &&quittance_channel::Channel| channel.state().facts.format != CommitmentFormat::StaticRemotekey;
        let anchored = self.manager.channels().filter(is_anchored).count();
        let unconfirmed = {
            let mut wallet = self.wallet.lock().unwrap_or_else(PoisonError::into_inner);
            wallet.set_anchor_channels(u32::try_from(anchored).unwrap_or(u32::MAX));
            wallet.at_tip();
            wallet.unconfirmed()
        };
        for transaction in unconfirmed {
            self.broadcast(ToBroadcast::Transaction(Box::new(transaction), "wallet"));
        }
    }

    pub(super) fn rewound(&mut self, tip: Tip) -> Result<(), StopReason> {
        info!(height = tip.height.0, "a reorganisation took back the blocks above");
        let followed = self.wallet.lock().unwrap_or_else(PoisonError::into_inner).rewound(&tip);
        if let Err(error) = followed {
            warn!(%error, "the wallet cannot follow the chain");
        }
        self.handle(Input::Chain(ChainEvent::Rewound(tip)))
    }

    /// What the engine does not hold in memory.
    pub(super) fn load(&mut self, key: Key) -> Result<(), StopReason> {
        let loaded = quittance_manager::load(&self.store, key);
        match loaded.map_err(|error| StopReason::Unreadable(error.to_string()))? {
            Some(loaded) => self.handle(Input::Loaded(Box::new(loaded))),
            None => Ok(()),
        }
    }
}
