//! One schedule, run once for each crash point of its nodes, in every way in which they can die there.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use quittance_journal::Lsn;
use quittance_store::memory::Keep;

use crate::{CrashPlan, Harm, NodeIndex, RowsAfterCrash, World};

/// How much may be spent on one schedule.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// Runs of one schedule; more are sampled evenly over its points.
    pub runs_max: usize,
}

impl Effort {
    /// Every crash point in every way.
    pub const ALL: Self = Self { runs_max: usize::MAX };
    /// What a test that runs with all others can afford.
    pub const TEST: Self = Self { runs_max: 12 };
}

/// What was tried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Points at which a node died.
    pub crash_points: usize,
    /// Runs: one for each point and way to die there.
    pub runs: usize,
}

impl std::ops::Add for Report {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            crash_points: self.crash_points + other.crash_points,
            runs: self.runs + other.runs,
        }
    }
}

impl std::iter::Sum for Report {
    fn sum<I: Iterator<Item = Self>>(reports: I) -> Self {
        reports.fold(Self::default(), |sum, report| sum + report)
    }
}

/// A schedule to be expanded over the crash points of its nodes.
#[derive(Debug)]
pub struct Schedule<S, E> {
    /// The world before the schedule begins.
    world: World,
    /// What happens. It must go on when a node dies in it: a node that is down does nothing.
    script: S,
    /// What must hold after everything runs again.
    end: E,
    mortals: Vec<NodeIndex>,
    rows: Rows,
    deaths: Deaths,
    chosen: fn(&CrashPlan) -> bool,
    starts_that_die: u32,
}

/// Which states of the manager's rows are tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rows {
    /// Whole, stale and lost.
    Any,
    /// Whole only: the row says so.
    Whole,
}

/// Who dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deaths {
    /// One node at one point.
    One,
    /// Two nodes, each at a point of its own.
    Both,
}

impl<S: Fn(&mut World), E: Fn(&mut World)> Schedule<S, E> {
    /// A schedule in which `mortals` die, one in each run.
    pub fn new(world: World, mortals: &[NodeIndex], script: S, end: E) -> Self {
        Self {
            world,
            script,
            end,
            mortals: mortals.to_vec(),
            rows: Rows::Any,
            deaths: Deaths::One,
            chosen: |_| true,
            starts_that_die: 0,
        }
    }

    /// With these deaths only.
    #[must_use]
    pub fn only(mut self, chosen: fn(&CrashPlan) -> bool) -> Self {
        self.chosen = chosen;
        self
    }

    /// With so many starts after each death that die as well, at the first thing that they write.
    #[must_use]
    pub fn with_starts_that_die(mut self, starts: u32) -> Self {
        self.starts_that_die = starts;
        self
    }

    /// With the manager's rows whole in every run.
    #[must_use]
    pub fn with_whole_rows(mut self) -> Self {
        self.rows = Rows::Whole;
        self
    }

    /// With the first two of its nodes dying in each run.
    #[must_use]
    pub fn where_both_die(mut self) -> Self {
        self.deaths = Deaths::Both;
        self
    }

    /// Runs the schedule once without and then with each death, as far as the effort allows.
    ///
    /// # Panics
    /// When something does not hold; the message says where the node died.
    pub fn run(&self, effort: Effort) -> Report {
        let plans = self.plans();
        let chosen = sample(&plans, effort.runs_max);
        let mut points: Vec<_> = Vec::new();
        for plans in &chosen {
            self.run_once(plans);
            points.extend(
                plans
                    .first()
                    .map(|plan| (plan.node, plan.point, plans.get(1).map(|other| other.point))),
            );
        }
        points.sort_unstable();
        points.dedup();
        Report {
            crash_points: points.len(),
            runs: chosen.len(),
        }
    }

