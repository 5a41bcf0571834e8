//! What stories over real processes share: an ear for what a node says to the network.

#![forbid(unsafe_code)]

pub mod ear;
