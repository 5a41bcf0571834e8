//! Payments: direct and forwarded, one at a time and 100 in flight, durable and not.

use bitcoin::Amount;
use quittance_payments_bench::node::Outcome;
use quittance_payments_bench::payments::Threads;

use crate::Plan;
use crate::bare::Bare;
use crate::counts::{Account, Cost, Moment, release_threads};
use crate::figures::{by_node, median, millis, short, to_float};
use crate::goals::{Bound, Goals};
use crate::ldk::{ManagerWrites, Network, Persistence};
use crate::ours::{Durability, Nodes};

/// The capacity of every channel: 10 bitcoin.
const CAPACITY: Amount = Amount::from_sat(1_000_000_000);

/// The bytes that a signature has in a record.
const SIGNATURE: f64 = 64.0;

/// One kind of work.
struct Work {
    nodes: usize,
    kept: Kept,
    at_once: u64,
    /// What runs our nodes; LDK's have one thread.
    threads: Threads,
    /// Payments in each round of a full run.
    count: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kept {
    /// Nothing on LDK's side, memory on ours: what the nodes do by themselves.
    InMemory,
    OnDisk,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Contender {
    Ldk,
    /// LDK, its manager written whenever it asks: without that a restart finds the manager as it was when it last was written.
    LdkWithManager,
    /// Nobody's nodes: what no node can do without.
    Bare,
    Ours,
}

impl Contender {
    /// How many payments it makes for each of LDK's: so that who makes more of them in a second has about as long as the others.
    const fn pace(self, work: &Work) -> u64 {
        match (self, work.kept, work.at_once) {
            (Self::Bare | Self::Ours, Kept::OnDisk, 1) => 4,
            _ => 1,
        }
    }
}

/// One contender's costs in one round, each of one payment.
struct Sample {
    per_second: f64,
    processor_ms: f64,
    nodes: Vec<NodeSample>,
}

struct NodeSample {
    processor_ms: f64,
    syncs: f64,
    bytes: f64,
    /// Of our records; the rest is what the store adds.
    record_bytes: f64,
}

/// Both sides, on channels of the same size.
struct Arena {
    ldk: Network,
    ours: Nodes,
    bare: Bare,
    ldk_accounts: Vec<Account>,
    our_accounts: Vec<Account>,
    bare_accounts: Vec<Account>,
}

/// Measures all kinds, and prints a table.
pub(crate) fn measure(plan: &Plan, goals: &mut Goals) -> Outcome<()> {
    if !WORKS.iter().any(|work| plan.includes(&work.name())) {
        return Ok(());
    }
    println!(
        "| payments | who | in a second | ours to this | processor ms of each, all nodes | by node | syncs by node | bytes written by node |"
    );
    println!("|---|---|---:|---:|---:|---|---|---|");
    for works in WORKS.chunk_by(|one, next| (one.nodes, one.kept) == (next.nodes, next.kept)) {
        let folder = tempfile::tempdir()?;
        let mut arena = Arena::open(&works[0], folder.path())?;
        for work in works.iter().filter(|work| plan.includes(&work.name())) {
            arena.compare(work, plan, goals)?;
        }
        drop(arena);
        release_threads();
    }
    println!();
    Ok(())
}

const WORKS: [Work; 10] = [
    work(2, Kept::OnDisk, 1, 45),
    Work {
        threads: Threads::Tasks,
        ..work(2, Kept::OnDisk, 1, 45)
    },
    work(2, Kept::OnDisk, 100, 600),
    Work {
        threads: Threads::Each,
        ..work(2, Kept::OnDisk, 100, 600)
    },
    work(2, Kept::InMemory, 1, 120),
    work(2, Kept::InMemory, 100, 600),
    work(3, Kept::OnDisk, 1, 30),
    work(3, Kept::OnDisk, 100, 450),
    work(3, Kept::InMemory, 1, 90),
    work(3, Kept::InMemory, 100, 450),
];

const fn work(nodes: usize, kept: Kept, at_once: u64, count: u64) -> Work {
    Work {
        nodes,
        kept,
        at_once,
        threads: Threads::One,
        count,
    }
}

impl Work {
    fn name(&self) -> String {
        let way = if self.nodes == 2 { "direct" } else { "forwarded" };
        let at_once = match self.at_once {
            1 => "one at a time".to_owned(),
            many => format!("{many} in flight"),
        };
        let kept = match self.kept {
            Kept::InMemory => "nothing synced",
            Kept::OnDisk => "durable",
        };
        let threads = match self.threads {
            Threads::One => "",
            Threads::Tasks => ", ours signing on a thread beside",
            Threads::Each => ", our two on a thread each",
        };
        format!("{way}, {at_once}, {kept}{threads}")
    }

    fn contenders(&self) -> &'static [Contender] {
        use Contender::{Bare, Ldk, LdkWithManager, Ours};
        match (self.kept, self.nodes, self.threads, self.at_once) {
            (Kept::OnDisk, 2, Threads::One, 1) => &[Ldk, LdkWithManager, Bare, Ours],
            (Kept::OnDisk, _, _, 1) => &[Ldk, Bare, Ours],
            (Kept::OnDisk, 2, Threads::One, _) => &[Ldk, LdkWithManager, Ours],
            _ => &[Ldk, Ours],
        }
    }
}

impl Arena {
    fn open(work: &Work, folder: &std::path::Path) -> Outcome<Self> {
        let accounts = |first: usize| (first..first + work.nodes).map(Account).collect::<Vec<_>>();
        let (ldk_accounts, our_accounts, bare_accounts) = (accounts(1), accounts(4), accounts(7));
        let (for_ldk, for_us) = (folder.join("ldk"), folder.join("ours"));
        let (persistence, durability) = match work.kept {
            Kept::InMemory => (Persistence::Nowhere, Durability::Memory),
            Kept::OnDisk => (Persistence::Updates(&for_ldk), Durability::Disk(&for_us)),
        };
        let ours = Nodes::new(&our_accounts, CAPACITY, durability)?;
        let mut ldk = Network::new(&ldk_accounts, persistence)?;
        for opener in 0..work.nodes - 1 {
            ldk.open_channels(opener, CAPACITY, 1)?;
        }
        Ok(Self {
            ldk,
            ours,
            bare: Bare::new(&bare_accounts)?,
            ldk_accounts,
            our_accounts,
            bare_accounts,
        })
    }

