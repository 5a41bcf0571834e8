//! One side of an opening: its keys, its policy, and the messages that it makes, encoded and decoded once on their way.

use bitcoin::constants::ChainHash;
use bitcoin::hashes::Hash;
use bitcoin::transaction::Version;
use bitcoin::{Amount, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid, Witness, absolute};
use quittance_channel::opening::{
    AwaitingAccept, AwaitingFunding, AwaitingFundingCreated, AwaitingFundingSigned, ChannelType, FundingTransaction,
    FundingWanted, OpenRequest, OpeningPolicy, OurPart, Proposal, Refused, Trust,
};
use quittance_channel::{
    Channel, ChannelEffect, ChannelLimits, ChannelMonitorUpdate, ChannelState, Context, ForwardingPolicy,
    InlineVerifier, Reaction, SideFacts,
};
use quittance_primitives::{
    BlockHeight, ChannelId, CltvExpiryDelta, CommitmentNumber, Feature, Features, FeeratePerKw, MilliSatoshi, NodeId,
};
use quittance_transactions::signing::ChannelSecretKeys;
use quittance_transactions::{CommitmentFormat, CommitmentSeed};
use quittance_wire::{AcceptChannel, FundingCreated, FundingSigned, Message, OpenChannel};
use secp256k1::{SECP256K1, SecretKey};

pub const HEIGHT: BlockHeight = BlockHeight(700_000);
pub const TEMPORARY_ID: ChannelId = ChannelId([0x77; 32]);

/// One side of an opening.
pub struct Party {
    pub keys: ChannelSecretKeys,
    pub seed: CommitmentSeed,
    pub signer_keys_id: [u8; 32],
    pub policy: OpeningPolicy,
    pub limits: ChannelLimits,
    pub upfront_shutdown_script: Option<ScriptBuf>,
}

impl Party {
    pub fn alice() -> Self {
        Self::new(1)
    }

    pub fn bob() -> Self {
        Self::new(2)
    }

    pub fn new(number: u8) -> Self {
        let key = |place: u8| SecretKey::from_slice(&[number * 16 + place; 32]).expect("a private key");
        Self {
            keys: ChannelSecretKeys {
                funding: key(1),
                revocation_basepoint: key(2),
                payment_basepoint: key(3),
                delayed_payment_basepoint: key(4),
                htlc_basepoint: key(5),
            },
            seed: CommitmentSeed::new([number * 16 + 6; 32]),
            signer_keys_id: [number; 32],
            policy: OpeningPolicy::for_chain(ChainHash::REGTEST),
            limits: ChannelLimits::default(),
            upfront_shutdown_script: None,
        }
    }

    pub fn node_id(&self) -> NodeId {
        NodeId::from(self.keys.funding.public_key(SECP256K1))
    }

    pub fn context(&self) -> Context<'_> {
        Context {
            now_ms: 1_000,
            height: HEIGHT,
            limits: &self.limits,
            verifier: &InlineVerifier,
        }
    }

    pub fn part(&self, demands: SideFacts) -> OurPart {
        OurPart {
            demands,
            signer_keys_id: self.signer_keys_id,
            points: (
                self.seed.point(CommitmentNumber(0)),
                self.seed.point(CommitmentNumber(1)),
            ),
            forwarding: ForwardingPolicy {
                fee_base: MilliSatoshi(1_000),
                fee_proportional_millionths: 100,
                cltv_expiry_delta: CltvExpiryDelta(72),
                htlc_minimum: MilliSatoshi(1),
                htlc_maximum: MilliSatoshi(500_000_000),
            },
        }
    }

    /// A plain request: a million satoshis, anchors, not announced.
    pub fn request(&self, peer: &Self) -> OpenRequest {
        self.request_of(peer, Amount::from_sat(1_000_000), CommitmentFormat::Anchors)
    }

    pub fn request_of(&self, peer: &Self, capacity: Amount, format: CommitmentFormat) -> OpenRequest {
        let script = self.upfront_shutdown_script.clone();
        let demands = self.policy.demands(capacity, format, self.keys.public_keys(), script);
        OpenRequest {
            peer: peer.node_id(),
            negotiated: negotiated(),
            temporary_channel_id: TEMPORARY_ID,
            capacity,
            push: MilliSatoshi(0),
            channel_type: ChannelType::basic(format),
            announce: false,
            feerate: match format {
                CommitmentFormat::StaticRemotekey | CommitmentFormat::Anchors => FeeratePerKw(1_000),
                CommitmentFormat::ZeroFee => FeeratePerKw(0),
            },
            ours: self.part(demands),
        }
    }

    pub fn propose(&self, request: OpenRequest) -> (AwaitingAccept, OpenChannel) {
        let (state, message) = AwaitingAccept::propose(request, &self.policy, &self.limits).expect("a fair request");
        (state, sent(message, open_channel))
    }

    pub fn accept(&self, proposal: Proposal) -> (AwaitingFundingCreated, AcceptChannel) {
        let script = self.upfront_shutdown_script.clone();
        let demands = proposal.demands(&self.policy, self.keys.public_keys(), script);
        let accepted = proposal.accept(self.part(demands), &self.policy);
        let (state, message) = accepted.expect("demands that fit");
        (state, sent(message, accept_channel))
    }

    /// Signs the template in the effect, as a signer does, and gives the message as the other side gets it.
    pub fn sign(&self, effect: &ChannelEffect) -> Message {
        let message = match effect {
            ChannelEffect::SendFundingCreated(template) => {
                let signatures = self.keys.countersign(&template.commitment().build());
                assert_eq!(template.commitment().signer_keys_id, self.signer_keys_id);
                template.message(signatures.funding)
            }
            ChannelEffect::SendFundingSigned(template) => {
                let signatures = self.keys.countersign(&template.commitment().build());
                assert_eq!(template.commitment().signer_keys_id, self.signer_keys_id);
                template.message(signatures.funding)
            }
            other => panic!("nothing to sign in {other:?}"),
        };
        Message::decode(&message.encode()).expect("a message of ours decodes")
    }
}

