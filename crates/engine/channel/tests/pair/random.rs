//! A random history of a channel from one seed: both ends act, messages are delivered, links are cut, processes die.

use std::cell::RefCell;
use std::collections::BTreeMap;

use quittance_channel::{Consequence, HtlcState, OfferedHtlc, Outcome, Phase, Removal, Side, Step};
use quittance_primitives::{Feature, FeeratePerKw, HtlcId, PaymentPreimage};
use quittance_transactions::CommitmentFormat;

use super::curve::Curve;
use super::{End, Kept, Pair, Setup, Who, facts};

/// Numbers from a seed (SplitMix64).
pub struct Seeded(pub u64);

impl Seeded {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// Runs the history of `seed` and checks everything that must hold in it and after it.
pub fn run(seed: u64, curve: Curve) {
    let mut random = Seeded(seed);
    let format = match random.below(3) {
        0 => CommitmentFormat::StaticRemotekey,
        1 => CommitmentFormat::Anchors,
        _ => CommitmentFormat::ZeroFee,
    };
    let closing = if random.chance(50) {
        WayToClose::Simple
    } else {
        WayToClose::Legacy
    };
    let mut history = History {
        pair: open_pair(format, closing, curve),
        random,
        htlcs: 0,
    };
    let steps = 20 + history.random.below(60);
    let (cuts, crashes) = (history.random.below(6), history.random.below(6));
    for _ in 0..steps {
        history.step(cuts, crashes);
    }
    history.finish();
    history.close(cuts, crashes);
}

/// How a channel is closed by agreement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WayToClose {
    Legacy,
    Simple,
}

/// An open channel of its kind. All of a kind are the same, so that it is opened once in each thread.
fn open_pair(format: CommitmentFormat, closing: WayToClose, curve: Curve) -> Pair {
    type Kind = (CommitmentFormat, WayToClose, Curve);
    thread_local! {
        static OPEN: RefCell<Vec<(Kind, Pair)>> = const { RefCell::new(Vec::new()) };
    }
    let kind = (format, closing, curve);
    OPEN.with_borrow_mut(|pairs| {
        if let Some((_, pair)) = pairs.iter().find(|(known, _)| *known == kind) {
            return pair.clone();
        }
        let mut pair = Pair::of(&setup(format, closing));
        for who in Who::BOTH {
            pair.end(who).curve = curve;
        }
        pairs.push((kind, pair.clone()));
        pair
    })
}

fn setup(format: CommitmentFormat, closing: WayToClose) -> Setup {
    let setup = Setup::default().with_format(format).with_feature(Feature::Quiesce);
    match closing {
        WayToClose::Legacy => setup,
        WayToClose::Simple => setup
            .with_feature(Feature::ShutdownAnysegwit)
            .with_feature(Feature::SimpleClose),
    }
}

/// One of `choices`, by a number of any size.
fn pick_from<T: Copy>(choices: &[T], number: u64) -> Option<T> {
    let count = u64::try_from(choices.len()).expect("few choices");
    let place = number.checked_rem(count)?;
    choices.get(usize::try_from(place).expect("few choices")).copied()
}

struct History {
    pair: Pair,
    random: Seeded,
    htlcs: u64,
}

impl History {
    fn step(&mut self, cuts: u64, crashes: u64) {
        let who = self.either();
        if self.random.chance(cuts) {
            self.pair.reconnect();
        } else if self.random.chance(crashes) {
            self.crash(who);
        } else {
            match self.random.below(10) {
                0 | 1 => self.offer(who),
                2 | 3 => self.remove(who),
                4 if self.random.chance(30) => self.change_fee(),
                5 if self.random.chance(10) => {
                    let _ = self.pair.end(who).quiesce();
                }
                5 | 6 if self.random.chance(20) => self.acknowledge(who),
                _ => {
                    self.pair.deliver(who);
                }
            }
        }
        self.check_honesty();
    }

    fn offer(&mut self, who: Who) {
        self.htlcs += 1;
        let mut preimage = [0; 32];
        preimage[..8].copy_from_slice(&self.htlcs.to_be_bytes());
        let msat = match self.random.below(4) {
            0 => 1 + self.random.below(600_000),
            1 => 1 + self.random.below(3_000_000_000),
            _ => 600_000 + self.random.below(50_000_000),
        };
        let mut htlc = super::new_htlc(msat, 1);
        htlc.payment_hash = PaymentPreimage(preimage).hash();
        htlc.source = facts::payment_source(u8::try_from(self.htlcs % 255).expect("a byte"));
        // It may not fit; then nothing changes.
        let _ = self.pair.end(who).offer(htlc);
    }

