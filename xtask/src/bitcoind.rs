//! `cargo xtask bitcoind`: the path of a bitcoind for the tests that run on a real one.
//!
//! `BITCOIND_EXE` decides where it is set. Otherwise the cache folder may hold one, and if not, one is built into it from the
//! Bitcoin Core tree that the crate `libbitcoinkernel-sys` carries: the one way to it that needs the Rust registry alone.
//! Only the path goes to standard output, so that `BITCOIND_EXE=$(cargo xtask bitcoind)` works; progress goes to standard error.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::repository::{Verdict, cache, cargo, finish};

const SOURCE_CRATE: &str = "libbitcoinkernel-sys";
const SOURCE_VERSION: &str = "0.4.1";

/// What the build needs, as Debian names it.
const PACKAGES: [&str; 3] = ["cmake", "libboost-dev", "libevent-dev"];

/// A node that validates, relays and mines, and a client for people; no wallet, no tests, nothing to see.
const CMAKE_OPTIONS: [&str; 13] = [
    "-DCMAKE_BUILD_TYPE=Release",
    "-DBUILD_DAEMON=ON",
    "-DBUILD_CLI=ON",
    "-DENABLE_WALLET=OFF",
    "-DENABLE_IPC=OFF",
    "-DENABLE_EXTERNAL_SIGNER=OFF",
    "-DWITH_EMBEDDED_ASMAP=OFF",
    "-DWITH_ZMQ=OFF",
    "-DBUILD_TESTS=OFF",
    "-DBUILD_TX=OFF",
    "-DBUILD_UTIL=OFF",
    "-DBUILD_BENCH=OFF",
    "-DBUILD_GUI=OFF",
];

/// How many compilers run at once.
const JOBS: usize = 2;

/// Options of `cargo xtask bitcoind`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// How many compilers run at once, if it has to be built.
    #[arg(long, default_value_t = JOBS)]
    jobs: usize,
    /// Runs every test that wants a real one, instead of printing where it is.
    #[arg(long)]
    test: bool,
}

/// The packages with tests that skip themselves without a bitcoind.
const TESTED: [&str; 3] = [
    "quittance-regtest",
    "quittance-adapter-tests",
    "quittance-onchain-tests",
];
/// These tests: the chain's contract, the embedded chain beside the real one, the adapters' stories, a sample of closings.
const TESTS: [&str; 6] = ["contract", "differential", "chain", "wallet", "fee_coins", "bitcoind"];

pub(crate) fn run(options: &Options) -> Verdict {
    let program = find_or_build_with(options.jobs)?;
    if options.test {
        return test(&program);
    }
    println!("{}", program.display());
    Ok(())
}

/// Runs the tests that want a bitcoind if there is one, and says so if there is none: building one takes long.
pub(crate) fn test_if_found() -> Verdict {
    if let Some(program) = find()? {
        test(&program)
    } else {
        println!("skipped: the tests over a real bitcoind; `cargo xtask bitcoind --test` builds one and runs them");
        Ok(())
    }
}

fn test(program: &Path) -> Verdict {
    let mut tests = cargo(&["test", "--quiet"]);
    for package in TESTED {
        tests.args(["--package", package]);
    }
    for test in TESTS {
        tests.args(["--test", test]);
    }
    finish(tests.env("BITCOIND_EXE", program))
}

/// The program that `BITCOIND_EXE` names, or the one in the cache folder.
pub(crate) fn find() -> Result<Option<PathBuf>, String> {
    if let Some(named) = env::var_os("BITCOIND_EXE").filter(|value| !value.is_empty()) {
        let named = PathBuf::from(named);
        return if named.is_file() {
            Ok(Some(named))
        } else {
            Err(format!("BITCOIND_EXE: {} is no file", named.display()))
        };
    }
    Ok(Some(cached_folder().join("bin/bitcoind")).filter(|program| program.is_file()))
}

/// The same, or one that is built now.
pub(crate) fn find_or_build() -> Result<PathBuf, String> {
    find_or_build_with(JOBS)
}

