//! How a pair's channel is set up: keys from a seed, limits, balances.

use bitcoin::hashes::Hash;
use bitcoin::{Amount, OutPoint, ScriptBuf, Txid, WPubkeyHash};
use quittance_channel::{
    BySide, Channel, ChannelFacts, ForwardingPolicy, HtlcSource, OnionHop, Opening, PaymentPart, Side, SideFacts,
};
use quittance_primitives::{
    BlockCount, BlockHeight, ChannelId, CltvExpiryDelta, CommitmentNumber, Feature, Features, FeeratePerKw,
    MilliSatoshi, NodeId, PaymentId, ToSelfDelay,
};
use quittance_transactions::signing::ChannelSecretKeys;
use quittance_transactions::{CommitmentContents, CommitmentFormat, CommitmentSeed, CommitmentTransaction, Role};
use secp256k1::{SECP256K1, SecretKey};

use super::End;
use super::curve::public;

/// What a pair's channel is to be.
#[derive(Clone, Debug)]
pub struct Setup {
    pub format: CommitmentFormat,
    pub capacity: Amount,
    pub pushed: MilliSatoshi,
    pub feerate: FeeratePerKw,
    pub dust_limit: BySide<Amount>,
    pub max_accepted_htlcs: u16,
    pub max_in_flight: MilliSatoshi,
    pub htlc_minimum: MilliSatoshi,
    pub features: Features,
    /// The scripts that the ends promised to be paid to, Alice's first.
    pub promised: BySide<Option<ScriptBuf>>,
    /// The funding output; one that no chain has, unless a test mined it.
    pub funding: OutPoint,
    /// The delay that each end imposes on the other.
    pub to_self_delay: ToSelfDelay,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            format: CommitmentFormat::Anchors,
            capacity: Amount::from_sat(10_000_000),
            pushed: MilliSatoshi(4_000_000_000),
            feerate: FeeratePerKw(1_000),
            dust_limit: BySide {
                local: Amount::from_sat(354),
                remote: Amount::from_sat(546),
            },
            max_accepted_htlcs: 483,
            max_in_flight: MilliSatoshi(10_000_000_000),
            htlc_minimum: MilliSatoshi(1),
            features: Features::empty(),
            promised: BySide::default(),
            funding: OutPoint::new(Txid::from_byte_array([7; 32]), 1),
            to_self_delay: ToSelfDelay(144),
        }
    }
}

/// The keys of one end, in the test's own hands.
#[derive(Clone, Debug)]
pub struct Keys {
    pub channel: ChannelSecretKeys,
    pub seed: CommitmentSeed,
}

impl Keys {
    pub fn of(end: u8) -> Self {
        let key = |number: u8| SecretKey::from_slice(&[end * 16 + number; 32]).expect("a private key");
        Self {
            channel: ChannelSecretKeys {
                funding: key(1),
                revocation_basepoint: key(2),
                payment_basepoint: key(3),
                delayed_payment_basepoint: key(4),
                htlc_basepoint: key(5),
            },
            seed: CommitmentSeed::new([end * 16 + 6; 32]),
        }
    }
}

impl Setup {
    /// The same setup between ends that both have `feature`.
    pub fn with_feature(mut self, feature: Feature) -> Self {
        self.features = self.features.offering(feature);
        self
    }

    /// The same setup with another format.
    pub fn with_format(self, format: CommitmentFormat) -> Self {
        Self { format, ..self }
    }

    /// Alice, who opened the channel, and Bob.
    pub fn ends(&self) -> (End, End) {
        let (alice, bob) = (Keys::of(1), Keys::of(2));
        let first = |owner: Role| self.first_commitment(owner, &alice, &bob);
        let alice_signature = bob.channel.countersign(&first(Role::Opener)).funding;
        let bob_signature = alice.channel.countersign(&first(Role::Accepter)).funding;
        let alice_opening = self.opening(Side::Local, &alice, &bob, alice_signature);
        let bob_opening = self.opening(Side::Remote, &bob, &alice, bob_signature);
        let channel = |opening| Channel::open(opening, self.features.clone());
        (
            End::new("Alice", channel(alice_opening), alice),
            End::new("Bob", channel(bob_opening), bob),
        )
    }

