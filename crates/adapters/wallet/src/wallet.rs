//! The wallet: what it has, and how it follows the chain. Spending is in [`crate::spending`], coins for fees in [`crate::fee_coins`].

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use bdk_wallet::chain::{BlockId, Indexer};
use bdk_wallet::{KeychainKind, LocalOutput};
use bitcoin::hashes::Hash;
use bitcoin::{Address, Amount, BlockHash, Network, OutPoint, ScriptBuf, Transaction, Txid};
use quittance_monitor::Tip;
use quittance_primitives::BlockHeight;
use quittance_records::Record;

use crate::envelope::{self, FileError, Kind};
use crate::keys::Keys;
use crate::records::{ConfirmedTransaction, History, Promises};
use crate::reserve::ReservePolicy;
use crate::{StoredSeed, WalletError, view};

/// The node's money on the chain.
pub struct Wallet {
    pub(crate) network: Network,
    pub(crate) keys: Keys,
    descriptors: [String; 2],
    promises_path: PathBuf,
    history_path: PathBuf,
    pub(crate) view: bdk_wallet::Wallet,
    pub(crate) history: History,
    pub(crate) promises: Promises,
    pub(crate) reserve_policy: ReservePolicy,
    pub(crate) anchor_channels: u32,
    /// For each promise to a claim, the blocks that were connected since somebody asked for it.
    pub(crate) idle_blocks: BTreeMap<OutPoint, u32>,
    blocks_unsaved: u32,
    blocks_in_view: u32,
}

/// A block, as it is connected.
#[derive(Clone, Copy, Debug)]
pub struct NewBlock<'a> {
    /// Its height.
    pub height: BlockHeight,
    /// Its hash.
    pub hash: BlockHash,
    /// The hash of the block before it.
    pub previous: BlockHash,
    /// Its time stamp, in seconds since 1970.
    pub time: u32,
    /// Its transactions with their places in the block. All of them: which are the wallet's, the wallet knows.
    pub transactions: &'a [(u32, Transaction)],
}

/// What the wallet has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Balance {
    /// In blocks, and unspent as far as we know.
    pub confirmed: Amount,
    /// Change of our own transactions that wait for a block.
    pub pending: Amount,
    /// Miners' rewards that are not mature.
    pub immature: Amount,
    /// The part of `confirmed` that pays for claims that wait for a block.
    pub promised: Amount,
    /// What ordinary spending must leave, for closing channels.
    pub reserved: Amount,
    /// What can be spent now: confirmed and pending, without what is promised or reserved.
    pub spendable: Amount,
}

/// A transaction of the wallet's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WalletTransaction {
    /// The transaction.
    pub transaction: Transaction,
    /// Where it is; none while it waits for a block.
    pub height: Option<BlockHeight>,
    /// What of its outputs is ours.
    pub received: Amount,
    /// What of its inputs was ours.
    pub sent: Amount,
}

/// How many blocks are remembered one by one: no reorganisation was ever longer.
const BLOCKS_KEPT: u32 = 2_016;
/// After how many blocks the history is written: what a crash makes us read again.
const BLOCKS_UNSAVED_MAX: u32 = 100;
/// After how many blocks the view is built anew, which makes it forget the blocks that the history has forgotten.
const BLOCKS_IN_VIEW_MAX: u32 = 2 * BLOCKS_KEPT;
/// How many addresses may be out and unused. Half of what is looked for, so that none is ever out of sight.
const UNUSED_ADDRESSES_MAX: usize = view::LOOKAHEAD as usize / 2;
/// A transaction this deep is not looked after any more.
pub(crate) const BURIED_DEPTH: u32 = 100;
/// An output that was spent this deep needs no further claim.
const CLAIM_SETTLED_DEPTH: u32 = 6;
/// A claim that nobody asked for during two days of blocks is not made any more.
const CLAIM_IDLE_BLOCKS_MAX: u32 = 288;

