//! A channel between two sides with fixed keys, for tests and benches.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "several tests include it, and each uses a part"
)]

use bitcoin::hashes::Hash;
use bitcoin::{Amount, OutPoint, Txid};
use quittance_primitives::{
    CltvExpiry, CommitmentNumber, FeeratePerKw, HtlcId, MilliSatoshi, PaymentPreimage, ToSelfDelay,
};
use quittance_transactions::signing::ChannelSecretKeys;
use quittance_transactions::{
    ChannelTerms, CommitmentContents, CommitmentFormat, CommitmentSeed, CommitmentTransaction, Htlc, HtlcDirection,
    Role, SideTerms,
};
use secp256k1::SecretKey;

pub const FUNDING: Amount = Amount::from_sat(10_000_000);
pub const FORMATS: [CommitmentFormat; 3] = [
    CommitmentFormat::StaticRemotekey,
    CommitmentFormat::Anchors,
    CommitmentFormat::ZeroFee,
];

/// Both sides of a channel, with all that each alone would know.
pub struct Channel {
    pub terms: ChannelTerms,
    pub opener: ChannelSecretKeys,
    pub accepter: ChannelSecretKeys,
}

/// Keys made from one byte.
pub fn secret_keys(byte: u8) -> ChannelSecretKeys {
    let key = |purpose: u8| {
        let mut bytes = [byte; 32];
        bytes[31] = purpose;
        SecretKey::from_slice(&bytes).expect("a private key")
    };
    ChannelSecretKeys {
        funding: key(1),
        revocation_basepoint: key(2),
        payment_basepoint: key(3),
        delayed_payment_basepoint: key(4),
        htlc_basepoint: key(5),
    }
}

pub fn preimage(htlc: u64) -> PaymentPreimage {
    let mut bytes = [9; 32];
    bytes[..8].copy_from_slice(&htlc.to_be_bytes());
    PaymentPreimage(bytes)
}

pub fn htlc(direction: HtlcDirection, id: u64, amount_sat: u64) -> Htlc {
    Htlc {
        direction,
        id: HtlcId(id),
        amount: MilliSatoshi(amount_sat * 1_000),
        payment_hash: preimage(id).hash(),
        cltv_expiry: CltvExpiry(800_000 + u32::try_from(id % 1_000).expect("below 1000")),
    }
}

impl Channel {
    pub fn new(format: CommitmentFormat) -> Self {
        let (opener, accepter) = (secret_keys(0x11), secret_keys(0x22));
        let side = |keys: &ChannelSecretKeys, delay| SideTerms {
            keys: keys.public_keys(),
            dust_limit: Amount::from_sat(354),
            to_self_delay: ToSelfDelay(delay),
        };
        Self {
            terms: ChannelTerms {
                funding_outpoint: OutPoint {
                    txid: Txid::from_byte_array([0xf0; 32]),
                    vout: 1,
                },
                funding_value: FUNDING,
                format,
                opener: side(&opener, 144),
                accepter: side(&accepter, 720),
            },
            opener,
            accepter,
        }
    }

    pub fn secrets(&self, role: Role) -> &ChannelSecretKeys {
        match role {
            Role::Opener => &self.opener,
            Role::Accepter => &self.accepter,
        }
    }

    /// The per-commitment secrets of one side.
    pub fn seed(role: Role) -> CommitmentSeed {
        CommitmentSeed::new(match role {
            Role::Opener => [0x33; 32],
            Role::Accepter => [0x44; 32],
        })
    }

    /// A commitment with these HTLCs; the countersignatory has 3,000,000 sat and the broadcaster the rest.
    pub fn contents(broadcaster: Role, number: u64, htlcs: Vec<Htlc>) -> CommitmentContents {
        let number = CommitmentNumber(number);
        let to_countersignatory = MilliSatoshi(3_000_000_000);
        let pending = MilliSatoshi::checked_sum(htlcs.iter().map(|htlc| htlc.amount)).expect("in range");
        let to_broadcaster = MilliSatoshi::from_sat(FUNDING)
            .checked_sub(to_countersignatory)
            .and_then(|rest| rest.checked_sub(pending))
            .expect("the HTLCs fit");
        CommitmentContents {
            broadcaster,
            number,
            per_commitment_point: Self::seed(broadcaster).point(number),
            feerate: FeeratePerKw(1_000),
            to_broadcaster,
            to_countersignatory,
            htlcs,
        }
    }

    pub fn commitment(&self, contents: &CommitmentContents) -> CommitmentTransaction {
        CommitmentTransaction::build(&self.terms, contents).expect("the opener can pay")
    }
}
