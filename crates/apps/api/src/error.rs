//! What went wrong, for programs (a code) and for people (a sentence, and what to do next).

use quittance_node::{ConnectError, NodeError};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What went wrong. Unless it says otherwise, nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// For programs.
    pub code: ErrorCode,
    /// For people.
    pub message: String,
    /// What to do next, if there is something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// What went wrong, for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// There is no such path.
    NotFound,
    /// The path has other methods.
    MethodNotAllowed,
    /// The body is not said to be JSON.
    NotJson,
    /// There is no token, or a wrong one.
    Unauthorised,
    /// The token does not allow it.
    Forbidden,
    /// The request cannot be read: its JSON, its fields or their values.
    BadRequest,
    /// The request is too large.
    TooLarge,
    /// The request's body takes too long.
    TooSlow,
    /// There is no such channel.
    UnknownChannel,
    /// There is no such payment.
    UnknownPayment,
    /// The peer is not connected.
    PeerNotConnected,
    /// The peer cannot be reached.
    PeerUnreachable,
    /// The peer refused, or did not answer.
    PeerRefused,
    /// The channel or its peer's terms do not allow it.
    Refused,
    /// The id belongs to another payment. Nothing was paid.
    PaymentConflict,
    /// The invoice cannot be paid: wrong, expired, or for another network.
    BadInvoice,
    /// No payment with this hash is held.
    NothingHeld,
    /// The event was not shown yet.
    NotShown,
    /// The wallet has not enough.
    InsufficientFunds,
    /// The wallet cannot.
    Wallet,
    /// The chain source does not answer.
    ChainUnavailable,
    /// The node is stopping.
    Stopping,
    /// The node reads its files.
    Starting,
    /// The node's seed is encrypted, and nobody has given its passphrase since the start.
    Locked,
    /// The passphrase is wrong.
    WrongPassphrase,
    /// A fault of ours.
    Internal,
}

impl ErrorCode {
    /// The HTTP status that goes with it.
    pub const fn status(self) -> u16 {
        match self {
            Self::BadRequest | Self::BadInvoice => 400,
            Self::Unauthorised => 401,
            Self::Forbidden | Self::WrongPassphrase => 403,
            Self::NotFound | Self::UnknownChannel | Self::UnknownPayment | Self::NothingHeld => 404,
            Self::PeerNotConnected
            | Self::PeerRefused
            | Self::Refused
            | Self::PaymentConflict
            | Self::NotShown
            | Self::InsufficientFunds => 409,
            Self::MethodNotAllowed => 405,
            Self::TooSlow => 408,
            Self::TooLarge => 413,
            Self::NotJson => 415,
            Self::PeerUnreachable => 502,
            Self::Wallet | Self::ChainUnavailable | Self::Stopping | Self::Starting | Self::Locked => 503,
            Self::Internal => 500,
        }
    }
}

impl Problem {
    /// A problem without advice.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            next: None,
        }
    }

    /// The same, with what to do next.
    #[must_use]
    pub fn next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }
}

impl From<NodeError> for Problem {
    fn from(error: NodeError) -> Self {
        let message = error.to_string();
        let (code, next) = match &error {
            NodeError::Stopped => (
                ErrorCode::Stopping,
                Some("start the node again, and ask again under the same id"),
            ),
            NodeError::NoRandomness(_) | NodeError::Record(_) | NodeError::Signature(_) | NodeError::AddressBook(_) => {
                (ErrorCode::Internal, None)
            }
            NodeError::Connect(ConnectError::Ourselves | ConnectError::NoKey(_) | ConnectError::NoAddress(_)) => {
                (ErrorCode::BadRequest, Some("write NODE@HOST:PORT, of another node"))
            }
            NodeError::Connect(_) => (
                ErrorCode::PeerUnreachable,
                Some("check the id and the address, and that the peer runs"),
            ),
            NodeError::PeerNotConnected(_) => (
                ErrorCode::PeerNotConnected,
                Some("connect first: quittance connect NODE@HOST:PORT"),
            ),
            NodeError::ZeroconfNotOffered(_) => (
                ErrorCode::Refused,
                Some("put its id into zeroconf-peers in quittance.toml, have it do the same, and start again"),
            ),
            NodeError::UnknownChannel(_) => (ErrorCode::UnknownChannel, Some("quittance channels lists them")),
            NodeError::ChannelRefused(..)
            | NodeError::OpenRefused(_)
            | NodeError::NothingIntercepted(..)
            | NodeError::ForwardRefused(_)
            | NodeError::Copy(_)
            | NodeError::Wallet(quittance_node::WalletError::Refused(_)) => (ErrorCode::Refused, None),
            NodeError::RefusedByPeer(_) | NodeError::OpeningCutOff | NodeError::OpenTimedOut(_) => {
                (ErrorCode::PeerRefused, None)
            }
            NodeError::Wallet(quittance_node::WalletError::Insufficient { .. }) => (
                ErrorCode::InsufficientFunds,
                Some("send coins to an address of the wallet: quittance address"),
            ),
            NodeError::UnfitFunding(_) | NodeError::Wallet(quittance_node::WalletError::Other(_)) => {
                (ErrorCode::Wallet, None)
            }
            NodeError::PaymentConflict(_) => (ErrorCode::PaymentConflict, Some("use another id for another payment")),
            NodeError::UnknownPayment(_) => (ErrorCode::UnknownPayment, Some("quittance payments lists them")),
            NodeError::NothingHeld(_) => (ErrorCode::NothingHeld, None),
            NodeError::NotShown(_) => (ErrorCode::NotShown, None),
            NodeError::Expired | NodeError::OtherNetwork | NodeError::AmountDiffers { .. } => {
                (ErrorCode::BadInvoice, None)
            }
            NodeError::AmountMissing => (ErrorCode::BadInvoice, Some("give an amount beside the invoice")),
            NodeError::RouteRefused(_) => (
                ErrorCode::Refused,
                Some("quittance channels lists what each channel can send"),
            ),
            NodeError::Invoice(_) | NodeError::IncompleteRoute(_) => (ErrorCode::BadRequest, None),
            NodeError::Chain(_) => (ErrorCode::ChainUnavailable, Some("check that bitcoind runs")),
        };
        Self {
            code,
            message,
            next: next.map(str::to_owned),
        }
    }
}
