//! Measures payments end to end, in one process and one thread with the store's own: real engines, gates, signers and stores, real syncs,
//! and every message encoded and decoded.
//!
//! - `quittance-payments-bench payments [COUNT] [WORD]`: direct and forwarded, one at a time and 100 in flight; or what has the word in
//!   its name.
//! - `quittance-payments-bench memory [COUNT] [WORD]`: the same with stores in memory, and the engine alone.
//! - `quittance-payments-bench start FOLDER [CHANNELS] [PAYMENTS]`: makes a store with so many channels and old payments, if there is
//!   none, then starts a node from it and says what that took. Run it twice: a start in a process that made the store says little.
//! - `quittance-payments-bench blocks [CHANNELS]`: what full blocks cost a node with so many channels, idle and while 100 of them close.

use std::path::Path;

use quittance_payments_bench::{blocks, node, payments, restart};

fn main() -> node::Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |place: usize, otherwise: u64| -> node::Outcome<u64> {
        Ok(arguments
            .get(place)
            .map(|text| text.parse())
            .transpose()?
            .unwrap_or(otherwise))
    };
    let only = arguments.get(2).map_or("", String::as_str);
    match arguments.first().map(String::as_str) {
        Some("payments") => payments::measure(number(1, 1_000)?, only),
        Some("memory") => payments::measure_in_memory(number(1, 1_000)?, only),
        Some("start") => {
            let folder = arguments.get(1).ok_or("which folder?")?;
            restart::measure(
                Path::new(folder),
                u32::try_from(number(2, 1_000)?)?,
                number(3, 100_000)?,
            )
        }
        Some("blocks") => blocks::measure(u32::try_from(number(1, 1_000)?)?),
        Some(_) | None => Err(
            "payments [COUNT] [WORD] | memory [COUNT] [WORD] | start FOLDER [CHANNELS] [PAYMENTS] | blocks [CHANNELS]"
                .into(),
        ),
    }
}
