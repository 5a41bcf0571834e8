//! 10,000 messages made with LDK's types, value by value: we must find each value in the field of its name.

use bitcoin::constants::ChainHash;
use bitcoin::hashes::Hash;
use bitcoin::{ScriptBuf, Txid};
use lightning::ln::msgs;
use lightning::ln::types::ChannelId as LdkChannelId;
use lightning::ln::wire::Type;
use lightning_types::payment as ldk;
use quittance_differential::Random;
use quittance_wire::Message;
use secp256k1::ecdsa::Signature;
use secp256k1::{PublicKey, SECP256K1, SecretKey};

const CASES: u32 = 1_000;

/// The message as LDK sends it, as we read it.
fn read(message: &impl Type) -> Message {
    let mut bytes = message.type_id().to_be_bytes().to_vec();
    bytes.extend(message.encode());
    Message::decode(&bytes).expect("we read what LDK writes")
}

fn key(random: &mut Random) -> PublicKey {
    let mut bytes: [u8; 32] = random.array();
    bytes[0] = 1;
    SecretKey::from_slice(&bytes)
        .expect("below the curve's order")
        .public_key(SECP256K1)
}

fn signature(random: &mut Random) -> Signature {
    let mut bytes: [u8; 64] = random.array();
    (bytes[0], bytes[32]) = (1, 1);
    Signature::from_compact(&bytes).expect("below the curve's order")
}

fn txid(random: &mut Random) -> Txid {
    Txid::from_byte_array(random.array())
}

fn number(random: &mut Random) -> u32 {
    u32::from_be_bytes(random.array())
}

fn satoshis(random: &mut Random) -> u64 {
    random.number() % 2_100_000_000_000_001
}

fn maybe<T>(random: &mut Random, make: fn(&mut Random) -> T) -> Option<T> {
    (random.below(2) == 0).then(|| make(random))
}

fn channel(random: &mut Random) -> LdkChannelId {
    LdkChannelId(random.array())
}

fn script(random: &mut Random) -> ScriptBuf {
    let length = random.below(40);
    ScriptBuf::from(random.bytes(length))
}

fn cases(seed: u64, mut case: impl FnMut(&mut Random)) {
    let mut random = Random::new(seed);
    (0..CASES).for_each(|_| case(&mut random));
}

#[test]
fn update_add_htlc() {
    cases(21, |random| {
        let theirs = msgs::UpdateAddHTLC {
            channel_id: channel(random),
            htlc_id: random.number(),
            amount_msat: random.number(),
            payment_hash: ldk::PaymentHash(random.array()),
            cltv_expiry: number(random),
            skimmed_fee_msat: None,
            onion_routing_packet: msgs::OnionPacket {
                version: 0,
                public_key: Ok(key(random)),
                hop_data: random.array(),
                hmac: random.array(),
            },
            blinding_point: maybe(random, key),
            hold_htlc: None,
        };
        let Message::UpdateAddHtlc(ours) = read(&theirs) else {
            panic!("another message")
        };
        assert_eq!(ours.channel_id.0, theirs.channel_id.0);
        assert_eq!(ours.id.0, theirs.htlc_id);
        assert_eq!(ours.amount_msat.0, theirs.amount_msat);
        assert_eq!(ours.payment_hash.0, theirs.payment_hash.0);
        assert_eq!(ours.cltv_expiry.0, theirs.cltv_expiry);
        assert_eq!(ours.blinded_path, theirs.blinding_point);
        let packet = &theirs.onion_routing_packet;
        assert_eq!(
            ours.onion_routing_packet[1..34],
            packet.public_key.expect("a key").serialize()
        );
        assert_eq!(ours.onion_routing_packet[34..1_334], packet.hop_data);
        assert_eq!(ours.onion_routing_packet[1_334..], packet.hmac);
    });
}

