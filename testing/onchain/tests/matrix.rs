//! Every cell of the matrix over the embedded chain: a test of its own each, so that a part of its name selects a part of the matrix.
//!
//! `cargo test -p quittance-onchain-tests --test matrix -- revoked` runs all closes by a revoked commitment, `-- --list` names all cells.

use std::collections::BTreeSet;

use libtest_mimic::{Arguments, Trial};
use quittance_monitor::Closing;
use quittance_onchain_tests::pair::{Setup, Who};
use quittance_onchain_tests::{Cell, Disturbance, FORMATS, Restarts, World, format_name};
use quittance_primitives::BlockCount;
use quittance_regtest::{Chain, MineOptions};
use quittance_transactions::CommitmentFormat;

fn main() {
    let arguments = Arguments::from_args();
    let cells = Cell::all().into_iter().map(|cell| {
        Trial::test(cell.name(), move || {
            cell.run(World::embedded_chain());
            Ok(())
        })
    });
    let mutual = FORMATS.into_iter().flat_map(|format| {
        Disturbance::ALL.map(|disturbance| {
            let name = format!("mutual::{}::{}", format_name(format), disturbance.name());
            Trial::test(name, move || {
                both_close_by_agreement(format, disturbance);
                Ok(())
            })
        })
    });
    let tests: Vec<Trial> = cells.chain(mutual).collect();
    let names: BTreeSet<&str> = tests.iter().map(Trial::name).collect();
    assert_eq!(names.len(), tests.len(), "every cell has a name of its own");
    libtest_mimic::run(&arguments, tests).exit();
}

/// A close by agreement, whatever disturbs it: both get their balance, by the one transaction, and nobody claims anything.
fn both_close_by_agreement(format: CommitmentFormat, disturbance: Disturbance) {
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
        assert_eq!(
            replica.monitor.closing(&replica.state),
            Some(Closing::Mutual),
            "{who:?}"
        );
        assert_eq!(replica.monitor.claims(&replica.state), [], "{who:?}");
        assert_eq!(world.gross(who), bitcoin::Amount::ZERO, "{who:?}: no claim was made");
    }
    let closing = world.replica(Who::Alice).monitor.view().closing.clone();
    let paid = world.pair.paid_by(&closing.expect("it is closed").transaction);
    let fee = 10_000_000 - paid.0.unwrap_or(0) - paid.1.unwrap_or(0);
    assert_eq!(paid, (Some(6_000_000 - fee), Some(4_000_000)), "the opener pays {fee}");
    assert!(fee < 2_000, "{fee}");
}
