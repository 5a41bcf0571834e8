//! Payments through blinded paths: 1,000 paths of ours and 1,000 of LDK's, whose forwarding hops are opened by both.
//!
//! The last hop of a path is read by its own maker alone: what it finds there is its own secret.

use lightning::blinded_path::payment::{
    BlindedPaymentPath, Bolt12RefundContext, ForwardTlvs, PaymentConstraints as LdkConstraints, PaymentContext,
    PaymentForwardNode, PaymentRelay as LdkRelay, UnauthenticatedReceiveTlvs,
};
use lightning::ln::channelmanager::{PendingHTLCInfo, PendingHTLCRouting, RecipientOnionFields};
use lightning::ln::create_payment_onion;
use lightning::ln::onion_payment::peel_payment_onion;
use lightning::offers::nonce::Nonce;
use lightning::routing::router::{BlindedTail, Path, RouteHop};
use lightning::sign::{EntropySource, NodeSigner};
use lightning_types::features::{BlindedHopFeatures, ChannelFeatures, NodeFeatures};
use lightning_types::payment as ldk;
use quittance_differential::{HEIGHT, Node, Quiet, Random, nodes, our_packet, session_key, update_add_htlc};
use quittance_onion::{
    BlindedForward, BlindedPath, BlindedReceive, FinalHtlc, IncomingHtlc, NextHop, OnionPacket, PAYMENT_AREA, PathNode,
    Payload, PaymentConstraints, PaymentRelay, RecipientData, create_blinded_path, create_onion, open_onion,
};
use quittance_primitives::{CltvExpiry, CltvExpiryDelta, MilliSatoshi, PaymentHash, ShortChannelId};
use secp256k1::{SECP256K1, SecretKey};

const PATHS: u32 = 1_000;
/// Blocks that the sender adds to hide where the path ends.
const EXCESS: u32 = 60;
const AMOUNT: MilliSatoshi = MilliSatoshi(50_000_000);

/// What a forwarding hop is told.
fn random_relay(random: &mut Random) -> (ShortChannelId, PaymentRelay) {
    let relay = PaymentRelay {
        cltv_expiry_delta: CltvExpiryDelta(48 + u16::from(random.array::<1>()[0])),
        fee_proportional_millionths: u32::from_be_bytes(random.array()) >> 16,
        fee_base_msat: u32::from_be_bytes(random.array()) >> 16,
    };
    (ShortChannelId(random.number()), relay)
}

/// Opens the onion on both sides at a forwarding hop, which must be told the same.
fn forward_by_both(
    node: &Node,
    relay: &PaymentRelay,
    packet: &OnionPacket,
    hash: &PaymentHash,
    htlc: &IncomingHtlc,
) -> BlindedForward {
    let add = update_add_htlc(packet, hash, htlc);
    let theirs: PendingHTLCInfo = peel_payment_onion(&add, &node.keys, &Quiet, SECP256K1, HEIGHT, false)
        .unwrap_or_else(|error| panic!("LDK forwards: {}", error.msg));
    let ours = open_onion(packet, hash, htlc, &node.secret).expect("we forward");
    assert_eq!(theirs.incoming_shared_secret, ours.secret.to_bytes());
    let Payload::BlindedForward(ours) = ours.payload else {
        panic!("no blinded forward: {ours:?}")
    };
    let PendingHTLCRouting::Forward {
        onion_packet,
        short_channel_id,
        blinded,
        ..
    } = &theirs.routing
    else {
        panic!("no forward to LDK");
    };
    assert_eq!(NextHop::Channel(ShortChannelId(*short_channel_id)), ours.next_hop);
    assert_eq!(CltvExpiry(theirs.outgoing_cltv_value), ours.expiry);
    assert_eq!(our_packet(onion_packet), ours.next);
    let amount_of_ldk = if leaves_the_fee(relay, htlc.amount, ours.amount) {
        ours.amount.0
    } else {
        ours.amount.0 - 1
    };
    assert_eq!(theirs.outgoing_amt_msat, amount_of_ldk);
    let blinded = blinded.expect("LDK knows that it is in a path");
    let next = blinded.next_blinding_override.unwrap_or_else(|| {
        let secret = node
            .keys
            .ecdh(lightning::sign::Recipient::Node, &blinded.inbound_blinding_point, None);
        let secret = quittance_onion::SharedSecret::from_bytes(secret.expect("a key of ours").secret_bytes());
        secret.next_point(&blinded.inbound_blinding_point).expect("a point")
    });
    assert_eq!(next, ours.next_path_key);
    ours
}

/// Whether a hop that passes on `outgoing` is left with the fee for it. The amount of BOLT 4's formula is rounded up and may be
/// a millisatoshi too much for that; LDK then keeps the millisatoshi, we do as the BOLT says.
fn leaves_the_fee(relay: &PaymentRelay, incoming: MilliSatoshi, outgoing: MilliSatoshi) -> bool {
    let proportional = u128::from(outgoing.0) * u128::from(relay.fee_proportional_millionths) / 1_000_000;
    u128::from(incoming.0 - outgoing.0) >= proportional + u128::from(relay.fee_base_msat)
}

