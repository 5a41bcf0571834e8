//! The program as its users meet it: real processes, real files, the interface over its socket.
#![allow(clippy::unwrap_used, reason = "a test that goes wrong ends there")]

mod backups;
mod commands;
mod interface;
mod starts;
mod tls;

use std::path::Path;
use std::process::Output;

use quittance_town::{CallFailed, Caller, Ground, Process};
use serde::Serialize;
use serde_json::Value;

/// Where the program is.
fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_quittance"))
}

/// A node alone on an embedded chain, which does not run yet.
fn alone(folder: &Path) -> (Process, Ground) {
    std::fs::create_dir_all(folder).unwrap();
    let mut ground = Ground::new(folder, None).unwrap();
    ground.mine(1).unwrap();
    let cookie = ground.cookie.display().to_string();
    let arguments = ["--bitcoind", &ground.url, "--bitcoind-cookie", &cookie].map(str::to_owned);
    let node = Process::new("node", program(), folder, arguments.to_vec()).unwrap();
    (node, ground)
}

/// What a command printed, if it went well.
#[track_caller]
fn said(output: Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{errors}");
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

/// What a command complained of.
#[track_caller]
fn complained(output: Output) -> String {
    assert_eq!(
        output.status.code(),
        Some(1),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
    String::from_utf8(output.stderr).unwrap()
}

/// How a call was refused: status, code, message.
#[track_caller]
fn refused(answer: Result<Value, CallFailed>) -> (u16, String, String) {
    match answer.unwrap_err() {
        CallFailed::Refused(status, problem) => {
            let code = serde_json::to_value(problem.code).unwrap();
            (status, code.as_str().unwrap().to_owned(), problem.message)
        }
        CallFailed::NoAnswer(why) => panic!("no answer: {why}"),
    }
}

fn post(caller: &Caller, path: &str, body: &impl Serialize) -> Result<Value, CallFailed> {
    caller.post(path, body)
}

fn get(caller: &Caller, path: &str) -> Result<Value, CallFailed> {
    caller.get(path)
}
