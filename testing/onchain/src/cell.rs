//! One cell of the matrix: who closes x who offered the HTLC x its size x when its preimage is known x the format x what disturbs.
//!
//! In each both ends get exactly what is theirs, and the HTLC has the outcome that the chain gave it. Sums are those of the outputs that
//! an end's claims took, before the fees of these claims. Start at [`Cell::run`].

use bitcoin::Amount;
use quittance_channel::Outcome;
use quittance_primitives::{BlockCount, HtlcId, MilliSatoshi, ToSelfDelay};
use quittance_regtest::{Chain, MineOptions};
use quittance_transactions::{CommitmentFormat, HtlcDirection, fees};

use crate::pair::{Setup, Who, preimage_of};
use crate::{Restarts, RevokedCommitment, World};

/// Whose commitment closes the channel, seen from us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closer {
    /// We, by our commitment.
    Us,
    /// The peer, by the only commitment that it has.
    Peer,
    /// The peer, by the commitment that we signed last, without having revoked the one before it.
    PeerNext,
    /// The peer, by the one before it, since what we signed last never reached it.
    PeerPrevious,
    /// The peer, by a commitment that it revoked.
    Cheater,
}

/// How large the HTLC is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// Too small for an output.
    Dust,
    /// 50,000 sat.
    Live,
}

/// When the one who was offered the HTLC learns its preimage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// Before the channel closes.
    Before,
    /// Three blocks later.
    AfterTheClose,
    /// Not at all.
    Never,
}

/// What makes it harder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disturbance {
    /// Nothing.
    None,
    /// Blocks with the closing, and later blocks with claims, are taken back.
    Reorganisations,
    /// Monitors and channels start again after every block.
    Restarts,
}

/// Every format of commitments.
pub const FORMATS: [CommitmentFormat; 3] = [
    CommitmentFormat::StaticRemotekey,
    CommitmentFormat::Anchors,
    CommitmentFormat::ZeroFee,
];

impl Closer {
    /// Everyone.
    pub const ALL: [Self; 5] = [Self::Us, Self::Peer, Self::PeerNext, Self::PeerPrevious, Self::Cheater];
}

impl Known {
    /// Every time.
    pub const ALL: [Self; 3] = [Self::Before, Self::AfterTheClose, Self::Never];
}

impl Disturbance {
    /// Everything.
    pub const ALL: [Self; 3] = [Self::None, Self::Reorganisations, Self::Restarts];

    /// What it is called in the names of tests.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "undisturbed",
            Self::Reorganisations => "reorganised",
            Self::Restarts => "restarted",
        }
    }
}

/// What a format is called in the names of tests.
pub const fn format_name(format: CommitmentFormat) -> &'static str {
    match format {
        CommitmentFormat::StaticRemotekey => "static_remotekey",
        CommitmentFormat::Anchors => "anchors",
        CommitmentFormat::ZeroFee => "zero_fee",
    }
}

/// One close of a channel with one HTLC.
#[derive(Clone, Copy, Debug)]
pub struct Cell {
    /// Whose commitment closes it.
    pub closer: Closer,
    /// What commitments look like.
    pub format: CommitmentFormat,
    /// The end whose view it is.
    pub us: Who,
    /// Who offered the HTLC.
    pub offered_by: Who,
    /// How large the HTLC is.
    pub size: Size,
    /// When its preimage is known.
    pub known: Known,
    /// What makes it harder.
    pub disturbance: Disturbance,
}

const EXTRA: u64 = 20_000;
const EXPIRES_IN: u32 = 30;

impl Cell {
    /// The whole matrix, but for closes by agreement, which have no HTLC.
    pub fn all() -> Vec<Self> {
        let mut cells = Vec::new();
        for closer in Closer::ALL {
            for format in FORMATS {
                for us in Who::BOTH {
                    for offered_by in Who::BOTH {
                        for size in [Size::Dust, Size::Live] {
                            for known in Known::ALL {
                                cells.extend(Disturbance::ALL.map(|disturbance| Self {
                                    closer,
                                    format,
                                    us,
                                    offered_by,
                                    size,
                                    known,
                                    disturbance,
                                }));
                            }
                        }
                    }
                }
            }
        }
        cells
    }

    /// What a test of this cell is called: each value in its place, so that a part of the name selects a part of the matrix.
    pub fn name(&self) -> String {
        let closer = match self.closer {
            Closer::Us => "we_close",
            Closer::Peer => "peer_closes_by_latest",
            Closer::PeerNext => "peer_closes_by_next",
            Closer::PeerPrevious => "peer_closes_by_previous",
            Closer::Cheater => "peer_closes_by_revoked",
        };
        // Alice opened the channel.
        let us = match self.us {
            Who::Alice => "we_opened",
            Who::Bob => "peer_opened",
        };
        let offered_by = if self.offered_by == self.us {
            "we_offer"
        } else {
            "peer_offers"
        };
        let size = match self.size {
            Size::Dust => "dust",
            Size::Live => "live",
        };
        let known = match self.known {
            Known::Before => "preimage_known",
            Known::AfterTheClose => "preimage_late",
            Known::Never => "preimage_never",
        };
        let format = format_name(self.format);
        let disturbance = self.disturbance.name();
        format!("{closer}::{format}::{us}::{offered_by}::{size}::{known}::{disturbance}")
    }

