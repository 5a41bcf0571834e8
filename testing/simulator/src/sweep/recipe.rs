//! What makes a run: a seed, and what is left out of the run that the seed alone would give. Its text is what replays it:
//! `--seed 7 --nodes 3 --without cuts,clocks --moves 0-4,17`.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::RangeInclusive;

use crate::Random;

/// What makes a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipe {
    /// From which everything is drawn.
    pub seed: u64,
    /// No more nodes than these.
    pub nodes: Option<u8>,
    /// What never happens in it.
    pub without: BTreeSet<Kind>,
    /// The only moves of its safety phase, by their places; all of them when there is no list.
    pub moves: Option<Vec<RangeInclusive<u64>>>,
}

macro_rules! kinds {
    ($($(#[doc = $what:literal])* $kind:ident $name:literal),* $(,)?) => {
        /// Kinds of things that happen in a run beside payments, and that can be left out of it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Kind {
            $($(#[doc = $what])* $kind,)*
        }

        impl Kind {
            /// All of them.
            pub const ALL: [Self; [$($name),*].len()] = [$(Self::$kind),*];

            /// Its name in recipes.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$kind => $name,)*
                }
            }
        }
    };
}

kinds! {
    /// A process dies between two steps.
    Crashes "crashes",
    /// A process dies in the middle of a step.
    Points "points",
    /// The manager's rows are stale or lost after a death.
    Rows "rows",
    /// A disk fails or fills.
    Disks "disks",
    /// Syncs are slow, and several steps share one.
    Syncs "syncs",
    /// Wires are cut.
    Cuts "cuts",
    /// Wires are slow.
    Latency "latency",
    /// Clocks jump.
    Clocks "clocks",
    /// Peers send what nobody should, and what they sent before.
    Garbage "garbage",
    /// Payees hold payments.
    Holds "holds",
    /// Users take their time to handle events.
    Users "users",
    /// Blocks are found, full, empty or late.
    Blocks "blocks",
    /// Users close channels, by agreement or by commitment.
    Closes "closes",
    /// Blocks are replaced.
    Reorgs "reorgs",
    /// Users change by what their nodes forward.
    Policies "policies",
    /// What a node thinks of fees changes.
    Fees "fees",
    /// Fees rise steeply, and what pays too little leaves every mempool.
    Spikes "spikes",
    /// Revoked commitments are put into blocks, and what their owners can make of them.
    Cheats "cheats",
    /// Users open channels, and have the money for it or not.
    Opens "opens",
    /// Stores come back from an older moment: a backup that is declared, or a replica that was behind.
    Backups "backups",
    /// Peers and strangers ask what is public, and say what is not true.
    Words "words",
    /// Nothing happens for minutes or days, and a wire may be down.
    Silence "silence",
    /// Announced channels are moved by reorganisations.
    Displacements "displacements",
    /// One of several parts of a payment is lost with its channel, by a cheat.
    LostParts "parts",
    /// Wires are cut until faults stop.
    Partings "partings",
    /// Steps are written in two batches, as an earlier version of the software may have done, and the process dies between them.
    Halves "halves",
    /// A channel has more HTLCs at once than its claims have places.
    Crowds "crowds",
    /// Nodes gather what passes through them for a moment.
    Gathering "gathering",
    /// Nodes bear less dust than their peers.
    Limits "limits",
    /// What passes through channels gets dearer than payers believe.
    Prices "prices",
}

impl Recipe {
    /// The whole run of a seed.
    pub const fn of(seed: u64) -> Self {
        Self {
            seed,
            nodes: None,
            without: BTreeSet::new(),
            moves: None,
        }
    }

    /// Reads a recipe from words as its text has them.
    ///
    /// # Errors
    /// Which word is wrong.
    pub fn read(words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut words = words;
        let mut recipe = Self::of(0);
        while let Some(word) = words.next() {
            let value = words.next().ok_or_else(|| format!("{word} needs a value"))?;
            if !recipe.take(&word, &value)? {
                return Err(format!("{word} is no part of a recipe"));
            }
        }
        Ok(recipe)
    }

    /// Takes one word and its value in. Whether the word belongs to recipes.
    ///
    /// # Errors
    /// What is wrong with the value.
    pub fn take(&mut self, word: &str, value: &str) -> Result<bool, String> {
        let wrong = |what: &str| format!("{word} {value}: {what}");
        match word {
            "--seed" => self.seed = value.parse().map_err(|_| wrong("no number"))?,
            "--nodes" => {
                let nodes = value.parse().map_err(|_| wrong("no number"))?;
                if nodes < 2 {
                    return Err(wrong("two at least"));
                }
                self.nodes = Some(nodes);
            }
            "--without" => {
                let kind = |name: &str| Kind::ALL.into_iter().find(|kind| kind.name() == name);
                let kinds: Option<BTreeSet<Kind>> = value.split(',').map(kind).collect();
                let names = Kind::ALL.map(Kind::name).join(", ");
                self.without = kinds.ok_or_else(|| wrong(&format!("can be any of {names}")))?;
            }
            "--moves" if value == "none" => self.moves = Some(Vec::new()),
            "--moves" => {
                let range = |text: &str| {
                    let (first, last) = text.split_once('-').unwrap_or((text, text));
                    Some(first.parse().ok()?..=last.parse().ok()?)
                };
                let ranges: Option<Vec<_>> = value.split(',').map(range).collect();
                self.moves = Some(ranges.ok_or_else(|| wrong("not like 0-4,17"))?);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Whether things of this kind may happen.
    pub fn has(&self, kind: Kind) -> bool {
        !self.without.contains(&kind)
    }

    /// Whether the safety phase makes the move at this place.
    pub fn has_move(&self, place: u64) -> bool {
        self.moves
            .as_ref()
            .is_none_or(|ranges| ranges.iter().any(|range| range.contains(&place)))
    }

    /// The same with these moves only, which are in order.
    #[must_use]
    pub fn with_moves(&self, places: &[u64]) -> Self {
        let mut ranges: Vec<RangeInclusive<u64>> = Vec::new();
        for place in places {
            match ranges.last_mut() {
                Some(last) if *last.end() + 1 == *place => *last = *last.start()..=*place,
                _ => ranges.push(*place..=*place),
            }
        }
        Self {
            moves: Some(ranges),
            ..self.clone()
        }
    }

    /// The chances of the move at this place, which no other move changes.
    pub(super) fn chances_of(&self, place: u64) -> Random {
        let mut of_seed = Random::new(self.seed);
        Random::new(of_seed.draw() ^ Random::new(place).draw())
    }
}

impl fmt::Display for Recipe {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "--seed {}", self.seed)?;
        if let Some(nodes) = self.nodes {
            write!(formatter, " --nodes {nodes}")?;
        }
        if !self.without.is_empty() {
            let names: Vec<_> = self.without.iter().map(|kind| kind.name()).collect();
            write!(formatter, " --without {}", names.join(","))?;
        }
        if let Some(moves) = &self.moves {
            let range = |range: &RangeInclusive<u64>| {
                if range.start() == range.end() {
                    range.start().to_string()
                } else {
                    format!("{}-{}", range.start(), range.end())
                }
            };
            let mut ranges: Vec<_> = moves.iter().map(range).collect();
            if ranges.is_empty() {
                ranges.push("none".to_owned());
            }
            write!(formatter, " --moves {}", ranges.join(","))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recipe_is_read_back_from_its_text() {
        let recipe = Recipe {
            seed: 7,
            nodes: Some(3),
            without: [Kind::Cuts, Kind::Clocks].into(),
            moves: None,
        };
        let recipe = recipe.with_moves(&[0, 1, 2, 5]);
        assert_eq!(
            recipe.to_string(),
            "--seed 7 --nodes 3 --without cuts,clocks --moves 0-2,5"
        );
        let words = recipe.to_string();
        let words = words.split(' ').map(str::to_owned);
        assert_eq!(Recipe::read(words), Ok(recipe));
        let words = ["--without", "rain"].map(str::to_owned);
        let error = Recipe::read(words.into_iter()).unwrap_err();
        assert!(error.contains("--without rain"), "{error}");
    }
}
