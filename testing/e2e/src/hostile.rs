//! Strangers that mean no good call Bob, who forwards payments between Alice and Carol meanwhile: half-open connections, handshakes a byte at a
//! time, noise, floods of messages, a thousand peers. Every payment must be made, and what Bob's process needs of memory stays bounded; how much
//! memory and processor time it is, and how long payments took, is told in a table, and judged by whoever reads it.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bitcoin::constants::ChainHash;
use quittance_api::{Hex, PaymentState};
use quittance_noise::{ACT_TWO_LEN, Encryptor, Initiator};
use quittance_primitives::{Features, NodeId};
use quittance_town::{ALICE, BOB, Ledger, Outcome, Random, Town};
use quittance_wire::{Init, Message};
use secp256k1::SecretKey;

/// What Bob's process may need beyond what it needs when nobody disturbs it: a thousand peers with their queues are some ten megabytes.
const MEMORY_MAX_KIB: u64 = 128 * 1024;
/// Connections of those that come in masses.
const MASS: u64 = 1_000;
/// Threads of those that are as fast as they can be.
const LOUD: u64 = 4;

/// Whom the strangers call, and until when.
#[derive(Clone, Copy)]
struct Victim<'a> {
    address: SocketAddr,
    id: NodeId,
    is_over: &'a AtomicBool,
    /// What the strangers did: connections, messages.
    deeds: &'a AtomicU64,
}

