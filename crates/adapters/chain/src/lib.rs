//! Chain sources: where blocks come from, and where transactions go. The one there is so far is a bitcoind ([`Bitcoind`]).
//!
//! [`Follower`] turns a source into a sequence without gaps: `Connected` for each block in order, `Rewound` to the last common block
//! when the best chain is another one. It starts at any block that the caller remembers, and holds one block at a time, so that an
//! absence of thousands of blocks costs time and no memory. [`Watch`] runs a follower on a thread of its own, patiently: an
//! unreachable source, one that still synchronises, or one that answers nonsense is a state that is reported, and is asked again later.
//!
//! Everything blocks and nothing here needs an async runtime. A call has a time limit, an answer a size limit, and no answer is
//! believed that contradicts itself: a block must have the hash that was asked for and build on the one before it.
//!
//! Not here: what the blocks mean (that is the engine's and the wallet's), and which transactions are to be sent. Start at
//! [`ChainSource`], then [`Follower`].
//!
//! ```no_run
//! use std::ops::ControlFlow;
//! use quittance_chain::{Authentication, Bitcoind, BitcoindConfig, Follower, Pace, Report, Watch};
//!
//! let config = BitcoindConfig {
//!     authentication: Authentication::CookieFile("bitcoin/regtest/.cookie".into()),
//!     ..BitcoindConfig::local(bitcoin::Network::Regtest)
//! };
//! let bitcoind = Bitcoind::new(config);
//! let begin = bitcoind.best()?.tip;
//! // A node that was here before gives the blocks that it remembers instead.
//! let watch = Watch::spawn(Follower::new(bitcoind.clone(), [begin])?, Pace::default(), |report| {
//!     match report {
//!         Report::Update(update) => println!("{update:?}"),
//!         Report::AtTip(tip) => println!("nothing newer than {}", tip.hash),
//!         Report::Failing { since, error } => println!("since {since:?}: {error}"),
//!     }
//!     ControlFlow::Continue(())
//! })?;
//! watch.stop();
//! # use quittance_chain::ChainSource;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

mod bitcoind;
mod error;
mod fees;
mod follower;
mod source;
mod submission;
mod watch;

pub use bitcoind::{Authentication, Bitcoind, BitcoindConfig};
pub use error::ChainError;
pub use fees::{FeePolicy, Feerates};
pub use follower::{ChainUpdate, ConnectedBlock, Follower, NoStart};
pub use quittance_monitor::Tip;
pub use source::{Best, ChainSource, KnownHeader};
pub use submission::{PackageOutcome, Refusal, Refused, Submitted};
pub use watch::{Pace, Report, Watch};
