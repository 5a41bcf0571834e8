//! What the node knows, in the words of [`protocol`](crate::protocol).

use ldk_node::bitcoin::hex::DisplayHex;
use ldk_node::payment::{PaymentDetails, PaymentDirection, PaymentKind, PaymentStatus};
use ldk_node::{LightningBalance, Node, PendingSweepBalance};

use crate::protocol::{Balance, Channel, Graph, Info, Payment, State, Terms};

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.to_lower_hex_string()
}

pub(crate) fn info(node: &Node) -> Info {
    let peers = node.list_peers();
    Info {
        node: node.node_id().to_string(),
        height: node.status().current_best_block.height,
        peers: peers
            .iter()
            .filter(|peer| peer.is_connected)
            .map(|peer| peer.node_id.to_string())
            .collect(),
    }
}

pub(crate) fn channels(node: &Node) -> Vec<Channel> {
    let channels = node.list_channels();
    let shown = channels.iter().map(|channel| Channel {
        id: hex(&channel.channel_id.0),
        node: channel.counterparty_node_id.to_string(),
        usable: channel.is_usable,
        announced: channel.is_announced,
        has_terms: channel.counterparty_forwarding_info_cltv_expiry_delta.is_some(),
        feerate_sat_per_kw: channel.feerate_sat_per_1000_weight,
        reserve_sat: channel.unspendable_punishment_reserve.unwrap_or_default(),
        sendable_msat: channel.outbound_capacity_msat,
    });
    shown.collect()
}

pub(crate) fn graph(node: &Node) -> Graph {
    let network = node.network_graph();
    let mut graph = Graph::default();
    for id in network.list_nodes() {
        if let Some(said) = network.node(&id).and_then(|known| known.announcement_info) {
            graph.names.insert(id.to_string(), said.alias().to_string());
        }
    }
    for name in network.list_channels() {
        let Some(known) = network.channel(name) else { continue };
        let ends = [(known.node_one, known.one_to_two), (known.node_two, known.two_to_one)];
        graph.terms.extend(ends.into_iter().filter_map(|(node, said)| {
            let said = said?;
            Some(Terms {
                channel: format!("{}x{}x{}", name >> 40, (name >> 16) & 0xff_ffff, name & 0xffff),
                node: node.to_string(),
                fee_base_msat: said.fees.base_msat,
                fee_proportional_millionths: said.fees.proportional_millionths,
                cltv_expiry_delta: said.cltv_expiry_delta,
            })
        }));
    }
    graph
}

pub(crate) fn balance(node: &Node) -> Balance {
    let balances = node.list_balances();
    let sweeping = balances.pending_balances_from_channel_closures.iter();
    Balance {
        onchain: balances.total_onchain_balance_sats,
        spendable: balances.spendable_onchain_balance_sats,
        in_channels: balances.total_lightning_balance_sats,
        sweeping: sweeping
            .map(|sweep| match sweep {
                PendingSweepBalance::PendingBroadcast { amount_satoshis, .. }
                | PendingSweepBalance::BroadcastAwaitingConfirmation { amount_satoshis, .. }
                | PendingSweepBalance::AwaitingThresholdConfirmations { amount_satoshis, .. } => *amount_satoshis,
            })
            .sum(),
        undecided: balances.lightning_balances.iter().filter_map(undecided).collect(),
    }
}

fn undecided(part: &LightningBalance) -> Option<String> {
    match part {
        LightningBalance::ContentiousClaimable { payment_hash, .. }
        | LightningBalance::MaybeTimeoutClaimableHTLC { payment_hash, .. }
        | LightningBalance::MaybePreimageClaimableHTLC { payment_hash, .. } => Some(hex(&payment_hash.0)),
        _ => None,
    }
}

pub(crate) fn payments(node: &Node) -> Vec<Payment> {
    node.list_payments().iter().filter_map(payment).collect()
}

/// None for a payment on chain.
fn payment(details: &PaymentDetails) -> Option<Payment> {
    let (PaymentKind::Bolt11 { hash, preimage, .. } | PaymentKind::Spontaneous { hash, preimage }) = &details.kind
    else {
        return None;
    };
    Some(Payment {
        hash: hex(&hash.0),
        preimage: preimage.map(|preimage| hex(&preimage.0)),
        amount_msat: details.amount_msat.unwrap_or_default(),
        fee_msat: details.fee_paid_msat.unwrap_or_default(),
        inbound: details.direction == PaymentDirection::Inbound,
        state: match details.status {
            PaymentStatus::Pending => State::Pending,
            PaymentStatus::Succeeded => State::Succeeded,
            PaymentStatus::Failed => State::Failed,
        },
    })
}
