//! Channels between the nodes of a world, opened and confirmed at once.

use bitcoin::{Amount, OutPoint, TxOut};
use quittance_channel::{BySide, ChannelEffect, ChannelFacts, ForwardingPolicy, Opening, Side, SideFacts};
use quittance_manager::Input;
use quittance_primitives::{
    BlockCount, ChannelId, CommitmentNumber, Feature, Features, FeeratePerKw, MilliSatoshi, ToSelfDelay,
};
use quittance_regtest::{Chain, MineOptions};
use quittance_transactions::{CommitmentContents, CommitmentFormat, CommitmentTransaction, Role};
use quittance_wire::Message;

use super::{NodeIndex, World};
use crate::checker::FORWARDING;

/// What a channel between two nodes is to be.
#[derive(Clone, Copy, Debug)]
pub struct ChannelSetup {
    /// What it holds.
    pub capacity: Amount,
    /// What of it is the second node's, in msat.
    pub pushed: MilliSatoshi,
    /// How its commitments are built.
    pub format: CommitmentFormat,
    /// Whether both ends want it to be known to everyone.
    pub announce: bool,
}

impl Default for ChannelSetup {
    fn default() -> Self {
        Self {
            capacity: Amount::from_sat(10_000_000),
            pushed: MilliSatoshi(4_000_000_000),
            format: CommitmentFormat::Anchors,
            announce: false,
        }
    }
}

impl World {
    /// Opens a confirmed channel between two nodes that are connected.
    pub fn open_channel(&mut self, opener: NodeIndex, other: NodeIndex, setup: &ChannelSetup) -> ChannelId {
        self.connect(opener, other);
        self.channels += 1;
        let number = self.channels;
        let output = self.funding_output(opener, other, setup, number);
        let payment = self.chain.faucet.pay(&mut self.chain.chain, &[output]);
        let funding = OutPoint {
            txid: payment.compute_txid(),
            vout: 0,
        };
        self.follow_all();
        let openings = self.openings(opener, other, setup, (number, funding));
        let id = openings[0].facts.channel_id;
        for (node, opening) in [opener, other].into_iter().zip(&openings) {
            self.nodes[node].balance_at_first += opening.facts.initial_balance.local.0;
        }
        for (node, opening) in [opener, other].into_iter().zip(openings) {
            let effect = Box::new(ChannelEffect::Send(Box::new(Message::from(quittance_wire::Pong {
                ignored: Vec::new(),
            }))));
            let opening = Box::new(opening);
            self.input(
                node,
                Input::ChannelOpened {
                    opening,
                    features: self.features.clone(),
                    effect,
                },
            );
        }
        let options = MineOptions::empty(3).including([payment]);
        self.chain.chain.mine(&options).expect("the funding is valid");
        self.follow_all();
        self.settle();
        id
    }

    /// What the funding of a channel pays.
    fn funding_output(&mut self, opener: NodeIndex, other: NodeIndex, setup: &ChannelSetup, number: u32) -> TxOut {
        let [opening, _] = self.openings(opener, other, setup, (number, OutPoint::null()));
        opening.facts.terms().funding_output()
    }

    #[allow(
        clippy::too_many_lines,
        reason = "both ends' facts, which say the same from two sides"
    )]
    fn openings(
        &mut self,
        opener: NodeIndex,
        other: NodeIndex,
        setup: &ChannelSetup,
        (number, funding): (u32, OutPoint),
    ) -> [Opening; 2] {
        let opened_at = self.tip();
        let keys_id = |node: NodeIndex| {
            let mut id = [0x11; 32];
            id[1..5].copy_from_slice(&number.to_be_bytes());
            id[5] = u8::try_from(node).expect("few nodes");
            id
        };
        let ends = [opener, other].map(|node| self.nodes[node].signer.channel(keys_id(node)));
        let side = |end: usize| SideFacts {
            keys: ends[end].keys.public_keys(),
            dust_limit: Amount::from_sat(354),
            max_htlc_value_in_flight: MilliSatoshi::from_sat(setup.capacity),
            channel_reserve: setup.capacity / 100,
            htlc_minimum: MilliSatoshi(1),
            to_self_delay: ToSelfDelay(144),
            max_accepted_htlcs: 483,
            upfront_shutdown_script: None,
        };
        let opener_balance = MilliSatoshi(MilliSatoshi::from_sat(setup.capacity).0 - setup.pushed.0);
        let facts = |own: usize| {
            let by_side = |opener: MilliSatoshi, accepter| match own {
                0 => BySide {
                    local: opener,
                    remote: accepter,
                },
                _ => BySide {
                    local: accepter,
                    remote: opener,
                },
            };
            ChannelFacts {
                channel_id: ChannelId::v1(funding),
                peer: self.nodes[[other, opener][own]].id(),
                opener: if own == 0 { Side::Local } else { Side::Remote },
                channel_type: Features::empty()
                    .requiring(Feature::StaticRemotekey)
                    .requiring(Feature::Anchors),
                format: setup.format,
                announce: setup.announce,
                funding,
                capacity: setup.capacity,
                sides: BySide {
                    local: side(own),
                    remote: side(1 - own),
                },
                initial_balance: by_side(opener_balance, setup.pushed),
                initial_feerate: FeeratePerKw(1_000),
                signer_keys_id: keys_id([opener, other][own]),
                minimum_depth: BlockCount(3),
                opened_at,
                funding_transaction: None,
            }
        };
        let terms = facts(0).terms();
        let first = |own: usize, broadcaster| {
            let balances = facts(own).initial_balance;
            let contents = CommitmentContents {
                broadcaster,
                number: CommitmentNumber(0),
                per_commitment_point: ends[own].seed.point(CommitmentNumber(0)),
                feerate: FeeratePerKw(1_000),
                to_broadcaster: balances.local,
                to_countersignatory: balances.remote,
                htlcs: Vec::new(),
            };
            let commitment = CommitmentTransaction::build(&terms, &contents).expect("the opener can pay");
            ends[1 - own].keys.countersign(&commitment).funding
        };
        let signatures = [first(0, Role::Opener), first(1, Role::Accepter)];
        [0, 1].map(|own: usize| Opening {
            facts: facts(own),
            signature: signatures[own],
            local_points: (
                ends[own].seed.point(CommitmentNumber(0)),
                ends[own].seed.point(CommitmentNumber(1)),
            ),
            remote_point: ends[1 - own].seed.point(CommitmentNumber(0)),
            policy: ForwardingPolicy {
                htlc_maximum: MilliSatoshi::from_sat(setup.capacity),
                ..FORWARDING
            },
        })
    }
}
