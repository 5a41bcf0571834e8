//! Two networks, and strangers, over real sockets on loopback.

#![allow(clippy::unwrap_used, reason = "a test ends there")]

mod hostile;
mod town;

use std::time::{Duration, Instant};

use quittance_journal::Generation;
use quittance_net::{ConnectError, Direction, Limits, NotSent, Outbound, Timing, Why};
use quittance_primitives::Feature;
use quittance_wire::{Message, Ping};

use town::{End, Seen, config, features, ping};

#[tokio::test]
async fn two_nodes_meet_agree_on_features_and_exchange_messages_in_order() {
    let (mut alice, mut bob) = (End::listening(config(1)).await, End::listening(config(2)).await);
    let generation = alice.network.connect(bob.id, &[bob.address()]).await.unwrap();
    assert_eq!(generation, Generation(1));

    let (at_alice, at_bob) = (alice.connected().await, bob.connected().await);
    assert_eq!((at_alice.peer, at_alice.direction), (bob.id, Direction::Outbound));
    assert_eq!((at_bob.peer, at_bob.direction), (alice.id, Direction::Inbound));
    assert!(at_bob.features.supports(Feature::Anchors));
    assert!(!at_bob.features.supports(Feature::Splice));

    for number in 0..900 {
        at_alice.outbox.send(town::numbered(number).into()).unwrap();
    }
    for number in 0..900 {
        assert_eq!(bob.message().await, town::numbered(number));
    }
    // One that is made when its turn comes keeps its place, and one that is not made leaves no gap.
    at_bob
        .outbox
        .send(Outbound::Made(Box::new(|| Some(town::numbered(7)))))
        .unwrap();
    at_bob.outbox.send(Outbound::Made(Box::new(|| None))).unwrap();
    at_bob.outbox.send(town::numbered(8).into()).unwrap();
    at_bob.outbox.send(Outbound::Close).unwrap();
    assert_eq!(alice.message().await, town::numbered(7));
    assert_eq!(alice.message().await, town::numbered(8));
    assert!(matches!(alice.disconnected().await, Why::ClosedByPeer));
    assert!(matches!(bob.disconnected().await, Why::ClosedByUs));
    assert_eq!(at_bob.outbox.send(ping(0).into()), Err(NotSent::Gone));
}

#[tokio::test]
async fn some_peers_are_offered_what_others_are_not() {
    let friendly = |number, friend| {
        let more = features().offering(Feature::Splice);
        let mut config = config(number);
        config.features_by_peer.insert(town::id(friend), more);
        config
    };
    let mut alice = End::listening(friendly(1, 2)).await;
    let mut bob = End::listening(friendly(2, 1)).await;
    let mut carol = End::listening(friendly(3, 1)).await;
    for caller in [&bob, &carol] {
        caller.network.connect(alice.id, &[alice.address()]).await.unwrap();
    }
    for _ in 0..2 {
        let at_alice = alice.connected().await;
        let is_friend = at_alice.peer == bob.id;
        assert_eq!(at_alice.features.supports(Feature::Splice), is_friend);
        assert!(at_alice.features.supports(Feature::Anchors));
    }
    assert!(bob.connected().await.features.supports(Feature::Splice));
    assert!(!carol.connected().await.features.supports(Feature::Splice));
}

#[tokio::test]
async fn calls_that_cross_leave_one_connection() {
    let (mut alice, mut bob) = (End::listening(config(1)).await, End::listening(config(2)).await);
    let (to_bob, to_alice) = ([bob.address()], [alice.address()]);
    let (one, other) = tokio::join!(
        alice.network.connect(bob.id, &to_bob),
        bob.network.connect(alice.id, &to_alice)
    );
    one.unwrap();
    other.unwrap();
    let (mut at_alice, mut at_bob) = (alice.connected().await, bob.connected().await);
    tokio::time::sleep(Duration::from_millis(200)).await;
    // Where both connections came to be, the younger one has replaced the older one on both sides.
    while let Some(seen) = alice.seen_already() {
        if let Seen::Connected(connected) = seen {
            at_alice = connected;
        }
    }
    while let Some(seen) = bob.seen_already() {
        if let Seen::Connected(connected) = seen {
            at_bob = connected;
        }
    }
    assert_eq!((alice.network.peers().len(), bob.network.peers().len()), (1, 1));
    at_alice.outbox.send(town::numbered(1).into()).unwrap();
    assert_eq!(bob.message().await, town::numbered(1));
    at_bob.outbox.send(town::numbered(2).into()).unwrap();
    assert_eq!(alice.message().await, town::numbered(2));
}

#[tokio::test]
async fn a_kept_peer_is_called_again_when_it_comes_back() {
    let mut alice = End::listening(config(1)).await;
    let bob = End::listening(config(2)).await;
    let address = bob.address();
    alice.network.keep(bob.id, vec![address.clone()]);
    let first = alice.connected().await;
    bob.network.stop();
    drop(bob);
    alice.disconnected().await;
    let bob = End::listening_at(config(2), address.to_string().parse().unwrap()).await;
    let second = alice.connected().await;
    assert!(second.generation > first.generation);
    alice.network.forget(&bob.id);
    bob.network.stop();
    alice.disconnected().await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(alice.network.peers().is_empty(), "it is forgotten");
}

