//! One node: a process that runs engine and gate, the disk under it, and its user.

use std::collections::{BTreeMap, BTreeSet};

use bitcoin::constants::ChainHash;
use bitcoin::{Amount, Script};
use quittance_channel::opening::{Forgotten, OpeningPolicy};
use quittance_channel::{Channel, ChannelLimits, NextCommitment, Verifier};
use quittance_journal::{EventNumber, Gate, Generation, Key, Lsn, Store, UpdateId};
use quittance_manager::{
    ChannelManager, Context, Effect, Face, ForwardConfig, Input, ManagerConfig, NumberedEvent, OpeningEnd, Outgoing,
    RequestId, Response, Signing, Upgrade,
};
use quittance_monitor::{FeeEstimates, Tip};
use quittance_onchain_tests::Wallet;
use quittance_payments::{DirectRouter, InvoiceKey};
use quittance_primitives::{ChannelId, FeeratePerKw, NodeId};
use quittance_signer::SignedAhead;
use quittance_store::memory::{Fault, Keep, MemoryStore};

use quittance_wire::Message;

use crate::Signer;
use crate::checker::FORWARDING;

/// What a crash leaves of the manager's rows. The channels' records are always whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowsAfterCrash {
    /// All of them.
    Whole,
    /// Those of an earlier batch.
    Stale(Lsn),
    /// Those from so many batches before the last one.
    Behind(u64),
    /// None.
    Lost,
}

/// One node.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its name in stories.
    pub name: String,
    /// Its secrets: they survive everything.
    pub signer: Signer,
    /// The wallet: like the secrets, it survives everything.
    pub wallet: Wallet,
    /// What it believes to confirm when.
    pub fees: FeeEstimates,
    /// What becomes of HTLCs that pass through it, from its next start on.
    pub forwards: ForwardConfig,
    /// Which channels it agrees to, from its next start on.
    pub opening: OpeningPolicy,
    /// Peers that may open channels to it that need no confirmation, from its next start on.
    pub zeroconf_peers: BTreeSet<NodeId>,
    /// What it lets peers and callers do, from its next input on.
    pub limits: ChannelLimits,
    /// Whether its user is told of each part that fails, from its next start on.
    pub tell_path_failures: bool,
    /// The disk.
    pub store: MemoryStore,
    /// The process, while it runs.
    pub process: Option<Process>,
    /// What the user has seen.
    pub user: User,
    /// How often the process died.
    pub crashes: u32,
    /// How often the disk was synced.
    pub syncs: u64,
    /// Whether syncs happen only when the world orders them, so that several steps share one.
    pub syncs_wait: bool,
    /// For commitments of every so many batches it finds no time while they are being written, and signs them when they are released.
    pub signs_late_every: Option<u64>,
    /// How far its clock is ahead of the world's, in milliseconds.
    pub clock_ahead_ms: i64,
    /// Whether the disk has no space left.
    pub is_disk_full: bool,
    /// The names of all messages that left, in order, over all restarts.
    pub sent: Vec<&'static str>,
    /// The last event that this process has shown.
    pub last_shown: Option<EventNumber>,
    /// What its channels gave it when they were opened, in msat.
    pub balance_at_first: u64,
    pub(crate) rows_after_failure: RowsAfterCrash,
    pub(crate) starts_that_die: u32,
}

/// A running process: all of this is gone when it dies.
#[derive(Clone, Debug)]
pub struct Process {
    /// The engine.
    pub manager: ChannelManager,
    /// The gate before the outside world.
    pub gate: Gate<Effect>,
    /// What was signed while batches were written.
    pub ahead: SignedAhead,
}

/// What the user of a node saw, did and was answered. It outlives the process.
#[derive(Clone, Debug, Default)]
pub struct User {
    /// Every event as it was shown, in order of showing, over all restarts.
    pub shown: Vec<NumberedEvent>,
    /// Whether events are handled as soon as they are shown.
    pub handles_at_once: bool,
    /// The last event whose handling was confirmed.
    pub confirmed: Option<EventNumber>,
    /// Confirmations that were refused, since those events were not shown.
    pub refused: Vec<EventNumber>,
    /// Whether it has no coins for channels.
    pub is_out_of_coins: bool,
    /// Openings that ended, and how.
    pub openings_ended: Vec<(Forgotten, OpeningEnd)>,
    /// Answers to requests.
    pub responses: BTreeMap<RequestId, Response>,
}