impl Wallet {
    /// Opens the wallet of a seed, with its files in `folder`, or begins it at the seed's birthday.
    ///
    /// # Errors
    /// When the promises cannot be read or are another seed's. A history that cannot be used is read again from the chain.
    pub fn open(
        seed: &StoredSeed,
        folder: &Path,
        network: Network,
        reserve: ReservePolicy,
    ) -> Result<Self, WalletError> {
        let fingerprint = seed.seed.fingerprint(network);
        let keys = Keys::new(seed.seed.account(network));
        let (promises_path, history_path) = (folder.join("wallet-promises"), folder.join("wallet-history"));
        let promises = read_promises(&promises_path, network, fingerprint)?;
        let history = read_history(&history_path, network, fingerprint).unwrap_or_else(|| History {
            fingerprint,
            blocks: BTreeMap::from([(seed.birthday.height.0, seed.birthday.hash.to_byte_array())]),
            transactions: BTreeMap::new(),
        });
        let descriptors = keys.public_descriptors();
        let view = view::build(&descriptors, network, &history, &promises);
        let mut wallet = Self {
            network,
            keys,
            descriptors,
            promises_path,
            history_path,
            view,
            history,
            promises,
            reserve_policy: reserve,
            anchor_channels: 0,
            idle_blocks: BTreeMap::new(),
            blocks_unsaved: 0,
            blocks_in_view: 0,
        };
        wallet.renew_sweep_address();
        Ok(wallet)
    }

    /// The last block that was connected.
    pub fn tip(&self) -> Tip {
        let (height, hash) = self
            .history
            .blocks
            .last_key_value()
            .expect("the history begins with the birthday");
        Tip {
            height: BlockHeight(*height),
            hash: BlockHash::from_byte_array(*hash),
        }
    }

    /// Blocks that the wallet remembers, the highest last: where a chain source may begin.
    pub fn remembered(&self) -> Vec<Tip> {
        let tip = |(height, hash): (&u32, &[u8; 32])| Tip {
            height: BlockHeight(*height),
            hash: BlockHash::from_byte_array(*hash),
        };
        self.history.blocks.iter().map(tip).collect()
    }

    /// Takes in a block. One that is known already changes nothing, so that whoever follows the chain may begin at an older block;
    /// one of another branch cuts the wallet's own branch off.
    ///
    /// # Errors
    /// [`WalletError::NotNext`] when a block is missing between the tip and this one.
    pub fn connect(&mut self, block: &NewBlock<'_>) -> Result<(), WalletError> {
        let height = block.height.0;
        if height <= self.tip().height.0 {
            match self.history.blocks.get(&height) {
                // An older block than any that is remembered is not argued about.
                None => return Ok(()),
                Some(known) if *known == block.hash.to_byte_array() => return Ok(()),
                Some(_) => {}
            }
            let previous = height.checked_sub(1).ok_or(WalletError::NotNext {
                height,
                tip: self.tip(),
            })?;
            self.rewind(Tip {
                height: BlockHeight(previous),
                hash: block.previous,
            })?;
        }
        let tip = self.tip();
        if tip.height.0.checked_add(1) != Some(height) || tip.hash != block.previous {
            return Err(WalletError::NotNext { height, tip });
        }
        let relevant = self.relevant(block);
        let confirmed: Vec<&ConfirmedTransaction> = relevant.iter().collect();
        view::connect(
            &mut self.view,
            BlockId {
                height,
                hash: block.hash,
            },
            &confirmed,
        );
        self.history.blocks.insert(height, block.hash.to_byte_array());
        let is_concerned = !relevant.is_empty();
        for confirmed in relevant {
            self.history
                .transactions
                .insert(confirmed.transaction.compute_txid(), confirmed);
        }
        if is_concerned {
            view::remember_own(&mut self.view, &self.promises);
        }
        let settled = self.settle_promises(block);
        self.note_revealed(settled)?;
        self.forget_blocks();
        self.blocks_unsaved += 1;
        if self.blocks_unsaved >= BLOCKS_UNSAVED_MAX {
            self.flush()?;
        }
        Ok(())
    }

    /// Goes back to a block of the wallet's branch: the last one that the best chain has in common with it.
    pub fn rewind(&mut self, to: Tip) -> Result<(), WalletError> {
        let height = to.height.0;
        let tip = self.tip();
        if height > tip.height.0 || to == tip {
            return Ok(());
        }
        let is_other = self
            .history
            .blocks
            .get(&height)
            .is_some_and(|known| *known != to.hash.to_byte_array());
        let kept_below = if is_other { height } else { height.saturating_add(1) };
        self.history.blocks.retain(|at, _| *at < kept_below);
        self.history
            .transactions
            .retain(|_, confirmed| confirmed.height < kept_below);
        self.history.blocks.insert(height, to.hash.to_byte_array());
        let mut is_changed = false;
        for claim in self.promises.claims.values_mut() {
            if claim.spent_at.is_some_and(|at| at >= kept_below) {
                claim.spent_at = None;
                is_changed = true;
            }
        }
        if is_changed {
            self.save_promises()?;
        }
        self.rebuild();
        Ok(())
    }

