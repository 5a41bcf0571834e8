//! Two nodes in one process, a channel between them, and a payment: `cargo run -p quittance-node --example pay`.

use std::{error::Error, sync::Arc, time::Duration};

use bitcoin::{Amount, Network::Regtest};
use quittance_chain::{Bitcoind, BitcoindConfig, ChainSource};
use quittance_node::{InvoiceRequest, Node, NodeBuilder, OpenRequest, PayLimits, PaymentStatus, StoredWallet};
use quittance_primitives::{MilliSatoshi, PaymentId};
use quittance_wallet::StoredSeed;

#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn Error>> {
    let (folder, mut chain) = (tempfile::tempdir()?, quittance_regtest::ServedChain::start()?);
    let (user, password) = chain.login();
    let config = BitcoindConfig::with_password(Regtest, chain.url(), user, password);
    let source = Arc::new(Bitcoind::new(config));
    let mut nodes = Vec::new();
    for name in ["alice", "bob"] {
        let place = folder.path().join(name);
        std::fs::create_dir(&place)?;
        let seed = StoredSeed::generate(source.best()?.tip)?;
        let wallet = Box::new(StoredWallet::open(&seed, &place, Regtest)?);
        let builder = NodeBuilder::new(place, *seed.seed.node_seed(Regtest), Regtest).listen("127.0.0.1:0".parse()?);
        nodes.push(builder.start(source.clone(), wallet).await?);
    }
    let (alice, bob) = (&nodes[0], &nodes[1]);
    chain.pay(&alice.address().await?, Amount::from_sat(2_000_000))?;
    alice.connect(bob.id(), vec![bob.addresses()[0].into()]).await?;
    while alice.balance().await?.spendable == Amount::ZERO {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let channel = OpenRequest::new(bob.id(), Amount::from_sat(1_000_000));
    alice.open_channel(channel).await?;
    while alice.channels().await?.iter().all(|channel| channel.sendable.is_zero()) {
        chain.mine(1)?;
        // Neither may be behind the other: what a payer sends would expire too soon for the payee.
        nodes.iter().for_each(Node::look_at_chain);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let invoice = bob
        .invoice(InvoiceRequest::of(MilliSatoshi(250_000), "a cup of coffee"))
        .await?;
    let id = PaymentId([1; 32]);
    alice.pay_invoice(id, &invoice, None, PayLimits::default()).await?;
    match alice.outcome(id).await?.status {
        PaymentStatus::Sent { preimage, .. } => println!("paid, and this is the receipt: {preimage:?}"),
        other => return Err(format!("it was not made: {other:?}").into()),
    }
    Ok(())
}