#[test]
fn update_fulfill_htlc() {
    cases(22, |random| {
        let theirs = msgs::UpdateFulfillHTLC {
            channel_id: channel(random),
            htlc_id: random.number(),
            payment_preimage: ldk::PaymentPreimage(random.array()),
            attribution_data: None,
        };
        let Message::UpdateFulfillHtlc(ours) = read(&theirs) else {
            panic!("another message")
        };
        assert_eq!((ours.channel_id.0, ours.id.0), (theirs.channel_id.0, theirs.htlc_id));
        assert_eq!(ours.payment_preimage.0, theirs.payment_preimage.0);
        assert!(ours.attribution_data.is_none());
    });
}

#[test]
fn commitment_signed() {
    cases(23, |random| {
        let htlcs = random.below(20);
        let theirs = msgs::CommitmentSigned {
            channel_id: channel(random),
            signature: signature(random),
            htlc_signatures: (0..htlcs).map(|_| signature(random)).collect(),
            funding_txid: maybe(random, txid),
        };
        let Message::CommitmentSigned(ours) = read(&theirs) else {
            panic!("another message")
        };
        assert_eq!(ours.channel_id.0, theirs.channel_id.0);
        assert_eq!(ours.signature, theirs.signature);
        assert_eq!(ours.htlc_signature, theirs.htlc_signatures);
        assert_eq!(ours.funding_txid, theirs.funding_txid);
    });
}

#[test]
fn revoke_and_ack() {
    cases(24, |random| {
        let theirs = msgs::RevokeAndACK {
            channel_id: channel(random),
            per_commitment_secret: random.array(),
            next_per_commitment_point: key(random),
            release_htlc_message_paths: Vec::new(),
        };
        let Message::RevokeAndAck(ours) = read(&theirs) else {
            panic!("another message")
        };
        assert_eq!(ours.channel_id.0, theirs.channel_id.0);
        assert_eq!(ours.per_commitment_secret, theirs.per_commitment_secret);
        assert_eq!(ours.next_per_commitment_point, theirs.next_per_commitment_point);
    });
}

#[test]
fn channel_reestablish() {
    cases(25, |random| {
        let theirs = msgs::ChannelReestablish {
            channel_id: channel(random),
            next_local_commitment_number: random.number(),
            next_remote_commitment_number: random.number(),
            your_last_per_commitment_secret: random.array(),
            my_current_per_commitment_point: key(random),
            next_funding: maybe(random, |random| msgs::NextFunding {
                txid: txid(random),
                retransmit_flags: random.array::<1>()[0],
            }),
            my_current_funding_locked: maybe(random, |random| msgs::FundingLocked {
                txid: txid(random),
                retransmit_flags: random.array::<1>()[0],
            }),
        };
        let Message::ChannelReestablish(ours) = read(&theirs) else {
            panic!("another message")
        };
        assert_eq!(ours.channel_id.0, theirs.channel_id.0);
        assert_eq!(ours.next_commitment_number, theirs.next_local_commitment_number);
        assert_eq!(ours.next_revocation_number, theirs.next_remote_commitment_number);
        assert_eq!(
            ours.your_last_per_commitment_secret,
            theirs.your_last_per_commitment_secret
        );
        assert_eq!(
            ours.my_current_per_commitment_point,
            theirs.my_current_per_commitment_point
        );
        let next = ours
            .next_funding
            .map(|next| (next.next_funding_txid, next.retransmit_flags));
        assert_eq!(next, theirs.next_funding.map(|next| (next.txid, next.retransmit_flags)));
        let locked = ours.my_current_funding_locked;
        let locked = locked.map(|locked| (locked.my_current_funding_locked_txid, locked.retransmit_flags));
        assert_eq!(
            locked,
            theirs
                .my_current_funding_locked
                .map(|locked| (locked.txid, locked.retransmit_flags))
        );
    });
}

