//! Payments that are made at once: what comes together is signed for once, by the last of it, and nothing is left unsigned. Then one more,
//! while nobody has handled an event and none is shown any more: who waits for its end hears of it.

mod common;

use std::time::Duration;

use bitcoin::Amount;
use common::Outcome;
use quittance_node::{InvoiceRequest, Node, OpenRequest, PayLimits, PaymentStatus};
use quittance_primitives::{MilliSatoshi, PaymentId};

const PAYMENTS: u8 = 100;
/// Long enough for any machine: without a signature a payment waits for ever.
const PATIENCE: Duration = Duration::from_secs(40);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_payment_of_a_crowd_is_signed_for_in_the_end() -> Outcome<()> {
    let (folder, mut chain) = (tempfile::tempdir()?, quittance_regtest::ServedChain::start()?);
    let mut nodes = Vec::new();
    for name in ["alice", "bob"] {
        nodes.push(common::start(&chain, &folder.path().join(name)).await?);
    }
    let (alice, bob) = (&nodes[0], &nodes[1]);
    chain.pay(&alice.address().await?, Amount::from_sat(20_000_000))?;
    alice.connect(bob.id(), vec![bob.addresses()[0].into()]).await?;
    while alice.balance().await?.spendable == Amount::ZERO {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    alice
        .open_channel(OpenRequest::new(bob.id(), Amount::from_sat(10_000_000)))
        .await?;
    while alice.channels().await?.iter().all(|channel| channel.sendable.is_zero()) {
        chain.mine(1)?;
        nodes.iter().for_each(Node::look_at_chain);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut invoices = Vec::new();
    for _ in 0..PAYMENTS {
        invoices.push(
            bob.invoice(InvoiceRequest::of(MilliSatoshi(20_000_000), "a crowd"))
                .await?,
        );
    }
    let payments = invoices.iter().zip(1..).map(|(invoice, number)| async move {
        let id = PaymentId([number; 32]);
        alice.pay_invoice(id, invoice, None, PayLimits::default()).await?;
        alice.outcome(id).await
    });
    for payment in tokio::time::timeout(PATIENCE, futures_util::future::try_join_all(payments)).await?? {
        assert!(matches!(payment.status, PaymentStatus::Sent { .. }), "{payment:?}");
    }
    let invoice = bob
        .invoice(InvoiceRequest::of(MilliSatoshi(20_000_000), "one more"))
        .await?;
    let id = PaymentId([PAYMENTS + 1; 32]);
    alice.pay_invoice(id, &invoice, None, PayLimits::default()).await?;
    let payment = tokio::time::timeout(PATIENCE, alice.outcome(id)).await??;
    assert!(matches!(payment.status, PaymentStatus::Sent { .. }), "{payment:?}");
    for node in &nodes {
        let figures = node.figures().await?;
        assert!(
            figures.commitments_signed_ahead > 0,
            "signatures are made while the disk is at work: {figures:?}"
        );
    }
    Ok(())
}
