//! Nodes that break their word: a revoked commitment in a block, with what its owner can make of it; a store that came back from an
//! older moment; a replica that lags and is promoted by force. Nothing is asked of such a node any more but that it broadcasts no
//! revoked commitment unless it cheats. Of the others everything is asked as before, and that a cheater has nothing left.

use std::collections::BTreeMap;

use bitcoin::{OutPoint, Transaction};
use quittance_channel::Phase;
use quittance_journal::Lsn;
use quittance_manager::Command;
use quittance_primitives::{ChannelId, CommitmentNumber, MilliSatoshi};
use quittance_regtest::MineOptions;
use quittance_store::memory::Keep;

use super::{BLOCKS_MAX, Sweep};
use crate::{NodeIndex, RowsAfterCrash};

/// So many commitments are kept in a run at most: each costs a copy of the world.
const KEPT_MAX: usize = 6;
/// How many nodes of a run break their word at most: what is left to be judged is worth more than what they do.
const TRAITORS_MAX: usize = 2;
/// How far back a backup lies, in batches.
const BACKUP_LAG_MAX: u64 = 60;
/// How far a replica lags, in batches.
const REPLICA_LAG_MAX: u64 = 8;

/// A commitment that its owner keeps, to broadcast it when it is revoked.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    owner: NodeIndex,
    victim: NodeIndex,
    channel: ChannelId,
    number: CommitmentNumber,
    commitment: Transaction,
    /// What the owner could make of its HTLCs at that time.
    second_stages: Vec<Transaction>,
}

/// A revoked commitment that was put into a block.
#[derive(Clone, Debug)]
pub(super) struct Cheat {
    owner: NodeIndex,
    victim: NodeIndex,
    channel: ChannelId,
    commitment: Transaction,
}

impl Sweep {
    /// A node keeps its commitment of a channel as it is now, and works out in a copy of the world what it could make of it.
    pub(super) fn keep_commitment(&mut self, owner: NodeIndex) {
        let process = self.world.nodes[owner].process.iter();
        let channels = process.flat_map(|process| process.manager.channels());
        let open: Vec<_> = channels
            .map(quittance_channel::Channel::state)
            .filter(|state| state.phase == Phase::Normal)
            .map(|state| {
                let commitments = &state.commitments;
                let htlcs = commitments.offered.len() + commitments.received.len();
                (htlcs, state.facts.clone(), commitments.local.number)
            })
            .collect();
        // With HTLCs there is more to be had.
        let full: Vec<_> = open.iter().filter(|(htlcs, ..)| *htlcs > 0).cloned().collect();
        let open = if full.is_empty() || self.random.chance(25) {
            open
        } else {
            full
        };
        if open.is_empty() || self.kept.len() >= KEPT_MAX {
            return;
        }
        let (_, facts, number) = open[self.pick(open.len())].clone();
        let mut other = self.world.clone();
        (other.story, other.plans, other.cut) = (None, Vec::new(), None);
        other.checker.closable = true;
        for node in (0..other.nodes.len()).filter(|node| *node != owner) {
            if other.is_up(node) {
                other.crash(node, Keep::All, RowsAfterCrash::Whole);
            }
        }
        other.nodes[owner].empty_disk();
        other.nodes[owner].syncs_wait = false;
        other.sync(owner);
        // An owner that came back from an older moment may have broadcast a later commitment before.
        other.forget_mempool();
        for (_, hold) in self.holds.iter().filter(|(payee, _)| *payee == owner) {
            other.command(owner, Command::ClaimPayment(hold.preimage));
        }
        other.command(owner, Command::ForceClose(facts.channel_id));
        other.find_blocks(&MineOptions::blocks(1));
        other.find_blocks(&MineOptions::blocks(1));
        // What its operator declared to be old is not broadcast, and what the peer has closed before cannot be.
        let Some(commitment) = other.confirmed_spender(&facts.funding) else {
            return;
        };
        if !other.is_enforced_by(owner, &commitment) {
            return;
        }
        let txid = commitment.compute_txid();
        let outputs = (0..).zip(&commitment.output);
        // By their ids: one may spend several outputs.
        let second_stages: BTreeMap<_, _> = outputs
            .filter_map(|(vout, _)| other.confirmed_spender(&OutPoint { txid, vout }))
            .map(|stage| (stage.compute_txid(), stage))
            .collect();
        self.kept.push(Kept {
            owner,
            victim: self.world.index_of(&facts.peer),
            channel: facts.channel_id,
            number,
            commitment,
            second_stages: second_stages.into_values().collect(),
        });
    }

