//! `quittance demo`: three nodes as processes of their own, payments, deaths by SIGKILL, and what everybody tells afterwards.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use quittance_api::{Hex, PaymentState};
use quittance_town::{ALICE, BOB, CAPACITY_SAT, CAROL, Ledger, Order, Rows, Town, compare};

use crate::table::{Table, grouped, short};

/// Options of `quittance demo`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// How many payments are made while somebody dies at a random moment
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u8).range(1..=100))]
    payments: u8,
    /// Where the nodes keep their files, in a new folder [default: the system's place for temporary files]
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
    /// Leave the nodes running at the end, to play with, until Ctrl-C
    #[arg(long, conflicts_with = "once")]
    keep: bool,
    /// End at once, with a status that says whether everything was so; this is the default
    #[arg(long)]
    once: bool,
    /// Start this bitcoind, instead of the embedded chain
    #[arg(long, value_name = "PROGRAM")]
    bitcoind: Option<PathBuf>,
}

/// A payment of the demonstration, and what happened in it.
struct Story {
    order: Order,
    what: String,
}

/// Runs the demonstration.
pub(crate) fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    let began = Instant::now();
    let parent = options.folder.clone().unwrap_or_else(std::env::temp_dir);
    let folder = tempfile::Builder::new().prefix("quittance-demo-").tempdir_in(parent)?;
    let program = std::env::current_exe()?;
    println!(
        "Alice, Bob and Carol start: three processes, each with a store of her own below {}.",
        folder.path().display()
    );
    let mut town = Town::new(&program, folder.path(), options.bitcoind.as_deref(), &[])?;
    println!(
        "Alice opens a channel of {} sat to Bob, and Bob one to Carol; the chain checks every script.\n",
        grouped(CAPACITY_SAT)
    );
    let mut ledgers = (Ledger::default(), Ledger::default());
    let mut stories = Vec::new();
    for (number, rows) in (1..).zip([Rows::Whole, Rows::Deleted]) {
        stories.push(worst_moment(&mut town, &mut ledgers, number, rows)?);
    }
    for number in 1..=options.payments {
        stories.push(random_moment(&mut town, folder.path(), &mut ledgers, number)?);
    }
    town.check_balances(&ledgers.0)?;
    tell(&town, &ledgers, &stories)?;
    println!("\nIt took {:.0?}.", began.elapsed());
    if options.keep {
        keep(&town, &program);
    }
    Ok(())
}

/// The payment is made and the receipt has come, but Alice's user has not confirmed the event when she dies.
fn worst_moment(
    town: &mut Town,
    ledgers: &mut (Ledger, Ledger),
    number: u8,
    rows: Rows,
) -> Result<Story, Box<dyn Error>> {
    town.wait_until_usable()?;
    let order = town.order(25_000_000, Hex([number; 32]))?;
    order.give(town.nodes[ALICE].caller()?)?;
    Town::wait_for("the payment is sent", || {
        Ok(order.state(town.nodes[ALICE].caller()?)? == Some(PaymentState::Sent))
    })?;
    town.wait_for_no_htlc()?;
    let what = format!("Alice, receipt not yet handled, {}", rows.in_words());
    println!("kill -9: {what}");
    town.nodes[ALICE].kill()?;
    town.nodes[ALICE].damage(rows, Path::new(""))?;
    town.start(ALICE)?;
    hear(town, ledgers)?;
    Ok(Story { order, what })
}