    /// Writes the history. To be called at the tip and at the end; a history that is behind costs time at the next start, nothing else.
    pub fn flush(&mut self) -> Result<(), WalletError> {
        self.blocks_unsaved = 0;
        let payload = self.history.to_bytes();
        Ok(envelope::replace(
            &self.history_path,
            Kind::History,
            self.network,
            &payload,
        )?)
    }

    /// An address that was not handed out before; after a hundred that nobody has paid to, the oldest of those again.
    pub fn address(&mut self) -> Result<Address, WalletError> {
        let mut unused = self.view.list_unused_addresses(KeychainKind::External);
        let oldest = unused.next();
        let count = unused.count() + 1;
        if let Some(oldest) = oldest.filter(|_| count >= UNUSED_ADDRESSES_MAX) {
            return Ok(oldest.address);
        }
        let revealed = self.view.reveal_next_address(KeychainKind::External);
        self.note_revealed(false)?;
        Ok(revealed.address)
    }

    /// Where claims are swept to. It stays the same until the wallet is opened again, so that a claim that is made again is the same.
    pub fn sweep_to(&mut self) -> Result<ScriptBuf, WalletError> {
        if self.promises.sweep_index.is_none() {
            self.promises.sweep_index = Some(self.reserved_change()?);
            self.save_promises()?;
        }
        let index = self.promises.sweep_index.unwrap_or_default();
        Ok(self
            .view
            .peek_address(KeychainKind::Internal, index)
            .address
            .script_pubkey())
    }

    /// Whether a script is one of the wallet's.
    pub fn is_ours(&self, script: &ScriptBuf) -> bool {
        self.view.is_mine(script.clone())
    }

    /// What the wallet has.
    pub fn balance(&self) -> Balance {
        let promised_coins = self.promised_coins();
        let mut balance = Balance {
            reserved: self.reserve(),
            ..Balance::default()
        };
        for coin in self.view.list_unspent() {
            let value = coin.txout.value;
            if !coin.chain_position.is_confirmed() {
                balance.pending += value;
            } else if !self.is_mature(&coin) {
                balance.immature += value;
            } else {
                balance.confirmed += value;
                if promised_coins.contains(&coin.outpoint) {
                    balance.promised += value;
                }
            }
        }
        let bound = balance.promised + balance.reserved;
        balance.spendable = (balance.confirmed + balance.pending)
            .checked_sub(bound)
            .unwrap_or(Amount::ZERO);
        balance
    }

    /// The wallet's transactions: those in blocks in the order of their blocks, then those that wait.
    pub fn transactions(&self) -> Vec<WalletTransaction> {
        let mut all: Vec<WalletTransaction> = self
            .view
            .transactions()
            .map(|seen| {
                let (sent, received) = self.view.sent_and_received(&seen.tx_node.tx);
                let height = seen.chain_position.confirmation_height_upper_bound();
                let transaction = (*seen.tx_node.tx).clone();
                WalletTransaction {
                    transaction,
                    height: height.map(BlockHeight),
                    received,
                    sent,
                }
            })
            .collect();
        all.sort_by_key(|one| (one.height.is_none(), one.height, one.transaction.compute_txid()));
        all
    }

    /// Those of [`Self::unconfirmed`] that fund channels: they may be broadcast only when their channels say so, and one that no
    /// channel knows after a start is to be given up by [`Self::abandon`].
    pub fn unconfirmed_fundings(&self) -> BTreeSet<Txid> {
        let own = self.promises.transactions.iter();
        own.filter(|(txid, own)| own.purpose == crate::records::Purpose::Funding && self.is_waiting(txid))
            .map(|(txid, _)| *txid)
            .collect()
    }

