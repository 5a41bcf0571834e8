//! A payment's onion peeled by LDK, and compared with what we found.

use lightning::ln::channelmanager::{PendingHTLCInfo, PendingHTLCRouting};
use lightning::ln::msgs::FinalOnionHopData;
use lightning::ln::onion_payment::{InboundHTLCErr, peel_payment_onion};
use quittance_onion::{Forward, IncomingHtlc, OnionPacket, PaymentData, Receive};
use quittance_primitives::{CltvExpiry, MilliSatoshi, PaymentHash, PaymentPreimage, PaymentSecret, ShortChannelId};
use secp256k1::SECP256K1;

use crate::{HEIGHT, Node, Quiet, our_packet, update_add_htlc};

/// Peels the onion of an HTLC by LDK.
///
/// # Errors
/// Why LDK does not want it.
pub fn peel_by_ldk(
    node: &Node,
    packet: &OnionPacket,
    hash: &PaymentHash,
    htlc: &IncomingHtlc,
) -> Result<PendingHTLCInfo, InboundHTLCErr> {
    let add = update_add_htlc(packet, hash, htlc);
    peel_payment_onion(&add, &node.keys, &Quiet, SECP256K1, HEIGHT, false)
}

/// LDK forwards as we do.
pub fn same_forward(ours: &Forward, theirs: &PendingHTLCInfo) {
    let PendingHTLCRouting::Forward {
        onion_packet,
        short_channel_id,
        ..
    } = &theirs.routing
    else {
        panic!("no forward to LDK");
    };
    assert_eq!(ShortChannelId(*short_channel_id), ours.short_channel_id);
    assert_eq!(MilliSatoshi(theirs.outgoing_amt_msat), ours.amount);
    assert_eq!(CltvExpiry(theirs.outgoing_cltv_value), ours.expiry);
    assert_eq!(our_packet(onion_packet), ours.next);
}

/// LDK receives what we receive.
pub fn same_receive(ours: &Receive, theirs: &PendingHTLCInfo) {
    let of_data = |data: &FinalOnionHopData| PaymentData {
        payment_secret: PaymentSecret(data.payment_secret.0),
        total: MilliSatoshi(data.total_msat),
    };
    let (payment_data, metadata, custom, keysend) = match &theirs.routing {
        PendingHTLCRouting::Receive {
            payment_data,
            payment_metadata,
            custom_tlvs,
            ..
        } => (Some(of_data(payment_data)), payment_metadata, custom_tlvs, None),
        PendingHTLCRouting::ReceiveKeysend {
            payment_data,
            payment_metadata,
            custom_tlvs,
            payment_preimage,
            ..
        } => {
            let preimage = PaymentPreimage(payment_preimage.0);
            (
                payment_data.as_ref().map(of_data),
                payment_metadata,
                custom_tlvs,
                Some(preimage),
            )
        }
        _ => panic!("not received by LDK"),
    };
    let expected = Receive {
        amount: MilliSatoshi(theirs.outgoing_amt_msat),
        expiry: CltvExpiry(theirs.outgoing_cltv_value),
        payment_data,
        payment_metadata: metadata.clone(),
        keysend_preimage: keysend,
        custom_records: custom.iter().cloned().collect(),
    };
    assert_eq!(*ours, expected);
}
