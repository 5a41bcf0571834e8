//! Two channels face to face: the real code of both ends, real signatures, real messages through the real codec, and a disk
//! each that may lose what was not synced. After every step the log is written, read back and folded, and must be the live
//! channel, byte for byte.

#![allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    reason = "each test file uses its own part of the harness"
)]

pub mod blame;
pub mod closing;
pub mod curve;
pub mod cuts;
pub mod end;
pub mod facts;
pub mod random;

use quittance_channel::{HtlcSource, NewHtlc, Removal, Side};
use quittance_primitives::{CltvExpiry, FeeratePerKw, HtlcId, MilliSatoshi, PaymentPreimage};

pub use end::{End, Kept, last_steps};
pub use facts::Setup;

/// Both ends of one channel, and the messages between them.
#[derive(Clone)]
pub struct Pair {
    pub alice: End,
    pub bob: End,
}

/// One of the two; Alice opened the channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    Alice,
    Bob,
}

impl Who {
    pub const BOTH: [Self; 2] = [Self::Alice, Self::Bob];

    pub fn other(self) -> Self {
        match self {
            Self::Alice => Self::Bob,
            Self::Bob => Self::Alice,
        }
    }
}

impl Pair {
    /// An open channel of 10,000,000 sat with anchors, all of it Alice's but 4,000,000 sat.
    pub fn normal() -> Self {
        Self::of(&Setup::default())
    }

    /// An open channel as `setup` says.
    pub fn of(setup: &Setup) -> Self {
        let mut pair = Self::unready(setup);
        for who in Who::BOTH {
            pair.end(who).confirm_funding();
        }
        pair.settle();
        pair
    }

    /// A channel whose funding is signed and not confirmed.
    pub fn unready(setup: &Setup) -> Self {
        let (alice, bob) = setup.ends();
        Self { alice, bob }
    }

    pub fn end(&mut self, who: Who) -> &mut End {
        match who {
            Who::Alice => &mut self.alice,
            Who::Bob => &mut self.bob,
        }
    }

    /// Delivers the oldest message that `from` has sent, if there is one.
    pub fn deliver(&mut self, from: Who) -> bool {
        let Some(bytes) = self.end(from).take_message() else {
            return false;
        };
        self.end(from.other()).receive(&bytes);
        true
    }

    /// Delivers until both are silent.
    pub fn settle(&mut self) {
        for _ in 0..10_000 {
            let alice = self.deliver(Who::Alice);
            let bob = self.deliver(Who::Bob);
            if !alice && !bob {
                return;
            }
        }
        panic!("the two never fall silent");
    }

    /// The connection is lost with everything that was on its way.
    pub fn cut(&mut self) {
        for who in Who::BOTH {
            self.end(who).lose_connection();
        }
    }

    /// A new connection.
    pub fn reconnect(&mut self) {
        self.cut();
        for who in Who::BOTH {
            self.end(who).connect();
        }
    }

    /// `from` offers an HTLC; it is sent and signed, and not delivered.
    pub fn offer(&mut self, from: Who, msat: u64, preimage: u8) -> HtlcId {
        let htlc = new_htlc(msat, preimage);
        self.end(from).offer(htlc).expect("the HTLC fits")
    }

    /// An HTLC from `from` that both sides are committed to.
    pub fn with_htlc(mut self, from: Who, msat: u64, preimage: u8) -> Self {
        self.offer(from, msat, preimage);
        self.settle();
        self
    }

    /// What must hold whenever both ends are at rest and connected: both commitments of each side are the same on both ends.
    pub fn check_agreement(&self) {
        use quittance_channel::View;
        let (alice, bob) = (self.alice.channel.state(), self.bob.channel.state());
        let sorted = |state: &quittance_channel::ChannelState, view| {
            let mut contents = state.commitments.contents(&state.facts, view).expect("it exists");
            contents.htlcs.sort_by_key(|htlc| (htlc.direction, htlc.id));
            contents
        };
        assert_eq!(
            sorted(alice, View::Local),
            sorted(bob, View::Remote),
            "Alice's commitment"
        );
        assert_eq!(
            sorted(alice, View::Remote),
            sorted(bob, View::Local),
            "Bob's commitment"
        );
    }

    /// The settled balances in msat: Alice's and Bob's, as Alice sees them.
    pub fn balances(&self) -> (u64, u64) {
        let settled = self.alice.channel.state().commitments.settled;
        (settled.of(Side::Local).0, settled.of(Side::Remote).0)
    }
}

/// An HTLC that the preimage of 32 times `preimage` claims.
pub fn new_htlc(msat: u64, preimage: u8) -> NewHtlc {
    NewHtlc {
        amount: MilliSatoshi(msat),
        payment_hash: preimage_of(preimage).hash(),
        cltv_expiry: CltvExpiry(700_144),
        path_key: None,
        source: payment_source(preimage),
    }
}

pub fn preimage_of(byte: u8) -> PaymentPreimage {
    PaymentPreimage([byte; 32])
}

pub fn payment_source(byte: u8) -> HtlcSource {
    facts::payment_source(byte)
}

pub fn fulfilled(byte: u8) -> Removal {
    Removal::Fulfilled {
        preimage: preimage_of(byte),
        attribution: None,
    }
}

pub fn failed(byte: u8) -> Removal {
    Removal::Failed {
        reason: vec![byte; 292],
        attribution: None,
    }
}

pub fn feerate(sat_per_kw: u32) -> FeeratePerKw {
    FeeratePerKw(sat_per_kw)
}
