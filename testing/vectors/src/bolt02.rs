//! BOLT 2: the message flows of splicing, as codec vectors.
//!
//! The flows name messages and some of their fields. Each is built with the stated fields, sent through the codec, and
//! read back as what arrives at the other end. What they say about active commitments is for the channel's own tests.

use bitcoin::hashes::{Hash, sha256d};
use bitcoin::{Amount, SignedAmount, Txid, Witness};
use quittance_primitives::{ChannelId, CltvExpiry, FeeratePerKw, HtlcId, MilliSatoshi, PaymentHash};
use quittance_wire::{
    ChannelReestablish, CommitmentSigned, CurrentFundingLocked, Message, NextFunding, RevokeAndAck, SpliceAck,
    SpliceInit, SpliceLocked, StartBatch, Stfu, TxAbort, TxAckRbf, TxAddInput, TxAddOutput, TxComplete, TxInitRbf,
    TxSignatures, UpdateAddHtlc, WireMessage,
};
use secp256k1::ecdsa::Signature;
use secp256k1::{PublicKey, SECP256K1, SecretKey};
use serde_json::Value;

use crate::{Case, Check, Report, load};

pub(crate) const FILES: &[(&str, Check)] = &[("bolt02/splicing-flows.json", splicing_flows)];

const CHANNEL: ChannelId = ChannelId([0x2a; 32]);

fn splicing_flows(report: &mut Report) {
    let file = load(report.file);
    for flow in file["flows"].as_array().expect("the file states flows") {
        let title = flow["title"].as_str().expect("a flow has a title");
        report.case(title, |case| {
            for event in flow["events"].as_array().expect("a flow has events") {
                if event["type"] == "message" {
                    check_message(case, event);
                }
            }
        });
    }
}

fn check_message(case: &mut Case, event: &Value) {
    let name = event["name"].as_str().expect("a message has a name");
    let fields = Fields(&event["fields"]);
    for message in build(name, fields) {
        let bytes = message.encode();
        let arrived = Message::decode(&bytes);
        case.equal("message", arrived.as_ref(), Ok(&message));
        if name != "<interactive-tx>" {
            case.equal(
                "name",
                message.name(),
                if name == "commit_sig" {
                    CommitmentSigned::DEFINITION.name
                } else {
                    name
                },
            );
        }
        for (field, stated) in event["fields"].as_object().into_iter().flatten() {
            // Not on the wire: the flow counts commitments for its reader.
            if field == "commitment_number" {
                continue;
            }
            let ours = arrived.as_ref().ok().and_then(|message| stated_field(message, field));
            case.equal(field, ours, Some(normalised(stated)));
        }
    }
}

/// The fields that a flow states about one message.
#[derive(Clone, Copy)]
struct Fields<'a>(&'a Value);

impl Fields<'_> {
    fn number<T: TryFrom<u64>>(self, field: &str, otherwise: T) -> T {
        self.0.get(field).map_or(otherwise, |stated| {
            let number = stated.as_str().and_then(|text| text.parse::<u64>().ok());
            number
                .and_then(|number| T::try_from(number).ok())
                .unwrap_or_else(|| panic!("{field} is {stated}, which does not fit its field"))
        })
    }

    fn txid(self, field: &str) -> Option<Txid> {
        self.0.get(field).and_then(txid)
    }
}

/// The messages that an event stands for, with the stated fields; the others have values of ours.
fn build(name: &str, fields: Fields<'_>) -> Vec<Message> {
    let channel_id = CHANNEL;
    let message = match name {
        "stfu" => Stfu {
            channel_id,
            initiator: 1,
        }
        .into(),
        "splice_init" => SpliceInit {
            channel_id,
            funding_contribution_satoshis: SignedAmount::from_sat(-100_000),
            funding_feerate_perkw: FeeratePerKw(5_000),
            locktime: 800_000,
            funding_pubkey: key(1),
            require_confirmed_inputs: Some(()),
        }
        .into(),
        "splice_ack" => SpliceAck {
            channel_id,
            funding_contribution_satoshis: SignedAmount::from_sat(250_000),
            funding_pubkey: key(2),
            require_confirmed_inputs: None,
        }
        .into(),
        "splice_locked" => SpliceLocked {
            channel_id,
            splice_txid: fields.txid("splice_txid").unwrap_or(funding("FundingTx2")),
        }
        .into(),
        "start_batch" => StartBatch {
            channel_id,
            batch_size: fields.number("batch_size", 1),
            message_type: Some(CommitmentSigned::TYPE),
        }
        .into(),
        "commit_sig" => CommitmentSigned {
            channel_id,
            signature: signature(1),
            htlc_signature: vec![signature(2), signature(3)],
            funding_txid: fields.txid("funding_txid"),
        }
        .into(),
        "revoke_and_ack" => RevokeAndAck {
            channel_id,
            per_commitment_secret: [5; 32],
            next_per_commitment_point: key(5),
        }
        .into(),
        "update_add_htlc" => UpdateAddHtlc {
            channel_id,
            id: HtlcId(3),
            amount_msat: MilliSatoshi(25_000_000),
            payment_hash: PaymentHash([6; 32]),
            cltv_expiry: CltvExpiry(800_144),
            onion_routing_packet: Box::new([7; 1366]),
            blinded_path: None,
        }
        .into(),
        "channel_reestablish" => reestablish(fields).into(),
        _ => return interactive(name),
    };
    vec![message]
}

