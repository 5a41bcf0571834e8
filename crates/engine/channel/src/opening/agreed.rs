//! What both sides agreed on before there is a funding output, the same for opener and accepter.

use bitcoin::{Amount, OutPoint, TxOut};
use quittance_primitives::{BlockCount, BlockHeight, ChannelId, Features, FeeratePerKw, MilliSatoshi, NodeId};
use quittance_transactions::funding;
use secp256k1::PublicKey;
use secp256k1::ecdsa::Signature;

use super::first_commitment::first_contents;
use super::{ChannelType, FundingTransaction, OpenRefusal};
use crate::effect::CommitmentToSign;
use crate::{BySide, Channel, ChannelFacts, Context, ForwardingPolicy, Opening, Side, SideFacts};

/// All terms of a channel but its funding output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Agreed {
    pub(super) temporary_channel_id: ChannelId,
    pub(super) peer: NodeId,
    pub(super) opener: Side,
    pub(super) negotiated: Features,
    pub(super) channel_type: ChannelType,
    pub(super) announce: bool,
    pub(super) capacity: Amount,
    pub(super) initial_balance: BySide<MilliSatoshi>,
    pub(super) feerate: FeeratePerKw,
    pub(super) sides: BySide<SideFacts>,
    pub(super) signer_keys_id: [u8; 32],
    pub(super) local_points: (PublicKey, PublicKey),
    pub(super) remote_point: PublicKey,
    pub(super) minimum_depth: BlockCount,
    pub(super) forwarding: ForwardingPolicy,
}

/// The terms with their funding output: a channel, as soon as the peer's signature on our first commitment is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Funded {
    pub(super) agreed: Agreed,
    pub(super) facts: ChannelFacts,
}

impl Agreed {
    /// The output that the funding transaction must have.
    pub(super) fn funding_output(&self) -> TxOut {
        let (ours, theirs) = (&self.sides.local.keys.funding, &self.sides.remote.keys.funding);
        funding::output(ours, theirs, self.capacity)
    }

    /// The channel's facts, now that its funding output is known.
    pub(super) fn funded(
        self,
        funding: OutPoint,
        funding_transaction: Option<FundingTransaction>,
        opened_at: BlockHeight,
    ) -> Funded {
        let facts = ChannelFacts {
            channel_id: ChannelId::v1(funding),
            peer: self.peer,
            opener: self.opener,
            channel_type: self.channel_type.features(),
            format: self.channel_type.format,
            announce: self.announce,
            funding,
            capacity: self.capacity,
            sides: self.sides.clone(),
            initial_balance: self.initial_balance,
            initial_feerate: self.feerate,
            signer_keys_id: self.signer_keys_id,
            minimum_depth: self.minimum_depth,
            opened_at,
            funding_transaction,
        };
        Funded { agreed: self, facts }
    }
}

impl Funded {
    /// The peer's first commitment, for our signature.
    pub(super) fn to_sign(&self) -> CommitmentToSign {
        let contents = first_contents(&self.facts, Side::Remote, self.agreed.remote_point);
        CommitmentToSign::new(&self.facts, contents)
    }

    /// The channel, once `signature` is checked to be the peer's on our first commitment.
    pub(super) fn open(self, signature: Signature, context: &Context<'_>) -> Result<Channel, OpenRefusal> {
        let Self { agreed, facts } = self;
        let contents = first_contents(&facts, Side::Local, agreed.local_points.0);
        super::first_commitment::check_signature(&facts.terms(), &contents, &signature, context)?;
        let opening = Opening {
            facts,
            signature,
            local_points: agreed.local_points,
            remote_point: agreed.remote_point,
            policy: agreed.forwarding,
        };
        Ok(Channel::open(opening, agreed.negotiated))
    }
}