#[test]
fn the_amount_is_that_of_the_bolts_formula_though_it_may_leave_a_millisatoshi_less() {
    let relay = |fee_proportional_millionths| PaymentRelay {
        cltv_expiry_delta: CltvExpiryDelta(0),
        fee_proportional_millionths,
        fee_base_msat: 0,
    };
    let forwarded = |relay: PaymentRelay| relay.amount_to_forward(MilliSatoshi(10_000));
    assert_eq!(forwarded(relay(250_000)), Some(MilliSatoshi(8_000)));
    assert!(leaves_the_fee(
        &relay(250_000),
        MilliSatoshi(10_000),
        MilliSatoshi(8_000)
    ));
    // (10,000 x 1,000,000 + 1,077,000 - 1) / 1,077,000 is 9,286, for which the fee is 715 and 714 are left.
    assert_eq!(forwarded(relay(77_000)), Some(MilliSatoshi(9_286)));
    assert!(!leaves_the_fee(
        &relay(77_000),
        MilliSatoshi(10_000),
        MilliSatoshi(9_286)
    ));
}

#[test]
fn a_thousand_paths_of_ours_are_followed_by_both() {
    let (mut random, nodes) = (Random::new(41), nodes());
    for _ in 0..PATHS {
        let hash = PaymentHash(random.array());
        let forwards = 1 + random.below(3);
        let relays: Vec<_> = (0..forwards).map(|_| random_relay(&mut random)).collect();
        let path_id = random.bytes(32);
        let path = path_of_ours(&nodes, &relays, &path_id, &session_key(&mut random));
        let at_the_end = FinalHtlc {
            amount: AMOUNT,
            expiry: CltvExpiry(HEIGHT + 100),
            total: AMOUNT,
        };
        let hops = path.payment_hops(nodes[0].id, &at_the_end);
        let onion = create_onion(&session_key(&mut random), &hops, &hash.0, PAYMENT_AREA).expect("an onion that fits");

        // Ample for every fee and delta on the way.
        let mut htlc = IncomingHtlc {
            amount: MilliSatoshi(AMOUNT.0 * 2),
            expiry: CltvExpiry(HEIGHT + 1_500),
            path_key: None,
        };
        let mut packet = onion.packet;
        for (node, (channel, relay)) in nodes.iter().zip(&relays) {
            let forward = forward_by_both(node, relay, &packet, &hash, &htlc);
            assert_eq!(forward.next_hop, NextHop::Channel(*channel));
            assert_eq!(forward.expiry.0, htlc.expiry.0 - u32::from(relay.cltv_expiry_delta.0));
            htlc = IncomingHtlc {
                amount: forward.amount,
                expiry: forward.expiry,
                path_key: Some(forward.next_path_key),
            };
            packet = forward.next;
        }
        let last = open_onion(&packet, &hash, &htlc, &nodes[forwards].secret).expect("we receive");
        let Payload::BlindedReceive(received) = last.payload else {
            panic!("nothing received")
        };
        let path_key = htlc.path_key.expect("inside the path");
        let (amount, expiry, total) = (at_the_end.amount, at_the_end.expiry, at_the_end.total);
        assert_eq!(
            received,
            BlindedReceive {
                amount,
                expiry,
                total,
                path_id: Some(path_id),
                path_key
            }
        );
    }
}

#[test]
fn a_thousand_paths_of_ldks_are_followed_by_both() {
    let (mut random, nodes) = (Random::new(42), nodes());
    for _ in 0..PATHS {
        let hash = PaymentHash(random.array());
        let forwards = 1 + random.below(3);
        let relays: Vec<_> = (0..forwards).map(|_| random_relay(&mut random)).collect();
        let path = path_of_ldk(&nodes, &relays);
        let (packet, amount, expiry) = pay_by_ldk(&nodes[0], &path, &hash, &mut random);
        let mut htlc = IncomingHtlc {
            amount,
            expiry,
            path_key: None,
        };
        let mut packet = packet;
        for (node, (channel, relay)) in nodes.iter().zip(&relays) {
            let forward = forward_by_both(node, relay, &packet, &hash, &htlc);
            assert_eq!(forward.next_hop, NextHop::Channel(*channel));
            htlc = IncomingHtlc {
                amount: forward.amount,
                expiry: forward.expiry,
                path_key: Some(forward.next_path_key),
            };
            packet = forward.next;
        }
        let add = update_add_htlc(&packet, &hash, &htlc);
        let received = peel_payment_onion(&add, &nodes[forwards].keys, &Quiet, SECP256K1, HEIGHT, false);
        let received = received.unwrap_or_else(|error| panic!("LDK receives: {}", error.msg));
        assert_eq!(MilliSatoshi(received.outgoing_amt_msat), AMOUNT);
        assert!(
            received.incoming_amt_msat.is_some_and(|amount| amount >= AMOUNT.0),
            "our fees leave the amount"
        );
        // The records that LDK wrote for itself have even types that are nobody else's.
        assert!(open_onion(&packet, &hash, &htlc, &nodes[forwards].secret).is_err());
    }
}

