//! A bitcoind as a chain source, by its JSON-RPC interface: the calls that a node needs, and what their answers mean.
//!
//! Tested against Bitcoin Core 31; it needs 25 or newer, and `submitpackage` (26) for packages. Answers are read field by field: a missing or
//! misshapen one is [`ChainError::Garbage`], never a default.

mod answers;
mod rpc;

use std::path::PathBuf;
use std::time::Duration;

use bitcoin::consensus::encode::{deserialize_hex, serialize_hex};
use bitcoin::{Amount, Block, BlockHash, Network, OutPoint, ScriptBuf, Transaction, TxOut};
use quittance_primitives::{BlockHeight, FeeratePerKw};
use serde_json::{Value, json};

use self::answers::Answer;
use self::rpc::{Rpc, RpcFailure, code};
use crate::fees::TARGETS;
use crate::submission::judged;
use crate::{Best, ChainError, ChainSource, FeePolicy, Feerates, KnownHeader, PackageOutcome, Refused, Submitted, Tip};

/// A bitcoind. Cheap to clone; every call has a connection of its own, so clones may be used on several threads.
#[derive(Clone, Debug)]
pub struct Bitcoind {
    rpc: Rpc,
    network: Network,
}

/// Where a bitcoind is, and which one it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BitcoindConfig {
    /// `http://host:port`.
    pub url: String,
    /// What lets us in.
    pub authentication: Authentication,
    /// The network that it must be on.
    pub network: Network,
    /// The longest that one call may take.
    pub timeout: Duration,
}

/// What lets us in.
#[derive(Clone, PartialEq, Eq)]
pub enum Authentication {
    /// The file that bitcoind writes at each start. Read anew for each call, since a restart changes it.
    CookieFile(PathBuf),
    /// What `rpcauth`, or `rpcuser` and `rpcpassword` say.
    UserPassword {
        /// The user.
        user: String,
        /// The password.
        password: String,
    },
}

impl std::fmt::Debug for Authentication {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::CookieFile(path) => f.debug_tuple("CookieFile").field(path).finish(),
            Self::UserPassword { user, .. } => f
                .debug_struct("UserPassword")
                .field("user", user)
                .finish_non_exhaustive(),
        }
    }
}

/// A busy bitcoind needs some seconds for a call; one that needs half a minute is as good as gone.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Targets from here on are estimated economically.
const CONSERVATIVE_BELOW: u16 = 12;
const KVB_PER_KW: u64 = 4;

impl BitcoindConfig {
    /// A bitcoind at `url`, by user and password.
    pub fn with_password(network: Network, url: String, user: String, password: String) -> Self {
        Self {
            url,
            authentication: Authentication::UserPassword { user, password },
            network,
            timeout: TIMEOUT,
        }
    }

    /// A bitcoind on this machine, on its network's own port, with the cookie file where Bitcoin Core puts it on Linux.
    pub fn local(network: Network) -> Self {
        let (port, folder) = match network {
            Network::Bitcoin => (8_332, ""),
            Network::Testnet => (18_332, "testnet3"),
            Network::Testnet4 => (48_332, "testnet4"),
            Network::Signet => (38_332, "signet"),
            Network::Regtest => (18_443, "regtest"),
        };
        let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
        Self {
            url: format!("http://127.0.0.1:{port}"),
            authentication: Authentication::CookieFile(home.join(".bitcoin").join(folder).join(".cookie")),
            network,
            timeout: TIMEOUT,
        }
    }
}

impl Bitcoind {
    /// A bitcoind that has yet to be asked anything.
    pub fn new(config: BitcoindConfig) -> Self {
        let network = config.network;
        Self {
            rpc: Rpc::new(config),
            network,
        }
    }

    /// The network that it must be on.
    pub const fn network(&self) -> Network {
        self.network
    }

    /// The best chain's block at a height; `None` above its tip.
    pub fn block_at(&self, height: BlockHeight) -> Result<Option<Tip>, ChainError> {
        match self.rpc.call("getblockhash", &json!([height.0])) {
            Ok(hash) => Ok(Some(Tip {
                height,
                hash: Answer::of("getblockhash", &hash).block_hash()?,
            })),
            Err(RpcFailure::Answered {
                code: code::INVALID_PARAMETER,
                ..
            }) => Ok(None),
            Err(failure) => Err(failure.into_error("getblockhash")),
        }
    }

