//! A thread that derives keys before they are needed: on the task of a connection they would keep its messages waiting.

use std::sync::mpsc::{SyncSender, sync_channel};

use quittance_channel::NextCommitment;

use crate::LocalSigner;

/// The thread. It ends when this is dropped.
#[derive(Debug)]
pub struct Deriving {
    commitments: SyncSender<NextCommitment>,
}

/// Commitments that may wait.
const WAITING_MAX: usize = 32;

impl Deriving {
    /// Starts it. Where the system has no thread to spare keys are derived when they are needed, which costs time and nothing else.
    pub fn start(signer: LocalSigner) -> Self {
        let (commitments, waiting) = sync_channel(WAITING_MAX);
        let thread = std::thread::Builder::new().name("keys".to_owned());
        let _ = thread.spawn(move || {
            quittance_transactions::generator::prepare();
            for next in waiting {
                signer.prepare(next);
            }
        });
        Self { commitments }
    }

    /// Has keys of this commitment derived ([`LocalSigner::prepare`]), unless there is much to do.
    pub fn prepare(&self, next: NextCommitment) {
        // What finds no room is derived when it is needed.
        let _ = self.commitments.try_send(next);
    }
}
