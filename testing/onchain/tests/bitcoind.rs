//! A sample of the matrix, and the stories of fees, over a real bitcoind: its consensus, its mempool's policy, its packages.
//!
//! `BITCOIND_EXE=$(cargo xtask bitcoind) cargo test -p quittance-onchain-tests --test bitcoind`, or `cargo xtask e2e`.

use quittance_onchain_tests::pair::Who;
use quittance_onchain_tests::{Cell, Closer, Disturbance, Known, Size, fee_stories};
use quittance_regtest::bitcoind::{Bitcoind, BitcoindChain};
use quittance_regtest::{Chain, Policy};
use quittance_transactions::CommitmentFormat;

const FORMATS: [CommitmentFormat; 3] = [
    CommitmentFormat::StaticRemotekey,
    CommitmentFormat::Anchors,
    CommitmentFormat::ZeroFee,
];

/// A chain of its own for each; none if there is no bitcoind.
fn chain() -> Option<Box<dyn Chain>> {
    let Some(program) = Bitcoind::program() else {
        println!("skipped: BITCOIND_EXE names no bitcoind");
        return None;
    };
    let node = Bitcoind::start(program, &Policy::default()).expect("the node starts");
    Some(Box::new(BitcoindChain::new(node)))
}

/// Two cells for each closer and format. What else varies, varies along: every value meets every closer.
fn sample(closer: Closer) -> Vec<Cell> {
    let mut cells = Vec::new();
    for (row, format) in FORMATS.into_iter().enumerate() {
        for column in 0..2 {
            let number = 2 * row + column;
            cells.push(Cell {
                closer,
                format,
                us: Who::BOTH[column],
                offered_by: Who::BOTH[(row + column) % 2],
                // The HTLC that is too small for an output is the simple case.
                size: if number == 5 { Size::Dust } else { Size::Live },
                known: [Known::Before, Known::AfterTheClose, Known::Never][number % 3],
                disturbance: [Disturbance::None, Disturbance::Reorganisations, Disturbance::Restarts]
                    [(row + 2 * column) % 3],
            });
        }
    }
    cells
}

fn check(closer: Closer) {
    for cell in sample(closer) {
        let Some(chain) = chain() else { return };
        println!("{cell:?}");
        cell.run(chain);
    }
}

#[test]
fn we_close() {
    check(Closer::Us);
}

#[test]
fn the_peer_closes() {
    check(Closer::Peer);
}

#[test]
fn the_peer_closes_by_its_next() {
    check(Closer::PeerNext);
}

#[test]
fn the_peer_closes_by_its_previous() {
    check(Closer::PeerPrevious);
}

#[test]
fn the_peer_cheats() {
    check(Closer::Cheater);
}

#[test]
fn fee_bumping_replaces() {
    if let Some(chain) = chain() {
        fee_stories::a_claim_is_raised_until_it_confirms(chain);
    }
}

#[test]
fn packages_confirm() {
    for format in [CommitmentFormat::Anchors, CommitmentFormat::ZeroFee] {
        let Some(chain) = chain() else { return };
        fee_stories::a_commitment_is_brought_in_by_its_child(chain, format);
    }
}

#[test]
fn penalties_come_apart() {
    for format in FORMATS {
        let Some(chain) = chain() else { return };
        fee_stories::a_penalty_comes_apart(chain, format);
    }
}

#[test]
fn second_stages_come_apart() {
    for format in [CommitmentFormat::Anchors, CommitmentFormat::ZeroFee] {
        let Some(chain) = chain() else { return };
        fee_stories::second_stages_come_apart(chain, format);
    }
}

#[test]
fn one_coin_claims_many_htlcs() {
    for format in [CommitmentFormat::Anchors, CommitmentFormat::ZeroFee] {
        let Some(chain) = chain() else { return };
        fee_stories::one_coin_claims_many_htlcs(chain, format);
    }
}