    /// Opens a channel over `chain`, closes it, and checks what both ends have in the end.
    ///
    /// # Panics
    /// When anybody has anything else.
    pub fn run(self, chain: Box<dyn Chain>) {
        let setup = Setup {
            to_self_delay: ToSelfDelay(10),
            ..Setup::default().with_format(self.format)
        };
        let mut world = World::over(chain, &setup);
        let id = world.offer(self.offered_by, MilliSatoshi(self.htlc() * 1_000), 1, EXPIRES_IN);
        world.pair.settle();
        let extra = self.close(&mut world);
        let payee = self.offered_by.other();
        if self.known == Known::Before {
            world.learn(payee, id, preimage_of(1));
        }
        if self.disturbance == Disturbance::Restarts {
            world.restarts = Restarts::EveryBlock;
        }
        world.run(3);
        if self.known == Known::AfterTheClose {
            world.learn(payee, id, preimage_of(1));
        }
        self.disturb(&mut world, 3);
        world.run(6);
        self.disturb(&mut world, 4);
        world.run(EXPIRES_IN + 22);

        assert_eq!(world.refused, [], "{self:?}");
        let (alice, bob) = self.expected();
        let (alice, bob) = (Amount::from_sat(alice), Amount::from_sat(bob));
        assert_eq!(
            (world.gross(Who::Alice), world.gross(Who::Bob)),
            (alice, bob),
            "{self:?}"
        );
        if self.offered_by == self.us || self.closer != Closer::Cheater {
            let expected = if self.is_paid() {
                Outcome::Fulfilled(preimage_of(1))
            } else {
                Outcome::FailedOnChain
            };
            assert_eq!(world.outcome(self.offered_by, id), (Some(expected), true), "{self:?}");
        }
        if let Some(extra) = extra {
            let expected = (Some(Outcome::FailedOnChain), true);
            assert_eq!(world.outcome(self.us, extra), expected, "{self:?}: the HTLC on its way");
        }
    }

    /// Brings the channel to where it is to be closed, and closes it.
    fn close(self, world: &mut World) -> Option<HtlcId> {
        let peer = self.us.other();
        let extra = MilliSatoshi(EXTRA * 1_000);
        match self.closer {
            Closer::Us => world.force_close(self.us),
            Closer::Peer => world.force_close(peer),
            Closer::PeerNext => {
                let id = world.offer(self.us, extra, 2, EXPIRES_IN);
                assert!(world.pair.deliver(self.us) && world.pair.deliver(self.us));
                world.force_close(peer);
                return Some(id);
            }
            Closer::PeerPrevious => {
                let id = world.offer(self.us, extra, 2, EXPIRES_IN);
                world.force_close(peer);
                return Some(id);
            }
            Closer::Cheater => {
                let old = RevokedCommitment::held_by(world, peer).transaction;
                world.offer(peer, extra, 2, EXPIRES_IN);
                world.pair.settle();
                world.down.push(peer);
                world
                    .chain
                    .mine(&MineOptions::empty(1).including([old]))
                    .expect("it was signed");
            }
        }
        None
    }

    fn disturb(self, world: &mut World, depth: u32) {
        if self.disturbance == Disturbance::Reorganisations {
            let options = MineOptions::empty(depth + 1);
            world
                .chain
                .reorg(BlockCount(depth), &options)
                .expect("empty blocks are valid");
            world.act();
        }
    }

    /// Whether the HTLC goes to the one who was offered it.
    fn is_paid(self) -> bool {
        self.size == Size::Live && self.known != Known::Never && self.closer != Closer::Cheater
    }

    const fn htlc(self) -> u64 {
        match self.size {
            Size::Dust => 300,
            Size::Live => 50_000,
        }
    }

    /// Whose commitment confirms.
    fn owner(self) -> Who {
        match self.closer {
            Closer::Us => self.us,
            Closer::Peer | Closer::PeerNext | Closer::PeerPrevious | Closer::Cheater => self.us.other(),
        }
    }

    /// What Alice's and Bob's claims bring, in satoshis.
    fn expected(self) -> (u64, u64) {
        let has_extra = self.closer == Closer::PeerNext;
        let outputs = u32::from(self.size == Size::Live) + u32::from(has_extra);
        // Alice opened the channel and pays.
        let cost = fees::opener_cost(self.format, Setup::default().feerate, outputs).to_sat();
        let mut gets = [6_000_000 - cost, 4_000_000];
        let index = |who| usize::from(who == Who::Bob);
        gets[index(self.offered_by)] -= self.htlc();
        if self.closer == Closer::Cheater {
            let live = if self.size == Size::Live { self.htlc() } else { 0 };
            let all = gets[0] + gets[1] + live;
            return if self.us == Who::Alice { (all, 0) } else { (0, all) };
        }
        if self.size == Size::Live {
            let winner = if self.is_paid() {
                self.offered_by.other()
            } else {
                self.offered_by
            };
            let direction = if self.owner() == self.offered_by {
                HtlcDirection::Offered
            } else {
                HtlcDirection::Received
            };
            let second_stage = fees::htlc_transaction_fee(self.format, direction, Setup::default().feerate).to_sat();
            gets[index(winner)] += self.htlc() - if winner == self.owner() { second_stage } else { 0 };
        }
        // The HTLC on its way expires on the peer's commitment, or never was there: it is ours again either way.
        (gets[0], gets[1])
    }
}