#[tokio::test]
async fn whoever_cannot_be_reached_is_named() {
    let alice = End::listening(config(1)).await;
    let nobody = End::listening(config(3)).await;
    let address = nobody.address();
    assert_eq!(
        alice.network.connect(alice.id, &[alice.address()]).await,
        Err(ConnectError::Ourselves)
    );
    assert_eq!(
        alice.network.connect(nobody.id, &[]).await,
        Err(ConnectError::NoAddress(nobody.id))
    );
    // Somebody else lives there.
    let refused = alice.network.connect(town::id(9), std::slice::from_ref(&address)).await;
    assert!(matches!(refused, Err(ConnectError::Handshake { .. })), "{refused:?}");
    nobody.network.stop();
    tokio::time::sleep(Duration::from_millis(50)).await;
    let refused = alice.network.connect(nobody.id, &[address]).await;
    assert!(matches!(refused, Err(ConnectError::Unreachable { .. })), "{refused:?}");
}

#[tokio::test]
async fn nodes_on_other_chains_and_with_unmet_features_part_at_once() {
    let alice = End::listening(config(1)).await;
    let mut on_mainnet = config(2);
    on_mainnet.chain = bitcoin::constants::ChainHash::BITCOIN;
    let bob = End::listening(on_mainnet).await;
    let refused = alice.network.connect(bob.id, &[bob.address()]).await;
    let Err(ConnectError::Greeting { why, .. }) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(why, "the peer's channels stand on other chains than ours");

    let mut demanding = config(3);
    demanding.features = features().requiring(Feature::SimpleClose);
    let carol = End::listening(demanding).await;
    let refused = carol.network.connect(alice.id, &[alice.address()]).await;
    let Err(ConnectError::Greeting { why, .. }) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(why, "the peer lacks feature bit 60, which we require");
    assert!(alice.network.peers().is_empty());
}

#[tokio::test]
async fn a_sink_that_waits_makes_its_peer_wait_and_a_peer_that_never_reads_is_let_go() {
    let mut tight = config(1);
    tight.limits.outbox_messages_max = 64;
    tight.timing.write = Duration::from_mins(1);
    let (mut alice, mut bob) = (End::listening(tight).await, End::listening(config(2)).await);
    alice.network.connect(bob.id, &[bob.address()]).await.unwrap();
    let at_alice = alice.connected().await;
    bob.connected().await;
    // Bob's user takes nothing, so Bob reads nothing, and TCP's windows fill.
    let mut sent = 0_u32;
    let error = loop {
        match at_alice.outbox.send(town::large().into()) {
            Ok(()) => sent += 1,
            Err(error) => break error,
        }
        assert!(sent < 10_000, "Alice keeps it all in memory");
        tokio::time::sleep(Duration::from_millis(1)).await;
    };
    assert_eq!(error, NotSent::TooSlow);
    assert!(matches!(alice.disconnected().await, Why::ClosedByUs));
}

#[tokio::test]
async fn a_silent_peer_is_let_go_and_a_quiet_one_is_not() {
    let mut impatient = config(1);
    impatient.timing = Timing {
        ping: Duration::from_millis(50),
        pong: Duration::from_millis(200),
        ..impatient.timing
    };
    let mut alice = End::listening(impatient).await;
    let bob = End::listening(config(2)).await;
    bob.network.connect(alice.id, &[alice.address()]).await.unwrap();
    alice.connected().await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(alice.network.peers().len(), 1, "Bob answers pings");

    let _stranger = hostile::greeted(&alice, 5).await;
    alice.connected().await;
    let began = Instant::now();
    assert!(matches!(alice.disconnected().await, Why::Silent));
    assert!(began.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn no_more_peers_are_let_in_than_there_is_room_for_but_kept_ones_always_are() {
    let mut small = config(1);
    small.limits = Limits {
        peers_max: 1,
        ..small.limits
    };
    let mut alice = End::listening(small).await;
    let (bob, carol) = (End::listening(config(2)).await, End::listening(config(3)).await);
    bob.network.connect(alice.id, &[alice.address()]).await.unwrap();
    alice.connected().await;
    // The greeting is finished on Carol's side before Alice has counted.
    let _ = carol.network.connect(alice.id, &[alice.address()]).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(alice.network.peers().len(), 1);
    let nowhere = "127.0.0.1:1".parse().unwrap();
    alice.network.keep(carol.id, vec![nowhere]);
    carol.network.connect(alice.id, &[alice.address()]).await.unwrap();
    assert_eq!(alice.connected().await.peer, carol.id);
}

#[tokio::test]
async fn pings_are_answered_as_long_as_they_ask() {
    let mut alice = End::listening(config(1)).await;
    let mut stranger = hostile::greeted(&alice, 5).await;
    alice.connected().await;
    for (asked, answered) in [(3, Some(3)), (65_531, Some(65_531)), (65_532, None), (1, Some(1))] {
        stranger
            .send(&Message::Ping(Ping {
                num_pong_bytes: asked,
                ignored: vec![0; 9],
            }))
            .await;
        if let Some(length) = answered {
            let Message::Pong(pong) = stranger.receive().await.unwrap() else {
                panic!()
            };
            assert_eq!(pong.ignored.len(), length);
        }
    }
}
