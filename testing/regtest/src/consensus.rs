//! The consensus rules of Bitcoin that apply on regtest, each as a function of its inputs.
//!
//! Scripts are judged by Bitcoin Core's own code ([`scripts`]); amounts, lock times and the form of blocks by ours.
//! Nothing here knows of a mempool or of policy.

pub mod block;
pub mod locks;
pub mod scripts;
pub mod transaction;