    fn opening(&self, opener: Side, ours: &Keys, theirs: &Keys, signature: secp256k1::ecdsa::Signature) -> Opening {
        Opening {
            facts: self.facts(opener, ours, theirs),
            signature,
            local_points: (
                ours.seed.point(CommitmentNumber(0)),
                ours.seed.point(CommitmentNumber(1)),
            ),
            remote_point: theirs.seed.point(CommitmentNumber(0)),
            policy: ForwardingPolicy {
                fee_base: MilliSatoshi(1_000),
                fee_proportional_millionths: 100,
                cltv_expiry_delta: CltvExpiryDelta(72),
                htlc_minimum: MilliSatoshi(1),
                htlc_maximum: self.max_in_flight,
            },
        }
    }

    fn facts(&self, opener: Side, ours: &Keys, theirs: &Keys) -> ChannelFacts {
        let funding = self.funding;
        let (alice_keys, bob_keys) = match opener {
            Side::Local => (ours, theirs),
            Side::Remote => (theirs, ours),
        };
        let side = |keys: &Keys, dust_limit, promised: &Option<ScriptBuf>| SideFacts {
            keys: keys.channel.public_keys(),
            dust_limit,
            max_htlc_value_in_flight: self.max_in_flight,
            channel_reserve: (self.capacity / 100).max(Amount::from_sat(1_000)),
            htlc_minimum: self.htlc_minimum,
            to_self_delay: self.to_self_delay,
            max_accepted_htlcs: self.max_accepted_htlcs,
            upfront_shutdown_script: promised.clone(),
        };
        let alice = side(alice_keys, self.dust_limit.local, &self.promised.local);
        let bob = side(bob_keys, self.dust_limit.remote, &self.promised.remote);
        let capacity = MilliSatoshi::from_sat(self.capacity);
        let alice_balance = capacity
            .checked_sub(self.pushed)
            .expect("no more is pushed than there is");
        let (sides, initial_balance) = match opener {
            Side::Local => (
                BySide {
                    local: alice,
                    remote: bob,
                },
                BySide {
                    local: alice_balance,
                    remote: self.pushed,
                },
            ),
            Side::Remote => (
                BySide {
                    local: bob,
                    remote: alice,
                },
                BySide {
                    local: self.pushed,
                    remote: alice_balance,
                },
            ),
        };
        let channel_type = Features::empty().requiring(Feature::StaticRemotekey);
        ChannelFacts {
            channel_id: ChannelId::v1(funding),
            peer: NodeId::from(theirs.channel.funding.public_key(SECP256K1)),
            opener,
            channel_type: match self.format {
                CommitmentFormat::StaticRemotekey => channel_type,
                CommitmentFormat::Anchors => channel_type.requiring(Feature::Anchors),
                CommitmentFormat::ZeroFee => Features::empty().requiring(Feature::ZeroFeeCommitments),
            },
            format: self.format,
            announce: false,
            funding,
            capacity: self.capacity,
            sides,
            initial_balance,
            initial_feerate: self.feerate,
            signer_keys_id: match opener {
                Side::Local => [1; 32],
                Side::Remote => [2; 32],
            },
            minimum_depth: BlockCount(3),
            opened_at: BlockHeight(700_000),
            funding_transaction: None,
        }
    }

    fn first_commitment(&self, owner: Role, alice: &Keys, bob: &Keys) -> CommitmentTransaction {
        let facts = self.facts(Side::Local, alice, bob);
        let (keys, to_broadcaster, to_countersignatory) = match owner {
            Role::Opener => (alice, facts.initial_balance.local, facts.initial_balance.remote),
            Role::Accepter => (bob, facts.initial_balance.remote, facts.initial_balance.local),
        };
        let contents = CommitmentContents {
            broadcaster: owner,
            number: CommitmentNumber(0),
            per_commitment_point: keys.seed.point(CommitmentNumber(0)),
            feerate: self.feerate,
            to_broadcaster,
            to_countersignatory,
            htlcs: Vec::new(),
        };
        CommitmentTransaction::build(&facts.terms(), &contents).expect("Alice can pay the first fee")
    }
}

pub fn payment_source(byte: u8) -> HtlcSource {
    let node = public(&SecretKey::from_slice(&[byte.max(1); 32]).expect("a private key"));
    HtlcSource::Payment(Box::new(PaymentPart {
        payment_id: PaymentId([byte; 32]),
        total: MilliSatoshi(1),
        delivers: MilliSatoshi(1),
        fee_limit: MilliSatoshi(0),
        session_key: [byte.max(1); 32],
        hops: vec![OnionHop {
            node,
            payload: vec![byte; 40],
        }],
    }))
}

/// Where an end wants to be paid to.
pub fn closing_script(name: &str) -> ScriptBuf {
    let byte = name.bytes().next().expect("an end has a name");
    ScriptBuf::new_p2wpkh(&WPubkeyHash::from_byte_array([byte; 20]))
}
