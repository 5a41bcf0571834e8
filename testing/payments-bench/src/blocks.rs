//! What a block costs a node with many channels: blocks as full as they come, with nothing of the node's in them, while its channels are
//! idle, and while a hundred of them close.

use bitcoin::hashes::Hash;
use bitcoin::transaction::Version;
use bitcoin::{Amount, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid, Witness, absolute};
use quittance_manager::Command;
use quittance_primitives::ChannelId;
use quittance_store::memory::MemoryStore;

use crate::node::{Disk, Node, Outcome};
use crate::payments::to_float;
use crate::town::{Town, first_tip};

/// Two days of blocks: the records of idle monitors are written twice.
const BLOCKS: u32 = 144;
const TRANSACTIONS: u32 = 3_000;
const CLOSING: usize = 100;

/// Measures a node with so many channels.
pub fn measure(channels: u32) -> Outcome<()> {
    let nodes = (0..2).map(|number| {
        let disk = Disk::Memory(Box::new(MemoryStore::new()));
        Node::start(number, disk, first_tip(), None)
    });
    let mut town = Town::of(nodes.collect::<Outcome<_>>()?);
    town.connect(0, 1)?;
    for first in (0..channels).step_by(1_000) {
        let count = (channels - first).min(1_000);
        town.open_channels(0, 1, count, Amount::from_sat(10_000_000))?;
        town.handle_all_events()?;
    }
    print(&format!("{channels} idle"), &mut town, channels)?;

    let ids: Vec<ChannelId> = town.nodes[0]
        .manager
        .channels()
        .map(|channel| channel.state().facts.channel_id)
        .collect();
    for id in ids.iter().take(CLOSING) {
        town.order(0, Command::ForceClose(*id))?;
    }
    let commitments = std::mem::take(&mut town.commitments);
    if commitments.len() != CLOSING.min(ids.len()) {
        return Err("every channel that closes has a commitment to broadcast".into());
    }
    town.connect_block((0..).zip(commitments).collect(), &[0])?;
    print(&format!("{channels}, of which {CLOSING} close"), &mut town, channels)
}

fn print(name: &str, town: &mut Town, channels: u32) -> Outcome<()> {
    let transactions: Vec<_> = (0..TRANSACTIONS).map(|number| (number, stranger(number))).collect();
    let before = town.nodes[0].engine_time;
    for _ in 0..BLOCKS {
        town.connect_block(transactions.clone(), &[0])?;
    }
    let time = town.nodes[0].engine_time.saturating_sub(before).as_secs_f64() * 1e6 / f64::from(BLOCKS);
    println!(
        "{name}: {:.1} ms for a block of {TRANSACTIONS} transactions, {:.2} us for each channel",
        time / 1e3,
        time / to_float(u64::from(channels))
    );
    Ok(())
}

/// A transaction with two inputs and two outputs that is nobody's here.
fn stranger(number: u32) -> Transaction {
    let mut bytes = [0x5a; 32];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    let input = |vout| TxIn {
        previous_output: OutPoint::new(Txid::from_byte_array(bytes), vout),
        script_sig: ScriptBuf::new(),
        sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
        witness: Witness::new(),
    };
    let output = TxOut {
        value: Amount::from_sat(10_000),
        script_pubkey: ScriptBuf::from_bytes(vec![0; 22]),
    };
    Transaction {
        version: Version::TWO,
        lock_time: absolute::LockTime::ZERO,
        input: vec![input(0), input(1)],
        output: vec![output.clone(), output],
    }
}
