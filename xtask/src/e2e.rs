//! `cargo xtask e2e`: real processes over real sockets and stores, killed again and again.
//!
//! The program is built with its known bugs, which a run without them leaves switched off; the work is done by the binary of
//! `testing/e2e`, over a real bitcoind if there is one, else over the embedded chain. Then, with a bitcoind, adapters and a sample of
//! closings.

use crate::bitcoind;
use std::process::Command;

use crate::repository::{Verdict, build_with_mutants, built, finish};

/// Options of `cargo xtask e2e`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// How often somebody is killed: 50 in CI, 500 in a soak.
    #[arg(long, default_value_t = 50)]
    kills: u32,
    /// Payments on their way at each kill: 4 in CI, 20 in a soak.
    #[arg(long, default_value_t = 4)]
    payments: u32,
    /// By which moments and victims are drawn; a fresh one if none is given.
    #[arg(long)]
    seed: Option<u64>,
    /// Only this: strangers that mean no good, each kind of them for so many seconds.
    #[arg(long, value_name = "SECONDS")]
    hostile: Option<u64>,
}

impl Options {
    /// What CI runs.
    pub(crate) const fn smoke() -> Self {
        Self {
            kills: 50,
            payments: 4,
            seed: None,
            hostile: None,
        }
    }
}

pub(crate) fn run(options: &Options) -> Verdict {
    build_with_mutants("quittance-e2e")?;
    let mut command = Command::new(built("quittance-e2e"));
    command.arg("--program").arg(built("quittance"));
    command.args(["--kills", &options.kills.to_string()]);
    command.args(["--payments", &options.payments.to_string()]);
    if let Some(bitcoind) = bitcoind::find()? {
        command.arg("--bitcoind").arg(bitcoind);
    }
    if let Some(seed) = options.seed {
        command.args(["--seed", &seed.to_string()]);
    }
    if let Some(seconds) = options.hostile {
        return finish(command.args(["--hostile", &seconds.to_string()]));
    }
    finish(&mut command)?;
    // Three seconds of each kind: that nobody is stopped by them.
    let mut hostile = Command::new(built("quittance-e2e"));
    finish(
        hostile
            .arg("--program")
            .arg(built("quittance"))
            .args(["--hostile", "3"]),
    )?;
    bitcoind::test_if_found()
}
