//! How often a peer is listened to about one thing: each word costs us a signature to check and perhaps a row to write, and a peer may say as
//! many as it likes. Of what is said faster than that the last word is heard in the end, and the others never.

/// A peer that speaks as BOLT 7 wants it says something new once in a minute at most.
const PAUSE_MS: u64 = 60_000;
/// What is listened to at once, of a peer that has said nothing for long: its terms before a channel is announced and after, a restart of its own,
/// and an operator who thinks twice.
const AT_ONCE: u64 = 10;

/// What a peer says about one thing.
#[derive(Clone, Debug)]
pub(super) struct Hearing<Word> {
    /// Up to when the words that were heard are paid for, each with a pause; in milliseconds since 1970.
    paid_until_ms: u64,
    /// The last word, as long as there was no time for it. Nothing of it is checked yet.
    waiting: Option<Word>,
}

impl<Word> Default for Hearing<Word> {
    fn default() -> Self {
        Self {
            paid_until_ms: 0,
            waiting: None,
        }
    }
}

impl<Word> Hearing<Word> {
    /// A word that is newer than what waits. It comes back if it is to be heard now; else it waits, and what waited before is dropped.
    #[must_use]
    pub(super) fn now_or_later(&mut self, word: Word, now_ms: u64) -> Option<Word> {
        self.waiting = Some(word);
        self.due(now_ms)
    }

    /// What waits, once there is time for it.
    #[must_use]
    pub(super) fn due(&mut self, now_ms: u64) -> Option<Word> {
        self.waiting.as_ref()?;
        let longest_ms = PAUSE_MS * AT_ONCE;
        // A clock that was set back must not make a peer dumb until that time comes again.
        let ahead_ms = self.paid_until_ms.saturating_sub(now_ms).min(longest_ms);
        self.paid_until_ms = now_ms.saturating_add(ahead_ms);
        if ahead_ms > longest_ms - PAUSE_MS {
            return None;
        }
        self.paid_until_ms = self.paid_until_ms.saturating_add(PAUSE_MS);
        self.waiting.take()
    }

    /// The word that waits, if there was no time for it yet.
    pub(super) const fn waiting(&self) -> Option<&Word> {
        self.waiting.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_words_are_heard_at_once_then_one_in_a_minute_and_the_last_in_the_end() {
        let (mut hearing, start) = (Hearing::default(), 1_000_000_000);
        let heard: Vec<_> = (0..25).filter_map(|word| hearing.now_or_later(word, start)).collect();
        assert_eq!(heard, (0..10).collect::<Vec<_>>());
        assert_eq!(hearing.due(start + 59_999), None);
        assert_eq!(
            hearing.due(start + 60_000),
            Some(24),
            "the words between are never heard"
        );
        assert_eq!(hearing.due(start + 120_000), None, "once");
        let hour = start + 3_600_000;
        let heard: Vec<_> = (0..25).filter_map(|word| hearing.now_or_later(word, hour)).collect();
        assert_eq!(heard.len(), 10, "no more for a longer silence");
    }

    #[test]
    fn a_clock_that_was_set_back_makes_no_peer_dumb() {
        let mut hearing = Hearing::default();
        let (late, early) = (1_000_000_000, 1_000_000);
        assert_eq!(hearing.now_or_later(1, late), Some(1));
        assert_eq!(hearing.now_or_later(2, early), None);
        assert_eq!(hearing.due(early + 59_999), None);
        assert_eq!(hearing.due(early + 60_000), Some(2));
    }
}
