//! The embedded chain behind bitcoind's interface: the same stories through it, and what clients read there.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

use bitcoin::consensus::encode::{deserialize_hex, serialize_hex};
use bitcoin::{Address, Block, KnownHrp, Transaction, Witness};
use quittance_regtest::bitcoind::BitcoindChain;
use quittance_regtest::rpc::{Credentials, RpcClient, RpcError, RpcServer};
use quittance_regtest::{Chain, EmbeddedChain, Faucet, MineOptions};
use serde_json::{Value, json};

use crate::all_stories;
use crate::world::{Coin, World, coin_of, spend};

struct Served {
    chain: Arc<Mutex<EmbeddedChain>>,
    client: RpcClient,
    server: RpcServer,
}

impl Served {
    fn start(chain: EmbeddedChain) -> Self {
        let chain = Arc::new(Mutex::new(chain));
        let credentials = Credentials {
            user: "user".to_owned(),
            password: "password".to_owned(),
        };
        let server = RpcServer::start(Arc::clone(&chain), &credentials).unwrap();
        let client = RpcClient::new(server.address(), credentials);
        Self { chain, client, server }
    }

    /// Serves a chain with a confirmed coin of 10,000 satoshis.
    fn with_coin() -> (Self, Coin) {
        let mut world = World::embedded();
        let coin = world.coin(10_000);
        (Self::start(world.chain), coin)
    }

    fn call(&self, method: &str, params: Value) -> Result<Value, RpcError> {
        self.client.call(method, &params).unwrap()
    }

    fn send(&self, transaction: &Transaction) -> Result<Value, RpcError> {
        self.call("sendrawtransaction", json!([serialize_hex(transaction)]))
    }
}

fn id(transaction: &Transaction) -> String {
    transaction.compute_txid().to_string()
}

#[test]
fn the_contract_holds_through_the_interface() {
    let mut broken = Vec::new();
    for (name, story) in all_stories() {
        // Mined here, since every block costs a dozen calls over there.
        let mut chain = EmbeddedChain::default();
        chain.mine(&MineOptions::empty(110)).unwrap();
        let served = Served::start(chain);
        let mut world = World {
            chain: BitcoindChain::connect(served.client.clone()),
            faucet: Faucet::new(),
        };
        if catch_unwind(AssertUnwindSafe(|| story(&mut world))).is_err() {
            broken.push(name);
        }
    }
    assert_eq!(broken, [""; 0]);
}

#[test]
fn a_client_follows_blocks() {
    let served = Served::start(EmbeddedChain::default());
    let script = bitcoin::ScriptBuf::from_bytes(vec![0x51]);
    let address = Address::p2wsh(&script, KnownHrp::Regtest).to_string();
    let hashes = served.call("generatetoaddress", json!([3, address])).unwrap();
    let info = served.call("getblockchaininfo", json!([])).unwrap();
    assert_eq!(
        (&info["blocks"], &info["bestblockhash"], &info["chain"]),
        (&json!(3), &hashes[2], &json!("regtest"))
    );
    assert_eq!(served.call("getblockhash", json!([2])), Ok(hashes[1].clone()));
    assert_eq!(
        served.call("getblockhash", json!({ "height": 2 })),
        Ok(hashes[1].clone())
    );
    let missing = served.call("getblockhash", json!([4])).unwrap_err();
    assert_eq!(
        (missing.code, missing.message.as_str()),
        (-8, "Block height out of range")
    );

    let header = served.call("getblockheader", json!([hashes[1]])).unwrap();
    assert_eq!((&header["height"], &header["confirmations"]), (&json!(2), &json!(2)));
    assert_eq!(
        (&header["previousblockhash"], &header["nextblockhash"]),
        (&hashes[0], &hashes[2])
    );
    let raw = served.call("getblock", json!([hashes[1], 0])).unwrap();
    let block: Block = deserialize_hex(raw.as_str().unwrap()).unwrap();
    assert_eq!(json!(block.block_hash().to_string()), hashes[1]);
    let described = served.call("getblock", json!([hashes[1], 1])).unwrap();
    assert_eq!(described["tx"], json!([id(&block.txdata[0])]));
    assert_eq!(described["size"], json!(block.total_size()));

    served.call("invalidateblock", json!([hashes[1]])).unwrap();
    assert_eq!(served.call("getbestblockhash", json!([])), Ok(hashes[0].clone()));
    assert_eq!(
        served.call("getblockheader", json!([hashes[1]])).unwrap()["confirmations"],
        json!(-1)
    );
    served.call("reconsiderblock", json!([hashes[1]])).unwrap();
    assert_eq!(served.call("getblockcount", json!([])), Ok(json!(3)));
}

