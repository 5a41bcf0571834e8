//! What the task of a connection does in `quittance run`, on a thread of its own: it signs what will be sent, and derives keys that will be
//! needed, while the node's own thread writes.

use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use quittance_channel::{NextCommitment, SigningAhead};
use quittance_manager::Outgoing;
use quittance_signer::{LocalSigner, SignedAhead};
use quittance_wire::Message;

/// The thread. It ends when this is dropped.
pub(crate) struct ConnectionTask {
    signer: LocalSigner,
    works: Sender<Work>,
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

    /// Does all of it here.
    pub(crate) fn do_it(self, signer: &LocalSigner, mut signed: impl FnMut(SigningAhead)) {
        for work in self.to_sign {
            signed(work);
        }
        for next in self.to_prepare {
            signer.prepare(next);
        }
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
        let (works, given) = channel::<Work>();
        let table = Arc::<Table>::default();
        let (own_signer, own_table) = (signer.clone(), Arc::clone(&table));
        std::thread::spawn(move || {
            for work in given {
                work.do_it(&own_signer, |work| {
                    let mut one = SignedAhead::default();
                    own_signer.sign_ahead(work, &mut one);
                    let mut signed = own_table.lock();
                    signed.ahead.append(one);
                    signed.count += 1;
                    drop(signed);
                    own_table.more.notify_one();
                });
            }
        });
        Self {
            signer,
            works,
            given: 0,
            table,
        }
    }

    /// Has it do this.
    pub(crate) fn give(&mut self, work: Work) {
        self.given += u64::try_from(work.to_sign.len()).unwrap_or(u64::MAX);
        // It lives as long as this does.
        let _ = self.works.send(work);
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
