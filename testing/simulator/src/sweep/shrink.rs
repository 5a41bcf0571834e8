//! A broken run, made small: fewer nodes, fewer kinds of faults, fewer moves, as long as the same guarantee breaks.

use std::time::{Duration, Instant};

use super::{Kind, Outcome, Recipe, Story, run};

/// A broken run, made small.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// What replays it.
    pub recipe: Recipe,
    /// What it breaks.
    pub outcome: Outcome,
    /// How many runs were tried.
    pub tried: u64,
}

/// Makes a broken run smaller until nothing can be left out of it, or the time is spent. `None` when it breaks nothing.
pub fn shrink(recipe: &Recipe, patience: Duration) -> Option<Shrunk> {
    let outcome = run(recipe, Story::Untold);
    let guarantee = outcome.broken.first()?.guarantee;
    let mut shrinking = Shrinking {
        best: recipe.clone(),
        outcome,
        guarantee,
        tried: 1,
        until: Instant::now() + patience,
    };
    shrinking.drop_nodes();
    shrinking.drop_kinds();
    shrinking.drop_moves();
    // Without some moves, others of the rest may not matter any more.
    shrinking.drop_kinds();
    shrinking.drop_nodes();
    Some(Shrunk {
        recipe: shrinking.best,
        outcome: shrinking.outcome,
        tried: shrinking.tried,
    })
}

struct Shrinking {
    best: Recipe,
    outcome: Outcome,
    guarantee: &'static str,
    tried: u64,
    until: Instant,
}

impl Shrinking {
    /// Takes a smaller recipe if it breaks the same guarantee.
    fn attempt(&mut self, smaller: Recipe) -> bool {
        if Instant::now() > self.until || smaller == self.best {
            return false;
        }
        self.tried += 1;
        let outcome = run(&smaller, Story::Untold);
        let is_same = outcome
            .broken
            .first()
            .is_some_and(|broken| broken.guarantee == self.guarantee);
        if is_same {
            self.best = smaller;
            self.outcome = outcome;
        }
        is_same
    }

    fn drop_nodes(&mut self) {
        for nodes in 2..8 {
            if self.best.nodes.is_some_and(|most| most <= nodes) {
                return;
            }
            let nodes = Some(nodes);
            if self.attempt(Recipe {
                nodes,
                ..self.best.clone()
            }) {
                return;
            }
        }
    }

    fn drop_kinds(&mut self) {
        for kind in Kind::ALL {
            let mut without = self.best.without.clone();
            without.insert(kind);
            self.attempt(Recipe {
                without,
                ..self.best.clone()
            });
        }
    }

    /// Leaves out ever smaller stretches of moves.
    fn drop_moves(&mut self) {
        let mut places: Vec<u64> = (0..self.outcome_moves())
            .filter(|place| self.best.has_move(*place))
            .collect();
        let mut stretch = places.len().div_ceil(2);
        while stretch > 0 {
            let mut first = 0;
            while first < places.len() {
                let last = (first + stretch).min(places.len());
                let rest: Vec<u64> = [&places[..first], &places[last..]].concat();
                if self.attempt(self.best.with_moves(&rest)) {
                    places = rest;
                } else {
                    first = last;
                }
            }
            stretch = if stretch == 1 { 0 } else { stretch.div_ceil(2) };
        }
    }

    /// The place after the last move that the run came to.
    fn outcome_moves(&self) -> u64 {
        self.best.moves.as_ref().map_or(self.outcome.moves, |ranges| {
            ranges.iter().map(|range| range.end() + 1).max().unwrap_or(0)
        })
    }
}
