//! Who closes x who offered the HTLC x its size x when its preimage is known x the format x what disturbs: in each cell both ends
//! get exactly what is theirs, and the HTLC has the outcome that the chain gave it.
//!
//! Sums are those of the outputs that an end's claims took, before the fees of these claims.

use bitcoin::Amount;
use quittance_channel::Outcome;
use quittance_onchain_tests::pair::{Setup, Who, preimage_of};
use quittance_onchain_tests::{Restarts, RevokedCommitment, World};
use quittance_primitives::{BlockCount, HtlcId, MilliSatoshi, ToSelfDelay};
use quittance_regtest::{Chain, MineOptions};
use quittance_transactions::{CommitmentFormat, HtlcDirection, fees};

/// Whose commitment closes the channel, seen from us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Closer {
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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Size {
    Dust,
    Live,
}

/// When the one who was offered the HTLC learns its preimage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    Before,
    AfterTheClose,
    Never,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Disturbance {
    None,
    /// Blocks with the closing, and later blocks with claims, are taken back.
    Reorganisations,
    /// Monitors and channels start again after every block.
    Restarts,
}

#[derive(Clone, Copy, Debug)]
struct Cell {
    closer: Closer,
    format: CommitmentFormat,
    us: Who,
    offered_by: Who,
    size: Size,
    known: Known,
    disturbance: Disturbance,
}

const EXTRA: u64 = 20_000;
const EXPIRES_IN: u32 = 30;

/// Every cell of one closer and one format. Each end is us in half of them.
fn check(closer: Closer, format: CommitmentFormat) {
    for (number, us) in [(0, Who::Alice), (1, Who::Bob)] {
        for offered_by in Who::BOTH {
            for size in [Size::Dust, Size::Live] {
                for (place, known) in [Known::Before, Known::AfterTheClose, Known::Never]
                    .into_iter()
                    .enumerate()
                {
                    let disturbances = [Disturbance::None, Disturbance::Reorganisations, Disturbance::Restarts];
                    let disturbances = disturbances.into_iter().enumerate();
                    for (_, disturbance) in disturbances.filter(|(other, _)| (place + other) % 2 == number) {
                        let cell = Cell {
                            closer,
                            format,
                            us,
                            offered_by,
                            size,
                            known,
                            disturbance,
                        };
                        cell.run();
                    }
                }
            }
        }
    }
}

impl Cell {
    fn run(self) {
        let mut world = World::new(&Setup {
            to_self_delay: ToSelfDelay(10),
            ..Setup::default().with_format(self.format)
        });
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

macro_rules! cells {
    ($($name:ident: $closer:ident, $format:ident;)*) => {$(
        #[test]
        fn $name() {
            check(Closer::$closer, CommitmentFormat::$format);
        }
    )*};
}

cells! {
    we_close_static_remotekey: Us, StaticRemotekey;
    we_close_anchors: Us, Anchors;
    we_close_zero_fee: Us, ZeroFee;
    the_peer_closes_static_remotekey: Peer, StaticRemotekey;
    the_peer_closes_anchors: Peer, Anchors;
    the_peer_closes_zero_fee: Peer, ZeroFee;
    the_peer_closes_by_its_next_static_remotekey: PeerNext, StaticRemotekey;
    the_peer_closes_by_its_next_anchors: PeerNext, Anchors;
    the_peer_closes_by_its_next_zero_fee: PeerNext, ZeroFee;
    the_peer_closes_by_its_previous_static_remotekey: PeerPrevious, StaticRemotekey;
    the_peer_closes_by_its_previous_anchors: PeerPrevious, Anchors;
    the_peer_closes_by_its_previous_zero_fee: PeerPrevious, ZeroFee;
    the_peer_cheats_static_remotekey: Cheater, StaticRemotekey;
    the_peer_cheats_anchors: Cheater, Anchors;
    the_peer_cheats_zero_fee: Cheater, ZeroFee;
}
