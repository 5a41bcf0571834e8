//! The engines behind one small face.

use quittance_journal::Batch;

pub mod embedded;
pub mod fjall;
pub mod log;
pub mod redb;
pub mod sqlite;

/// An engine that makes groups of steps durable.
pub trait Engine {
    /// Makes all steps durable with as few syncs as the engine can.
    fn commit(&mut self, steps: &[Batch]);

    /// Does whatever was put off.
    fn rest(&mut self) {}
}