    fn remove(&mut self, who: Who) {
        let roll = self.random.below(3);
        let pick = self.random.next();
        let received = &self.pair.end(who).channel.state().commitments.received;
        let ready: Vec<HtlcId> = received
            .values()
            .filter(|htlc| htlc.state == HtlcState::RcvdAddAckRevocation)
            .map(|htlc| htlc.terms.id)
            .collect();
        let Some(id) = pick_from(&ready, pick) else {
            return;
        };
        let hash = received[&id].terms.payment_hash;
        let removal = match roll {
            0 => Removal::Failed {
                reason: vec![1; 292],
                attribution: None,
            },
            1 => Removal::Malformed {
                failure_code: 0xc005,
                sha256_of_onion: [3; 32],
            },
            _ => Removal::Fulfilled {
                preimage: self.preimage_of(hash),
                attribution: None,
            },
        };
        self.pair
            .end(who)
            .remove(id, removal)
            .expect("an HTLC that both sides hold can be removed");
    }

    /// Whoever waits for the outcome of one of these HTLCs has it, or will not wait for it.
    fn acknowledge(&mut self, who: Who) {
        let state = self.pair.end(who).channel.state();
        let waiting = state.unreleased_htlcs().filter(|htlc| !htlc.acknowledged);
        let waiting: Vec<HtlcId> = waiting.map(|htlc| htlc.terms.id).collect();
        if let Some(id) = pick_from(&waiting, self.random.next()) {
            let is_gone = state.gone.contains_key(&id);
            let decision = self.pair.end(who).channel.decide_acknowledged(id);
            let is_release = |step: &Step| matches!(step, Step::OutcomeReleased(_));
            assert_eq!(
                decision.steps.iter().any(is_release),
                is_gone,
                "rule 4: gone, and handled"
            );
            self.pair.end(who).take_in(decision);
        }
    }

    fn preimage_of(&self, hash: quittance_primitives::PaymentHash) -> PaymentPreimage {
        let all = (1..=self.htlcs).map(|number| {
            let mut preimage = [0; 32];
            preimage[..8].copy_from_slice(&number.to_be_bytes());
            PaymentPreimage(preimage)
        });
        all.into_iter()
            .find(|preimage| hash.is_paid_by(preimage))
            .expect("every HTLC has a preimage")
    }

    fn change_fee(&mut self) {
        let feerate = FeeratePerKw(253 + u32::try_from(self.random.below(5_000)).expect("below 5,000"));
        let _ = self.pair.alice.set_fee(feerate);
    }

    fn crash(&mut self, who: Who) {
        let end = self.pair.end(who);
        let lengths: Vec<usize> = (end.durable..=end.log.len()).collect();
        let updates = pick_from(&lengths, self.random.next()).expect("at least what is durable");
        end.crash(Kept::Updates(updates));
        self.pair.reconnect();
    }

    fn check_honesty(&mut self) {
        for who in Who::BOTH {
            let end = self.pair.end(who);
            assert!(
                end.violations.is_empty(),
                "{} blames an honest peer: {:?}",
                end.name,
                end.violations
            );
        }
    }

    /// No more faults: every HTLC is resolved, and both ends agree about everything.
    fn finish(&mut self) {
        self.pair.reconnect();
        for _ in 0..4 {
            self.pair.settle();
            self.check_honesty();
            for who in Who::BOTH {
                while self.has_removable(who) {
                    self.remove(who);
                }
            }
        }
        self.pair.settle();
        self.check_honesty();
        self.pair.check_agreement();
        for who in Who::BOTH {
            let commitments = &self.pair.end(who).channel.state().commitments;
            assert!(
                commitments.is_empty_and_at_rest(),
                "nothing is left on its way: {commitments:?}"
            );
        }
        let paid = |end: &End| -> u64 {
            let gone = &end.channel.state().gone;
            assert!(
                !gone.values().any(OfferedHtlc::is_releasable),
                "{}: what is over for everybody is released: {gone:?}",
                end.name
            );
            let fulfilled = gone
                .values()
                .filter(|htlc| matches!(htlc.outcome, Some(Outcome::Fulfilled(_))));
            let released = released(end).into_iter().filter(|(id, _)| !gone.contains_key(id));
            let kept: u64 = fulfilled.map(|htlc| htlc.terms.amount.0).sum();
            kept + released.map(|(_, paid)| paid).sum::<u64>()
        };
        let (by_alice, by_bob) = (paid(&self.pair.alice), paid(&self.pair.bob));
        let balances = (6_000_000_000 - by_alice + by_bob, 4_000_000_000 + by_alice - by_bob);
        assert_eq!(self.pair.balances(), balances, "each balance is what the outcomes say");
        assert!(self.pair.offer_of_each_side_still_works());
    }

