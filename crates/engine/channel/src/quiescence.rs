//! Making a channel quiescent (BOLT 2, `stfu`): both commitments match, and no update is sent.

use crate::Side;

/// How far a connection has come on the way to quiescence. A new connection starts over.
///
/// Times are milliseconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Quiescence {
    /// Nobody asked for it.
    #[default]
    Off,
    /// We want it, and send `stfu` once our updates are acknowledged.
    Wanted,
    /// We sent `stfu` and await the peer's.
    AwaitingPeer {
        /// When we sent it.
        since_ms: u64,
    },
    /// The peer sent `stfu`; we answer once our updates are acknowledged.
    AwaitingUs {
        /// When it came.
        since_ms: u64,
    },
    /// Both sides sent `stfu`.
    Quiet {
        /// Who may begin what quiescence is for.
        initiator: Side,
        /// When the second of the two was sent.
        since_ms: u64,
    },
}

impl Quiescence {
    /// Whether we may still propose HTLCs and feerates.
    pub const fn lets_us_update(self) -> bool {
        match self {
            Self::Off => true,
            Self::Wanted | Self::AwaitingPeer { .. } | Self::AwaitingUs { .. } | Self::Quiet { .. } => false,
        }
    }

    /// Whether we may still remove HTLCs: up to our own `stfu`, since a removal is decided for good and cannot be refused.
    pub const fn lets_us_remove(self) -> bool {
        match self {
            Self::Off | Self::Wanted | Self::AwaitingUs { .. } => true,
            Self::AwaitingPeer { .. } | Self::Quiet { .. } => false,
        }
    }

    /// Whether the peer may still propose updates.
    pub const fn lets_peer_update(self) -> bool {
        match self {
            Self::Off | Self::Wanted | Self::AwaitingPeer { .. } => true,
            Self::AwaitingUs { .. } | Self::Quiet { .. } => false,
        }
    }

    /// Whether both sides sent `stfu`.
    pub const fn is_quiet(self) -> bool {
        matches!(self, Self::Quiet { .. })
    }
}