/// Everything that two nodes like ours support.
pub fn negotiated() -> Features {
    [
        Feature::UpfrontShutdownScript,
        Feature::LargeChannel,
        Feature::Anchors,
        Feature::ShutdownAnysegwit,
        Feature::ZeroFeeCommitments,
        Feature::ScidAlias,
        Feature::Zeroconf,
    ]
    .into_iter()
    .fold(Features::empty(), Features::offering)
}

pub fn without(feature: Feature) -> Features {
    let mut features = negotiated();
    features.clear_bit(feature.optional_bit());
    features
}

/// A message as the other side decodes it.
pub fn sent<M>(message: impl Into<Message>, pick: impl FnOnce(Message) -> Option<M>) -> M {
    let decoded = Message::decode(&message.into().encode()).expect("a message of ours decodes");
    pick(decoded).expect("a message comes back as what it was")
}

pub fn open_channel(message: Message) -> Option<OpenChannel> {
    match message {
        Message::OpenChannel(message) => Some(message),
        _ => None,
    }
}

pub fn accept_channel(message: Message) -> Option<AcceptChannel> {
    match message {
        Message::AcceptChannel(message) => Some(message),
        _ => None,
    }
}

pub fn funding_created(message: Message) -> FundingCreated {
    match message {
        Message::FundingCreated(message) => message,
        other => panic!("{other:?} is not funding_created"),
    }
}

pub fn funding_signed(message: Message) -> FundingSigned {
    match message {
        Message::FundingSigned(message) => message,
        other => panic!("{other:?} is not funding_signed"),
    }
}

/// A signed transaction with a change output in front of `outputs`, as a wallet would make it.
pub fn wallet_transaction(outputs: &[TxOut]) -> Transaction {
    let change = TxOut {
        value: Amount::from_sat(123_456),
        script_pubkey: ScriptBuf::from_hex(&format!("0014{}", "55".repeat(20))).expect("a script"),
    };
    let mut witness = Witness::new();
    witness.push([1; 72]);
    witness.push([2; 33]);
    Transaction {
        version: Version::TWO,
        lock_time: absolute::LockTime::ZERO,
        input: vec![TxIn {
            previous_output: OutPoint {
                txid: Txid::from_byte_array([9; 32]),
                vout: 3,
            },
            script_sig: ScriptBuf::new(),
            sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
            witness,
        }],
        output: [vec![change], outputs.to_vec()].concat(),
    }
}

/// An opening in which the fundee has accepted.
pub struct Accepted {
    pub alice: AwaitingFunding,
    pub wanted: FundingWanted,
    pub bob: AwaitingFundingCreated,
}

pub fn until_accepted(alice: &Party, bob: &Party, request: OpenRequest, trust: Trust) -> Result<Accepted, Refused> {
    let features = request.negotiated.clone();
    let (awaiting_accept, open) = alice.propose(request);
    let proposal = Proposal::check(open, alice.node_id(), features, trust, &bob.policy, &bob.limits)?;
    let (bob_state, accept) = bob.accept(proposal);
    let (alice_state, wanted) = awaiting_accept.accept_channel(&accept, &alice.policy)?;
    Ok(Accepted {
        alice: alice_state,
        wanted,
        bob: bob_state,
    })
}

/// An opening in which the funder has a funding transaction.
pub fn until_funded(
    alice: &Party,
    accepted: Accepted,
) -> (AwaitingFundingSigned, FundingCreated, AwaitingFundingCreated) {
    let transaction = wallet_transaction(std::slice::from_ref(&accepted.wanted.output));
    let funding = FundingTransaction::new(transaction, &[accepted.wanted.output]).expect("it has the output");
    let (alice_state, effect) = accepted.alice.fund(funding, HEIGHT).expect("it is for this channel");
    (alice_state, funding_created(alice.sign(&effect)), accepted.bob)
}

/// A channel that was opened, seen from both sides.
pub struct Opened {
    pub alice: Channel,
    pub alice_effects: Vec<ChannelEffect>,
    pub bob: Channel,
}

pub fn opened(alice: &Party, bob: &Party, request: OpenRequest, trust: Trust) -> Result<Opened, Refused> {
    let accepted = until_accepted(alice, bob, request, trust)?;
    let (alice_state, created, bob_state) = until_funded(alice, accepted);
    let (mut bob_channel, Reaction { effects, consequences }) =
        bob_state.funding_created(&created, |_| false, &bob.context())?;
    assert_eq!(consequences, []);
    assert_log_folds_to_state(&mut bob_channel);
    let [effect] = effects.as_slice() else {
        panic!("the fundee has one thing to do: {effects:?}");
    };
    let signed = funding_signed(bob.sign(effect));
    let (mut alice_channel, reaction) = alice_state.funding_signed(&signed, &alice.context())?;
    assert_log_folds_to_state(&mut alice_channel);
    Ok(Opened {
        alice: *alice_channel,
        alice_effects: reaction.effects,
        bob: *bob_channel,
    })
}

/// Writes the channel's first update, reads it back and folds it.
pub fn assert_log_folds_to_state(channel: &mut Channel) {
    let update = channel.take_update().expect("the first step is to be logged");
    let read = ChannelMonitorUpdate::from_body(update.id, &update.to_body()).expect("what we wrote can be read");
    let state = ChannelState::restore_first(&read).expect("the first update opens the channel");
    assert_eq!(&state, channel.state(), "I-5: the log is the state");
}
