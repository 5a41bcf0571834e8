//! Strangers that mean no good: slow, half open, loud, wrong.

use std::time::{Duration, Instant};

use bitcoin::constants::ChainHash;
use quittance_net::Why;
use quittance_noise::{ACT_TWO_LEN, Decrypted, Established, Initiator};
use quittance_primitives::Features;
use quittance_wire::{DecodeError, Init, Message};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::town::{End, config, key, numbered, ping};

/// Somebody who speaks the transport, and else does what it likes.
pub(crate) struct Stranger {
    stream: TcpStream,
    keys: Established,
    buffer: Vec<u8>,
}

impl Stranger {
    pub(crate) async fn send(&mut self, message: &Message) {
        self.send_bytes(&message.encode()).await;
    }

    pub(crate) async fn send_bytes(&mut self, body: &[u8]) {
        let mut record = Vec::new();
        self.keys.encryptor.append(body, &mut record).unwrap();
        // The other end may be gone, which is what some tests want.
        let _ = self.stream.write_all(&record).await;
    }

    /// The next message, or nothing when the connection is closed.
    pub(crate) async fn receive(&mut self) -> Option<Message> {
        loop {
            if let Decrypted::Record { body, consumed } = self.keys.decryptor.decrypt(&mut self.buffer).unwrap() {
                let message = Message::decode(body).unwrap();
                self.buffer.drain(..consumed);
                return Some(message);
            }
            match self.stream.read_buf(&mut self.buffer).await {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }
}

/// A stranger after the handshake.
async fn shaken(end: &End, number: u8) -> Stranger {
    let mut stream = TcpStream::connect((end.address().host(), end.address().port()))
        .await
        .unwrap();
    let (initiator, act_one) = Initiator::start(key(number), key(100 + number), end.id.public_key().unwrap());
    stream.write_all(&act_one).await.unwrap();
    let mut act_two = [0; ACT_TWO_LEN];
    stream.read_exact(&mut act_two).await.unwrap();
    let (keys, act_three) = initiator.finish(&act_two).unwrap();
    stream.write_all(&act_three).await.unwrap();
    Stranger {
        stream,
        keys,
        buffer: Vec::new(),
    }
}

/// A stranger that has also said `init`.
pub(crate) async fn greeted(end: &End, number: u8) -> Stranger {
    let mut stranger = shaken(end, number).await;
    stranger
        .send(&Message::Init(Init {
            globalfeatures: Features::empty(),
            features: Features::empty(),
            networks: Some(vec![ChainHash::REGTEST]),
            remote_addr: None,
        }))
        .await;
    assert!(matches!(stranger.receive().await, Some(Message::Init(_))));
    stranger
}

async fn is_closed(stream: &mut TcpStream) -> bool {
    let mut sink = vec![0; 1_024];
    let end = async { while stream.read(&mut sink).await.is_ok_and(|read| read > 0) {} };
    tokio::time::timeout(Duration::from_secs(5), end).await.is_ok()
}

#[tokio::test]
async fn garbage_instead_of_a_handshake_is_closed() {
    let alice = End::listening(config(1)).await;
    for garbage in [
        &[0_u8; 50][..],
        b"GET / HTTP/1.1\r\nHost: localhost\r\nAccept: everything\r\n\r\n",
        &[0xff; 4_000],
    ] {
        let mut stream = TcpStream::connect((alice.address().host(), alice.address().port()))
            .await
            .unwrap();
        stream.write_all(garbage).await.unwrap();
        assert!(is_closed(&mut stream).await);
    }
    assert!(alice.network.peers().is_empty());
}

#[tokio::test]
async fn a_slow_handshake_ends_after_its_time_and_honest_peers_do_not_wait_for_it() {
    let mut strict = config(1);
    strict.timing.handshake = Duration::from_millis(400);
    strict.limits.half_open_max = 8;
    let mut alice = End::listening(strict).await;
    let mut slow = Vec::new();
    for _ in 0..50 {
        let mut stream = TcpStream::connect((alice.address().host(), alice.address().port()))
            .await
            .unwrap();
        stream.write_all(&[0]).await.unwrap();
        slow.push(stream);
    }
    let began = Instant::now();
    let bob = End::listening(config(2)).await;
    bob.network.connect(alice.id, &[alice.address()]).await.unwrap();
    alice.connected().await;
    assert!(began.elapsed() < Duration::from_millis(300));
    for mut stream in slow {
        assert!(is_closed(&mut stream).await);
    }
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "dripping bytes buys no more time"
    );
    // Shaken, but never greeted.
    let mut stranger = shaken(&alice, 5).await;
    assert!(matches!(stranger.receive().await, Some(Message::Init(_))));
    assert_eq!(stranger.receive().await, None);
}

#[tokio::test]
async fn a_thousand_connections_are_held_and_an_honest_peer_is_served_beside_them() {
    let mut open = config(1);
    open.limits.peers_max = 2_000;
    let mut alice = End::listening(open).await;
    let mut strangers = Vec::new();
    for number in 0..1_000_u32 {
        let mut secret = [1; 32];
        secret[28..].copy_from_slice(&number.to_be_bytes());
        let mine = secp256k1::SecretKey::from_slice(&secret).unwrap();
        let mut stream = TcpStream::connect((alice.address().host(), alice.address().port()))
            .await
            .unwrap();
        let (initiator, act_one) = Initiator::start(mine, key(9), alice.id.public_key().unwrap());
        stream.write_all(&act_one).await.unwrap();
        let mut act_two = [0; ACT_TWO_LEN];
        stream.read_exact(&mut act_two).await.unwrap();
        let (keys, act_three) = initiator.finish(&act_two).unwrap();
        stream.write_all(&act_three).await.unwrap();
        let mut stranger = Stranger {
            stream,
            keys,
            buffer: Vec::new(),
        };
        let init = Init {
            globalfeatures: Features::empty(),
            features: Features::empty(),
            networks: None,
            remote_addr: None,
        };
        stranger.send(&Message::Init(init)).await;
        alice.connected().await;
        strangers.push(stranger);
    }
    assert_eq!(alice.network.peers().len(), 1_000);
    let began = Instant::now();
    let bob = End::listening(config(2)).await;
    bob.network.connect(alice.id, &[alice.address()]).await.unwrap();
    assert_eq!(alice.connected().await.peer, bob.id);
    assert!(began.elapsed() < Duration::from_secs(1));
}

#[tokio::test]
async fn unknown_messages_are_ignored_if_odd_and_end_the_connection_if_even() {
    let mut alice = End::listening(config(1)).await;
    let mut stranger = greeted(&alice, 5).await;
    alice.connected().await;
    stranger.send_bytes(&[0x80, 0x01, 1, 2, 3]).await;
    stranger.send(&numbered(1)).await;
    assert_eq!(alice.message().await, numbered(1), "the odd one is passed over");
    stranger.send_bytes(&[0x80, 0x02, 1, 2, 3]).await;
    let why = alice.disconnected().await;
    assert!(
        matches!(why, Why::Decode(DecodeError::UnknownRequiredType(0x8002))),
        "{why:?}"
    );
    let Some(Message::Warning(warning)) = stranger.receive().await else {
        panic!("it is told why")
    };
    assert!(String::from_utf8(warning.data).unwrap().contains("32770"));
}

#[tokio::test]
async fn what_cannot_be_read_and_a_second_init_end_the_connection() {
    let mut alice = End::listening(config(1)).await;
    let mut stranger = greeted(&alice, 5).await;
    alice.connected().await;
    stranger.send_bytes(&[0]).await;
    assert!(matches!(
        alice.disconnected().await,
        Why::Decode(DecodeError::TypeMissing { length: 1 })
    ));

    let mut stranger = greeted(&alice, 6).await;
    alice.connected().await;
    stranger.send_bytes(&[0, 16, 0, 0, 0, 0]).await;
    assert!(matches!(alice.disconnected().await, Why::InitAgain));

    let mut stranger = greeted(&alice, 7).await;
    alice.connected().await;
    stranger.stream.write_all(&[7; 100]).await.unwrap();
    assert!(matches!(alice.disconnected().await, Why::Record(_)));
}

#[tokio::test]
async fn the_longest_message_arrives() {
    let mut alice = End::listening(config(1)).await;
    let mut stranger = greeted(&alice, 5).await;
    alice.connected().await;
    let mut longest = vec![0x80, 0x01];
    longest.resize(65_535, 9);
    stranger.send_bytes(&longest).await;
    stranger.send(&numbered(3)).await;
    assert_eq!(alice.message().await, numbered(3));
}

#[tokio::test]
async fn a_flood_is_read_slowly_and_another_peer_is_not_harmed() {
    let mut calm = config(1);
    calm.limits.idle_messages_per_second = 50;
    calm.limits.idle_messages_burst = 100;
    let mut alice = End::listening(calm).await;
    let mut loud = greeted(&alice, 5).await;
    alice.connected().await;
    let flood = tokio::spawn(async move {
        for _ in 0..200 {
            loud.send(&ping(0)).await;
        }
        let began = Instant::now();
        for _ in 0..200 {
            assert!(matches!(loud.receive().await, Some(Message::Pong(_))));
        }
        began.elapsed()
    });
    let bob = End::listening(config(2)).await;
    let began = Instant::now();
    bob.network.connect(alice.id, &[alice.address()]).await.unwrap();
    assert_eq!(alice.connected().await.peer, bob.id);
    assert!(began.elapsed() < Duration::from_millis(500));
    let took = flood.await.unwrap();
    assert!(
        took > Duration::from_millis(1_500),
        "200 pings at 50 a second, 100 of them free: {took:?}"
    );
}
