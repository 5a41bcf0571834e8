//! BOLT 2: a channel's log, what may be written to it, and the state that it folds to.
//!
//! A channel's whole durable life is a log of [`ChannelMonitorUpdate`]s, each a list of [`Step`]s. `decide` (the methods of
//! [`Channel`]) validates an input against the state and yields steps and effects; `apply` ([`ChannelState::apply`]) folds
//! steps and cannot fail. Live operation and recovery share `apply`, so a channel that was read back is the channel that
//! was. The enforcement on chain is a second reader of the same log, in a crate of its own.
//!
//! Public keys only: signatures and revocation secrets are asked for by effects that name what to sign, and leave only after
//! the steps beside them are durable. Nothing here knows of time, disks, sockets or other channels.
//!
//! Invariants: I-3 (funds are conserved), I-7 (one unacknowledged commitment), I-5 (state is a function of the log).
//! Start at [`Channel`], then [`Step`], then [`HtlcState`].

#![forbid(unsafe_code)]

mod ahead;
mod apply;
mod channel;
mod closing;
mod commitments;
mod context;
mod decide;
mod effect;
mod facts;
mod log;
mod names;
pub mod opening;
mod outcome;
mod policy;
mod quiescence;
mod refusal;
mod side;
mod state;
mod states;
mod violation;

pub use ahead::{NextCommitment, SealedSignatures, SigningAhead};
pub use channel::{Channel, Decision, Link, Reaction, Session};
pub use closing::{
    AgreedClosing, CLOSINGS_MAX, CloseRequest, Closing, ClosingForm, ClosingToBroadcast, ClosingToSign, Negotiation,
    WantedClose,
};
pub use commitments::{
    AttributionData, Commitments, FeeUpdate, ForwardSource, HtlcSource, HtlcState, HtlcTerms, LastSent,
    LocalCommitment, OfferedHtlc, OnChain, OnionHop, OnionPacket, PaymentPart, ReceivedHtlc, ReceivedOnion,
    RemoteCommitments, Removal, SentUpdate, SentUpdates, Transition, View,
};
pub use context::{ChannelLimits, ClosingPolicy, Context, InlineVerifier, Verifier};
pub use decide::{Attached, FUNDING_TIMEOUT, Need, NewHtlc, SecretCheck};
pub use effect::{ChannelEffect, CommitmentToSign, Consequence, RevocationDue};
pub use facts::{ChannelFacts, SideFacts};
pub use log::{
    AbandonedFunding, CHECKPOINT_VERSION, ChannelMonitorUpdate, ForceCloseReason, FundingConfirmation, Opening, Step,
    UPDATE_VERSION,
};
pub use outcome::{
    COLD_VERSION, ClaimedPart, ColdOrigin, ColdOutcome, DecidedClaim, Outcome, PaymentFailureReason, Report,
    ReportedEnd, UnreleasedClaim,
};
pub use policy::ForwardingPolicy;
pub use quiescence::Quiescence;
pub use refusal::Refusal;
pub use side::{BySide, Side};
pub use state::ChannelState;
pub use states::{AwaitingReady, ClosingAgreed, Phase, ShuttingDown};
pub use violation::{Answer, Violation};
