//! What is done on other threads in `quittance run` while the node's own writes: the task of a connection signs what will be sent, and
//! keys are derived that will be needed.

use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use quittance_channel::{NextCommitment, SigningAhead};
use quittance_manager::Outgoing;
use quittance_signer::{Deriving, LocalSigner, SignedAhead};
use quittance_wire::Message;

/// The threads. They end when this is dropped.
pub(crate) struct ConnectionTask {
    signer: LocalSigner,
    commitments: Sender<SigningAhead>,
    deriving: Deriving,
    /// Commitments that it was given to sign.
    given: u64,
    table: Arc<Table>,
}

/// What came up while one batch was made.
#[derive(Default)]
pub(crate) struct Work {
    /// Commitments to be signed.
    pub(crate) to_sign: Vec<SigningAhead>,
    /// Commitments whose keys will be needed.
    pub(crate) to_prepare: Vec<NextCommitment>,
}

impl Work {
    pub(crate) const fn is_empty(&self) -> bool {
        self.to_sign.is_empty() && self.to_prepare.is_empty()
    }
}

#[derive(Default)]
struct Table {
    signed: Mutex<Signed>,
    more: Condvar,
}

#[derive(Default)]
struct Signed {
    ahead: SignedAhead,
    count: u64,
}

impl Table {
    fn lock(&self) -> MutexGuard<'_, Signed> {
        self.signed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ConnectionTask {
    pub(crate) fn start(signer: LocalSigner) -> Self {
        let (commitments, given) = channel::<SigningAhead>();
        let table = Arc::<Table>::default();
        let (own_signer, own_table) = (signer.clone(), Arc::clone(&table));
        std::thread::spawn(move || {
            for work in given {
                let mut one = SignedAhead::default();
                own_signer.sign_ahead(work, &mut one);
                let mut signed = own_table.lock();
                signed.ahead.append(one);
                signed.count += 1;
                drop(signed);
                own_table.more.notify_one();
            }
        });
        Self {
            deriving: Deriving::start(signer.clone()),
            signer,
            commitments,
            given: 0,
            table,
        }
    }

    /// Has them do this.
    pub(crate) fn give(&mut self, work: Work) {
        for commitment in work.to_sign {
            self.given += 1;
            // It lives as long as this does.
            let _ = self.commitments.send(commitment);
        }
        for next in work.to_prepare {
            self.deriving.prepare(next);
        }
    }

    /// The message that a released effect stands for; waits for signatures that are being made.
    pub(crate) fn complete(&self, released: Outgoing) -> Option<Message> {
        if !matches!(released, Outgoing::Commitment(_)) {
            return self.signer.complete(released);
        }
        let signed = self.table.lock();
        let waited = self.table.more.wait_while(signed, |signed| signed.count < self.given);
        let mut signed = waited.unwrap_or_else(PoisonError::into_inner);
        self.signer.complete_with(released, &mut signed.ahead)
    }
}