    /// An output that is unspent in the best chain, and how often it is confirmed; `None` if there is none.
    pub fn unspent(&self, outpoint: &OutPoint) -> Result<Option<(TxOut, u32)>, ChainError> {
        let answer = self.ask("gettxout", &json!([outpoint.txid.to_string(), outpoint.vout, false]))?;
        if answer.is_null() {
            return Ok(None);
        }
        let answer = Answer::of("gettxout", &answer);
        let value = answer.field("value")?.amount()?;
        let script = answer.field("scriptPubKey")?.field("hex")?;
        let script_pubkey = ScriptBuf::from_hex(script.text()?).map_err(|_| script.garbage("no script"))?;
        let confirmations = answer.field("confirmations")?.u32()?;
        Ok(Some((TxOut { value, script_pubkey }, confirmations)))
    }

    fn ask(&self, method: &'static str, params: &Value) -> Result<Value, ChainError> {
        self.rpc
            .call(method, params)
            .map_err(|failure| failure.into_error(method))
    }

    fn estimate(&self, target: u16) -> Result<Option<FeeratePerKw>, ChainError> {
        // The economical mode follows the last blocks down quickly: good for what can wait.
        let mode = if target < CONSERVATIVE_BELOW {
            "conservative"
        } else {
            "economical"
        };
        let answer = self.ask("estimatesmartfee", &json!([target, mode]))?;
        let answer = Answer::of("estimatesmartfee", &answer);
        match answer.optional("feerate") {
            Some(feerate) => per_kw(feerate.amount()?)
                .map(Some)
                .ok_or_else(|| feerate.garbage("out of range")),
            None if answer.optional("errors").is_some() => Ok(None),
            None => Err(answer.garbage("neither a feerate nor errors")),
        }
    }
}

impl ChainSource for Bitcoind {
    fn check(&self) -> Result<(), ChainError> {
        let genesis = self.block_at(BlockHeight(0))?;
        let found = genesis.map(|block| block.hash);
        let found = found.ok_or_else(|| ChainError::Garbage {
            method: "getblockhash",
            what: "there is no block 0".to_owned(),
        })?;
        if found != bitcoin::constants::genesis_block(self.network).block_hash() {
            return Err(ChainError::WrongNetwork {
                expected: self.network,
                found,
            });
        }
        let info = self.ask("getblockchaininfo", &json!([]))?;
        let info = Answer::of("getblockchaininfo", &info);
        // A regtest chain rests between two tests, and looks like an unfinished download ever after.
        if self.network != Network::Regtest && info.field("initialblockdownload")?.flag()? {
            let (blocks, headers) = (info.field("blocks")?.u32()?, info.field("headers")?.u32()?);
            return Err(ChainError::Synchronising { blocks, headers });
        }
        Ok(())
    }

    fn best(&self) -> Result<Best, ChainError> {
        let info = self.ask("getblockchaininfo", &json!([]))?;
        let info = Answer::of("getblockchaininfo", &info);
        let height = BlockHeight(info.field("blocks")?.u32()?);
        let hash = info.field("bestblockhash")?.block_hash()?;
        let work = info.field("chainwork")?.work()?;
        Ok(Best {
            tip: Tip { height, hash },
            work,
        })
    }

    fn header(&self, hash: &BlockHash) -> Result<Option<KnownHeader>, ChainError> {
        let header = match self.rpc.call("getblockheader", &json!([hash.to_string(), true])) {
            Ok(header) => header,
            Err(RpcFailure::Answered {
                code: code::NOT_FOUND, ..
            }) => return Ok(None),
            Err(failure) => return Err(failure.into_error("getblockheader")),
        };
        let header = Answer::of("getblockheader", &header);
        let optional = |name| header.optional(name).map(|hash| hash.block_hash()).transpose();
        let height = header.field("height")?.u32()?;
        // -1 for a block outside of the best chain, 1 for its tip.
        let confirmations = header.field("confirmations")?.integer()?;
        let above = u32::try_from(confirmations.saturating_sub(1)).unwrap_or(0);
        Ok(Some(KnownHeader {
            height: BlockHeight(height),
            is_active: confirmations >= 0,
            best: BlockHeight(height.saturating_add(above)),
            previous: optional("previousblockhash")?,
            next: optional("nextblockhash")?,
            work: header.field("chainwork")?.work()?,
        }))
    }

