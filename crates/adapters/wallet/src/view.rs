//! The watching half: a `bdk_wallet` that is built from public keys, the history and the promises, whenever one of them was cut back.
//!
//! It holds nothing of its own: what it knows is in the two records, and it is never written.

use std::collections::BTreeMap;
use std::sync::Arc;

use bdk_wallet::chain::{BlockId, CheckPoint, ConfirmationBlockTime, TxUpdate};
use bdk_wallet::{KeychainKind, Update, Wallet};
use bitcoin::hashes::Hash;
use bitcoin::{BlockHash, Network};

use crate::records::{ConfirmedTransaction, History, Promises};

/// How many addresses beyond the revealed ones are looked for in blocks. A node that has lost its promises still finds what was paid
/// to any of them.
pub(crate) const LOOKAHEAD: u32 = 200;

/// The wallet as the records have it.
pub(crate) fn build(descriptors: &[String; 2], network: Network, history: &History, promises: &Promises) -> Wallet {
    let [external, internal] = descriptors.clone();
    let mut wallet = Wallet::create(external, internal)
        .network(network)
        .lookahead(LOOKAHEAD)
        .create_wallet_no_persist()
        .expect("descriptors that we wrote are well-formed");
    reveal(&mut wallet, KeychainKind::External, promises.external_revealed);
    reveal(&mut wallet, KeychainKind::Internal, promises.internal_revealed);
    let genesis = wallet.latest_checkpoint();
    let blocks = history.blocks.iter().filter(|(height, _)| **height > 0);
    let blocks = blocks.map(|(height, hash)| BlockId {
        height: *height,
        hash: BlockHash::from_byte_array(*hash),
    });
    let chain = genesis.extend(blocks).expect("heights in a map ascend");
    let mut tx_update = TxUpdate::default();
    for (txid, confirmed) in &history.transactions {
        tx_update.txs.push(Arc::new(confirmed.transaction.clone()));
        let hash = history.blocks.get(&confirmed.height).copied();
        let hash = BlockHash::from_byte_array(hash.expect("the history keeps the block of each transaction"));
        tx_update
            .anchors
            .insert((anchor(confirmed.height, hash, confirmed.time), *txid));
    }
    apply(&mut wallet, chain, tx_update);
    remember_own(&mut wallet, promises);
    let sweep = promises.sweep_index.into_iter();
    for index in sweep.chain(promises.claims.values().map(|claim| claim.change_index)) {
        wallet.mark_used(KeychainKind::Internal, index);
    }
    wallet
}

/// Tells of our own transactions. To be told again when coins have come to light: a transaction that spends none of those that are
/// known, and pays us nothing, is not taken in.
pub(crate) fn remember_own(wallet: &mut Wallet, promises: &Promises) {
    let own = promises.transactions.values();
    wallet.apply_unconfirmed_txs(own.map(|own| (own.transaction.clone(), own.order)));
    let _ = wallet.take_staged();
}

/// Adds a block on top, with what of it concerns the wallet.
pub(crate) fn connect(wallet: &mut Wallet, block: BlockId, transactions: &[&ConfirmedTransaction]) {
    let chain = wallet
        .latest_checkpoint()
        .push(block)
        .expect("the block is above the tip");
    let mut tx_update = TxUpdate::default();
    for confirmed in transactions {
        let anchor = anchor(block.height, block.hash, confirmed.time);
        tx_update.anchors.insert((anchor, confirmed.transaction.compute_txid()));
        tx_update.txs.push(Arc::new(confirmed.transaction.clone()));
    }
    apply(wallet, chain, tx_update);
}

fn apply(wallet: &mut Wallet, chain: CheckPoint, tx_update: TxUpdate<ConfirmationBlockTime>) {
    let update = Update {
        last_active_indices: BTreeMap::new(),
        tx_update,
        chain: Some(chain),
    };
    wallet.apply_update(update).expect("the chain grows from its own tip");
    // Nothing is persisted from here, and what is staged would grow for ever.
    let _ = wallet.take_staged();
}

fn reveal(wallet: &mut Wallet, keychain: KeychainKind, count: u32) {
    if let Some(last) = count.checked_sub(1) {
        let _ = wallet.reveal_addresses_to(keychain, last).count();
    }
}

const fn anchor(height: u32, hash: BlockHash, time: u32) -> ConfirmationBlockTime {
    ConfirmationBlockTime {
        block_id: BlockId { height, hash },
        confirmation_time: time as u64,
    }
}