fn path_of_ours(
    nodes: &[Node],
    relays: &[(ShortChannelId, PaymentRelay)],
    path_id: &[u8],
    session_key: &SecretKey,
) -> BlindedPath {
    let constraints = PaymentConstraints {
        max_cltv_expiry: CltvExpiry(HEIGHT + 5_000),
        htlc_minimum: MilliSatoshi(1),
    };
    let mut path_nodes: Vec<_> = nodes
        .iter()
        .zip(relays)
        .map(|(node, (channel, relay))| PathNode {
            node: node.id,
            data: RecipientData {
                short_channel_id: Some(*channel),
                payment_relay: Some(*relay),
                payment_constraints: Some(constraints),
                ..RecipientData::default()
            },
        })
        .collect();
    path_nodes.push(PathNode {
        node: nodes[relays.len()].id,
        data: RecipientData {
            path_id: Some(path_id.to_vec()),
            payment_constraints: Some(constraints),
            ..RecipientData::default()
        },
    });
    create_blinded_path(session_key, &path_nodes).expect("a path").path
}

fn path_of_ldk(nodes: &[Node], relays: &[(ShortChannelId, PaymentRelay)]) -> BlindedPaymentPath {
    let constraints = LdkConstraints {
        max_cltv_expiry: HEIGHT + 5_000,
        htlc_minimum_msat: 1,
    };
    let forwards: Vec<_> = nodes
        .iter()
        .zip(relays)
        .map(|(node, (channel, relay))| PaymentForwardNode {
            tlvs: ForwardTlvs {
                short_channel_id: channel.0,
                payment_relay: LdkRelay {
                    cltv_expiry_delta: relay.cltv_expiry_delta.0,
                    fee_proportional_millionths: relay.fee_proportional_millionths,
                    fee_base_msat: relay.fee_base_msat,
                },
                payment_constraints: constraints.clone(),
                features: BlindedHopFeatures::empty(),
                next_blinding_override: None,
            },
            node_id: node.id,
            htlc_maximum_msat: u64::MAX,
        })
        .collect();
    let payee = &nodes[relays.len()];
    let receive = UnauthenticatedReceiveTlvs {
        payment_secret: ldk::PaymentSecret([9; 32]),
        payment_constraints: constraints,
        payment_context: PaymentContext::Bolt12Refund(Bolt12RefundContext {}),
    };
    let nonce = Nonce::from_entropy_source(&payee.keys);
    let receive = receive.authenticate(nonce, &payee.keys.get_expanded_key());
    BlindedPaymentPath::new(&forwards, payee.id, receive, u64::MAX, 18, &payee.keys, SECP256K1)
        .expect("LDK makes the path")
}

/// An onion of LDK's into its own path; and what the introduction node receives.
fn pay_by_ldk(
    introduction: &Node,
    path: &BlindedPaymentPath,
    hash: &PaymentHash,
    random: &mut Random,
) -> (OnionPacket, MilliSatoshi, CltvExpiry) {
    let info = &path.payinfo;
    let fee =
        u64::from(info.fee_base_msat) + (AMOUNT.0 * u64::from(info.fee_proportional_millionths)).div_ceil(1_000_000);
    let hop = RouteHop {
        pubkey: introduction.id,
        node_features: NodeFeatures::empty(),
        short_channel_id: random.number(),
        channel_features: ChannelFeatures::empty(),
        fee_msat: fee,
        cltv_expiry_delta: u32::from(info.cltv_expiry_delta) + EXCESS,
        maybe_announced_channel: true,
    };
    let tail = BlindedTail {
        trampoline_hops: Vec::new(),
        hops: path.blinded_hops().to_vec(),
        blinding_point: path.blinding_point(),
        excess_final_cltv_expiry_delta: EXCESS,
        final_value_msat: AMOUNT.0,
    };
    let (packet, amount, expiry) = create_payment_onion(
        SECP256K1,
        &Path {
            hops: vec![hop],
            blinded_tail: Some(tail),
        },
        &session_key(random),
        AMOUNT.0,
        &RecipientOnionFields::spontaneous_empty(),
        HEIGHT,
        &ldk::PaymentHash(hash.0),
        &None,
        None,
        introduction.keys.get_secure_random_bytes(),
    )
    .expect("LDK makes the onion");
    (our_packet(&packet), MilliSatoshi(amount), CltvExpiry(expiry))
}
