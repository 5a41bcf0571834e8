//! Random onions, made by either side and peeled by both at every hop: 10,000 in all.
//!
//! LDK's public API makes and peels payment onions. Wrapping a failure has none.

use std::collections::BTreeMap;

use lightning::ln::channelmanager::RecipientOnionFields;
use lightning::ln::create_payment_onion;
use lightning::routing::router::{Path, RouteHop};
use lightning_types::features::{ChannelFeatures, NodeFeatures};
use lightning_types::payment as ldk;
use quittance_differential::{
    HEIGHT, Node, Random, nodes, our_packet, peel_by_ldk, same_forward, same_receive, session_key,
};
use quittance_onion::{
    Forward, IncomingHtlc, OnionHop, OnionPacket, PAYMENT_AREA, Payload, PayloadRecords, PaymentData, Receive, Refusal,
    create_onion, open_onion, session_secrets,
};
use quittance_primitives::{CltvExpiry, MilliSatoshi, PaymentHash, PaymentPreimage, PaymentSecret, ShortChannelId};
use secp256k1::{SECP256K1, SecretKey};

/// A payment along some nodes, as both sides can make it.
#[derive(Clone, Debug)]
struct Payment {
    hash: PaymentHash,
    secret: Option<PaymentSecret>,
    keysend: Option<PaymentPreimage>,
    metadata: Option<Vec<u8>>,
    custom: BTreeMap<u64, Vec<u8>>,
    total: MilliSatoshi,
    amount: MilliSatoshi,
    final_expiry: CltvExpiry,
    /// For each hop but the last: the channel to the next one, the fee, the delta.
    relays: Vec<(ShortChannelId, u64, u32)>,
    first_channel: ShortChannelId,
}

impl Payment {
    fn random(random: &mut Random) -> Self {
        let preimage = PaymentPreimage(random.array());
        let is_keysend = random.below(4) == 0;
        let amount = MilliSatoshi(1 + random.number() % 1_000_000_000_000);
        let custom_count = random.below(3);
        let custom = (0..custom_count)
            .map(|_| {
                let length = random.below(30);
                (65_536 + random.number() % 1_000_000, random.bytes(length))
            })
            .collect();
        let relays = random.below(4);
        Self {
            hash: preimage.hash(),
            keysend: is_keysend.then_some(preimage),
            custom,
            secret: (!is_keysend || random.below(2) == 0).then(|| PaymentSecret(random.array())),
            metadata: (random.below(3) == 0).then(|| random.bytes(20)),
            total: MilliSatoshi(amount.0 + random.number() % 1_000),
            amount,
            final_expiry: CltvExpiry(HEIGHT + 60 + u32::from(random.array::<1>()[0])),
            relays: (0..relays)
                .map(|_| {
                    let delta = 48 + u32::from(random.array::<1>()[0]);
                    (ShortChannelId(random.number()), random.number() % 100_000, delta)
                })
                .collect(),
            first_channel: ShortChannelId(random.number()),
        }
    }

    /// What the first hop receives.
    fn first_htlc(&self) -> (MilliSatoshi, CltvExpiry) {
        let fees: u64 = self.relays.iter().map(|(_, fee, _)| fee).sum();
        let deltas: u32 = self.relays.iter().map(|(_, _, delta)| delta).sum();
        (
            MilliSatoshi(self.amount.0 + fees),
            CltvExpiry(self.final_expiry.0 + deltas),
        )
    }

    fn made_by_us(&self, nodes: &[Node], session_key: &SecretKey) -> OnionPacket {
        let (mut amount, mut expiry) = self.first_htlc();
        let mut hops = Vec::new();
        for (node, (channel, fee, delta)) in nodes.iter().zip(&self.relays) {
            amount.0 -= fee;
            expiry.0 -= delta;
            let records = PayloadRecords {
                amt_to_forward: Some(amount),
                outgoing_cltv_value: Some(expiry),
                short_channel_id: Some(*channel),
                ..PayloadRecords::default()
            };
            hops.push(OnionHop {
                node: node.id,
                payload: records.encode(),
            });
        }
        let records = PayloadRecords {
            amt_to_forward: Some(amount),
            outgoing_cltv_value: Some(expiry),
            payment_data: self.secret.map(|payment_secret| PaymentData {
                payment_secret,
                total: self.total,
            }),
            payment_metadata: self.metadata.clone(),
            keysend_preimage: self.keysend,
            others: self.custom.clone(),
            ..PayloadRecords::default()
        };
        hops.push(OnionHop {
            node: nodes[self.relays.len()].id,
            payload: records.encode(),
        });
        create_onion(session_key, &hops, &self.hash.0, PAYMENT_AREA)
            .expect("an onion that fits")
            .packet
    }