    /// Somebody's commitment that was revoked stands in a block, and perhaps its second stages in the next one.
    pub(super) fn cheat(&mut self, _: NodeIndex) {
        let ripe: Vec<_> = (0..self.kept.len())
            .filter(|place| self.is_ripe(&self.kept[*place]))
            .collect();
        if ripe.is_empty() || self.figures.blocks >= BLOCKS_MAX {
            return;
        }
        let place = ripe[self.pick(ripe.len())];
        self.put_in_block(place);
    }

    /// The commitment at this place stands in a block.
    fn put_in_block(&mut self, place: usize) {
        let Kept {
            owner,
            victim,
            channel,
            commitment,
            second_stages,
            ..
        } = self.kept.remove(place);
        self.world.checker.excused.insert(owner);
        self.figures.cheats += 1;
        self.world.tell(|world| {
            let name = &world.nodes[owner].name;
            format!(
                "{name} cheats: a revoked commitment of {channel} is in a block, {}",
                commitment.compute_txid()
            )
        });
        self.figures.blocks += 1;
        self.world
            .find_blocks(&MineOptions::blocks(1).including([commitment.clone()]));
        self.cheats.push(Cheat {
            owner,
            victim,
            channel,
            commitment,
        });
        if self.random.chance(50) && self.figures.blocks < BLOCKS_MAX {
            let moves = second_stages.into_iter().filter(|stage| self.world.can_confirm(stage));
            let moves: Vec<_> = moves.collect();
            if !moves.is_empty() {
                self.figures.second_stages += 1;
                self.figures.blocks += 1;
                // They were made in another course of the world, in which other requests had these coins.
                let spent = moves.iter().flat_map(|stage| &stage.input);
                for input in spent {
                    self.world.nodes[owner].wallet.spent(&input.previous_output);
                }
                // Its own only: the miner has taken the cheater's side.
                self.world.find_blocks(&MineOptions::empty(1).including(moves));
            }
        }
        if self.random.chance(30) && self.world.is_up(owner) {
            self.world.crash(owner, Keep::All, RowsAfterCrash::Whole);
        }
    }

    /// Whether a commitment that was kept can be put into a block, and is punished there.
    fn is_ripe(&self, kept: &Kept) -> bool {
        let excused = &self.world.checker.excused;
        let may_betray = excused.contains(&kept.owner) || excused.len() < TRAITORS_MAX;
        let is_revoked = self.world.can_punish(kept.victim, kept.channel, kept.number);
        is_revoked && self.world.can_confirm(&kept.commitment) && may_betray
    }

    /// A payee holds a payment that has come by several channels from its payer; one of the two puts a commitment of one of them into a block
    /// that is older than the payment. The payee may claim what the others have brought.
    pub(super) fn lose_part(&mut self, payer: NodeIndex) {
        let Some((payee, channel)) = self.channel_beside_another(payer) else {
            return;
        };
        let (owner, victim) = if self.random.chance(50) {
            (payer, payee)
        } else {
            (payee, payer)
        };
        let process = self.world.nodes[owner].process.as_ref();
        let state = process.and_then(|process| process.manager.channel(&channel));
        let number = state.map(|channel| channel.state().commitments.local.number);
        let commitment = self.world.commitment_if_any(owner, channel);
        let Some((number, commitment)) = number.zip(commitment) else {
            return;
        };
        let amount = MilliSatoshi(self.amount_in_parts(payer, payee));
        let hold = self.world.hold_invoice(payee, amount);
        self.holds.push((payee, hold));
        let id = self.next_payment();
        self.world.pay(payer, payee, id, &hold.invoice, amount, Vec::new());
        self.bring_to_rest([payer, payee]);
        let kept = Kept {
            owner,
            victim,
            channel,
            number,
            commitment,
            second_stages: Vec::new(),
        };
        if !self.is_ripe(&kept) {
            return;
        }
        self.kept.push(kept);
        self.put_in_block(self.kept.len() - 1);
        if self.random.chance(70) {
            self.world.command(payee, Command::ClaimPayment(hold.preimage));
            self.bring_to_rest([payer, payee]);
        }
    }

