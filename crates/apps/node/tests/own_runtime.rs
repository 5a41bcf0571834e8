//! The engine does not fall with the runtime of whoever started it.

mod common;

use common::Outcome;
use quittance_node::{InvoiceRequest, StopReason};
use quittance_primitives::MilliSatoshi;
use tokio::runtime::Runtime;

#[test]
fn a_node_whose_callers_runtime_has_ended_answers_and_stops_in_good_order() -> Outcome<()> {
    let (folder, chain) = (tempfile::tempdir()?, quittance_regtest::ServedChain::start()?);
    let callers = Runtime::new()?;
    let node = callers.block_on(common::start(&chain, &folder.path().join("alice")))?;
    callers.shutdown_background();
    let another = Runtime::new()?;
    another.block_on(async {
        let info = node.info().await?;
        assert_eq!(info.id, node.id());
        // This one is written.
        node.invoice(InvoiceRequest::of(MilliSatoshi(1_000), "after the end"))
            .await?;
        node.stop().await;
        assert_eq!(node.stopped().await, StopReason::Asked);
        Ok(())
    })
}
