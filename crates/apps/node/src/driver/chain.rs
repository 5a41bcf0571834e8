//! The chain's news, as inputs of the engine.

use std::sync::PoisonError;

use quittance_chain::{ChainUpdate, Tip};
use quittance_channel::{Channel, Phase};
use quittance_journal::Key;
use quittance_manager::{ChainEvent, ConnectedBlock, Input};
use quittance_monitor::ChannelMonitor;
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
        let anchored = self.anchor_channels();
        let unconfirmed = {
            let mut wallet = self.wallet.lock().unwrap_or_else(PoisonError::into_inner);
            wallet.set_anchor_channels(anchored);
            wallet.at_tip();
            wallet.unconfirmed()
        };
        for transaction in unconfirmed {
            self.broadcast(ToBroadcast::Transaction(Box::new(transaction), "wallet"));
        }
    }

    /// How many channels may still need the wallet's coins to be closed or claimed: those with anchors that are open, or have something to
    /// come from the chain.
    pub(super) fn anchor_channels(&self) -> u32 {
        let may_need_coins = |channel: &&Channel| {
            let state = channel.state();
            let is_settled =
                |monitor: &ChannelMonitor| monitor.view().closing.is_some() && monitor.balances(state).is_empty();
            state.facts.format != CommitmentFormat::StaticRemotekey
                && !matches!(state.phase, Phase::Abandoned(_))
                && !self.manager.monitor(&state.facts.channel_id).is_some_and(is_settled)
        };
        u32::try_from(self.manager.channels().filter(may_need_coins).count()).unwrap_or(u32::MAX)
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
