//! What it is told, carried out by LDK's parts.

use ldk_node::lightning_types::payment::{PaymentHash, PaymentPreimage};
use lightning::ln::channel_state::ChannelDetails;
use lightning::ln::channelmanager::Bolt11InvoiceParameters;
use serde_json::{Value, json};

use super::{Node, Roomy};
use crate::Outcome;
use crate::commands::bytes;
use crate::protocol::{Call, Channel, Info};
use crate::shown::hex;

impl Roomy {
    /// Does what is asked for; what it answers.
    pub(crate) fn carry_out(&self, call: Call) -> Outcome<Value> {
        let node = &self.node;
        match call {
            Call::Info => Ok(serde_json::to_value(node.info())?),
            // It reads the chain all the time.
            Call::Sync => Ok(Value::Null),
            Call::Channels => {
                let channels = node.manager.list_channels();
                Ok(serde_json::to_value(channels.iter().map(shown).collect::<Vec<_>>())?)
            }
            Call::Invoice { amount_msat, hold_hash } => {
                let invoice = node.manager.create_bolt11_invoice(Bolt11InvoiceParameters {
                    amount_msats: amount_msat,
                    payment_hash: hold_hash.as_deref().map(bytes).transpose()?.map(PaymentHash),
                    ..Bolt11InvoiceParameters::default()
                });
                Ok(json!(invoice.map_err(|error| format!("{error:?}"))?.to_string()))
            }
            Call::Claim { preimage, .. } => {
                node.manager.claim_funds(PaymentPreimage(bytes(&preimage)?));
                Ok(Value::Null)
            }
            Call::Refuse { hash } => {
                node.manager.fail_htlc_backwards(&PaymentHash(bytes(&hash)?));
                Ok(Value::Null)
            }
            Call::Payments => Ok(serde_json::to_value(&node.told().payments)?),
            Call::Events { from } => Ok(json!(node.told().events.get(from..).unwrap_or_default())),
            Call::Address
            | Call::Connect { .. }
            | Call::Disconnect { .. }
            | Call::Open { .. }
            | Call::Close { .. }
            | Call::Graph
            | Call::Balance
            | Call::Pay { .. }
            | Call::Keysend { .. } => Err("a roomy node is there to be paid".into()),
        }
    }
}

impl Node {
    fn info(&self) -> Info {
        let peers = self.peers.list_peers();
        Info {
            node: self.manager.get_our_node_id().to_string(),
            height: self.manager.current_best_block().height,
            peers: peers.iter().map(|peer| peer.counterparty_node_id.to_string()).collect(),
        }
    }
}

fn shown(channel: &ChannelDetails) -> Channel {
    Channel {
        id: hex(&channel.channel_id.0),
        node: channel.counterparty.node_id.to_string(),
        usable: channel.is_usable,
        announced: channel.is_announced,
        has_terms: channel.counterparty.forwarding_info.is_some(),
        feerate_sat_per_kw: channel.feerate_sat_per_1000_weight.unwrap_or_default(),
        reserve_sat: channel.unspendable_punishment_reserve.unwrap_or_default(),
        sendable_msat: channel.outbound_capacity_msat,
    }
}
