//! `quittance demo`: payments over two channels, a death in each, and the outcome that every node tells afterwards.

mod node;
mod town;

use std::error::Error;
use std::path::PathBuf;

use quittance_primitives::{MilliSatoshi, PaymentId};

use town::{Death, Town};

/// Options of `quittance demo`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// How many payments are made, each with a death in it.
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u8).range(1..=100))]
    payments: u8,
    /// Where the stores are made, in a new folder. By default the system's place for temporary files.
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
}

const NAMES: [&str; 3] = ["Alice", "Bob", "Carol"];

/// Runs the demonstration.
pub(crate) fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    let parent = options.folder.clone().unwrap_or_else(std::env::temp_dir);
    let folder = parent.join(format!("quittance-demo-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let outcome = tell(options, folder.clone());
    std::fs::remove_dir_all(&folder)?;
    outcome
}

fn tell(options: &Options, folder: PathBuf) -> Result<(), Box<dyn Error>> {
    println!(
        "Alice, Bob and Carol start, each with a store of her own in {}.",
        folder.display()
    );
    let mut town = Town::new(folder)?;
    println!("Alice opens a channel of 10,000,000 sat to Bob, and Bob one to Carol; the chain checks every script.\n");
    town.open_channel(0, 1)?;
    town.open_channel(1, 2)?;
    let amount = MilliSatoshi(25_000_000);
    let mut paid = 0;
    for number in 1..=options.payments {
        let id = PaymentId([number; 32]);
        let death = Death {
            node: usize::from(number) % 3,
            moment: u64::from(number) * 3 % 17,
            told: false,
        };
        let story = town.pay_with_death(id, amount, death)?;
        paid += u64::from(story.is_sent);
        println!("payment {number}: {}", story.text);
    }
    let balances = town.balances();
    println!();
    for (name, balance) in NAMES.iter().zip(balances) {
        println!("{name:5} has {balance:>16} msat");
    }
    let received = amount.0 * paid;
    if balances[2] != received {
        return Err(format!("Carol has {} msat, and was paid {received}", balances[2]).into());
    }
    println!(
        "\nEvery payment has one outcome, told by its payer and matched by its payee: {paid} of {} sent.",
        options.payments
    );
    Ok(())
}