impl Node {
    /// A node that has never run.
    pub fn new(number: u8, wallet: Wallet) -> Self {
        let mut limits = ChannelLimits::default();
        limits.closing.script = Some(wallet.destination.clone());
        Self {
            name: char::from(b'A' + number).to_string(),
            signer: Signer::new(number),
            wallet,
            forwards: ForwardConfig::default(),
            opening: OpeningPolicy::for_chain(ChainHash::REGTEST),
            zeroconf_peers: BTreeSet::new(),
            tell_path_failures: false,
            fees: FeeEstimates::flat(FeeratePerKw(1_000)),
            store: disk(),
            process: None,
            user: User {
                handles_at_once: true,
                ..User::default()
            },
            crashes: 0,
            signs_late_every: (number % 4 == 3).then_some(2),
            syncs: 0,
            syncs_wait: false,
            clock_ahead_ms: 0,
            is_disk_full: false,
            sent: Vec::new(),
            last_shown: None,
            balance_at_first: 0,
            rows_after_failure: RowsAfterCrash::Whole,
            starts_that_die: 0,
            limits,
        }
    }

    /// The node's id.
    pub fn id(&self) -> NodeId {
        self.signer.node_id()
    }

    /// The key by which the node's invoices are recognised.
    pub fn invoice_key(&self) -> InvoiceKey {
        let mut key = self.id().0;
        key[0] = 0;
        InvoiceKey::new(key[..32].try_into().expect("32 of 33 bytes"))
    }

    /// Starts the process, unless its records stand against it.
    ///
    /// # Errors
    /// What the engine says against the records.
    pub fn try_start(
        &mut self,
        tip: Tip,
        now_ms: u64,
        entropy: [u8; 32],
    ) -> Result<Vec<String>, quittance_manager::RestoreError> {
        let config = ManagerConfig {
            node_id: self.id(),
            invoice_key: self.invoice_key(),
            accept_keysend: true,
            mpp_timeout_ms: 60_000,
            forward_timeout_ms: 30_000,
            opening: self.opening.clone(),
            face: Face::default(),
            forwarding: FORWARDING,
            zeroconf_peers: self.zeroconf_peers.clone(),
            forwards: self.forwards.clone(),
            tell_path_failures: self.tell_path_failures,
        };
        let mut upgrade = Upgrade::of(&self.store)?;
        while let Some(batch) = upgrade.next_batch(&self.store)? {
            let written = Store::append(&mut self.store, batch).and_then(|_| self.store.sync());
            if written.is_err() {
                self.crash(Keep::None, RowsAfterCrash::Whole);
                return Ok(Vec::new());
            }
        }
        let coins = self.wallet.coins();
        let context = context(
            (&self.limits, self.signer.verifier()),
            (self.fees, &self.wallet.destination, &coins),
            now_ms,
            entropy,
        );
        let restored = ChannelManager::restore(config, tip, &self.store, &context)?;
        let mut gate = Gate::new(Store::durable(&self.store));
        // A disk that fails now stops the node again: nothing leaves.
        let appended = gate.append(restored.step, &mut self.store);
        if appended.is_ok() {
            self.process = Some(Process {
                manager: restored.manager,
                gate,
                ahead: SignedAhead::default(),
            });
        } else {
            self.crash(Keep::None, RowsAfterCrash::Whole);
        }
        Ok(restored.rebuilt)
    }

    /// Ends the process; the disk keeps of what was not synced what `keep` says, and the manager's rows as `rows` says.
    pub fn crash(&mut self, keep: Keep, rows: RowsAfterCrash) {
        self.process = None;
        self.signer.crash();
        self.last_shown = None;
        self.crashes += 1;
        let store = std::mem::take(&mut self.store).crash(keep);
        self.store = match rows {
            RowsAfterCrash::Whole => store,
            RowsAfterCrash::Lost => store.without_manager_rows(),
            RowsAfterCrash::Stale(lsn) => {
                let newest = Store::durable(&store);
                let lsn = lsn.clamp(store.oldest(), newest);
                store.mixed(lsn, newest)
            }
            RowsAfterCrash::Behind(batches) => {
                let newest = Store::durable(&store);
                let lsn = Lsn(newest.0.saturating_sub(batches)).clamp(store.oldest(), newest);
                store.mixed(lsn, newest)
            }
        };
    }