    fn block(&self, hash: &BlockHash) -> Result<Block, ChainError> {
        match self.rpc.call("getblock", &json!([hash.to_string(), 0])) {
            Ok(block) => {
                let answer = Answer::of("getblock", &block);
                deserialize_hex(answer.text()?).map_err(|error| answer.garbage(&error.to_string()))
            }
            Err(RpcFailure::Answered { message, .. }) if message.contains("pruned") => Err(ChainError::Pruned(*hash)),
            Err(failure) => Err(failure.into_error("getblock")),
        }
    }

    fn submit(&self, transaction: &Transaction) -> Result<Result<Submitted, Refused>, ChainError> {
        // What a transaction may cost is decided by whoever made it: 0 switches bitcoind's own limit off.
        match self
            .rpc
            .call("sendrawtransaction", &json!([serialize_hex(transaction), 0]))
        {
            Ok(_) => Ok(Ok(Submitted::InMempool)),
            Err(RpcFailure::Answered {
                code: code::ALREADY_CONFIRMED,
                ..
            }) => Ok(Ok(Submitted::Confirmed)),
            Err(RpcFailure::Answered {
                code: code::VERIFY_ERROR | code::VERIFY_REJECTED,
                message,
            }) => Ok(judged(&message)),
            Err(failure) => Err(failure.into_error("sendrawtransaction")),
        }
    }

    fn submit_package(&self, parent: &Transaction, child: &Transaction) -> Result<PackageOutcome, ChainError> {
        let package = json!([[serialize_hex(parent), serialize_hex(child)], 0]);
        let together = match self.rpc.call("submitpackage", &package) {
            Ok(answer) => package_outcome(&answer, parent, child)?,
            // A bitcoind that has no packages, or a pair that is none any more since the parent is in a block.
            Err(RpcFailure::Answered {
                code: code::METHOD_NOT_FOUND | code::VERIFY_ERROR | code::VERIFY_REJECTED | code::ALREADY_CONFIRMED,
                ..
            }) => None,
            Err(failure) => return Err(failure.into_error("submitpackage")),
        };
        if let Some(outcome) = together.as_ref().filter(|outcome| outcome.is_success()) {
            return Ok(outcome.clone());
        }
        // A package fails as a whole where one of its transactions would do alone: the parent may be in a block or pay for itself.
        let alone = PackageOutcome {
            parent: self.submit(parent)?,
            child: self.submit(child)?,
        };
        Ok(together.map_or(alone.clone(), |together| PackageOutcome {
            parent: alone.parent.or(together.parent),
            child: alone.child.or(together.child),
        }))
    }

    fn feerates(&self, policy: &FeePolicy) -> Result<Feerates, ChainError> {
        let info = self.ask("getmempoolinfo", &json!([]))?;
        let minimum = Answer::of("getmempoolinfo", &info).field("mempoolminfee")?;
        let mempool_minimum = per_kw(minimum.amount()?).ok_or_else(|| minimum.garbage("out of range"))?;
        let mut estimated = [None; TARGETS.len()];
        for (estimate, target) in estimated.iter_mut().zip(TARGETS) {
            *estimate = self.estimate(target)?;
        }
        Ok(policy.apply(estimated, mempool_minimum))
    }
}

/// What `submitpackage` said of both; `None` when it judged the package alone.
fn package_outcome(
    answer: &Value,
    parent: &Transaction,
    child: &Transaction,
) -> Result<Option<PackageOutcome>, ChainError> {
    let answer = Answer::of("submitpackage", answer);
    let message = answer.field("package_msg")?.text()?.to_owned();
    let results = answer.field("tx-results")?;
    let of = |transaction: &Transaction| -> Result<Result<Submitted, Refused>, ChainError> {
        let wtxid = transaction.compute_wtxid().to_string();
        let Some(result) = results.optional(&wtxid) else {
            return Ok(judged(&message));
        };
        match result.optional("error") {
            Some(error) => Ok(judged(error.text()?)),
            None => Ok(Ok(Submitted::InMempool)),
        }
    };
    let outcome = PackageOutcome {
        parent: of(parent)?,
        child: of(child)?,
    };
    let is_consistent = outcome.is_success() || message != "success";
    is_consistent
        .then_some(Some(outcome))
        .ok_or_else(|| answer.garbage("a success with errors"))
}

/// From bitcoin per 1,000 virtual bytes, rounded up.
fn per_kw(per_kvb: Amount) -> Option<FeeratePerKw> {
    u32::try_from(per_kvb.to_sat().div_ceil(KVB_PER_KW))
        .ok()
        .map(FeeratePerKw)
}
