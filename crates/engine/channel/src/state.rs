//! The state that a channel's log folds to: everything durable about the channel, and nothing else.
//!
//! Invariant I-5: the state is a pure function of the log. Live operation and recovery both go through [`ChannelState::apply`],
//! which cannot fail: a step was checked before it became one, so a step that does not fit is a fault of ours.

use std::collections::BTreeMap;

use bitcoin::Txid;
use quittance_journal::{EventNumber, UpdateId};
use quittance_primitives::{CommitmentNumber, HtlcId, ShortChannelId};
use quittance_records::record;
use quittance_transactions::SecretStore;
use secp256k1::ecdsa::Signature;

use crate::commitments::{LastSent, LocalCommitment, RemoteCommitments};
use crate::states::AwaitingReady;
use crate::{
    BySide, ChannelFacts, Commitments, FeeUpdate, ForwardingPolicy, FundingConfirmation, HtlcState, OfferedHtlc,
    OnChain, Opening, Phase, SentUpdates, UnreleasedClaim,
};

/// Everything durable about a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelState {
    /// The number of the last update that is folded in.
    pub last_update: UpdateId,
    /// What the channel is.
    pub facts: ChannelFacts,
    /// What it waits for.
    pub phase: Phase,
    /// Where the funding stands in the chain, if it does.
    pub funding: Option<FundingConfirmation>,
    /// The alias that each side gave the channel.
    pub aliases: BySide<Option<ShortChannelId>>,
    /// By which we forward through it.
    pub policy: ForwardingPolicy,
    /// Where the peer was reached last, as BOLT 7 encodes addresses.
    pub peer_addresses: Vec<u8>,
    /// The peer's `announcement_signatures`: node, then bitcoin.
    pub announcement: Option<(Signature, Signature)>,
    /// The two commitments.
    pub commitments: Commitments,
    /// HTLCs of ours that are gone, and whose outcome somebody still waits for.
    pub gone: BTreeMap<HtlcId, OfferedHtlc>,
    /// Claims that the user has not confirmed, or with parts that are still here.
    pub claims: BTreeMap<EventNumber, UnreleasedClaim>,
    /// Every closing transaction that we signed: any of them may confirm.
    pub closings: Vec<Txid>,
}

record!(ChannelState {
    last_update,
    facts,
    phase,
    funding,
    aliases,
    policy,
    peer_addresses,
    announcement,
    commitments,
    gone,
    claims,
    closings,
});

impl ChannelState {
    /// The state after the first step of a log.
    pub fn open(opening: Opening) -> Self {
        let Opening {
            facts,
            signature,
            local_points,
            remote_point,
            policy,
        } = opening;
        let commitments = Commitments {
            local: LocalCommitment {
                number: CommitmentNumber(0),
                point: local_points.0,
                next_point: local_points.1,
                signature,
                htlc_signatures: Vec::new(),
            },
            remote: RemoteCommitments {
                number: CommitmentNumber(0),
                point: remote_point,
                unrevoked_previous: None,
                next_point: None,
            },
            remote_secrets: SecretStore::default(),
            settled: facts.initial_balance,
            fees: vec![FeeUpdate {
                feerate: facts.initial_feerate,
                state: HtlcState::SentAddAckRevocation,
            }],
            offered: BTreeMap::new(),
            received: BTreeMap::new(),
            next_htlc_id: BySide::default(),
            sent: SentUpdates {
                signed: Vec::new(),
                unsigned: Vec::new(),
                last: LastSent::Revocation,
            },
        };
        Self {
            last_update: UpdateId(0),
            facts,
            phase: Phase::AwaitingReady(AwaitingReady::default()),
            funding: None,
            aliases: BySide::default(),
            policy,
            peer_addresses: Vec::new(),
            announcement: None,
            commitments,
            gone: BTreeMap::new(),
            claims: BTreeMap::new(),
            closings: Vec::new(),
        }
    }

    /// An HTLC that we offered, gone or not, as long as its outcome is not released.
    pub fn offered_htlc(&self, id: HtlcId) -> Option<&OfferedHtlc> {
        self.commitments.offered.get(&id).or_else(|| self.gone.get(&id))
    }

    /// Every HTLC of ours whose outcome is not released, gone or not, by id within each group.
    pub fn unreleased_htlcs(&self) -> impl Iterator<Item = &OfferedHtlc> {
        let unreleased = self.gone.values().chain(self.commitments.offered.values());
        unreleased.filter(|htlc| htlc.on_chain != OnChain::Released)
    }
}