    /// A peer that this node shares several channels with, all of which can be used, and one of them.
    fn channel_beside_another(&mut self, node: NodeIndex) -> Option<(NodeIndex, ChannelId)> {
        if self.figures.blocks >= BLOCKS_MAX {
            return None;
        }
        let process = self.world.nodes[node].process.iter();
        let channels = process.flat_map(|process| process.manager.channels());
        let mut by_peer: BTreeMap<NodeIndex, Vec<ChannelId>> = BTreeMap::new();
        for channel in channels {
            let (phase, facts) = (&channel.state().phase, &channel.state().facts);
            let peer = self.world.index_of(&facts.peer);
            if *phase == Phase::Normal && self.world.is_connected(node, peer) {
                by_peer.entry(peer).or_default().push(facts.channel_id);
            }
        }
        let excused = &self.world.checker.excused;
        by_peer.retain(|peer, channels| channels.len() > 1 && !excused.contains(peer) && !excused.contains(&node));
        let several: Vec<_> = by_peer.into_iter().collect();
        if several.is_empty() {
            return None;
        }
        let (peer, channels) = &several[self.pick(several.len())];
        Some((*peer, channels[self.pick(channels.len())]))
    }

    /// What is on its way arrives, and what these nodes write is synced.
    fn bring_to_rest(&mut self, nodes: [NodeIndex; 2]) {
        for _ in 0..8 {
            self.world.settle();
            for node in nodes {
                self.world.sync(node);
            }
        }
    }

    /// A cheater has nothing left of what it put into the chain.
    pub(super) fn judge_cheats(&mut self) {
        for cheat in self.cheats.clone() {
            let Cheat {
                owner,
                victim,
                channel,
                commitment,
            } = cheat;
            if self.world.checker.excused.contains(&victim) {
                continue;
            }
            for (outpoint, why) in self.world.left_to_cheater(owner, victim, &commitment) {
                let what = format!("node {owner} cheated in {channel}, and {outpoint} is {why}");
                self.world.checker.found("G5", what);
            }
        }
    }

    /// The whole store of a node comes back from an older moment, and its operator says so.
    pub(super) fn restore_backup(&mut self, node: NodeIndex) {
        let Some(lsn) = self.earlier(node, BACKUP_LAG_MAX) else {
            return;
        };
        self.figures.backups += 1;
        self.world
            .tell(|world| format!("{} comes back from batch {}", world.nodes[node].name, lsn.0));
        self.world.restore_declared(node, lsn);
        self.connect_all(node);
    }

    /// A replica of a node takes its place, wherever it stands. Of one that is behind its operator has to say it: a peer that has closed the
    /// channel, or dies and closes it when it is back, answers by an `error` before its `channel_reestablish` shows what was lost.
    pub(super) fn promote_replica(&mut self, node: NodeIndex) {
        let Some(lsn) = self.earlier(node, REPLICA_LAG_MAX) else {
            return;
        };
        self.figures.backups += 1;
        self.world
            .tell(|world| format!("a replica of {} is promoted at batch {}", world.nodes[node].name, lsn.0));
        let is_behind = lsn < self.world.nodes[node].last_appended();
        if is_behind {
            self.world.restore_declared(node, lsn);
            return;
        }
        self.world.put_back(node, lsn, is_behind);
        for peer in (0..self.world.nodes.len()).filter(|peer| *peer != node) {
            if self.world.is_up(peer) && self.world.share_a_channel(node, peer) {
                self.world.connect(node, peer);
            }
        }
        self.world.settle();
    }

    /// A batch since the safety phase began, so far back at most; nothing if too many broke their word already.
    fn earlier(&mut self, node: NodeIndex, lag_max: u64) -> Option<Lsn> {
        let excused = &self.world.checker.excused;
        if !excused.contains(&node) && excused.len() >= TRAITORS_MAX {
            return None;
        }
        let lag = self.random.below(lag_max);
        let newest = self.world.nodes[node].last_appended();
        // A store that came back before has no history beyond that moment.
        let first = self.began[node].min(newest);
        Some(Lsn(newest.0.saturating_sub(lag)).max(first))
    }
}
