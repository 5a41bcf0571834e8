//! Servers that are slow, broken or something else: each is told apart, none is believed, none hangs us or fills the memory.
#![allow(clippy::unwrap_used, reason = "a test that goes wrong ends there")]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use bitcoin::{BlockHash, Network};
use quittance_chain::{Authentication, Bitcoind, BitcoindConfig, ChainError, ChainSource, Follower, NoStart, Tip};
use quittance_primitives::BlockHeight;

/// Answers each connection by `answer`, which is given the request.
fn serve(answer: impl Fn(&str, &mut TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut request = Vec::new();
            let mut buffer = [0; 4096];
            while !request.ends_with(b"}") {
                match stream.read(&mut buffer) {
                    Ok(read) if read > 0 => request.extend_from_slice(&buffer[..read]),
                    _ => break,
                }
            }
            answer(&String::from_utf8_lossy(&request), &mut stream);
        }
    });
    address
}

fn client(address: SocketAddr) -> Bitcoind {
    Bitcoind::new(BitcoindConfig {
        url: format!("http://{address}"),
        authentication: Authentication::UserPassword {
            user: "user".to_owned(),
            password: "password".to_owned(),
        },
        network: Network::Regtest,
        timeout: Duration::from_millis(300),
    })
}

/// A server that gives this as the body of every answer.
fn answering(status: &'static str, body: &'static str) -> Bitcoind {
    client(serve(move |_, stream| {
        let length = body.len();
        let _ = write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}");
    }))
}

#[test]
fn the_password_is_sent_as_http_wants_it() {
    let bitcoind = client(serve(|request, stream| {
        let is_right = request
            .to_lowercase()
            .contains("authorization: basic dxnlcjpwyxnzd29yza==");
        let (status, body) = if is_right {
            (
                "200 OK",
                r#"{"result":null,"error":{"code":-28,"message":"Loading block index…"},"id":0}"#,
            )
        } else {
            ("401 Unauthorized", "")
        };
        let _ = write!(
            stream,
            "HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
    }));
    let starting = bitcoind.best().unwrap_err();
    assert_eq!(starting.to_string(), "bitcoind is starting: Loading block index…");
    assert!(matches!(
        answering("401 Unauthorized", "").best(),
        Err(ChainError::Unauthorised { .. })
    ));
}

#[test]
fn a_server_that_says_nothing_is_given_up_in_time() {
    let begin = Instant::now();
    let silent = client(serve(|_, stream| {
        thread::sleep(Duration::from_secs(2));
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
    }));
    assert!(matches!(silent.best(), Err(ChainError::Unreachable { .. })));
    // Each byte comes in time, the whole never does.
    let dripping = client(serve(|_, stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
        while stream.write_all(b" ").is_ok() {
            thread::sleep(Duration::from_millis(50));
        }
    }));
    assert!(matches!(dripping.best(), Err(ChainError::Unreachable { .. })));
    assert!(begin.elapsed() < Duration::from_millis(1_500), "{:?}", begin.elapsed());
}

#[test]
fn an_endless_answer_is_cut_off() {
    let endless = client(serve(|_, stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        while stream.write_all(&vec![b' '; 65_536]).is_ok() {}
    }));
    let Err(ChainError::Garbage {
        method: "getblockchaininfo",
        what,
    }) = endless.best()
    else {
        panic!("an endless answer is no answer");
    };
    assert_eq!(what, "the response body size surpassed max_body_size");
}

#[test]
fn nobody_there_is_not_an_answer() {
    let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .unwrap()
        .local_addr()
        .unwrap();
    assert!(matches!(client(address).best(), Err(ChainError::Unreachable { .. })));
    let no_address = Bitcoind::new(BitcoindConfig {
        url: "bitcoind".to_owned(),
        ..BitcoindConfig::local(Network::Regtest)
    });
    assert!(matches!(
        no_address.best(),
        Err(ChainError::Cookie { .. } | ChainError::Unreachable { .. })
    ));
}

#[test]
fn what_no_bitcoind_says_is_named() {
    let garbage = |status, body| answering(status, body).best().unwrap_err().to_string();
    let cases = [
        (
            "200 OK",
            "<html>",
            "HTTP status 200 and no JSON: expected value at line 1 column 1",
        ),
        ("200 OK", "{}", "HTTP status 200 and JSON without result and error"),
        ("200 OK", r#"{"error":null}"#, "no result"),
        ("200 OK", r#"{"error":7,"result":1}"#, "an error without code"),
        (
            "200 OK",
            r#"{"error":null,"result":7}"#,
            "the answer: blocks is missing: 7",
        ),
        (
            "200 OK",
            r#"{"error":null,"result":{"blocks":-1}}"#,
            "blocks: out of range: -1",
        ),
        (
            "200 OK",
            r#"{"error":null,"result":{"blocks":1,"bestblockhash":"00"}}"#,
            "bestblockhash: no block hash: \"00\"",
        ),
        ("302 Found", "", "redirection location header missing"),
    ];
    for (status, body, what) in cases {
        assert_eq!(
            garbage(status, body),
            format!("the answer to getblockchaininfo is not that of a bitcoind: {what}")
        );
    }
}

/// A server whose tip is followed by the genesis block of another network.
#[test]
fn a_block_that_was_not_asked_for_is_not_believed() {
    let genesis = bitcoin::constants::genesis_block(Network::Regtest);
    let other = bitcoin::constants::genesis_block(Network::Signet);
    let (tip, next) = (
        genesis.block_hash(),
        BlockHash::from_raw_hash(bitcoin::hashes::Hash::all_zeros()),
    );
    let address = serve(move |request, stream| {
        let result = if request.contains("getblockhash") {
            format!("\"{tip}\"")
        } else if request.contains("getblockheader") {
            let work = "0".repeat(64);
            format!(r#"{{"height":0,"confirmations":1,"chainwork":"{work}","nextblockhash":"{next}"}}"#)
        } else if request.contains("getblockchaininfo") {
            r#"{"initialblockdownload":false}"#.to_owned()
        } else {
            format!("\"{}\"", bitcoin::consensus::encode::serialize_hex(&other))
        };
        let body = format!(r#"{{"result":{result},"error":null,"id":0}}"#);
        let _ = write!(
            stream,
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
    });
    let begin = Tip {
        height: BlockHeight(0),
        hash: tip,
    };
    let mut follower = Follower::new(client(address), [begin]).unwrap();
    let error = follower.next().unwrap_err().to_string();
    let expected = format!(
        "the answer to getblock is not that of a bitcoind: asked for {next}, got {}",
        { bitcoin::constants::genesis_block(Network::Signet).block_hash() }
    );
    assert_eq!(error, expected);
    assert_eq!(follower.tip(), begin);
}

#[test]
fn a_follower_needs_a_beginning() {
    let bitcoind = client(SocketAddr::from((Ipv4Addr::LOCALHOST, 1)));
    assert_eq!(Follower::new(bitcoind, []).err(), Some(NoStart));
}