/// Somebody dies at some moment of the payment: another one each time, and a little later.
fn random_moment(
    town: &mut Town,
    folder: &Path,
    ledgers: &mut (Ledger, Ledger),
    number: u8,
) -> Result<Story, Box<dyn Error>> {
    let victim = [ALICE, BOB, CAROL][usize::from(number) % 3];
    let rows = Rows::ALL[usize::from(number) / 3 % 3];
    let older = folder.join("older");
    if rows == Rows::RolledBack {
        town.restart_with_copy(victim, &older)?;
    }
    town.wait_until_usable()?;
    let order = town.order(1_000_000 * u64::from(number), Hex([100 + number; 32]))?;
    let payer = town.nodes[ALICE].caller()?.clone();
    let moment = Duration::from_millis(7 + 23 * u64::from(number) % 160);
    let name = town.nodes[victim].name;
    let what = format!("{name} after {} ms, {}", moment.as_millis(), rows.in_words());
    println!("kill -9: {what}");
    std::thread::scope(|threads| {
        let order = &order;
        // Who gets no answer asks again, under the same id.
        threads.spawn(move || drop(order.give(&payer)));
        std::thread::sleep(moment);
        town.nodes[victim].kill()
    })?;
    town.nodes[victim].damage(rows, &older)?;
    town.start(victim)?;
    town.wait_until_usable()?;
    town.settle(std::slice::from_ref(&order))?;
    hear(town, ledgers)?;
    Ok(Story { order, what })
}

/// Both users write down what they are told, hold it against each other, and confirm it.
fn hear(town: &Town, (alice, carol): &mut (Ledger, Ledger)) -> Result<(), Box<dyn Error>> {
    alice.listen(town.nodes[ALICE].caller()?)?;
    carol.listen(town.nodes[CAROL].caller()?)?;
    compare(alice, carol)?;
    alice.handle_all(town.nodes[ALICE].caller()?)?;
    carol.handle_all(town.nodes[CAROL].caller()?)
}

fn tell(town: &Town, (alice, carol): &(Ledger, Ledger), stories: &[Story]) -> Result<(), Box<dyn Error>> {
    let (outcomes, received) = (alice.outcomes()?, carol.received()?);
    let mut table = Table::new(&[
        "payment",
        "msat",
        "who was killed, and when",
        "outcome",
        "receipt",
        "Carol's ledger",
    ]);
    for (number, story) in (1..).zip(stories) {
        let outcome = outcomes
            .get(&story.order.id)
            .ok_or_else(|| format!("payment {number} has no outcome"))?;
        let (told, receipt, by_carol) = match outcome {
            Some(sent) => (
                "sent",
                short(sent.preimage),
                if received.contains_key(&sent.payment_hash) {
                    "received"
                } else {
                    "NOT RECEIVED"
                },
            ),
            None => ("failed", String::new(), "nothing"),
        };
        table.row(vec![
            number.to_string(),
            grouped(story.order.amount_msat),
            story.what.clone(),
            told.to_owned(),
            receipt,
            by_carol.to_owned(),
        ]);
    }
    println!("\n{}\n", table.written("no payments"));
    let mut table = Table::new(&["node", "channel", "state", "ours msat", "theirs msat"]);
    for node in [ALICE, BOB, CAROL] {
        for channel in town.channels(node)?.channels {
            table.row(vec![
                town.nodes[node].name.to_owned(),
                short(channel.id),
                channel.state.clone(),
                grouped(channel.ours_msat),
                grouped(channel.theirs_msat),
            ]);
        }
    }
    println!("{}\n", table.written("no channels"));
    let sent = outcomes.values().flatten().count();
    println!(
        "Every payment has one outcome, told by its payer and matched by its payee to the msat: {sent} of {} were sent.",
        stories.len()
    );
    println!(
        "Each receipt is the preimage of its invoice's hash: it was kept in the channel's own log until its user had handled the event,"
    );
    println!(
        "so that neither a death nor the loss of every other row could turn a payment that was made into one that failed."
    );
    Ok(())
}

/// Says how to play with the nodes, and waits for Ctrl-C.
fn keep(town: &Town, program: &Path) {
    println!("\nThe nodes go on running until Ctrl-C. Try:");
    for node in &town.nodes {
        println!("  {} --dir {} channels", program.display(), node.folder.display());
    }
    loop {
        std::thread::park();
    }
}
