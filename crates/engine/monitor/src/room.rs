//! How many transactions the claims of one channel may be: as many as have a place in the mempool, and a coin where they need one.
//!
//! What is urgent is never held back for want of either: it only does not come apart any further. Start at [`Room::take_part`].

use bitcoin::Amount;
use quittance_journal::mark;

/// How many transactions of a channel wait for a block at once, but for urgent ones that cannot share a transaction. A reorganisation that
/// takes the closing transaction back makes all of them its descendants, and bitcoind keeps 25 with the transaction itself
/// (`-limitdescendantcount`): what is beyond would be dropped, or be in the way of the closing transaction's own child.
pub(crate) const IN_FLIGHT_MAX: usize = 24;

/// What is left, for one channel at one block.
#[derive(Debug)]
pub(crate) struct Room<'a> {
    places: usize,
    coins: &'a mut Vec<Amount>,
    /// Coins that are not for coming apart.
    kept_coins: usize,
}

impl<'a> Room<'a> {
    /// What `in_flight` transactions leave, those counted in that go out in any case. `asking` transactions will ask for a first coin.
    pub(crate) fn beside(in_flight: usize, asking: usize, coins: &'a mut Vec<Amount>) -> Self {
        coins.sort_unstable();
        Self {
            places: IN_FLIGHT_MAX.saturating_sub(in_flight),
            coins,
            // And one, so that there is something to raise with.
            kept_coins: asking + 1,
        }
    }

    /// A place for a transaction that can wait for it. Whether there is one.
    pub(crate) const fn take_place(&mut self) -> bool {
        let Some(left) = self.places.checked_sub(1) else {
            return false;
        };
        self.places = left;
        true
    }

    /// A place, and a coin of at least `coin` if one is needed, for a claim that leaves the transaction that it would share. Whether there are.
    pub(crate) fn take_part(&mut self, coin: Option<Amount>) -> bool {
        if self.places == 0 {
            mark!("monitor: claims share a transaction for want of a place");
            return false;
        }
        if let Some(least) = coin
            && (self.coins.len() <= self.kept_coins || !self.take_smallest(least))
        {
            mark!("monitor: claims share a coin");
            return false;
        }
        self.take_place()
    }

    /// The coin that a transaction asks for which goes out in any case.
    pub(crate) fn take_coin(&mut self, least: Amount) {
        self.kept_coins = self.kept_coins.saturating_sub(1);
        self.take_smallest(least);
    }

    /// The smallest coin of at least `least`. Whether there is one.
    fn take_smallest(&mut self, least: Amount) -> bool {
        let place = self.coins.partition_point(|coin| *coin < least);
        let is_there = place < self.coins.len();
        if is_there {
            self.coins.remove(place);
        }
        is_there
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sat(amounts: &[u64]) -> Vec<Amount> {
        amounts.iter().copied().map(Amount::from_sat).collect()
    }

    #[test]
    fn claims_come_apart_as_far_as_there_are_places() {
        let mut coins = Vec::new();
        let mut room = Room::beside(IN_FLIGHT_MAX - 2, 0, &mut coins);
        assert_eq!(
            [room.take_part(None), room.take_part(None), room.take_part(None)],
            [true, true, false]
        );
        assert!(!room.take_place());
        assert!(!Room::beside(IN_FLIGHT_MAX + 5, 0, &mut coins).take_place());
    }

    #[test]
    fn the_last_coins_are_for_those_that_ask_for_their_first_and_for_raises() {
        let mut coins = sat(&[900, 100, 500, 300]);
        let mut room = Room::beside(0, 1, &mut coins);
        let least = Some(Amount::from_sat(200));
        assert_eq!(
            [room.take_part(least), room.take_part(least), room.take_part(least)],
            [true, true, false]
        );
        room.take_coin(Amount::from_sat(50));
        assert_eq!(coins, sat(&[900]), "the smallest that does is taken");
    }

    #[test]
    fn a_coin_that_is_too_small_is_none() {
        let mut coins = sat(&[100, 100, 100]);
        assert!(!Room::beside(0, 0, &mut coins).take_part(Some(Amount::from_sat(101))));
        assert_eq!(coins, sat(&[100, 100, 100]));
    }
}
