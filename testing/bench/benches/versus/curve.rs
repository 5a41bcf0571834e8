//! What a payment costs at least: the work on the curve, counted, at the price that each operation has in this run.

use std::hint::black_box;

use bitcoin::hashes::{Hash, sha256};
use bitcoin::secp256k1::ecdh::SharedSecret;
use bitcoin::secp256k1::ecdsa::Signature;
use bitcoin::secp256k1::{Message, PublicKey, SECP256K1, Scalar, SecretKey};
use quittance_transactions::generator::{add_public_multiple, public_multiple};

use crate::Plan;
use crate::counts::Moment;
use crate::figures::{median, millis, short};

/// How often each operation is done for one price.
const TIMES: u32 = 400;

/// What is asked of libsecp256k1. The two with public numbers are sums of multiples that are kept.
#[derive(Clone, Copy)]
pub(crate) enum Operation {
    Sign,
    Verify,
    Multiply,
    Add,
    PublicKey,
    AddPublic,
    PublicMultiple,
    Agree,
}

/// Each with its name, and how often a payment alone asks for it, both nodes of a hop together.
///
/// The counts are those of the calls of libsecp256k1 in `quittance-payments-bench payments 200 'direct, one'`, counted by a
/// debugger's breakpoints, and twice those are the calls of a payment over two hops, but for one multiplication more;
/// sums were told apart by who asks for them;
/// LDK's in the anchors are 12 signatures, 6 verifications, 24 multiplications, 54 keys and 3 agreements.
const OPERATIONS: [(Operation, &str, u32); 8] = [
    (Operation::Sign, "signature", 6),
    (Operation::Verify, "verification", 6),
    (Operation::Multiply, "point multiplied", 8),
    (Operation::Add, "points added", 8),
    (Operation::PublicKey, "multiple of the generator by a secret", 13),
    (Operation::AddPublic, "point and a multiple by a public number", 16),
    (Operation::PublicMultiple, "multiple by a public number", 4),
    (Operation::Agree, "secret agreed on", 2),
];

/// All that a hop asks for, each kind spread over the whole.
pub(crate) fn of_a_hop() -> Vec<Operation> {
    let mut placed: Vec<(f64, Operation)> = OPERATIONS
        .iter()
        .flat_map(|(operation, _, count)| {
            (0..*count).map(move |place| ((f64::from(place) + 0.5) / f64::from(*count), *operation))
        })
        .collect();
    placed.sort_by(|one, other| one.0.total_cmp(&other.0));
    placed.into_iter().map(|(_, operation)| operation).collect()
}

/// Does operations, each time with other numbers: with the same ones the tables of libsecp256k1 would be read at the same places.
pub(crate) struct Curve {
    inputs: Vec<Input>,
    next: usize,
}

struct Input {
    secret: SecretKey,
    tweak: Scalar,
    public: PublicKey,
    other: PublicKey,
    message: Message,
    signature: Signature,
}

impl Curve {
    /// With numbers that are prepared.
    pub(crate) fn new() -> Self {
        Self {
            inputs: (1..=INPUTS).map(Input::of).collect(),
            next: 0,
        }
    }

    /// Does one.
    pub(crate) fn perform(&mut self, operation: Operation) {
        self.next = (self.next + 1) % self.inputs.len();
        let input = &self.inputs[self.next];
        match operation {
            Operation::Sign => {
                black_box(SECP256K1.sign_ecdsa(&input.message, &input.secret));
            }
            Operation::Verify => {
                let verified = SECP256K1.verify_ecdsa(&input.message, &input.signature, &input.public);
                black_box(verified).expect("it is valid");
            }
            Operation::Multiply => {
                black_box(input.public.mul_tweak(SECP256K1, &input.tweak)).expect("a point");
            }
            Operation::Add => {
                black_box(input.public.combine(&input.other)).expect("a point");
            }
            Operation::PublicKey => {
                black_box(input.secret.public_key(SECP256K1));
            }
            Operation::AddPublic => {
                black_box(add_public_multiple(&input.public, &input.tweak)).expect("a point");
            }
            Operation::PublicMultiple => {
                black_box(public_multiple(&input.tweak)).expect("a point");
            }
            Operation::Agree => {
                black_box(SharedSecret::new(&input.other, &input.secret));
            }
        }
    }
}

/// How many numbers there are.
const INPUTS: u16 = 499;

impl Input {
    fn of(number: u16) -> Self {
        let hash = |what: u8| {
            let [high, low] = number.to_be_bytes();
            sha256::Hash::hash(&[what, high, low]).to_byte_array()
        };
        let key = |what| SecretKey::from_slice(&hash(what)).expect("it is below the order of the group");
        let (secret, message) = (key(0), Message::from_digest(hash(1)));
        Self {
            secret,
            tweak: Scalar::from(key(2)),
            public: secret.public_key(SECP256K1),
            other: key(3).public_key(SECP256K1),
            message,
            signature: SECP256K1.sign_ecdsa(&message, &secret),
        }
    }
}

/// Measures each operation, and prints a table for one direct payment alone, both nodes together.
pub(crate) fn measure(plan: &Plan) {
    if !plan.includes("curve") {
        return;
    }
    let mut curve = Curve::new();
    println!("| work on the curve | us each | in a payment, both nodes | ms |\n|---|---:|---:|---:|");
    let (mut total, mut total_ms) = (0, 0.0);
    for (operation, name, count) in OPERATIONS {
        let samples = (0..5).map(|_| {
            let before = Moment::now();
            (0..TIMES).for_each(|_| curve.perform(operation));
            millis((Moment::now() - before).processor) * 1_000.0 / f64::from(TIMES)
        });
        let each = median(samples);
        let ms = each * f64::from(count) / 1_000.0;
        total += count;
        total_ms += ms;
        println!("| {name} | {} | {count} | {} |", short(each), short(ms));
    }
    println!("| all | | {total} | {} |\n", short(total_ms));
}