    /// Runs the schedule with these deaths planned.
    ///
    /// # Panics
    /// When something does not hold.
    pub fn run_once(&self, plans: &[CrashPlan]) {
        let mut world = self.world.clone();
        world.plans = plans.to_vec();
        world.story = Some(Vec::new());
        let world = &mut world;
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            (self.script)(world);
            world.die_at_last();
            world.recover();
            (self.end)(world);
            world.checker.assert_kept();
        }));
        if let Err(panic) = outcome {
            if crate::tells_stories() {
                eprintln!("{plans:?}\n{}", world.story.take().unwrap_or_default().join("\n"));
            }
            resume_unwind(panic);
        }
    }

    /// Every way to die in the schedule, in the order of its points.
    fn plans(&self) -> Vec<Vec<CrashPlan>> {
        let mut world = self.world.clone();
        let first = world.points.clone();
        (self.script)(&mut world);
        let last = world.points.clone();
        let unsynced = world.unsynced_points.clone();
        world.recover();
        (self.end)(&mut world);
        world.checker.assert_kept();
        let of = |node: NodeIndex| {
            let (first, last) = (
                first.get(&node).copied().unwrap_or(0),
                last.get(&node).copied().unwrap_or(0),
            );
            assert!(last > first, "node {node} has something to do in the schedule");
            // The last one stands for the time after the schedule.
            (first..=last).map(move |point| (node, point))
        };
        match self.deaths {
            Deaths::One => {
                let points = self.mortals.iter().flat_map(|node| of(*node));
                let ways = points.flat_map(|(node, point)| self.ways(node, point, unsynced.contains(&(node, point))));
                let chosen = ways.filter(|plan| (self.chosen)(plan));
                chosen
                    .map(|plan| {
                        vec![CrashPlan {
                            starts_that_die: plan.starts_that_die.max(self.starts_that_die),
                            ..plan
                        }]
                    })
                    .collect()
            }
            Deaths::Both => {
                let (one, other) = (self.mortals[0], self.mortals[1]);
                let simple = |(node, point): (NodeIndex, u64)| {
                    let keep = if point % 2 == 0 { Keep::None } else { Keep::All };
                    let rows = [RowsAfterCrash::Whole, self.stale(node), RowsAfterCrash::Lost];
                    plan(
                        node,
                        point,
                        Harm::Dies(keep),
                        rows[usize::try_from(point % 3).expect("small")],
                    )
                };
                let pairs = of(one).flat_map(|first| of(other).map(move |second| (first, second)));
                pairs
                    .map(|(first, second)| vec![simple(first), simple(second)])
                    .collect()
            }
        }
    }

    fn stale(&self, node: NodeIndex) -> RowsAfterCrash {
        let lsn: Lsn = self.world.lsn(node);
        RowsAfterCrash::Stale(lsn)
    }

    /// Every way to die at one point.
    fn ways(&self, node: NodeIndex, point: u64, is_unsynced: bool) -> Vec<CrashPlan> {
        let rows = match self.rows {
            Rows::Whole => vec![RowsAfterCrash::Whole],
            Rows::Any => vec![
                RowsAfterCrash::Whole,
                self.stale(node),
                RowsAfterCrash::Behind(1),
                RowsAfterCrash::Lost,
            ],
        };
        let mut ways = Vec::new();
        for rows in rows {
            ways.push(plan(node, point, Harm::Dies(Keep::None), rows));
            if is_unsynced {
                ways.push(plan(node, point, Harm::Dies(Keep::All), rows));
            }
        }
        if is_unsynced {
            for changes in [1, 2] {
                let torn = Keep::Torn { whole: 0, changes };
                ways.push(plan(node, point, Harm::Dies(torn), RowsAfterCrash::Whole));
            }
            ways.push(plan(node, point, Harm::Dies(Keep::First(1)), RowsAfterCrash::Whole));
            ways.push(plan(node, point, Harm::SyncFails, RowsAfterCrash::Whole));
        } else {
            ways.push(plan(node, point, Harm::DiskFills, RowsAfterCrash::Whole));
        }
        if self.rows == Rows::Any {
            let again = plan(node, point, Harm::Dies(Keep::All), RowsAfterCrash::Lost);
            ways.push(CrashPlan {
                starts_that_die: 2,
                ..again
            });
        }
        ways
    }
}

const fn plan(node: NodeIndex, point: u64, harm: Harm, rows: RowsAfterCrash) -> CrashPlan {
    CrashPlan {
        node,
        point,
        harm,
        rows,
        starts_that_die: 0,
    }
}

/// At most `max` of them, spread evenly.
fn sample<T>(all: &[T], max: usize) -> Vec<&T> {
    if all.len() <= max {
        return all.iter().collect();
    }
    (0..max).map(|place| &all[place * all.len() / max]).collect()
}
