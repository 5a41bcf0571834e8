//! Making a channel quiescent (BOLT 2, `stfu`): both commitments match, and no update is sent.

use crate::Side;

/// How far a connection has come on the way to quiescence. A new connection starts over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Quiescence {
    /// Nobody asked for it.
    #[default]
    Off,
    /// We want it, and send `stfu` once our updates are acknowledged.
    Wanted,
    /// We sent `stfu` and await the peer's.
    AwaitingPeer,
    /// The peer sent `stfu`; we answer once our updates are acknowledged.
    AwaitingUs,
    /// Both sides sent `stfu`.
    Quiet {
        /// Who may begin what quiescence is for.
        initiator: Side,
    },
}

impl Quiescence {
    /// Whether we may still propose updates.
    pub const fn lets_us_update(self) -> bool {
        match self {
            Self::Off => true,
            Self::Wanted | Self::AwaitingPeer | Self::AwaitingUs | Self::Quiet { .. } => false,
        }
    }

    /// Whether the peer may still propose updates.
    pub const fn lets_peer_update(self) -> bool {
        match self {
            Self::Off | Self::Wanted | Self::AwaitingPeer => true,
            Self::AwaitingUs | Self::Quiet { .. } => false,
        }
    }
}

impl Quiescence {
    /// Whether both sides sent `stfu`.
    pub const fn is_quiet(self) -> bool {
        matches!(self, Self::Quiet { .. })
    }
}