    /// Handles an input and appends what it changes. Whether the disk took it: the process must stop otherwise (G10).
    ///
    /// # Panics
    /// When the process does not run.
    pub fn handle(&mut self, input: Input, signing: Signing, now_ms: u64, entropy: [u8; 32]) -> bool {
        let process = self.process.as_mut().expect("only a process that runs gets inputs");
        let coins = self.wallet.coins();
        let context = context(
            (&self.limits, self.signer.verifier()),
            (self.fees, &self.wallet.destination, &coins),
            now_ms,
            entropy,
        );
        let moved = match &input {
            Input::PeerMessage { message, .. } => NextCommitment::moved_by(message),
            _ => None,
        };
        let step = process.manager.handle_one(input, signing, &context);
        let ahead: Vec<_> = step.ahead().collect();
        let Ok(lsn) = process.gate.append(step, &mut self.store) else {
            return false;
        };
        if self.signs_late_every.is_none_or(|every| !lsn.0.is_multiple_of(every)) {
            for (_, work) in ahead {
                self.signer.sign_ahead(work, &mut process.ahead);
            }
            if let Some(next) = moved.and_then(|moved| process.manager.next_commitment(moved)) {
                self.signer.prepare(next);
            }
        }
        true
    }

    /// Whether somebody waits for what is not synced yet. A driver lets all else wait for it.
    pub fn is_awaited(&self) -> bool {
        let gate = self.process.as_ref().map(|process| &process.gate);
        gate.is_some_and(|gate| gate.holds_any(|effect| !effect.has_time()))
    }

    /// The disk takes not one byte more.
    pub fn fill_disk(&mut self) {
        let rows = self.store.rows().iter();
        let bytes_max = rows.map(|(key, record)| key.to_bytes().len() + record.len()).sum();
        self.is_disk_full = true;
        self.store.break_(Fault::Full { bytes_max });
    }

    /// The disk has space again.
    pub fn empty_disk(&mut self) {
        self.is_disk_full = false;
        self.store.repair();
    }

    /// The channel with a peer, if the process runs and has one.
    pub fn channel_with(&self, peer: &NodeId) -> Option<&Channel> {
        let channels = self.process.as_ref()?.manager.channels();
        channels.into_iter().find(|channel| channel.state().facts.peer == *peer)
    }

    /// The last batch that the disk was given.
    pub(crate) fn last_appended(&self) -> Lsn {
        self.store.appended()
    }

    /// Whether the disk holds a channel, whatever becomes of what is not synced.
    pub(crate) fn has_on_disk(&self, channel: ChannelId) -> bool {
        let durable = self.store.rows_at(Store::durable(&self.store));
        let first = [Key::Checkpoint(channel), Key::Update(channel, UpdateId(1))];
        first.iter().any(|key| durable.get(key).is_some())
    }

    /// The next effect that may leave, one at a time.
    pub fn release(&mut self) -> Option<Effect> {
        let durable = Store::durable(&self.store);
        self.process.as_mut()?.gate.release(durable).next()
    }

    /// The message that a released effect stands for.
    ///
    /// # Panics
    /// When the process does not run: nothing is released then.
    pub fn complete(&mut self, released: Outgoing) -> Message {
        let process = self
            .process
            .as_mut()
            .expect("only a process that runs releases anything");
        self.signer.complete(released, &mut process.ahead)
    }

    /// Tells the gate of a new connection.
    pub fn note_connected(&mut self, peer: NodeId, generation: Generation) {
        if let Some(process) = &mut self.process {
            process.gate.connected(peer, generation);
        }
    }

    /// Tells the gate of a lost connection.
    pub fn note_disconnected(&mut self, peer: &NodeId) {
        if let Some(process) = &mut self.process {
            process.gate.disconnected(peer);
        }
    }
}

/// An empty disk, and what a known bug makes of it.
fn disk() -> MemoryStore {
    #[cfg(feature = "mutants")]
    {
        use quittance_journal::mutant::{Mutant, is_on};
        use quittance_store::memory::Defect;
        let defects = [
            (Mutant::TornBatchKept, Defect::KeepsTornBatches),
            (Mutant::AppendedIsDurable, Defect::ReportsAppendedAsDurable),
            (Mutant::FailedSyncRetried, Defect::RetriesFailedSyncs),
            (Mutant::UnreadableIsAbsent, Defect::ReportsFailedReadsAsAbsent),
        ];
        if let Some((_, defect)) = defects.into_iter().find(|(mutant, _)| is_on(*mutant)) {
            return MemoryStore::new().with_defect(defect);
        }
    }
    MemoryStore::new()
}

fn context<'a>(
    (limits, verifier): (&'a ChannelLimits, &'a dyn Verifier),
    (fees, sweep_to, coins): (FeeEstimates, &'a Script, &'a [Amount]),
    now_ms: u64,
    entropy: [u8; 32],
) -> Context<'a> {
    Context {
        fees,
        sweep_to,
        coins,
        now_ms,
        entropy,
        limits,
        verifier,
        router: &DirectRouter,
    }
}