    fn made_by_ldk(&self, nodes: &[Node], session_key: &SecretKey, random: &mut Random) -> OnionPacket {
        let channels = [self.first_channel]
            .into_iter()
            .chain(self.relays.iter().map(|(channel, ..)| *channel));
        let mut hops: Vec<_> = nodes
            .iter()
            .zip(channels)
            .map(|(node, channel)| RouteHop {
                pubkey: node.id,
                node_features: NodeFeatures::empty(),
                short_channel_id: channel.0,
                channel_features: ChannelFeatures::empty(),
                fee_msat: self.amount.0,
                cltv_expiry_delta: self.final_expiry.0 - HEIGHT,
                maybe_announced_channel: true,
            })
            .collect();
        for (hop, (_, fee, delta)) in hops.iter_mut().zip(&self.relays) {
            hop.fee_msat = *fee;
            hop.cltv_expiry_delta = *delta;
        }
        let mut fields = RecipientOnionFields::spontaneous_empty();
        fields.payment_secret = self.secret.map(|secret| ldk::PaymentSecret(secret.0));
        fields.payment_metadata.clone_from(&self.metadata);
        let custom = self.custom.clone().into_iter().collect();
        let fields = fields.with_custom_tlvs(custom).expect("custom records in order");
        let preimage = self.keysend.map(|preimage| ldk::PaymentPreimage(preimage.0));
        let (packet, amount, expiry) = create_payment_onion(
            SECP256K1,
            &Path {
                hops,
                blinded_tail: None,
            },
            session_key,
            self.total.0,
            &fields,
            HEIGHT,
            &ldk::PaymentHash(self.hash.0),
            &preimage,
            None,
            random.array(),
        )
        .expect("LDK makes the onion");
        assert_eq!((MilliSatoshi(amount), CltvExpiry(expiry)), self.first_htlc());
        our_packet(&packet)
    }

    fn receive(&self, amount: MilliSatoshi, expiry: CltvExpiry) -> Receive {
        Receive {
            amount,
            expiry,
            payment_data: self.secret.map(|payment_secret| PaymentData {
                payment_secret,
                total: self.total,
            }),
            payment_metadata: self.metadata.clone(),
            keysend_preimage: self.keysend,
            custom_records: self.custom.clone(),
        }
    }
}

/// Peels at every hop by both sides, which must find the same, and that which the payment says.
fn peel_by_both(payment: &Payment, nodes: &[Node], session_key: &SecretKey, mut packet: OnionPacket) {
    let route: Vec<_> = nodes[..=payment.relays.len()].iter().map(|node| node.id).collect();
    let secrets = session_secrets(session_key, &route).expect("a usable session key");
    let (mut amount, mut expiry) = payment.first_htlc();
    for (index, node) in nodes[..=payment.relays.len()].iter().enumerate() {
        let htlc = IncomingHtlc {
            amount,
            expiry,
            path_key: None,
        };
        let theirs = peel_by_ldk(node, &packet, &payment.hash, &htlc).expect("LDK peels it");
        let ours = open_onion(&packet, &payment.hash, &htlc, &node.secret).expect("we peel it");
        assert_eq!(ours.secret, secrets[index]);
        assert_eq!(theirs.incoming_shared_secret, secrets[index].to_bytes());
        match (payment.relays.get(index), ours.payload) {
            (Some((channel, fee, delta)), Payload::Forward(forward)) => {
                (amount.0, expiry.0) = (amount.0 - fee, expiry.0 - delta);
                let expected = Forward {
                    short_channel_id: *channel,
                    amount,
                    expiry,
                    next: forward.next.clone(),
                };
                assert_eq!(forward, expected);
                same_forward(&forward, &theirs);
                packet = forward.next;
            }
            (None, Payload::Receive(receive)) => {
                assert_eq!(receive, payment.receive(amount, expiry));
                same_receive(&receive, &theirs);
            }
            other => panic!("hop {index}: {other:?}"),
        }
    }
}

#[test]
fn five_thousand_onions_of_ours_are_peeled_the_same() {
    let (mut random, nodes) = (Random::new(11), nodes());
    for _ in 0..5_000 {
        let (payment, session_key) = (Payment::random(&mut random), session_key(&mut random));
        let packet = payment.made_by_us(&nodes, &session_key);
        peel_by_both(&payment, &nodes, &session_key, packet);
    }
}

#[test]
fn five_thousand_onions_of_ldks_are_peeled_the_same() {
    let (mut random, nodes) = (Random::new(12), nodes());
    for _ in 0..5_000 {
        let (payment, session_key) = (Payment::random(&mut random), session_key(&mut random));
        let packet = payment.made_by_ldk(&nodes, &session_key, &mut random);
        peel_by_both(&payment, &nodes, &session_key, packet);
    }
}

#[test]
fn altered_onions_are_refused_by_both() {
    let (mut random, nodes) = (Random::new(13), nodes());
    for _ in 0..1_000 {
        let (payment, session_key) = (Payment::random(&mut random), session_key(&mut random));
        let mut bytes = payment.made_by_us(&nodes, &session_key).as_bytes().to_vec();
        let place = random.below(bytes.len());
        bytes[place] ^= 1 << random.below(8);
        let packet = OnionPacket::from_bytes(bytes).expect("as long as before");
        let (amount, expiry) = payment.first_htlc();
        let htlc = IncomingHtlc {
            amount,
            expiry,
            path_key: None,
        };
        let Err(Refusal::Malformed { code, .. }) = open_onion(&packet, &payment.hash, &htlc, &nodes[0].secret) else {
            panic!("an altered onion is refused as malformed");
        };
        let theirs = peel_by_ldk(&nodes[0], &packet, &payment.hash, &htlc)
            .err()
            .expect("LDK refuses it");
        assert_eq!(format!("{:?}", theirs.reason), name_of(code.0));
    }
}

/// LDK's names of the codes with BADONION.
fn name_of(code: u16) -> &'static str {
    match code & 0xff {
        4 => "InvalidOnionVersion",
        5 => "InvalidOnionHMAC",
        6 => "InvalidOnionKey",
        _ => "unknown",
    }
}
