//! Schemathesis against one of three nodes that have channels and have paid each other: requests that the OpenAPI document allows, and ones that it
//! does not. No answer may be an error of the server's, each must be one that the document tells of, and all nodes must live on.

use std::path::Path;
use std::process::Command;

use quittance_api::{Hex, Info};
use quittance_town::{ALICE, BOB, CAROL, Outcome, Town};

/// What every answer is held against.
const CHECKS: &str =
    "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,ignored_auth";

/// Calls that are left out, with the reason.
const LEFT_OUT: [(&str, &str); 4] = [
    ("/v1/stop", "ends the node"),
    ("/v1/events", "its answer has no end"),
    ("/v1/backup", "writes where it is told to"),
    ("/v1/peers", "calls whom it is told to, anywhere"),
];

/// Runs the tool for `budget` seconds.
pub(crate) fn run(program: &Path, tool: &Path, budget: u32, seed: u64) -> Outcome<String> {
    let folder = tempfile::tempdir()?;
    let town = Town::new(program, folder.path(), None, &[])?;
    town.wait_until_usable()?;
    let order = town.order(1_000_000, Hex([1; 32]))?;
    order.give(town.nodes[ALICE].caller()?)?;
    town.settle(&[order])?;
    let alice = town.nodes[ALICE].caller()?;
    let seed = seed % u64::from(u32::MAX);
    let mut command = Command::new(tool);
    command
        .current_dir(folder.path())
        .arg("run")
        .arg(format!("http://{}/openapi.json", alice.address))
        .args(["--header", &format!("Authorization:Bearer {}", alice.token)])
        .args(["--max-time", &budget.to_string(), "--seed", &seed.to_string()])
        .args(["--checks", CHECKS, "--request-timeout", "20", "--workers", "1"])
        .args(["--warnings", "off", "--no-color", "--suppress-health-check", "all"])
        .args(["--exclude-deprecated"]);
    for (path, why) in LEFT_OUT {
        println!("left out: {path}, which {why}");
        command.args(["--exclude-path", path]);
    }
    let verdict = command.status()?;
    for node in [ALICE, BOB, CAROL] {
        let caller = town.nodes[node].caller()?;
        caller
            .get::<Info>("/v1/info")
            .map_err(|why| format!("{} does not answer any more: {why}", town.nodes[node].name))?;
    }
    if !verdict.success() {
        return Err(format!("schemathesis: {verdict}; again: --seed {seed}").into());
    }
    Ok(format!(
        "schemathesis ran for {budget} s at most and found nothing; all nodes live"
    ))
}