#[test]
fn a_client_sends_transactions_and_learns_why_not() {
    let (served, coin) = Served::with_coin();
    let parent = spend(&[&coin], 100);
    let child = spend(&[&coin_of(&parent, 0)], 200);
    let refused = |transaction: &Transaction| {
        let error = served.send(transaction).unwrap_err();
        (error.code, error.message)
    };

    assert_eq!(
        refused(&spend(&[&coin], 5)),
        (-26, "min relay fee not met, 5 < 10".to_owned())
    );
    assert_eq!(refused(&child), (-25, "bad-txns-inputs-missingorspent".to_owned()));
    assert_eq!(served.send(&parent), Ok(json!(id(&parent))));
    assert_eq!(served.send(&child), Ok(json!(id(&child))));
    let mut other_witness = child.clone();
    other_witness.input[0].witness = Witness::from_slice(&[vec![1], vec![0x51]]);
    assert_eq!(served.send(&other_witness), Ok(json!(id(&child))));
    let less = "insufficient fee, less fees than conflicting txs; 200 < 300".to_owned();
    assert_eq!(refused(&spend(&[&coin], 200)), (-26, less));

    served.chain.lock().unwrap().mine(&MineOptions::blocks(1)).unwrap();
    assert_eq!(
        refused(&child),
        (-27, "Transaction outputs already in utxo set".to_owned())
    );
}

#[test]
fn a_client_is_kept_from_paying_absurd_fees() {
    let mut world = World::embedded();
    let coin = world.coin(2_000_000);
    let served = Served::start(world.chain);
    let wasteful = spend(&[&coin], 1_000_000);
    let refused = served.send(&wasteful).unwrap_err();
    let message = "Fee exceeds maximum configured by user (e.g. -maxtxfee, maxfeerate)";
    assert_eq!((refused.code, refused.message.as_str()), (-25, message));
    let tested = served
        .call("testmempoolaccept", json!([[serialize_hex(&wasteful)]]))
        .unwrap();
    assert_eq!(tested[0]["reject-reason"], json!("max-fee-exceeded"));
    let unlimited = served.call("sendrawtransaction", json!([serialize_hex(&wasteful), 0]));
    assert_eq!(unlimited, Ok(json!(id(&wasteful))));
}

#[test]
fn a_client_reads_the_mempool_and_outputs() {
    let (served, coin) = Served::with_coin();
    let parent = spend(&[&coin], 100);
    let child = spend(&[&coin_of(&parent, 0)], 300);
    let package = json!([[serialize_hex(&parent), serialize_hex(&child)]]);
    assert_eq!(
        served.call("submitpackage", package).unwrap()["package_msg"],
        json!("success")
    );
    let [parent_id, child_id] = [id(&parent), id(&child)];

    let mempool = served.call("getrawmempool", json!([])).unwrap();
    assert_eq!(mempool.as_array().unwrap().len(), 2);
    let entry = served.call("getmempoolentry", json!([child_id])).unwrap();
    assert_eq!((&entry["vsize"], &entry["ancestorcount"]), (&json!(96), &json!(2)));
    assert_eq!(
        (&entry["fees"]["base"], &entry["fees"]["ancestor"]),
        (&json!(0.000_003), &json!(0.000_004))
    );
    assert_eq!(entry["depends"], json!([parent_id]));
    assert_eq!(
        served.call("getmempoolentry", json!([parent_id])).unwrap()["spentby"],
        json!([child_id])
    );

    let funding = coin.outpoint.txid.to_string();
    assert_eq!(served.call("gettxout", json!([funding, 0])), Ok(Value::Null));
    let confirmed = served.call("gettxout", json!([funding, 0, false])).unwrap();
    assert_eq!(
        (&confirmed["value"], &confirmed["confirmations"]),
        (&json!(0.0001), &json!(1))
    );
    assert_eq!(
        served.call("gettxout", json!([child_id, 0])).unwrap()["confirmations"],
        json!(0)
    );
    let raw = served.call("getrawtransaction", json!([parent_id])).unwrap();
    assert_eq!(raw, json!(serialize_hex(&parent)));

    let block = served.chain.lock().unwrap().mine(&MineOptions::blocks(1)).unwrap()[0];
    let described = served.call("getrawtransaction", json!([parent_id, true])).unwrap();
    assert_eq!(
        (&described["blockhash"], &described["confirmations"]),
        (&json!(block.to_string()), &json!(1))
    );
    assert_eq!(
        served.call("estimatesmartfee", json!([6])).unwrap()["feerate"],
        json!(0.000_001)
    );
}

#[test]
fn strangers_and_unknown_methods_are_refused() {
    let served = Served::start(EmbeddedChain::default());
    let unknown = served.call("getwalletinfo", json!([])).unwrap_err();
    assert_eq!((unknown.code, unknown.message.as_str()), (-32_601, "Method not found"));
    let wrong = Credentials {
        user: "user".to_owned(),
        password: "guess".to_owned(),
    };
    let stranger = RpcClient::new(served.server.address(), wrong);
    let refused = stranger.call("getblockcount", &json!([])).unwrap_err();
    assert!(refused.to_string().starts_with("HTTP/1.1 401"), "{refused}");
}
