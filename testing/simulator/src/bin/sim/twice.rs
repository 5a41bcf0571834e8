//! Determinism itself: seeds run twice, in two processes, must give the same hash of all steps.

use std::process::{Command, Stdio};

use quittance_simulator::sweep::{self, Recipe, Story};

/// Prints the hash of each of the first so many seeds.
pub(crate) fn print_hashes(count: u64) -> bool {
    for seed in 1..=count {
        let outcome = sweep::run(&Recipe::of(seed), Story::Untold);
        println!("{seed} {:016x} {} steps", outcome.hash, outcome.steps);
    }
    true
}

/// Two processes print the hashes of the same seeds.
pub(crate) fn compare(count: u64) -> bool {
    let outputs = match both(count) {
        Ok(outputs) => outputs,
        Err(reason) => {
            eprintln!("error: the other processes did not run: {reason}");
            return false;
        }
    };
    let [one, other] = outputs.each_ref().map(|output| output.lines().collect::<Vec<_>>());
    let differ: Vec<_> = one.iter().zip(&other).filter(|(one, other)| one != other).collect();
    for (one, other) in &differ {
        println!("seed {one} in one process, {other} in another");
    }
    let is_complete = [&one, &other].iter().all(|lines| lines.len() as u64 == count);
    println!("{} seeds in two processes, {} differ", one.len(), differ.len());
    differ.is_empty() && is_complete
}

fn both(count: u64) -> std::io::Result<[String; 2]> {
    let program = std::env::current_exe()?;
    let start = || {
        let mut command = Command::new(&program);
        command.args(["--hashes", &count.to_string()]).stdout(Stdio::piped());
        command.spawn()
    };
    let (one, other) = (start()?, start()?);
    let text = |child: std::process::Child| -> std::io::Result<String> {
        let output = child.wait_with_output()?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    };
    Ok([text(one)?, text(other)?])
}