/// A way to disturb.
struct Attack {
    name: &'static str,
    threads: u64,
    run: fn(Victim<'_>, Random),
}

const ATTACKS: [Attack; 6] = [
    Attack {
        name: "nobody",
        threads: 0,
        run: |_, _| {},
    },
    Attack {
        name: "1,000 connections that say nothing",
        threads: 1,
        run: silent,
    },
    Attack {
        name: "200 handshakes, a byte at a time",
        threads: 1,
        run: slow,
    },
    Attack {
        name: "noise instead of handshakes, at once again",
        threads: LOUD,
        run: noisy,
    },
    Attack {
        name: "peers that flood with pings, unknown messages and gossip",
        threads: LOUD,
        run: flooding,
    },
    Attack {
        name: "1,000 peers that stay",
        threads: LOUD,
        run: many,
    },
];

/// Runs every attack for `seconds`, and tells what it cost.
pub(crate) fn run(program: &Path, seconds: u64, seed: u64) -> Outcome<String> {
    let folder = tempfile::tempdir()?;
    let mut town = Town::new(program, folder.path(), None, &[])?;
    town.wait_until_usable()?;
    let bob = NodeId(town.nodes[BOB].caller()?.get::<quittance_api::Info>("/v1/info")?.id.0);
    let (mut random, mut alice) = (Random::new(seed), Ledger::default());
    let mut table =
        "strangers | what they did | payments made | median, slowest | processor time | memory at most\n".to_owned();
    let mut quiet_kib = None;
    for attack in ATTACKS {
        let (is_over, deeds) = (AtomicBool::new(false), AtomicU64::new(0));
        let victim = Victim {
            address: town.nodes[BOB].listen,
            id: bob,
            is_over: &is_over,
            deeds: &deeds,
        };
        let cost = std::thread::scope(|threads| {
            for _ in 0..attack.threads {
                let random = Random::new(random.next());
                threads.spawn(move || (attack.run)(victim, random));
            }
            let cost = watch(&town, &mut alice, Duration::from_secs(seconds), &mut random);
            is_over.store(true, Ordering::SeqCst);
            cost
        })
        .map_err(|why| format!("{}: {why}", attack.name))?;
        let allowed = *quiet_kib.get_or_insert(cost.memory_kib) + MEMORY_MAX_KIB;
        if cost.memory_kib > allowed {
            return Err(format!(
                "{}: {} KiB of memory, {allowed} are allowed",
                attack.name, cost.memory_kib
            )
            .into());
        }
        writeln!(
            table,
            "{} | {} | {} | {} ms, {} ms | {:.1} s of {seconds} | {} MiB",
            attack.name,
            deeds.load(Ordering::SeqCst),
            cost.payments,
            cost.median.as_millis(),
            cost.slowest.as_millis(),
            cost.processor.as_secs_f64(),
            cost.memory_kib / 1_024,
        )?;
    }
    // Whoever was disturbed has lost nothing.
    town.wait_until_usable()?;
    town.check_balances(&alice)?;
    town.nodes[BOB].kill()?;
    Ok(table)
}

/// What an attack cost its victim, and those who are served meanwhile.
struct Cost {
    payments: usize,
    median: Duration,
    slowest: Duration,
    processor: Duration,
    memory_kib: u64,
}

/// Payments go through Bob, one after the other, and Bob's process is looked at.
fn watch(town: &Town, ledger: &mut Ledger, time: Duration, random: &mut Random) -> Outcome<Cost> {
    let process = town.nodes[BOB].number().ok_or("Bob does not run")?;
    let alice = town.nodes[ALICE].caller()?;
    let (began, before) = (Instant::now(), processor_time(process)?);
    let mut took = Vec::new();
    let mut memory_kib = 0;
    while began.elapsed() < time {
        let order = town.order(10_000 + random.below(10_000), Hex(random.bytes()))?;
        let started = Instant::now();
        order.give(alice)?;
        town.settle(std::slice::from_ref(&order))?;
        if order.state(alice)? != Some(PaymentState::Sent) {
            return Err("a payment through Bob failed".into());
        }
        took.push(started.elapsed());
        ledger.listen(alice)?;
        ledger.handle_all(alice)?;
        memory_kib = memory_kib.max(resident_kib(process)?);
    }
    took.sort();
    Ok(Cost {
        payments: took.len(),
        median: took.get(took.len() / 2).copied().unwrap_or_default(),
        slowest: took.last().copied().unwrap_or_default(),
        processor: processor_time(process)?.saturating_sub(before),
        memory_kib,
    })
}

/// Connects, and says nothing; whoever is thrown out comes again.
fn silent(victim: Victim<'_>, _: Random) {
    let mut open = Vec::new();
    while !victim.is_over.load(Ordering::SeqCst) {
        open.retain(is_open);
        if open.len() as u64 >= MASS {
            std::thread::sleep(Duration::from_millis(10));
        } else if let Some(stream) = connect(victim) {
            open.push(stream);
        }
    }
}

/// Says a byte of a handshake at a time.
fn slow(victim: Victim<'_>, mut random: Random) {
    let mut open: Vec<TcpStream> = Vec::new();
    while !victim.is_over.load(Ordering::SeqCst) {
        open.retain(is_open);
        while open.len() < 200
            && let Some(stream) = connect(victim)
        {
            open.push(stream);
        }
        for stream in &mut open {
            // Thrown out, or not yet.
            let _ = stream.write(&random.bytes()[..1]);
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Says something that is no handshake.
fn noisy(victim: Victim<'_>, mut random: Random) {
    while !victim.is_over.load(Ordering::SeqCst) {
        let Some(mut stream) = connect(victim) else { continue };
        let noise = [random.bytes(), random.bytes()].concat();
        // Act one has 50 bytes: the answer to these is the end.
        let _ = stream.write_all(&noise);
        let _ = stream.read(&mut [0; 64]);
    }
}

/// A peer like any other, and then messages as fast as they are taken.
fn flooding(victim: Victim<'_>, mut random: Random) {
    let mut unknown = vec![0x80, 0x01];
    unknown.resize(60_000, 7);
    let ping = [&[0, 18, 0xff, 0xfb, 0xff, 0x00][..], &vec![0; 0xff00]].concat();
    let gossip = Message::GossipTimestampFilter(quittance_wire::GossipTimestampFilter {
        chain_hash: ChainHash::REGTEST,
        first_timestamp: 0,
        timestamp_range: u32::MAX,
    });
    let bodies = [unknown, ping, gossip.encode()];
    while !victim.is_over.load(Ordering::SeqCst) {
        let Some((mut stream, mut keys)) = greeted(victim, &mut random) else {
            continue;
        };
        let mut number = 0;
        while !victim.is_over.load(Ordering::SeqCst) {
            let mut record = Vec::new();
            if keys.append(&bodies[number % bodies.len()], &mut record).is_err() || stream.write_all(&record).is_err() {
                break;
            }
            victim.deeds.fetch_add(1, Ordering::Relaxed);
            number += 1;
        }
    }
}

/// Peers like any other, very many of them.
fn many(victim: Victim<'_>, mut random: Random) {
    let mut open = Vec::new();
    while !victim.is_over.load(Ordering::SeqCst) {
        open.retain(is_open);
        if open.len() as u64 >= MASS / LOUD {
            std::thread::sleep(Duration::from_millis(10));
        } else if let Some((stream, _)) = greeted(victim, &mut random) {
            open.push(stream);
        }
    }
}

fn connect(victim: Victim<'_>) -> Option<TcpStream> {
    let stream = TcpStream::connect_timeout(&victim.address, Duration::from_secs(1)).ok()?;
    stream.set_write_timeout(Some(Duration::from_millis(200))).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
    victim.deeds.fetch_add(1, Ordering::Relaxed);
    Some(stream)
}

/// A connection that has shaken hands and said `init`.
fn greeted(victim: Victim<'_>, random: &mut Random) -> Option<(TcpStream, Encryptor)> {
    let mut stream = connect(victim)?;
    let key = |random: &mut Random| SecretKey::from_slice(&random.bytes()).ok();
    let (node, ephemeral) = (key(random)?, key(random)?);
    let (initiator, act_one) = Initiator::start(node, ephemeral, victim.id.public_key().ok()?);
    stream.write_all(&act_one).ok()?;
    let mut act_two = [0; ACT_TWO_LEN];
    stream.read_exact(&mut act_two).ok()?;
    let (mut keys, act_three) = initiator.finish(&act_two).ok()?;
    let init = Message::Init(Init {
        globalfeatures: Features::empty(),
        features: Features::empty(),
        networks: Some(vec![ChainHash::REGTEST]),
        remote_addr: None,
    });
    let mut sent = act_three.to_vec();
    keys.encryptor.append(&init.encode(), &mut sent).ok()?;
    stream.write_all(&sent).ok()?;
    Some((stream, keys.encryptor))
}

/// Whether the other end has not closed. What it says is thrown away.
fn is_open(stream: &TcpStream) -> bool {
    let mut said = [0; 4_096];
    if stream.set_nonblocking(true).is_err() {
        return false;
    }
    let is_open = match (&mut &*stream).read(&mut said) {
        Ok(length) => length > 0,
        Err(error) => error.kind() == std::io::ErrorKind::WouldBlock,
    };
    stream.set_nonblocking(false).is_ok() && is_open
}

/// What a process holds in memory.
fn resident_kib(process: u32) -> Outcome<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let text = line.and_then(|line| line.split_whitespace().next());
    Ok(text.ok_or("the system does not tell")?.parse()?)
}

/// What a process has had of processors.
fn processor_time(process: u32) -> Outcome<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The name in brackets may have blanks; user and system time are the twelfth and thirteenth behind it.
    let (_, behind) = stat.rsplit_once(')').ok_or("the system does not tell")?;
    let fields: Vec<&str> = behind.split_whitespace().collect();
    let ticks = |at: usize| -> Outcome<u64> { Ok(fields.get(at).ok_or("the system does not tell")?.parse()?) };
    // Hundredths of a second, on every Linux that Rust runs on.
    Ok(Duration::from_millis(10 * (ticks(11)? + ticks(12)?)))
}
