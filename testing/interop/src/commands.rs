//! What the node is told, carried out by the interface of `ldk-node`.

use std::str::FromStr;
use std::sync::{Mutex, PoisonError};

use ldk_node::Node;
use ldk_node::bitcoin::hashes::{Hash, sha256};
use ldk_node::bitcoin::hex::FromHex;
use ldk_node::bitcoin::secp256k1::PublicKey;
use ldk_node::lightning::ln::msgs::SocketAddress;
use ldk_node::lightning_invoice::{Bolt11Invoice, Bolt11InvoiceDescription, Description};
use ldk_node::lightning_types::payment::{PaymentHash, PaymentPreimage};
use serde_json::{Value, json};

use crate::Outcome;
use crate::protocol::Call;
use crate::shown;

/// How long an invoice can be paid.
const EXPIRY_S: u32 = 3_600;

/// Does what is asked for; what it answers.
pub(crate) fn carry_out(node: &Node, events: &Mutex<Vec<String>>, call: Call) -> Outcome<Value> {
    match call {
        Call::Info => Ok(serde_json::to_value(shown::info(node))?),
        Call::Address => Ok(json!(node.onchain_payment().new_address()?.to_string())),
        Call::Sync => done(node.sync_wallets()?),
        Call::Connect { node: peer, address } => done(node.connect(key(&peer)?, socket(&address)?, true)?),
        Call::Disconnect { node: peer } => done(node.disconnect(key(&peer)?)?),
        Call::Open {
            node: peer,
            address,
            capacity_sat,
            push_msat,
            announce,
        } => {
            let (peer, address) = (key(&peer)?, socket(&address)?);
            let push = Some(push_msat);
            if announce {
                node.open_announced_channel(peer, address, capacity_sat, push, None)?;
            } else {
                node.open_channel(peer, address, capacity_sat, push, None)?;
            }
            done(())
        }
        Call::Close { channel, force } => done(close(node, &channel, force)?),
        Call::Channels => Ok(serde_json::to_value(shown::channels(node))?),
        Call::Graph => Ok(serde_json::to_value(shown::graph(node))?),
        Call::Balance => Ok(serde_json::to_value(shown::balance(node))?),
        Call::Invoice { amount_msat, hold_hash } => {
            Ok(json!(invoice(node, amount_msat, hold_hash.as_deref())?.to_string()))
        }
        Call::Pay { invoice, amount_msat } => {
            let invoice = Bolt11Invoice::from_str(&invoice).map_err(|error| error.to_string())?;
            let id = match amount_msat {
                Some(amount) => node.bolt11_payment().send_using_amount(&invoice, amount, None)?,
                None => node.bolt11_payment().send(&invoice, None)?,
            };
            Ok(json!(shown::hex(&id.0)))
        }
        Call::Keysend {
            node: payee,
            amount_msat,
        } => {
            let id = node.spontaneous_payment().send(amount_msat, key(&payee)?, None)?;
            Ok(json!(shown::hex(&id.0)))
        }
        Call::Claim { preimage, amount_msat } => {
            let preimage = PaymentPreimage(bytes(&preimage)?);
            let hash = PaymentHash(sha256::Hash::hash(&preimage.0).to_byte_array());
            done(node.bolt11_payment().claim_for_hash(hash, amount_msat, preimage)?)
        }
        Call::Refuse { hash } => done(node.bolt11_payment().fail_for_hash(PaymentHash(bytes(&hash)?))?),
        Call::Payments => Ok(serde_json::to_value(shown::payments(node))?),
        Call::Events { from } => {
            let events = events.lock().unwrap_or_else(PoisonError::into_inner);
            Ok(json!(events.get(from..).unwrap_or_default()))
        }
    }
}

/// An answer that says nothing but that it is done.
#[allow(clippy::unnecessary_wraps, reason = "it ends arms that can fail")]
fn done((): ()) -> Outcome<Value> {
    Ok(Value::Null)
}

fn close(node: &Node, channel: &str, force: bool) -> Outcome<()> {
    let channels = node.list_channels();
    let found = channels
        .iter()
        .find(|found| shown::hex(&found.channel_id.0) == channel)
        .ok_or("there is no such channel")?;
    if force {
        node.force_close_channel(&found.user_channel_id, found.counterparty_node_id, None)?;
    } else {
        node.close_channel(&found.user_channel_id, found.counterparty_node_id)?;
    }
    Ok(())
}

fn invoice(node: &Node, amount_msat: Option<u64>, hold_hash: Option<&str>) -> Outcome<Bolt11Invoice> {
    let bolt11 = node.bolt11_payment();
    let text = Description::new("to LDK".to_owned()).map_err(|error| error.to_string())?;
    let text = Bolt11InvoiceDescription::Direct(text);
    let hash = hold_hash.map(bytes).transpose()?.map(PaymentHash);
    Ok(match (amount_msat, hash) {
        (Some(amount), None) => bolt11.receive(amount, &text, EXPIRY_S)?,
        (Some(amount), Some(hash)) => bolt11.receive_for_hash(amount, &text, EXPIRY_S, hash)?,
        (None, None) => bolt11.receive_variable_amount(&text, EXPIRY_S)?,
        (None, Some(hash)) => bolt11.receive_variable_amount_for_hash(&text, EXPIRY_S, hash)?,
    })
}

fn key(text: &str) -> Outcome<PublicKey> {
    Ok(PublicKey::from_str(text)?)
}

fn socket(text: &str) -> Outcome<SocketAddress> {
    Ok(SocketAddress::from_str(text).map_err(|error| format!("{text}: {error:?}"))?)
}

pub(crate) fn bytes(text: &str) -> Outcome<[u8; 32]> {
    Ok(<[u8; 32]>::from_hex(text)?)
}