    /// Rounds of all contenders, each round in another order; prints a row for each.
    fn compare(&mut self, work: &Work, plan: &Plan, goals: &mut Goals) -> Outcome<()> {
        let contenders = work.contenders();
        let count = (work.count / plan.divisor).max(work.at_once);
        for contender in contenders {
            self.pay(*contender, work, count / 4 + 1)?;
        }
        let mut rounds: Vec<Vec<Sample>> = Vec::new();
        // One at a time few are made in a round, and what disturbs one weighs more.
        let rounds_of_each = if work.at_once == 1 {
            2 * plan.rounds + 1
        } else {
            plan.rounds
        };
        for round in 0..rounds_of_each {
            let mut samples: Vec<Option<Sample>> = contenders.iter().map(|_| None).collect();
            for turn in 0..contenders.len() {
                let place = (turn + round) % contenders.len();
                let contender = contenders[place];
                samples[place] = Some(self.sample(contender, work, count * contender.pace(work))?);
            }
            rounds.push(samples.into_iter().flatten().collect());
        }
        print(work, &rounds);
        judge(work, &rounds, goals);
        Ok(())
    }

    fn sample(&mut self, contender: Contender, work: &Work, count: u64) -> Outcome<Sample> {
        let records_before = self.ours.record_bytes();
        let before = Moment::now();
        self.pay(contender, work, count)?;
        let cost = Moment::now() - before;
        let records = self.ours.record_bytes();
        let records: Vec<u64> = records
            .iter()
            .zip(records_before)
            .map(|(now, before)| now - before)
            .collect();
        let accounts = match contender {
            Contender::Ldk | Contender::LdkWithManager => &self.ldk_accounts,
            Contender::Bare => &self.bare_accounts,
            Contender::Ours => &self.our_accounts,
        };
        Ok(Sample::of(&cost, accounts, &records, to_float(count)))
    }

    fn pay(&mut self, contender: Contender, work: &Work, count: u64) -> Outcome<()> {
        match contender {
            Contender::Ours => return self.ours.pay(count, usize::try_from(work.at_once)?, work.threads),
            Contender::Bare => return self.bare.pay(count),
            Contender::Ldk => self.ldk.manager_writes = ManagerWrites::Never,
            Contender::LdkWithManager => self.ldk.manager_writes = ManagerWrites::WhenAsked,
        }
        self.ldk.pay(count, work.at_once)
    }
}

impl Sample {
    fn of(cost: &Cost, accounts: &[Account], records: &[u64], count: f64) -> Self {
        let node = |(account, records): (&Account, &u64)| {
            let spent = cost.of(*account);
            NodeSample {
                processor_ms: millis(spent.processor) / count,
                syncs: to_float(spent.syncs) / count,
                bytes: to_float(spent.bytes) / count,
                record_bytes: to_float(*records) / count,
            }
        };
        Self {
            per_second: count / cost.time.as_secs_f64(),
            processor_ms: millis(cost.processor) / count,
            nodes: accounts.iter().zip(records).map(node).collect(),
        }
    }
}

/// The median of a figure over the rounds, for one contender.
fn over(rounds: &[Vec<Sample>], place: usize, figure: impl Fn(&Sample) -> f64) -> f64 {
    median(rounds.iter().map(|samples| figure(&samples[place])))
}

/// The median of the ratios of the rounds: ours to a contender's.
fn ratio(rounds: &[Vec<Sample>], place: usize) -> f64 {
    let ours = |samples: &[Sample]| samples.last().map_or(0.0, |sample| sample.per_second);
    median(rounds.iter().map(|samples| ours(samples) / samples[place].per_second))
}

fn print(work: &Work, rounds: &[Vec<Sample>]) {
    for (place, contender) in work.contenders().iter().enumerate() {
        let nodes = |figure: fn(&NodeSample) -> f64| {
            by_node((0..work.nodes).map(|node| over(rounds, place, |sample| figure(&sample.nodes[node]))))
        };
        let (who, to_this) = match contender {
            Contender::Ldk => ("LDK", Some(ratio(rounds, place))),
            Contender::LdkWithManager => ("LDK, manager written too", Some(ratio(rounds, place))),
            Contender::Bare => ("bare", Some(ratio(rounds, place))),
            Contender::Ours => ("Quittance", None),
        };
        println!(
            "| {} | {who} | {} | {} | {} | {} | {} | {} |",
            work.name(),
            short(over(rounds, place, |sample| sample.per_second)),
            to_this.map_or(String::new(), short),
            short(over(rounds, place, |sample| sample.processor_ms)),
            nodes(|node| node.processor_ms),
            nodes(|node| node.syncs),
            nodes(|node| node.bytes),
        );
    }
}

/// What one kind of work is judged by.
struct Judged<'a> {
    work: &'a Work,
    rounds: &'a [Vec<Sample>],
    goals: &'a mut Goals,
}

