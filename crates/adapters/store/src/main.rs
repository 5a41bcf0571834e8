//! Looks into a node's store: `verify` checks it, `dump` shows it. Neither changes it; the node must be stopped.

use std::error::Error;
use std::io::{self, BufWriter, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use quittance_journal::{Key, KeyRange, Space, Store};
use quittance_store::embedded::{EmbeddedStore, Inspection, Options, Report, read_any_version};
use quittance_store::manager_rows;

#[derive(Parser)]
#[command(name = "quittance-store", version, about = "Looks into the store of a Quittance node that is stopped", after_help = EXAMPLES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Check that the store is whole: every page, every batch of the journal, every record
    Verify {
        /// The store's folder
        path: PathBuf,
    },
    /// List the records: key, version of the body, length of the body, each on a line
    Dump {
        /// The store's folder
        path: PathBuf,
        /// Only records whose name begins so, for instance payment/ or channel/0badcafe
        #[arg(default_value = "")]
        prefix: String,
        /// Show the bodies, in hex. They hold secrets: preimages, session keys, addresses of peers
        #[arg(long)]
        bodies: bool,
    },
    /// For tests: lose all manager rows, or take them from an older copy of the store
    #[command(hide = true)]
    LoseManagerRows {
        /// The store's folder
        path: PathBuf,
        /// The folder of an older copy of the store
        #[arg(long)]
        take_from: Option<PathBuf>,
    },
}

const EXAMPLES: &str = "Examples:
  quittance-store verify ~/.quittance/store
  quittance-store dump ~/.quittance/store
  quittance-store dump ~/.quittance/store event/
  quittance-store dump ~/.quittance/store payment/5f2c --bodies

Exit status: 0 when all is well, 1 when something is wrong with the store, 2 when the command is not understood.";

fn main() -> ExitCode {
    let mut out = BufWriter::new(io::stdout().lock());
    let done = match Arguments::parse().command {
        Command::Verify { path } => verify(&path, &mut out),
        Command::Dump { path, prefix, bodies } => {
            let bodies = if bodies { Bodies::Shown } else { Bodies::Hidden };
            dump(&path, &prefix, bodies, &mut out)
        }
        Command::LoseManagerRows { path, take_from } => {
            let lost = lose_manager_rows(&path, take_from.as_deref());
            lost.map(|()| true).map_err(|error| error.to_string())
        }
    };
    match done.and_then(|whole| out.flush().map(|()| whole).map_err(|error| error.to_string())) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

enum Bodies {
    Shown,
    Hidden,
}

fn verify(path: &Path, out: &mut impl Write) -> Result<bool, String> {
    let inspection = Inspection::open(path).map_err(|error| error.to_string())?;
    let report = inspection.verify().map_err(|error| error.to_string())?;
    show(&report, out).map_err(|error| error.to_string())?;
    Ok(report.faults.is_empty())
}

fn show(report: &Report, out: &mut impl Write) -> io::Result<()> {
    writeln!(
        out,
        "last batch: {}; {} of them in the journal",
        report.last.0, report.journal_batches
    )?;
    for space in Space::ALL {
        let (count, bytes) = report.spaces.get(&space).copied().unwrap_or_default();
        writeln!(
            out,
            "{:<12} {count:>10} records {bytes:>14} bytes",
            format!("{space:?}").to_lowercase()
        )?;
    }
    for fault in &report.faults {
        writeln!(out, "FAULT: {fault}")?;
    }
    let verdict = if report.faults.is_empty() {
        "the store is whole"
    } else {
        "the store is damaged"
    };
    writeln!(out, "{verdict}")
}

fn dump(path: &Path, prefix: &str, bodies: Bodies, out: &mut impl Write) -> Result<bool, String> {
    let inspection = Inspection::open(path).map_err(|error| error.to_string())?;
    let mut whole = true;
    let mut failed = None;
    let visit = &mut |key: Key, record: Vec<u8>| {
        let name = key.to_string();
        if !name.starts_with(prefix) {
            return ControlFlow::Continue(());
        }
        let line = match read_any_version(&key, &record) {
            Ok(record) => {
                let body = match bodies {
                    Bodies::Shown => hex::encode(record.body),
                    Bodies::Hidden => String::new(),
                };
                format!("{name}\tv{}\t{}\t{body}", record.version, record.body.len())
            }
            Err(error) => {
                whole = false;
                format!("{name}\tFAULT: {}", error.fault)
            }
        };
        match writeln!(out, "{}", line.trim_end()) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        }
    };
    inspection
        .records(&KeyRange::all(), visit)
        .map_err(|error| error.to_string())?;
    match failed {
        // A reader that has seen enough is no fault.
        Some(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.to_string()),
        _ => Ok(whole),
    }
}

fn lose_manager_rows(path: &Path, older: Option<&Path>) -> Result<(), Box<dyn Error>> {
    let rows = match older {
        Some(older) => manager_rows::read(&EmbeddedStore::open(older, Options::default())?)?,
        None => Vec::new(),
    };
    let mut store = EmbeddedStore::open(path, Options::default())?;
    let batch = manager_rows::replacement(&store, rows)?;
    if !batch.is_empty() {
        store.append(batch)?;
    }
    store.close()?;
    Ok(())
}