fn interactive(name: &str) -> Vec<Message> {
    let channel_id = CHANNEL;
    let message = match name {
        "tx_complete" => TxComplete { channel_id }.into(),
        "tx_signatures" => TxSignatures {
            channel_id,
            txid: funding("FundingTx2"),
            witnesses: vec![Witness::from_slice(&[vec![8; 72], vec![2; 33]])],
            shared_input_signature: Some(signature(4)),
        }
        .into(),
        "tx_init_rbf" => TxInitRbf {
            channel_id,
            locktime: 800_001,
            feerate: FeeratePerKw(10_000),
            funding_output_contribution: Some(SignedAmount::from_sat(-100_000)),
            require_confirmed_inputs: None,
        }
        .into(),
        "tx_ack_rbf" => TxAckRbf {
            channel_id,
            funding_output_contribution: Some(SignedAmount::from_sat(250_000)),
            require_confirmed_inputs: Some(()),
        }
        .into(),
        "tx_abort" => TxAbort {
            channel_id,
            data: b"disconnected before commit_sig".to_vec(),
        }
        .into(),
        "<interactive-tx>" => {
            let shared = TxAddInput {
                channel_id,
                serial_id: 0,
                prevtx: Vec::new(),
                prevtx_vout: 0,
                sequence: 0,
                shared_input_txid: Some(funding("FundingTx1")),
            };
            let output = TxAddOutput {
                channel_id,
                serial_id: 2,
                sats: Amount::from_sat(1_150_000),
                script: bitcoin::ScriptBuf::from(vec![0, 32]),
            };
            return vec![shared.into(), output.into(), TxComplete { channel_id }.into()];
        }
        other => panic!("a new message in the flows: {other}"),
    };
    vec![message]
}

fn reestablish(fields: Fields<'_>) -> ChannelReestablish {
    ChannelReestablish {
        channel_id: CHANNEL,
        next_commitment_number: fields.number("next_commitment_number", 11),
        next_revocation_number: fields.number("next_revocation_number", 10),
        your_last_per_commitment_secret: [9; 32],
        my_current_per_commitment_point: key(9),
        next_funding: fields.txid("next_funding_txid").map(|next_funding_txid| NextFunding {
            next_funding_txid,
            retransmit_flags: quittance_wire::RETRANSMIT_COMMITMENT_SIGNED,
        }),
        my_current_funding_locked: fields
            .txid("my_current_funding_locked")
            .map(|my_current_funding_locked_txid| CurrentFundingLocked {
                my_current_funding_locked_txid,
                retransmit_flags: 0,
            }),
    }
}

/// A field of a message that arrived, as text; `None` for a field that no message here has.
fn stated_field(message: &Message, field: &str) -> Option<String> {
    let shown = |txid: Option<Txid>| Some(txid.map_or("null".to_owned(), |txid| txid.to_string()));
    match (message, field) {
        (Message::StartBatch(batch), "batch_size") => Some(batch.batch_size.to_string()),
        (Message::CommitmentSigned(signed), "funding_txid") => shown(signed.funding_txid),
        (Message::SpliceLocked(locked), "splice_txid") => shown(Some(locked.splice_txid)),
        (Message::ChannelReestablish(reestablish), field) => match field {
            "next_commitment_number" => Some(reestablish.next_commitment_number.to_string()),
            "next_revocation_number" => Some(reestablish.next_revocation_number.to_string()),
            "next_funding_txid" => shown(reestablish.next_funding.map(|next| next.next_funding_txid)),
            "my_current_funding_locked" => shown(
                reestablish
                    .my_current_funding_locked
                    .map(|locked| locked.my_current_funding_locked_txid),
            ),
            _ => None,
        },
        _ => None,
    }
}

/// What a flow states, with names of transactions replaced by the ids that stand for them here.
fn normalised(stated: &Value) -> String {
    let text = stated.as_str().expect("the flows state text");
    txid(stated).map_or(text.to_owned(), |txid| txid.to_string())
}

fn txid(stated: &Value) -> Option<Txid> {
    let name = stated.as_str()?.to_lowercase().replace('_', "");
    name.starts_with("fundingtx").then(|| funding(&name))
}

fn funding(name: &str) -> Txid {
    Txid::from_raw_hash(sha256d::Hash::hash(name.to_lowercase().as_bytes()))
}

fn key(byte: u8) -> PublicKey {
    SecretKey::from_slice(&[byte; 32])
        .expect("a repeated small byte is a valid scalar")
        .public_key(SECP256K1)
}

fn signature(byte: u8) -> Signature {
    Signature::from_compact(&[byte; 64]).expect("a repeated small byte is a valid scalar")
}