fn find_or_build_with(jobs: usize) -> Result<PathBuf, String> {
    if let Some(program) = find()? {
        return Ok(program);
    }
    let folder = cached_folder();
    eprintln!(
        "bitcoind is built once, into {}: some ten minutes on two cores",
        folder.display()
    );
    build(&folder, jobs)?;
    Ok(folder.join("bin/bitcoind"))
}

fn cached_folder() -> PathBuf {
    cache()
        .join("bitcoind")
        .join(format!("{SOURCE_CRATE}-{SOURCE_VERSION}"))
}

/// Builds in a folder of its own, so that one that was interrupted goes on, and a program appears only when it is complete.
fn build(folder: &Path, jobs: usize) -> Verdict {
    install_packages()?;
    let source = source_tree(&folder.join("source"))?;
    let build = folder.join("build");
    let mut configure = Command::new("cmake");
    configure
        .arg("-S")
        .arg(source)
        .arg("-B")
        .arg(&build)
        .args(CMAKE_OPTIONS);
    quietly(&mut configure)?;
    let mut compile = Command::new("cmake");
    compile
        .arg("--build")
        .arg(&build)
        .args(["--parallel", &jobs.to_string()]);
    quietly(&mut compile)?;

    let complete = folder.join("bin");
    let incomplete = folder.join("bin.incomplete");
    create(&incomplete)?;
    for program in ["bitcoind", "bitcoin-cli"] {
        let built = build.join("bin").join(program);
        fs::copy(&built, incomplete.join(program)).map_err(|error| format!("{}: {error}", built.display()))?;
    }
    fs::rename(&incomplete, &complete).map_err(|error| format!("{}: {error}", complete.display()))?;
    // Only space is lost if it stays.
    let _ = fs::remove_dir_all(&build);
    Ok(())
}

/// The Bitcoin Core tree within the crate, fetched by cargo for a project that does nothing but name it.
fn source_tree(project: &Path) -> Result<PathBuf, String> {
    create(&project.join("src"))?;
    let manifest = format!(
        "[package]\nname = \"bitcoind-source\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n\
         [dependencies]\n{SOURCE_CRATE} = \"={SOURCE_VERSION}\"\n\n[workspace]\n"
    );
    write(&project.join("Cargo.toml"), &manifest)?;
    write(&project.join("src/lib.rs"), "")?;
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1"])
        .current_dir(project)
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("cargo could not be started: {error}"))?;
    let metadata: Value =
        serde_json::from_slice(&output.stdout).map_err(|error| format!("cargo metadata of {SOURCE_CRATE}: {error}"))?;
    let packages = metadata["packages"].as_array().map(Vec::as_slice).unwrap_or_default();
    packages
        .iter()
        .find(|package| package["name"] == SOURCE_CRATE)
        .and_then(|package| Path::new(package["manifest_path"].as_str()?).parent())
        .map(|folder| folder.join("bitcoin"))
        .filter(|tree| tree.join("CMakeLists.txt").is_file())
        .ok_or_else(|| format!("{SOURCE_CRATE} {SOURCE_VERSION} holds no Bitcoin Core tree"))
}

/// Installs what is missing, where we may; says what to install, where we may not.
fn install_packages() -> Verdict {
    let cmake = Command::new("cmake")
        .arg("--version")
        .output()
        .is_ok_and(|output| output.status.success());
    let headers = ["boost/multi_index_container.hpp", "event2/event.h"];
    let has_headers = headers.iter().all(|header| {
        ["/usr/include", "/usr/local/include", "/opt/homebrew/include"]
            .iter()
            .any(|folder| Path::new(folder).join(header).exists())
    });
    if cmake && has_headers {
        return Ok(());
    }
    let mut install = Command::new("apt-get");
    install
        .args(["install", "--yes", "--no-install-recommends"])
        .args(PACKAGES);
    quietly(&mut install).map_err(|reason| format!("to build bitcoind, install {}: {reason}", PACKAGES.join(", ")))
}

/// Runs a program with all its output on standard error.
fn quietly(command: &mut Command) -> Verdict {
    finish(command.stdout(Stdio::from(io::stderr())))
}

fn create(folder: &Path) -> Verdict {
    fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))
}

fn write(file: &Path, text: &str) -> Verdict {
    fs::write(file, text).map_err(|error| format!("{}: {error}", file.display()))
}
