//! One schedule, run once for each crash point of a node, each with the manager's rows whole, stale and lost.

use quittance_journal::Lsn;
use quittance_store::memory::Keep;

use crate::{CrashPlan, NodeIndex, RowsAfterCrash, World};

/// A schedule to be expanded over the crash points of one node.
pub struct Schedule<B, S, E> {
    /// Who dies.
    pub node: NodeIndex,
    /// Makes the world before the schedule begins.
    pub build: B,
    /// What happens. It must go on when the node dies in it: a node that is down does nothing.
    pub script: S,
    /// What must hold after everything runs again.
    pub end: E,
}

impl<B: Fn() -> World, S: Fn(&mut World), E: Fn(&mut World)> Schedule<B, S, E> {
    /// Runs the schedule at every crash point and with every state of the manager's rows. Returns how many runs there were.
    ///
    /// # Panics
    /// When something does not hold; the message says where the node died.
    pub fn run_all(&self) -> usize {
        let (first, last, before) = self.count_points();
        let mut runs = 0;
        for point in first..last {
            for keep in [Keep::None, Keep::All] {
                for rows in [
                    RowsAfterCrash::Whole,
                    RowsAfterCrash::Stale(before),
                    RowsAfterCrash::Lost,
                ] {
                    self.run(CrashPlan {
                        node: self.node,
                        point,
                        keep,
                        rows,
                    });
                    runs += 1;
                }
            }
        }
        runs
    }

    /// Runs the schedule with one planned crash.
    ///
    /// # Panics
    /// When something does not hold.
    pub fn run(&self, plan: CrashPlan) {
        let mut world = (self.build)();
        world.plan = Some(plan);
        world.story = Some(Vec::new());
        let world = &mut world;
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            (self.script)(world);
            world.recover();
            (self.end)(world);
            world.checker.assert_kept();
        }));
        if let Err(panic) = outcome {
            eprintln!("{plan:?}\n{}", world.story.take().unwrap_or_default().join("\n"));
            std::panic::resume_unwind(panic);
        }
    }

    /// The node's points in the schedule, and its disk's last batch before it.
    fn count_points(&self) -> (u64, u64, Lsn) {
        let mut world = (self.build)();
        let (first, before) = (world.points[&self.node], world.lsn(self.node));
        (self.script)(&mut world);
        let last = world.points[&self.node];
        assert!(last > first, "the node has something to do in the schedule");
        world.recover();
        (self.end)(&mut world);
        world.checker.assert_kept();
        (first, last, before)
    }
}