#[test]
fn open_channel() {
    cases(26, |random| {
        let theirs = msgs::OpenChannel {
            common_fields: msgs::CommonOpenChannelFields {
                chain_hash: ChainHash::from(random.array::<32>()),
                temporary_channel_id: channel(random),
                funding_satoshis: satoshis(random),
                dust_limit_satoshis: satoshis(random),
                max_htlc_value_in_flight_msat: random.number(),
                htlc_minimum_msat: random.number(),
                commitment_feerate_sat_per_1000_weight: number(random),
                to_self_delay: u16::from_be_bytes(random.array()),
                max_accepted_htlcs: u16::from_be_bytes(random.array()),
                funding_pubkey: key(random),
                revocation_basepoint: key(random),
                payment_basepoint: key(random),
                delayed_payment_basepoint: key(random),
                htlc_basepoint: key(random),
                first_per_commitment_point: key(random),
                channel_flags: random.array::<1>()[0],
                shutdown_scriptpubkey: maybe(random, script),
                channel_type: None,
            },
            push_msat: random.number(),
            channel_reserve_satoshis: satoshis(random),
        };
        let Message::OpenChannel(ours) = read(&theirs) else {
            panic!("another message")
        };
        let common = &theirs.common_fields;
        assert_eq!(ours.chain_hash, common.chain_hash);
        assert_eq!(ours.temporary_channel_id.0, common.temporary_channel_id.0);
        assert_eq!(ours.funding_satoshis.to_sat(), common.funding_satoshis);
        assert_eq!(ours.push_msat.0, theirs.push_msat);
        assert_eq!(ours.dust_limit_satoshis.to_sat(), common.dust_limit_satoshis);
        assert_eq!(
            ours.max_htlc_value_in_flight_msat.0,
            common.max_htlc_value_in_flight_msat
        );
        assert_eq!(ours.channel_reserve_satoshis.to_sat(), theirs.channel_reserve_satoshis);
        assert_eq!(ours.htlc_minimum_msat.0, common.htlc_minimum_msat);
        assert_eq!(ours.feerate_per_kw.0, common.commitment_feerate_sat_per_1000_weight);
        assert_eq!(ours.to_self_delay.0, common.to_self_delay);
        assert_eq!(ours.max_accepted_htlcs, common.max_accepted_htlcs);
        assert_eq!(ours.funding_pubkey, common.funding_pubkey);
        assert_eq!(ours.revocation_basepoint, common.revocation_basepoint);
        assert_eq!(ours.payment_basepoint, common.payment_basepoint);
        assert_eq!(ours.delayed_payment_basepoint, common.delayed_payment_basepoint);
        assert_eq!(ours.htlc_basepoint, common.htlc_basepoint);
        assert_eq!(ours.first_per_commitment_point, common.first_per_commitment_point);
        assert_eq!(ours.channel_flags, common.channel_flags);
        assert_eq!(ours.upfront_shutdown_script, common.shutdown_scriptpubkey);
    });
}

#[test]
fn channel_update() {
    cases(27, |random| {
        let contents = msgs::UnsignedChannelUpdate {
            chain_hash: ChainHash::from(random.array::<32>()),
            short_channel_id: random.number(),
            timestamp: number(random),
            message_flags: 1,
            channel_flags: random.array::<1>()[0],
            cltv_expiry_delta: u16::from_be_bytes(random.array()),
            htlc_minimum_msat: random.number(),
            htlc_maximum_msat: random.number(),
            fee_base_msat: number(random),
            fee_proportional_millionths: number(random),
            excess_data: random.bytes(4),
        };
        let theirs = msgs::ChannelUpdate {
            signature: signature(random),
            contents,
        };
        let Message::ChannelUpdate(ours) = read(&theirs) else {
            panic!("another message")
        };
        let contents = &theirs.contents;
        assert_eq!(ours.signature, theirs.signature);
        assert_eq!(
            (ours.chain_hash, ours.short_channel_id.0),
            (contents.chain_hash, contents.short_channel_id)
        );
        assert_eq!(
            (ours.timestamp, ours.channel_flags),
            (contents.timestamp, contents.channel_flags)
        );
        assert_eq!(ours.cltv_expiry_delta.0, contents.cltv_expiry_delta);
        assert_eq!(ours.htlc_minimum_msat.0, contents.htlc_minimum_msat);
        assert_eq!(ours.htlc_maximum_msat.0, contents.htlc_maximum_msat);
        assert_eq!(ours.fee_base_msat, contents.fee_base_msat);
        assert_eq!(ours.fee_proportional_millionths, contents.fee_proportional_millionths);
        assert_eq!(ours.excess.0, contents.excess_data);
    });
}

