//! A sample of the matrix, and the stories of fees, over a real bitcoind: its consensus, its mempool's policy, its packages.
//!
//! `BITCOIND_EXE=$(cargo xtask bitcoind) cargo test -p quittance-onchain-tests --test bitcoind`, or `cargo xtask e2e`.

use libtest_mimic::{Arguments, Completion, Trial};
use quittance_onchain_tests::pair::Who;
use quittance_onchain_tests::{Cell, Closer, Disturbance, FORMATS, Known, Size, fee_stories, format_name};
use quittance_regtest::bitcoind::{Bitcoind, BitcoindChain};
use quittance_regtest::{Chain, Policy};
use quittance_transactions::CommitmentFormat;

fn main() {
    let arguments = Arguments::from_args();
    let cells = Closer::ALL.into_iter().flat_map(sample);
    let cells = cells.map(|cell| over_bitcoind(cell.name(), move |chain| cell.run(chain)));
    let stories = STORIES.iter().flat_map(|(name, formats, story)| {
        formats.iter().map(move |format| {
            let name = format!("{name}::{}", format_name(*format));
            over_bitcoind(name, |chain| story(chain, *format))
        })
    });
    libtest_mimic::run(&arguments, cells.chain(stories).collect()).exit();
}

/// A story of fees, and the formats for which it is told.
type Story = (
    &'static str,
    &'static [CommitmentFormat],
    fn(Box<dyn Chain>, CommitmentFormat),
);

/// Those whose claims need coins.
const WITH_COINS: &[CommitmentFormat] = &[CommitmentFormat::Anchors, CommitmentFormat::ZeroFee];
const STORIES: [Story; 6] = [
    ("fee_bumping_replaces", &[CommitmentFormat::Anchors], |chain, _| {
        fee_stories::a_claim_is_raised_until_it_confirms(chain);
    }),
    (
        "packages_confirm",
        WITH_COINS,
        fee_stories::a_commitment_is_brought_in_by_its_child,
    ),
    ("penalties_come_apart", &FORMATS, fee_stories::a_penalty_comes_apart),
    (
        "second_stages_come_apart",
        WITH_COINS,
        fee_stories::second_stages_come_apart,
    ),
    (
        "one_coin_claims_many_htlcs",
        WITH_COINS,
        fee_stories::one_coin_claims_many_htlcs,
    ),
    ("timeouts_share_a_coin", WITH_COINS, fee_stories::timeouts_share_a_coin),
];

/// A test over a chain of its own; it is ignored, and says so, if there is no bitcoind.
fn over_bitcoind(name: String, test: impl FnOnce(Box<dyn Chain>) + Send + 'static) -> Trial {
    Trial::ignorable_test(name, || {
        let Some(program) = Bitcoind::program() else {
            return Ok(Completion::ignored_with("BITCOIND_EXE names no bitcoind"));
        };
        let node = Bitcoind::start(program, &Policy::default()).expect("the node starts");
        test(Box::new(BitcoindChain::new(node)));
        Ok(Completion::Completed)
    })
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
                known: Known::ALL[number % 3],
                disturbance: Disturbance::ALL[(row + 2 * column) % 3],
            });
        }
    }
    cells
}
