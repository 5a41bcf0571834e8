//! The Quittance program: the node itself (`run`), the commands that talk to it, and a demonstration.

#![forbid(unsafe_code)]

mod arguments;
mod backup;
mod client;
mod commands;
mod demo;
mod files;
mod run;
mod secrets;
mod server;
mod settings;
mod table;
mod tls;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let arguments = arguments::Arguments::parse();
    let done = match arguments.command {
        arguments::Command::Demo(ref options) => demo::run(options).map(|()| ExitCode::SUCCESS),
        arguments::Command::Run(ref options) => run::run(&arguments.common, options),
        ref command => commands::run(&arguments.common, command).map(|()| ExitCode::SUCCESS),
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

/// Says what is wrong. Where nothing can be said, the exit status says it.
fn complain(what: &dyn std::fmt::Display) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "error: {what}");
}