#[test]
fn closing_complete() {
    cases(28, |random| {
        let theirs = msgs::ClosingComplete {
            channel_id: channel(random),
            closer_scriptpubkey: script(random),
            closee_scriptpubkey: script(random),
            fee_satoshis: satoshis(random),
            locktime: number(random),
            closer_output_only: maybe(random, signature),
            closee_output_only: maybe(random, signature),
            closer_and_closee_outputs: maybe(random, signature),
        };
        let Message::ClosingComplete(ours) = read(&theirs) else {
            panic!("another message")
        };
        assert_eq!(ours.channel_id.0, theirs.channel_id.0);
        assert_eq!(ours.closer_scriptpubkey, theirs.closer_scriptpubkey);
        assert_eq!(ours.closee_scriptpubkey, theirs.closee_scriptpubkey);
        assert_eq!(
            (ours.fee_satoshis.to_sat(), ours.locktime),
            (theirs.fee_satoshis, theirs.locktime)
        );
        assert_eq!(ours.closer_output_only, theirs.closer_output_only);
        assert_eq!(ours.closee_output_only, theirs.closee_output_only);
        assert_eq!(ours.closer_and_closee_outputs, theirs.closer_and_closee_outputs);
    });
}

#[test]
fn closing_signed() {
    cases(29, |random| {
        let theirs = msgs::ClosingSigned {
            channel_id: channel(random),
            fee_satoshis: satoshis(random),
            signature: signature(random),
            fee_range: maybe(random, |random| msgs::ClosingSignedFeeRange {
                min_fee_satoshis: satoshis(random),
                max_fee_satoshis: satoshis(random),
            }),
        };
        let Message::ClosingSigned(ours) = read(&theirs) else {
            panic!("another message")
        };
        assert_eq!(
            (ours.channel_id.0, ours.fee_satoshis.to_sat()),
            (theirs.channel_id.0, theirs.fee_satoshis)
        );
        assert_eq!(ours.signature, theirs.signature);
        let range = ours
            .fee_range
            .map(|range| (range.min_fee_satoshis.to_sat(), range.max_fee_satoshis.to_sat()));
        assert_eq!(
            range,
            theirs
                .fee_range
                .map(|range| (range.min_fee_satoshis, range.max_fee_satoshis))
        );
    });
}

#[test]
fn splice_init() {
    cases(30, |random| {
        let contribution = i64::try_from(satoshis(random)).expect("below all bitcoin");
        let theirs = msgs::SpliceInit {
            channel_id: channel(random),
            funding_contribution_satoshis: if random.below(2) == 0 {
                -contribution
            } else {
                contribution
            },
            funding_feerate_per_kw: number(random),
            locktime: number(random),
            funding_pubkey: key(random),
            require_confirmed_inputs: maybe(random, |_| ()),
        };
        let Message::SpliceInit(ours) = read(&theirs) else {
            panic!("another message")
        };
        assert_eq!(ours.channel_id.0, theirs.channel_id.0);
        assert_eq!(
            ours.funding_contribution_satoshis.to_sat(),
            theirs.funding_contribution_satoshis
        );
        assert_eq!(ours.funding_feerate_perkw.0, theirs.funding_feerate_per_kw);
        assert_eq!(
            (ours.locktime, ours.funding_pubkey),
            (theirs.locktime, theirs.funding_pubkey)
        );
        assert_eq!(ours.require_confirmed_inputs, theirs.require_confirmed_inputs);
    });
}
