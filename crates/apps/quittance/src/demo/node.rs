//! One node of the demonstration: engine, gate, signer and a store on disk.

use std::collections::BTreeSet;
use std::error::Error;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bitcoin::Script;
use bitcoin::constants::ChainHash;
use quittance_channel::opening::OpeningPolicy;
use quittance_channel::{ChannelLimits, ForwardingPolicy, InlineVerifier};
use quittance_journal::{Gate, Store, decode_record};
use quittance_manager::{
    ChannelManager, Command, Context, Effect, ForwardConfig, Input, ManagerConfig, PAYMENT_VERSION,
};
use quittance_monitor::{FeeEstimates, Tip};
use quittance_payments::{DirectRouter, InvoiceKey, Payment};
use quittance_primitives::{CltvExpiryDelta, FeeratePerKw, MilliSatoshi, NodeId};
use quittance_records::Record;
use quittance_signer::LocalSigner;
use quittance_store::embedded::{EmbeddedStore, Options};

/// How long a sync may take before the demonstration gives up.
const SYNC_PATIENCE: Duration = Duration::from_secs(30);

/// A node, running or dead.
pub(crate) struct Node {
    pub(crate) signer: LocalSigner,
    folder: PathBuf,
    limits: ChannelLimits,
    pub(crate) process: Option<Process>,
}

/// A running process: all of this is gone when it dies.
pub(crate) struct Process {
    pub(crate) manager: ChannelManager,
    pub(crate) gate: Gate<Effect>,
    pub(crate) store: EmbeddedStore,
}

impl Node {
    pub(crate) fn new(seed: [u8; 32], folder: PathBuf) -> Result<Self, Box<dyn Error>> {
        EmbeddedStore::create(&folder, Options::default())?.close()?;
        Ok(Self {
            signer: LocalSigner::new(seed),
            folder,
            limits: ChannelLimits::default(),
            process: None,
        })
    }

    pub(crate) fn id(&self) -> NodeId {
        self.signer.node_id()
    }

    pub(crate) fn invoice_key(&self) -> InvoiceKey {
        InvoiceKey::new(self.signer.invoice_key())
    }

    /// Starts the process from its files. Returns what had to be rebuilt, in words.
    pub(crate) fn start(&mut self, tip: Tip, entropy: [u8; 32]) -> Result<Vec<String>, Box<dyn Error>> {
        let mut store = EmbeddedStore::open(&self.folder, Options::default())?;
        let config = ManagerConfig {
            invoice_key: self.invoice_key(),
            accept_keysend: true,
            mpp_timeout_ms: 60_000,
            forward_timeout_ms: 30_000,
            opening: OpeningPolicy::for_chain(ChainHash::REGTEST),
            forwarding: ForwardingPolicy {
                fee_base: MilliSatoshi(1_000),
                fee_proportional_millionths: 100,
                cltv_expiry_delta: CltvExpiryDelta(72),
                htlc_minimum: MilliSatoshi(1),
                htlc_maximum: MilliSatoshi::MAX_MONEY,
            },
            zeroconf_peers: BTreeSet::new(),
            forwards: ForwardConfig::default(),
            tell_path_failures: false,
        };
        let restored = ChannelManager::restore(config, tip, &store, &context(&self.limits, entropy)?)?;
        let mut gate = Gate::new(store.durable());
        gate.append(restored.step, &mut store)?;
        self.process = Some(Process {
            manager: restored.manager,
            gate,
            store,
        });
        Ok(restored.rebuilt)
    }

    /// Handles an input: its records are appended, and its effects held.
    pub(crate) fn handle(&mut self, input: Input, entropy: [u8; 32]) -> Result<(), Box<dyn Error>> {
        let context = context(&self.limits, entropy)?;
        if let Some(process) = &mut self.process {
            let step = process.manager.handle(input, &context);
            process.gate.append(step, &mut process.store)?;
        }
        Ok(())
    }

    /// What the store has about the payment that a command names, if that ended before.
    pub(crate) fn finished(&self, command: &Command) -> Result<Option<Box<Payment>>, Box<dyn Error>> {
        let Some(process) = &self.process else { return Ok(None) };
        let Some(key) = process.manager.wants(command) else {
            return Ok(None);
        };
        let Some(frame) = process.store.get(&key)? else {
            return Ok(None);
        };
        let record = decode_record(&key, &frame, PAYMENT_VERSION)?;
        let payment = Payment::from_bytes(record.body)
            .map_err(|fault| format!("the record {key} cannot be understood: {fault}"))?;
        Ok(Some(Box::new(payment)))
    }

    /// Waits until everything appended is on disk.
    pub(crate) fn sync(&mut self) -> Result<(), Box<dyn Error>> {
        if let Some(process) = &self.process {
            process.store.watch().wait_for(process.gate.appended(), SYNC_PATIENCE)?;
        }
        Ok(())
    }

    /// The next effect that may leave.
    pub(crate) fn release(&mut self) -> Option<Effect> {
        let process = self.process.as_mut()?;
        let durable = process.store.durable();
        process.gate.release(durable).next()
    }
}

fn context(limits: &ChannelLimits, entropy: [u8; 32]) -> Result<Context<'_>, Box<dyn Error>> {
    let now_ms = u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?;
    Ok(Context {
        now_ms,
        entropy,
        limits,
        verifier: &InlineVerifier,
        router: &DirectRouter,
        fees: FeeEstimates::flat(FeeratePerKw(1_000)),
        // No channel of the demonstration is closed.
        sweep_to: Script::new(),
    })
}
