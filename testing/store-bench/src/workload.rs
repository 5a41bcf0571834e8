//! The batches of a node with 100 channels that pays, 10 events behind with its user.

use quittance_journal::{Batch, EventNumber, Key, UpdateId};
use quittance_primitives::{ChannelId, PaymentId};

const CHANNELS: u64 = 100;
const CHECKPOINT_EVERY: u64 = 100;

pub fn group(number: u64, size: u64) -> Vec<Batch> {
    steps((number - 1) * size, size)
}

pub fn steps(after: u64, count: u64) -> Vec<Batch> {
    (after + 1..=after + count).map(step).collect()
}

fn step(number: u64) -> Batch {
    let place = scatter(number) % CHANNELS;
    let channel = ChannelId(spread(place));
    let mut batch = Batch::new();
    batch.put(Key::Update(channel, UpdateId(number)), 1, &noise(number, 250));
    batch.put(Key::Payment(PaymentId(spread(number / 2))), 1, &noise(number + 1, 150));
    batch.put(Key::Event(EventNumber(number)), 1, &noise(number + 2, 100));
    if number > 10 {
        batch.delete(Key::Event(EventNumber(number - 10)));
    }
    if number.is_multiple_of(CHECKPOINT_EVERY) {
        batch.put(Key::Checkpoint(channel), 1, &noise(number, 4_000));
        batch.delete_updates(channel, UpdateId(number - 1));
    }
    batch
}

pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    (0_u64..)
        .flat_map(|n| scatter(seed.wrapping_mul(1_000).wrapping_add(n)).to_be_bytes())
        .take(length)
        .collect()
}

pub fn spread(number: u64) -> [u8; 32] {
    noise(number ^ 0x5eed, 32).try_into().expect("32 bytes")
}

fn scatter(number: u64) -> u64 {
    let mut x = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}