    /// Transactions of ours that wait for a block, oldest first, to be offered to the network again after each block.
    /// Not those that fund channels: they leave when their channels say so.
    pub fn unconfirmed(&self) -> Vec<Transaction> {
        let mut waiting: Vec<_> = self
            .promises
            .transactions
            .iter()
            .filter(|(txid, own)| own.purpose != crate::records::Purpose::Funding && self.is_waiting(txid))
            .map(|(_, own)| own)
            .collect();
        waiting.sort_by_key(|own| own.order);
        waiting.into_iter().map(|own| own.transaction.clone()).collect()
    }

    /// Whether a transaction waits for a block, as far as we know: nothing in a block or later replaced it.
    pub(crate) fn is_waiting(&self, txid: &Txid) -> bool {
        self.view
            .get_tx(*txid)
            .is_some_and(|seen| !seen.chain_position.is_confirmed())
    }

    /// Coins that pay for claims, and may be spent by nothing else.
    pub(crate) fn promised_coins(&self) -> BTreeSet<OutPoint> {
        self.promises
            .claims
            .values()
            .flat_map(|claim| claim.coins.iter().copied())
            .collect()
    }

    pub(crate) fn is_mature(&self, coin: &LocalOutput) -> bool {
        let confirmed = self.history.transactions.get(&coin.outpoint.txid);
        confirmed.is_none_or(|confirmed| {
            let depth = (self.tip().height.0 + 1).saturating_sub(confirmed.height);
            !confirmed.transaction.is_coinbase() || depth >= bitcoin::constants::COINBASE_MATURITY
        })
    }

    /// A change address that nothing else will use. The caller writes the promise that names it.
    pub(crate) fn reserved_change(&mut self) -> Result<u32, WalletError> {
        let address = self.view.next_unused_address(KeychainKind::Internal);
        self.view.mark_used(KeychainKind::Internal, address.index);
        self.note_revealed(false)?;
        Ok(address.index)
    }

    /// Writes the promises if more addresses are out than they say, or if something else has changed in them.
    pub(crate) fn note_revealed(&mut self, mut is_changed: bool) -> Result<(), WalletError> {
        let external = self
            .view
            .derivation_index(KeychainKind::External)
            .map_or(0, |index| index + 1);
        let internal = self
            .view
            .derivation_index(KeychainKind::Internal)
            .map_or(0, |index| index + 1);
        let promises = &mut self.promises;
        is_changed |= external > promises.external_revealed || internal > promises.internal_revealed;
        promises.external_revealed = promises.external_revealed.max(external);
        promises.internal_revealed = promises.internal_revealed.max(internal);
        if is_changed { self.save_promises() } else { Ok(()) }
    }

    pub(crate) fn save_promises(&self) -> Result<(), WalletError> {
        let payload = self.promises.to_bytes();
        Ok(envelope::replace(
            &self.promises_path,
            Kind::Promises,
            self.network,
            &payload,
        )?)
    }

    /// Makes the view anew from what is written.
    pub(crate) fn rebuild(&mut self) {
        self.view = view::build(&self.descriptors, self.network, &self.history, &self.promises);
        self.blocks_in_view = 0;
    }

    /// The transactions of a block that pay to the wallet or spend from it.
    fn relevant(&self, block: &NewBlock<'_>) -> Vec<ConfirmedTransaction> {
        // The view learns of the block as a whole: what is spent in the block that made it is found here.
        let mut made: BTreeSet<OutPoint> = BTreeSet::new();
        let mut relevant = Vec::new();
        for (_, transaction) in block.transactions {
            let spends_made = transaction
                .input
                .iter()
                .any(|input| made.contains(&input.previous_output));
            if self.view.spk_index().is_tx_relevant(transaction) || spends_made {
                let txid = transaction.compute_txid();
                let outputs = (0..).zip(&transaction.output);
                let ours = outputs.filter(|(_, output)| self.is_ours(&output.script_pubkey));
                made.extend(ours.map(|(vout, _)| OutPoint { txid, vout }));
                relevant.push(ConfirmedTransaction {
                    transaction: transaction.clone(),
                    height: block.height.0,
                    time: block.time,
                });
            }
        }
        relevant
    }

