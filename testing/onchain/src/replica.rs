//! A reader of a channel's log, and of the chain, that has nothing else: a node's own monitor, or a watchtower.

use std::collections::BTreeMap;

use bitcoin::Transaction;
use quittance_channel::{ChannelMonitorUpdate, ChannelState};
use quittance_journal::{ColdId, Key, UpdateId};
use quittance_monitor::{Block, ChannelMonitor, Fact, Noted, RevokedHtlcs, Tip};
use quittance_regtest::{Chain, ChainEvent};

/// A monitor beside the log that it reads.
#[derive(Clone, Debug)]
pub struct Replica {
    /// The monitor.
    pub monitor: ChannelMonitor,
    /// What the log folds to.
    pub state: ChannelState,
    /// The cold records of revoked commitments.
    pub cold: BTreeMap<Key, Vec<u8>>,
    /// The monitor's record as it was last written.
    written: Vec<u8>,
    folded: usize,
}

impl Replica {
    /// A replica of a channel with this log, that has read the chain up to its tip.
    pub fn new(log: &[Vec<u8>], chain: &impl Chain) -> Self {
        let first = ChannelMonitorUpdate::from_body(UpdateId(1), &log[0]).expect("the log is ours");
        let tip = chain.tip();
        let monitor = ChannelMonitor::new(Tip {
            height: tip.height,
            hash: tip.hash,
        });
        let mut replica = Self {
            written: monitor.to_body(),
            monitor,
            state: ChannelState::restore_first(&first).expect("the first update opens the channel"),
            cold: BTreeMap::new(),
            folded: 1,
        };
        replica.fold(log);
        replica
    }

    /// Reads what is new in the log, step by step: a revoked commitment is kept before its revocation is folded.
    pub fn fold(&mut self, log: &[Vec<u8>]) {
        for body in &log[self.folded..] {
            let id = self.state.last_update.next();
            let update = ChannelMonitorUpdate::from_body(id, body).expect("the log is ours");
            if let Some(revoked) = RevokedHtlcs::revoked_by(&self.state, &update) {
                self.cold.insert(revoked.key(&self.state), revoked.to_body());
            }
            self.state.apply_update(&update);
            self.folded += 1;
        }
    }

    /// Reads the chain from where the monitor stands to its tip, and loads what the monitor asks for. Says whether anything
    /// concerned the channel.
    pub fn follow(&mut self, chain: &impl Chain) {
        let events = chain
            .events_since(&self.monitor.tip().hash)
            .expect("the monitor's tip is a block");
        for event in events {
            let noted = match event {
                ChainEvent::BlockDisconnected { header, .. } => {
                    self.monitor.disconnect(header.block_hash(), header.prev_blockhash)
                }
                ChainEvent::BlockConnected { height, block } => {
                    let transactions: Vec<&Transaction> = block.txdata.iter().collect();
                    self.monitor.connect(
                        &self.state,
                        &Block {
                            height,
                            hash: block.block_hash(),
                            previous: block.header.prev_blockhash,
                            transactions: &transactions,
                        },
                    )
                }
            };
            if noted.expect("the chain is in order") == Noted::Something {
                self.write();
            }
        }
        if let Some(id) = self.monitor.needs(&self.state) {
            let ColdId::RevokedCommitment(number) = id else {
                panic!("a monitor asks for revoked commitments alone");
            };
            let body = self.cold.get(&Key::Cold(self.state.facts.channel_id, id));
            let revoked = body.map(|body| RevokedHtlcs::from_body(number, body).expect("the record is ours"));
            self.monitor.loaded(number, revoked);
            self.write();
        }
    }

    /// What the chain decided and the log lacks.
    pub fn facts(&self) -> Vec<Fact> {
        self.monitor.facts(&self.state)
    }

    /// Writes the monitor's record.
    pub fn write(&mut self) {
        self.written = self.monitor.to_body();
    }

    /// The process dies: the log is there, and the monitor's record as it was last written.
    pub fn restart(&mut self, log: &[Vec<u8>]) {
        self.monitor = ChannelMonitor::from_body(&self.written).expect("the record is ours");
        let first = ChannelMonitorUpdate::from_body(UpdateId(1), &log[0]).expect("the log is ours");
        self.state = ChannelState::restore_first(&first).expect("the first update opens the channel");
        self.folded = 1;
        self.fold(log);
    }
}
