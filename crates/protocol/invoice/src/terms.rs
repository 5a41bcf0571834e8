//! What an invoice says, as plain values.

use std::fmt;
use std::time::Duration;

use bitcoin::hashes::{Hash, sha256};
use bitcoin::{Address, Network};
use quittance_primitives::{
    BlockCount, CltvExpiryDelta, Feature, Features, MilliSatoshi, PaymentHash, PaymentSecret, ShortChannelId,
};
use secp256k1::PublicKey;

/// Everything that an invoice says, apart from who says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The chain that the payment is made on. Testnet 3 and 4 share a prefix, and are read as [`Network::Testnet`].
    pub network: Network,
    /// What is asked for; `None` leaves it to the payer.
    pub amount: Option<MilliSatoshi>,
    /// When the invoice was written, since the start of 1970 UTC; whole seconds below 2^35.
    pub created_at: Duration,
    /// What the payment's HTLCs are locked to (`p`).
    pub payment_hash: PaymentHash,
    /// By which the payee recognises its payer (`s`).
    pub payment_secret: PaymentSecret,
    /// What the payment is for (`d` or `h`).
    pub description: Description,
    /// For how long from `created_at` it can be paid (`x`); whole seconds.
    pub expiry: Duration,
    /// The least distance between the tip and the last HTLC's expiry (`c`).
    pub min_final_cltv_expiry_delta: BlockCount,
    /// Ways from public nodes to the payee over channels that the payer cannot know, best first (`r`).
    pub route_hints: Vec<Vec<RouteHintHop>>,
    /// What the payer must know or may use (`9`).
    pub features: Features,
    /// To be handed to the payee with the payment (`m`).
    pub metadata: Option<Vec<u8>>,
    /// Where to pay on chain instead, best first (`f`).
    pub fallbacks: Vec<Address>,
}

/// What a payment is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Description {
    /// In words. They are the payee's: to be shown through `Display`, which strips control characters, and never as HTML.
    Text(String),
    /// The SHA-256 of a text that is to be had elsewhere.
    Hash([u8; 32]),
}

/// A channel on the way from a public node to the payee.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteHintHop {
    /// The node at the start of the channel.
    pub node: PublicKey,
    /// The channel.
    pub short_channel_id: ShortChannelId,
    /// What that node takes for each payment, in msat.
    pub fee_base_msat: u32,
    /// What it takes besides, in millionths of the amount.
    pub fee_proportional_millionths: u32,
    /// The distance that it wants between incoming and outgoing expiry.
    pub cltv_expiry_delta: CltvExpiryDelta,
}

impl Terms {
    /// The expiry of an invoice that states none.
    pub const DEFAULT_EXPIRY: Duration = Duration::from_hours(1);
    /// The `min_final_cltv_expiry_delta` of an invoice that states none.
    pub const DEFAULT_MIN_FINAL_CLTV_EXPIRY_DELTA: BlockCount = BlockCount(18);

    /// Terms with the BOLT's defaults: any amount, no hints, no fallback; onion payloads and the payment secret required.
    pub fn new(
        network: Network,
        created_at: Duration,
        payment_hash: PaymentHash,
        payment_secret: PaymentSecret,
        description: Description,
    ) -> Self {
        Self {
            network,
            amount: None,
            created_at,
            payment_hash,
            payment_secret,
            description,
            expiry: Self::DEFAULT_EXPIRY,
            min_final_cltv_expiry_delta: Self::DEFAULT_MIN_FINAL_CLTV_EXPIRY_DELTA,
            route_hints: Vec::new(),
            // Assumed of everyone, yet some payers want to see them.
            features: Features::empty()
                .requiring(Feature::VarOnion)
                .requiring(Feature::PaymentSecret),
            metadata: None,
            fallbacks: Vec::new(),
        }
    }

    /// When the invoice expires, since the start of 1970 UTC; at most [`Duration::MAX`].
    pub fn expires_at(&self) -> Duration {
        self.created_at.saturating_add(self.expiry)
    }

    /// Whether it has expired at `now`, counted since the start of 1970 UTC.
    pub fn is_expired_at(&self, now: Duration) -> bool {
        now > self.expires_at()
    }
}

impl Description {
    /// The hash of a text that is too long for an invoice.
    pub fn hash_of(text: &str) -> Self {
        Self::Hash(sha256::Hash::hash(text.as_bytes()).to_byte_array())
    }

    /// Whether `text`, which came from elsewhere, is what is described: a payer of a hash must check it (BOLT 11).
    pub fn describes(&self, text: &str) -> bool {
        match self {
            Self::Text(own) => own == text,
            Self::Hash(_) => *self == Self::hash_of(text),
        }
    }
}

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => text.chars().try_for_each(|character| {
                let shown = if steers(character) {
                    char::REPLACEMENT_CHARACTER
                } else {
                    character
                };
                write!(f, "{shown}")
            }),
            Self::Hash(hash) => {
                f.write_str("SHA-256 ")?;
                hash.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }
    }
}

/// Whether `character` moves the cursor or turns the direction of the text around it, instead of showing something.
fn steers(character: char) -> bool {
    const DIRECTIONS: [char; 12] = [
        '\u{61c}', '\u{200e}', '\u{200f}', '\u{202a}', '\u{202b}', '\u{202c}', '\u{202d}', '\u{202e}', '\u{2066}',
        '\u{2067}', '\u{2068}', '\u{2069}',
    ];
    character.is_control() || DIRECTIONS.contains(&character)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_cannot_steer_the_terminal_it_is_shown_on() {
        let description = Description::Text("tea\u{1b}[2J\u{202e}\r\n☕".to_owned());
        assert_eq!(description.to_string(), "tea\u{fffd}[2J\u{fffd}\u{fffd}\u{fffd}☕");
    }

    #[test]
    fn a_hashed_description_matches_its_own_text_only() {
        let description = Description::hash_of("one pickle");
        assert!(description.describes("one pickle"));
        assert!(!description.describes("two pickles"));
    }
}