    /// What the block means for promises; whether any has changed.
    fn settle_promises(&mut self, block: &NewBlock<'_>) -> bool {
        let mut is_changed = false;
        if !self.promises.claims.is_empty() {
            for input in block
                .transactions
                .iter()
                .flat_map(|(_, transaction)| &transaction.input)
            {
                if let Some(claim) = self.promises.claims.get_mut(&input.previous_output) {
                    claim.spent_at = Some(block.height.0);
                    is_changed = true;
                }
            }
        }
        let height = block.height.0;
        let idle = &mut self.idle_blocks;
        let claims_before = self.promises.claims.len();
        self.promises.claims.retain(|outpoint, claim| {
            let blocks = idle.entry(*outpoint).or_default();
            *blocks += 1;
            let is_settled = claim
                .spent_at
                .is_some_and(|at| height.saturating_sub(at) + 1 >= CLAIM_SETTLED_DEPTH);
            !is_settled && *blocks <= CLAIM_IDLE_BLOCKS_MAX
        });
        idle.retain(|outpoint, _| self.promises.claims.contains_key(outpoint));
        is_changed |= self.promises.claims.len() != claims_before;
        is_changed | self.forget_buried(height)
    }

    /// Lets go of own transactions that are buried, and of those that something buried has replaced.
    fn forget_buried(&mut self, height: u32) -> bool {
        if self.promises.transactions.is_empty() {
            return false;
        }
        let is_buried = |confirmed: &ConfirmedTransaction| height.saturating_sub(confirmed.height) + 1 >= BURIED_DEPTH;
        let buried = self
            .history
            .transactions
            .values()
            .filter(|confirmed| is_buried(confirmed));
        let spent: BTreeSet<OutPoint> = buried
            .flat_map(|confirmed| &confirmed.transaction.input)
            .map(|input| input.previous_output)
            .collect();
        let before = self.promises.transactions.len();
        self.promises.transactions.retain(|_, own| {
            !own.transaction
                .input
                .iter()
                .any(|input| spent.contains(&input.previous_output))
        });
        self.promises.transactions.len() != before
    }

    /// Forgets blocks that are old and hold nothing of the wallet's.
    fn forget_blocks(&mut self) {
        let tip = self.tip().height.0;
        if let Some(old) = tip
            .checked_sub(BLOCKS_KEPT)
            .filter(|old| self.history.blocks.contains_key(old))
        {
            let holds_something = self
                .history
                .transactions
                .values()
                .any(|confirmed| confirmed.height == old);
            if !holds_something {
                self.history.blocks.remove(&old);
            }
        }
        self.blocks_in_view += 1;
        if self.blocks_in_view > BLOCKS_IN_VIEW_MAX {
            self.rebuild();
        }
    }

    /// An address that was swept to is given up once nothing waits that might still pay to it.
    fn renew_sweep_address(&mut self) {
        let Some(index) = self.promises.sweep_index else {
            return;
        };
        let script = self
            .view
            .peek_address(KeychainKind::Internal, index)
            .address
            .script_pubkey();
        let is_paid = self.history.transactions.values().any(|confirmed| {
            confirmed
                .transaction
                .output
                .iter()
                .any(|output| output.script_pubkey == script)
        });
        if is_paid && self.promises.claims.is_empty() {
            self.promises.sweep_index = None;
        }
    }
}

fn read_promises(path: &Path, network: Network, fingerprint: [u8; 4]) -> Result<Promises, WalletError> {
    let Some(payload) = envelope::read(path, Kind::Promises, network)? else {
        return Ok(Promises::new(fingerprint));
    };
    let damaged = |error: quittance_records::BadRecord| FileError::Damaged {
        path: path.to_owned(),
        what: error.to_string(),
    };
    let promises = Promises::from_bytes(&payload).map_err(damaged)?;
    if promises.fingerprint != fingerprint {
        let hex = |bytes: [u8; 4]| format!("{:08x}", u32::from_be_bytes(bytes));
        return Err(WalletError::OtherSeed {
            found: hex(promises.fingerprint),
            expected: hex(fingerprint),
        });
    }
    Ok(promises)
}

/// The history, if it can be used.
fn read_history(path: &Path, network: Network, fingerprint: [u8; 4]) -> Option<History> {
    let payload = envelope::read(path, Kind::History, network).ok()??;
    let history = History::from_bytes(&payload).ok()?;
    let is_whole = history.fingerprint == fingerprint
        && !history.blocks.is_empty()
        && history
            .transactions
            .values()
            .all(|confirmed| history.blocks.contains_key(&confirmed.height));
    is_whole.then_some(history)
}

impl std::fmt::Debug for Wallet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wallet")
            .field("network", &self.network)
            .field("tip", &self.tip())
            .finish_non_exhaustive()
    }
}
