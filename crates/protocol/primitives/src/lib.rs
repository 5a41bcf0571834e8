//! The amounts, heights, indexes, hashes and ids that every part of a Lightning node speaks of.
//!
//! Each is a type of its own, so that a millisatoshi is never added to a satoshi, nor a height to a delta.
//! Arithmetic on money is checked; a conversion that rounds says which way in its name.
//! Nothing here encodes or decodes messages: that is `quittance-wire`.
//!
//! ```
//! use quittance_primitives::{MilliSatoshi, PaymentPreimage};
//!
//! let amount = MilliSatoshi(1_500);
//! assert_eq!(amount.to_sat_floor().to_sat(), 1);
//! assert_eq!(amount.to_sat_ceil().to_sat(), 2);
//!
//! let preimage = PaymentPreimage([7; 32]);
//! assert!(preimage.hash().is_paid_by(&preimage));
//! ```

#![forbid(unsafe_code)]

mod amount;
mod channel_id;
mod features;
mod height;
mod index;
mod node_id;
mod payment;
mod short_channel_id;

pub use amount::{AmountOutOfRange, FeeratePerKw, MilliSatoshi};
pub use channel_id::ChannelId;
pub use features::{Feature, FeatureContext, Features, UnmetFeature};
pub use height::{BlockCount, BlockHeight, CltvExpiry, CltvExpiryDelta, ToSelfDelay};
pub use index::{CommitmentNumber, HtlcId};
pub use node_id::{InvalidNodeId, NodeId};
pub use payment::{PaymentHash, PaymentId, PaymentPreimage, PaymentSecret};
pub use short_channel_id::{InvalidShortChannelId, ShortChannelId};