fn judge(work: &Work, rounds: &[Vec<Sample>], goals: &mut Goals) {
    let mut judged = Judged { work, rounds, goals };
    match (work.kept, work.nodes) {
        (Kept::InMemory, _) => {}
        (Kept::OnDisk, 2) => judged.direct(),
        (Kept::OnDisk, _) => judged.forwarded(),
    }
}

impl Judged<'_> {
    fn direct(&mut self) {
        let is_alone = self.work.at_once == 1;
        let bound = match self.work.threads {
            Threads::One | Threads::Tasks => 5.0,
            Threads::Each => 8.0,
        };
        let to_ldk = ratio(self.rounds, 0);
        self.judge("payments in a second, to LDK's", Bound::AtLeast(bound), "times", to_ldk);
        if let Some(bare) = self.place_of_bare() {
            let ratio = |samples: &Vec<Sample>| samples[bare].per_second / samples[0].per_second;
            let bare_to_ldk = median(self.rounds.iter().map(ratio));
            self.judge(
                "the bare work in a second, to LDK's payments",
                Bound::None,
                "times",
                bare_to_ldk,
            );
        }
        let bound = if is_alone { 2.3 } else { 0.5 };
        self.judge_processor("processor time, both nodes", bound, |sample| sample.processor_ms);
        if is_alone {
            let worst = |figure: fn(&NodeSample) -> f64| {
                let of = |node: usize| self.ours(|sample| figure(&sample.nodes[node]));
                of(0).max(of(1))
            };
            let (syncs, records) = (worst(|node| node.syncs), worst(|node| node.record_bytes));
            self.judge("syncs of a node", Bound::AtMost(4.0), "", syncs);
            let what = "records of a node, 1,500 and an HTLC's signature that it received";
            self.judge(what, Bound::AtMost(1_500.0 + SIGNATURE), "bytes", records);
        }
    }

    fn forwarded(&mut self) {
        let is_alone = self.work.at_once == 1;
        let bound = if is_alone { 1.2 } else { 0.35 };
        let of_forwarder = |sample: &Sample| sample.nodes[1].processor_ms;
        self.judge_processor("processor time of the forwarder", bound, of_forwarder);
        if is_alone {
            let records = self.ours(|sample| sample.nodes[1].record_bytes);
            let what = "records of the forwarder, 3,200 and two such signatures";
            self.judge(what, Bound::AtMost(3_200.0 + 2.0 * SIGNATURE), "bytes", records);
        }
    }

    /// Judges a processor time, and shows beside it what it was in the round that others disturbed least, and how many times that of the
    /// bare work it is, where that was done.
    fn judge_processor(&mut self, what: &str, bound: f64, figure: fn(&Sample) -> f64) {
        let ours = self.ours(figure);
        self.judge(what, Bound::AtMost(bound), "ms", ours);
        let of_each_round = self.rounds.iter().filter_map(|samples| samples.last().map(figure));
        let least = of_each_round.fold(f64::INFINITY, f64::min);
        self.judge(&format!("{what}, the least of a round"), Bound::None, "ms", least);
        if let Some(bare) = self.place_of_bare() {
            let ratio = |samples: &Vec<Sample>| samples.last().map_or(0.0, figure) / figure(&samples[bare]);
            let to_bare = median(self.rounds.iter().map(ratio));
            self.judge(&format!("{what}, to the bare work's"), Bound::None, "times", to_bare);
        }
    }

    fn ours(&self, figure: impl Fn(&Sample) -> f64) -> f64 {
        over(self.rounds, self.work.contenders().len() - 1, figure)
    }

    fn place_of_bare(&self) -> Option<usize> {
        self.work.contenders().iter().position(|one| *one == Contender::Bare)
    }

    fn judge(&mut self, what: &str, bound: Bound, unit: &'static str, measured: f64) {
        self.goals
            .judge(format!("{}: {what}", self.work.name()), bound, unit, measured);
    }
}
