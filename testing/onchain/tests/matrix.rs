//! Every cell of the matrix over the embedded chain.

use quittance_monitor::Closing;
use quittance_onchain_tests::pair::{Setup, Who};
use quittance_onchain_tests::{Cell, Closer, Disturbance, Known, Restarts, Size, World};
use quittance_primitives::BlockCount;
use quittance_regtest::{Chain, MineOptions};
use quittance_transactions::CommitmentFormat;

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
                        cell.run(World::embedded_chain());
                    }
                }
            }
        }
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

/// A close by agreement, whatever disturbs it: both get their balance, by the one transaction, and nobody claims anything.
#[test]
fn both_close_by_agreement() {
    for format in [
        CommitmentFormat::StaticRemotekey,
        CommitmentFormat::Anchors,
        CommitmentFormat::ZeroFee,
    ] {
        for disturbance in [Disturbance::None, Disturbance::Reorganisations, Disturbance::Restarts] {
            let mut world = World::new(&Setup::default().with_format(format));
            world.pair.close(Who::Alice);
            world.pair.settle();
            if disturbance == Disturbance::Restarts {
                world.restarts = Restarts::EveryBlock;
            }
            world.run(3);
            if disturbance == Disturbance::Reorganisations {
                let reorganised = world.chain.reorg(BlockCount(3), &MineOptions::empty(4));
                reorganised.expect("empty blocks are valid");
            }
            world.run(10);
            for who in Who::BOTH {
                let replica = world.replica(who);
                let context = format!("{format:?} {disturbance:?} {who:?}");
                assert_eq!(
                    replica.monitor.closing(&replica.state),
                    Some(Closing::Mutual),
                    "{context}"
                );
                assert_eq!(replica.monitor.claims(&replica.state), [], "{context}");
                assert_eq!(world.gross(who), bitcoin::Amount::ZERO, "{context}: no claim was made");
            }
            let closing = world
                .replica(Who::Alice)
                .monitor
                .view()
                .closing
                .clone()
                .expect("it is closed");
            let paid = world.pair.paid_by(&closing.transaction);
            let fee = 10_000_000 - paid.0.unwrap_or(0) - paid.1.unwrap_or(0);
            assert_eq!(
                paid,
                (Some(6_000_000 - fee), Some(4_000_000)),
                "{format:?}: the opener pays {fee}"
            );
            assert!(fee < 2_000, "{format:?}: {fee}");
        }
    }
}
