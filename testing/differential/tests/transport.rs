//! Our transport against LDK's whole peer manager: either side calls, and messages go both ways through rotations of the keys.
//!
//! LDK's cipher has no public API of its own; its peer manager answers pings, so that is what is asked of it.

use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex};

use lightning::ln::peer_handler::{
    ErroringMessageHandler, IgnoringMessageHandler, MessageHandler, PeerManager, SocketDescriptor,
};
use lightning::sign::KeysManager;
use quittance_differential::{Node, Quiet, nodes};
use quittance_noise::{Decrypted, Established, Initiator, Responder};
use quittance_primitives::Features;
use quittance_wire::{Init, Message, Ping, Pong, WireMessage};

/// What LDK wrote to its socket.
#[derive(Clone, Default)]
struct Wire {
    written: Arc<Mutex<Vec<u8>>>,
}

impl Wire {
    fn take(&self) -> Vec<u8> {
        std::mem::take(&mut *self.written.lock().expect("not poisoned"))
    }
}

impl SocketDescriptor for Wire {
    fn send_data(&mut self, data: &[u8], _: bool) -> usize {
        self.written.lock().expect("not poisoned").extend_from_slice(data);
        data.len()
    }

    fn disconnect_socket(&mut self) {
        panic!("LDK disconnects");
    }
}

impl PartialEq for Wire {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Wire {}

impl Hash for Wire {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

type Ldk<'a> = PeerManager<
    Wire,
    &'a ErroringMessageHandler,
    &'a IgnoringMessageHandler,
    &'a IgnoringMessageHandler,
    &'a Quiet,
    &'a IgnoringMessageHandler,
    &'a KeysManager,
    &'a IgnoringMessageHandler,
>;

/// Both ends of a connection, and LDK's half of the wire.
struct Pair<'a> {
    ldk: Ldk<'a>,
    wire: Wire,
    ours: Established,
    stream: Vec<u8>,
}

impl Pair<'_> {
    fn send(&mut self, message: &Message) {
        let mut record = Vec::new();
        self.ours
            .encryptor
            .append(&message.encode(), &mut record)
            .expect("a short message");
        self.ldk
            .read_event(&mut self.wire, &record)
            .expect("LDK reads our record");
        self.ldk.process_events();
    }

    fn receive(&mut self) -> Option<Message> {
        self.stream.extend(self.wire.take());
        match self
            .ours
            .decryptor
            .decrypt(&mut self.stream)
            .expect("LDK's record is authentic")
        {
            Decrypted::Incomplete { .. } => None,
            Decrypted::Record { body, consumed } => {
                let message = Message::decode(body).expect("we read LDK's message");
                self.stream.drain(..consumed);
                Some(message)
            }
        }
    }

    /// Greets, then pings so often that the keys of both directions are replaced three times.
    fn converse(&mut self) {
        let Some(Message::Init(theirs)) = self.receive() else {
            panic!("LDK greets first")
        };
        // We can do what LDK requires of its peers, whatever that is.
        let init = Init {
            globalfeatures: Features::empty(),
            features: theirs.all_features(),
            networks: None,
            remote_addr: None,
        };
        self.send(&init.into());
        for length in 0..1_600 {
            self.send(
                &Ping {
                    num_pong_bytes: length,
                    ignored: vec![0; 3],
                }
                .into(),
            );
            let pong = Pong {
                ignored: vec![0; usize::from(length)],
            };
            let answer = loop {
                match self.receive() {
                    Some(Message::Pong(pong)) => break pong,
                    Some(_) => {}
                    None => panic!("LDK answers ping {length}"),
                }
            };
            assert_eq!(answer.encode(), pong.encode());
        }
    }
}

fn with_ldk(node: &Node, connect: impl FnOnce(Ldk<'_>)) {
    let (erroring, ignoring, quiet) = (ErroringMessageHandler::new(), IgnoringMessageHandler {}, Quiet);
    let handlers = MessageHandler {
        chan_handler: &erroring,
        route_handler: &ignoring,
        onion_message_handler: &ignoring,
        custom_message_handler: &ignoring,
        send_only_message_handler: &ignoring,
    };
    connect(PeerManager::new(handlers, 0, &[8; 32], &quiet, &node.keys));
}

#[test]
fn we_call_ldk() {
    let nodes = nodes();
    with_ldk(&nodes[0], |ldk| {
        let mut wire = Wire::default();
        let (initiator, act_one) = Initiator::start(nodes[1].secret, nodes[2].secret, nodes[0].id);
        ldk.new_inbound_connection(wire.clone(), None)
            .expect("a first connection");
        ldk.read_event(&mut wire, &act_one).expect("LDK takes act one");
        ldk.process_events();
        let (ours, act_three) = initiator.finish(&wire.take()).expect("we take act two");
        ldk.read_event(&mut wire, &act_three).expect("LDK takes act three");
        ldk.process_events();
        Pair {
            ldk,
            wire,
            ours,
            stream: Vec::new(),
        }
        .converse();
    });
}

#[test]
fn ldk_calls_us() {
    let nodes = nodes();
    with_ldk(&nodes[0], |ldk| {
        let mut wire = Wire::default();
        let act_one = ldk
            .new_outbound_connection(nodes[1].id, wire.clone(), None)
            .expect("a first connection");
        let (responder, act_two) =
            Responder::accept(nodes[1].secret, nodes[2].secret, &act_one).expect("we take act one");
        ldk.read_event(&mut wire, &act_two).expect("LDK takes act two");
        ldk.process_events();
        let mut written = wire.take();
        let greeting = written.split_off(quittance_noise::ACT_THREE_LEN);
        let ours = responder.finish(&written).expect("we take act three");
        assert_eq!(ours.remote, nodes[0].id);
        Pair {
            ldk,
            wire,
            ours,
            stream: greeting,
        }
        .converse();
    });
}
