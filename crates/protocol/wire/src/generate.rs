//! Arbitrary messages from a tape of bytes, for tests, benches and fuzzing.
//!
//! The same tape gives the same message, and a shorter or lower tape a simpler one, so that a failing tape shrinks to a
//! failing message. Not part of the codec: behind the feature `generate`.

use bitcoin::constants::ChainHash;
use bitcoin::hashes::Hash;
use bitcoin::{Amount, ScriptBuf, SignedAmount, Txid, Witness};
use quittance_primitives::{
    BlockCount, ChannelId, CltvExpiry, CltvExpiryDelta, Features, FeeratePerKw, HtlcId, MilliSatoshi, NodeId,
    PaymentHash, PaymentPreimage, ShortChannelId, ToSelfDelay,
};
use secp256k1::ecdsa::Signature;
use secp256k1::{PublicKey, SECP256K1, SecretKey};

use crate::message::GENERATORS;
use crate::messages::{
    ChannelUpdateChecksums, ChannelUpdateTimestamps, EncodedShortIds, EncodedTimestamps, Excess, FeatureBytes,
    QueryFlags,
};
use crate::{BigSize, Message, NodeAddress, NodeAddresses};

/// A tape of bytes; behind its end there are zeros.
#[derive(Debug)]
pub struct Source<'a> {
    tape: &'a [u8],
}

/// A type of which any value can be made.
pub trait Generate {
    /// Makes a value.
    fn generate(source: &mut Source<'_>) -> Self;
}

impl<'a> Source<'a> {
    /// Starts at the first byte of `tape`.
    pub const fn new(tape: &'a [u8]) -> Self {
        Self { tape }
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        let (taken, rest) = self.tape.split_at(self.tape.len().min(N));
        bytes[..taken.len()].copy_from_slice(taken);
        self.tape = rest;
        bytes
    }

    fn below(&mut self, bound: u8) -> u8 {
        let [byte] = self.array();
        byte % bound
    }

    fn list<T: Generate>(&mut self, bound: u8) -> Vec<T> {
        (0..self.below(bound)).map(|_| T::generate(self)).collect()
    }
}

/// Any message that we know, or one of an unknown odd type.
impl Generate for Message {
    fn generate(source: &mut Source<'_>) -> Self {
        let choice = usize::from(source.below(255)) % (GENERATORS.len() + 1);
        match GENERATORS.get(choice) {
            Some(generator) => generator(source),
            None => Self::Unknown {
                message_type: u16::generate(source) | 0x8001,
                body: source.list(50),
            },
        }
    }
}

macro_rules! generated {
    ($($name:ty: |$source:ident| $value:expr;)*) => {$(
        impl Generate for $name {
            fn generate($source: &mut Source<'_>) -> Self {
                $value
            }
        }
    )*};
}

generated! {
    (): |_source| ();
    u8: |source| Self::from_be_bytes(source.array());
    u16: |source| Self::from_be_bytes(source.array());
    u32: |source| Self::from_be_bytes(source.array());
    u64: |source| Self::from_be_bytes(source.array());
    BigSize: |source| Self(u64::generate(source).checked_shr(source.below(64).into()).unwrap_or(0));
    Amount: |source| Self::from_sat(u64::generate(source) % (Self::MAX_MONEY.to_sat() + 1));
    SignedAmount: |source| Self::from_sat(i64::from_be_bytes(source.array()) % (Self::MAX_MONEY.to_sat() + 1));
    MilliSatoshi: |source| Self(u64::generate(source));
    FeeratePerKw: |source| Self(u32::generate(source));
    HtlcId: |source| Self(u64::generate(source));
    CltvExpiry: |source| Self(u32::generate(source));
    CltvExpiryDelta: |source| Self(u16::generate(source));
    ToSelfDelay: |source| Self(u16::generate(source));
    BlockCount: |source| Self(u32::generate(source));
    ShortChannelId: |source| Self(u64::generate(source));
    ChannelId: |source| Self(source.array());
    PaymentHash: |source| Self(source.array());
    PaymentPreimage: |source| Self(source.array());
    NodeId: |source| Self(source.array());
    Txid: |source| Self::from_byte_array(source.array());
    ChainHash: |source| Self::from(source.array::<32>());
    ScriptBuf: |source| Self::from(source.list::<u8>(40));
    Features: |source| Self::from_be_bytes(&source.list::<u8>(20));
    FeatureBytes: |source| Self(source.list(20));
    Excess: |source| Self(source.list(20));
    EncodedShortIds: |source| Self(source.list(10));
    QueryFlags: |source| Self(source.list(10));
    EncodedTimestamps: |source| Self(source.list::<ChannelUpdateTimestamps>(10));
    Vec<ChannelUpdateChecksums>: |source| source.list(10);
    Vec<ChainHash>: |source| source.list(4);
    Vec<Signature>: |source| source.list(6);
    Vec<Witness>: |source| source.list(4);
    Vec<u8>: |source| source.list(100);
    Witness: |source| Self::from_slice(&source.list::<Vec<u8>>(4));
    NodeAddresses: |source| source.list::<NodeAddress>(3).iter().collect();
}

impl<const N: usize> Generate for [u8; N] {
    fn generate(source: &mut Source<'_>) -> Self {
        source.array()
    }
}

impl<const N: usize> Generate for Box<[u8; N]> {
    fn generate(source: &mut Source<'_>) -> Self {
        // A few bytes of the tape, repeated: a tape need not be as long as an onion.
        let pattern: [u8; 7] = source.array();
        Self::new(std::array::from_fn(|index| pattern[index % 7]))
    }
}

impl<T: Generate> Generate for Option<T> {
    fn generate(source: &mut Source<'_>) -> Self {
        (source.below(2) == 1).then(|| T::generate(source))
    }
}

impl Generate for PublicKey {
    fn generate(source: &mut Source<'_>) -> Self {
        let mut scalar: [u8; 32] = source.array();
        scalar[0] &= 0x7f;
        scalar[31] |= 1;
        SecretKey::from_slice(&scalar)
            .expect("the scalar is neither zero nor above the curve's order")
            .public_key(SECP256K1)
    }
}

impl Generate for Signature {
    fn generate(source: &mut Source<'_>) -> Self {
        let mut scalars: [u8; 64] = source.array();
        scalars[0] &= 0x7f;
        scalars[32] &= 0x7f;
        Self::from_compact(&scalars).expect("both scalars are below the curve's order")
    }
}

impl Generate for NodeAddress {
    fn generate(source: &mut Source<'_>) -> Self {
        match source.below(6) {
            0 => Self::Ipv4 {
                address: source.array::<4>().into(),
                port: u16::generate(source),
            },
            1 => Self::Ipv6 {
                address: source.array::<16>().into(),
                port: u16::generate(source),
            },
            2 => Self::TorV2(source.array()),
            3 => Self::TorV3 {
                onion: source.array(),
                port: u16::generate(source),
            },
            4 => Self::DnsHostname {
                hostname: source
                    .list::<u8>(100)
                    .into_iter()
                    .map(|byte| char::from(byte & 0x7f))
                    .collect(),
                port: u16::generate(source),
            },
            _ => Self::Unknown {
                descriptor: source.below(250) + 6,
                data: source.list(10),
            },
        }
    }
}
