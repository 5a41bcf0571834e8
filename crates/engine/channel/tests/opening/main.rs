//! Opening of channels between two sides that sign with keys of their own and speak through the real codec.

#![allow(unreachable_pub, reason = "a test program has no other reader")]

#[path = "../pair/mod.rs"]
mod pair;

mod any_terms;
mod batch;
mod link_cuts;
mod lost_connections;
mod opens;
mod party;
mod refusals_of_accepts;
mod refusals_of_funding;
mod refusals_of_opens;
mod refusals_of_requests;