    /// Both ends close, by order of either, with new HTLCs under way and more faults; then there are none, and it is closed.
    fn close(&mut self, cuts: u64, crashes: u64) {
        self.choose_closing_fees();
        for _ in 0..self.random.below(4) {
            let who = self.either();
            self.offer(who);
        }
        let closer = self.either();
        self.order_close(closer);
        for _ in 0..self.random.below(40) {
            let who = self.either();
            if self.random.chance(cuts) {
                self.pair.reconnect();
            } else if self.random.chance(crashes) {
                self.crash(who);
            } else if self.random.chance(20) {
                self.remove(who);
            } else if self.random.chance(5) {
                self.order_close(who);
            } else {
                self.pair.deliver(who);
            }
            self.check_honesty();
        }
        self.pair.reconnect();
        self.pair.settle();
        // The order may have been lost with an unsynced log.
        self.order_close(closer);
        for _ in 0..4 {
            self.pair.settle();
            self.check_honesty();
            for who in Who::BOTH {
                while self.has_removable(who) {
                    self.remove(who);
                }
            }
        }
        self.pair.settle();
        self.check_honesty();
        self.pair.check_agreement();
        self.pair.check_closed();
        self.pair.check_shares();
    }

    /// Fees on which the two can agree.
    fn choose_closing_fees(&mut self) {
        for who in Who::BOTH {
            let (lowest, wanted) = (self.random.below(1_000), self.random.below(8_000));
            let feerate = |above: u64| FeeratePerKw(253 + u32::try_from(above).expect("a small number"));
            let closing = &mut self.pair.end(who).limits.closing;
            closing.feerate_min = feerate(lowest);
            closing.feerate = feerate(wanted.max(lowest));
            closing.feerate_max = feerate(wanted.max(1_000));
        }
    }

    fn order_close(&mut self, who: Who) {
        let end = self.pair.end(who);
        if matches!(end.channel.state().phase, Phase::Normal) {
            self.pair.close(who);
        }
    }

    fn either(&mut self) -> Who {
        if self.random.chance(50) { Who::Alice } else { Who::Bob }
    }

    fn has_removable(&mut self, who: Who) -> bool {
        let received = &self.pair.end(who).channel.state().commitments.received;
        received
            .values()
            .any(|htlc| htlc.state == HtlcState::RcvdAddAckRevocation)
    }
}

/// What each HTLC paid whose outcome was released, also in steps that a crash lost: those come again, and are the same.
fn released(end: &End) -> BTreeMap<HtlcId, u64> {
    let mut paid = BTreeMap::new();
    for consequence in &end.consequences {
        if let Consequence::OutcomeReleased(cold) = consequence {
            let amount = cold.preimage.map_or(0, |_| cold.amount.0);
            let before = paid.insert(cold.id, amount);
            assert!(
                before.is_none_or(|before| before == amount),
                "{}: {}",
                end.name,
                cold.id
            );
        }
    }
    paid
}

impl Pair {
    /// The channel goes on: an HTLC in each direction can be added and failed.
    fn offer_of_each_side_still_works(&mut self) -> bool {
        for who in Who::BOTH {
            let side_balance = *self.end(who).channel.state().commitments.settled.of(Side::Local);
            if side_balance.0 < 1_000_000_000 {
                continue;
            }
            let id = self.offer(who, 5_000_000, 200);
            self.settle();
            self.end(who.other()).remove(id, super::failed(2)).expect("it is there");
            self.settle();
        }
        self.check_agreement();
        true
    }
}
