//! The process of an LDK node, which is told what to do by lines.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use quittance_town::{Outcome, free_address};
use serde::de::DeserializeOwned;

use crate::protocol::{Answer, Balance, Call, Channel, Info, Payment, State};

/// The type of an LDK node's channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChannelKind {
    /// `option_anchors`.
    Anchors,
    /// `option_static_remotekey` alone: it does not offer anchors.
    StaticRemotekey,
    /// `option_anchors`, with as many HTLCs to it as BOLT 2 allows: a node without a wallet, which is there to be paid.
    Roomy,
}

/// An LDK node, running or not.
pub(crate) struct Ldk {
    /// Its id.
    pub(crate) node: String,
    /// Where it listens for peers.
    pub(crate) listen: SocketAddr,
    /// Where our nodes call it: there, or at what stands before it.
    pub(crate) reach: SocketAddr,
    /// Its files.
    pub(crate) folder: PathBuf,
    program: PathBuf,
    arguments: Vec<String>,
    running: Option<Running>,
    /// How many events of this process have been read.
    heard: usize,
    /// How payments of its own ended by its events, by hash.
    ended: BTreeMap<String, State>,
}

struct Running {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Ldk {
    /// A node in a new folder, running, with the chain at an address and the file that lets in.
    pub(crate) fn new(
        program: &Path,
        folder: PathBuf,
        (chain, cookie): (SocketAddr, &Path),
        kind: ChannelKind,
    ) -> Outcome<Self> {
        std::fs::create_dir_all(&folder)?;
        let listen = free_address()?;
        let kind = match kind {
            ChannelKind::Anchors => "anchors",
            ChannelKind::StaticRemotekey => "static",
            ChannelKind::Roomy => "roomy",
        };
        let arguments = vec![
            folder.join("ldk").display().to_string(),
            listen.to_string(),
            chain.to_string(),
            cookie.display().to_string(),
            kind.to_owned(),
        ];
        let mut node = Self {
            node: String::new(),
            listen,
            reach: listen,
            folder,
            program: program.to_owned(),
            arguments,
            running: None,
            heard: 0,
            ended: BTreeMap::new(),
        };
        node.start()?;
        Ok(node)
    }

    /// Starts it, and waits until it answers.
    pub(crate) fn start(&mut self) -> Outcome<()> {
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.folder.join("stderr"))?;
        let mut child = Command::new(&self.program)
            .args(&self.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()?;
        let (Some(to), Some(from)) = (child.stdin.take(), child.stdout.take()) else {
            return Err("a child has no pipes".into());
        };
        self.running = Some(Running {
            child,
            to,
            from: BufReader::new(from),
        });
        self.heard = 0;
        self.node = self.info()?.node;
        Ok(())
    }

    pub(crate) const fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Ends it as its operator would.
    pub(crate) fn stop(&mut self) -> Outcome<()> {
        if let Some(running) = self.running.take() {
            let Running { mut child, to, .. } = running;
            drop(to);
            child.wait()?;
        }
        Ok(())
    }

    /// Kills it by SIGKILL.
    pub(crate) fn kill(&mut self) -> Outcome<()> {
        if let Some(mut running) = self.running.take() {
            running.child.kill()?;
            running.child.wait()?;
        }
        Ok(())
    }

    /// Has something done, and hears what it brought.
    pub(crate) fn ask<T: DeserializeOwned>(&mut self, call: &Call) -> Outcome<T> {
        let running = self.running.as_mut().ok_or("LDK does not run")?;
        writeln!(running.to, "{}", serde_json::to_string(call)?)?;
        running.to.flush()?;
        let mut line = String::new();
        if running.from.read_line(&mut line)? == 0 {
            return Err(format!("LDK ended; see {}", self.folder.display()).into());
        }
        match serde_json::from_str(&line)? {
            Answer::Done(value) => Ok(serde_json::from_value(value)?),
            Answer::Refused(why) => Err(format!("LDK: {why}").into()),
        }
    }

    pub(crate) fn info(&mut self) -> Outcome<Info> {
        self.ask(&Call::Info)
    }

    pub(crate) fn channels(&mut self) -> Outcome<Vec<Channel>> {
        self.ask(&Call::Channels)
    }

    /// Its payments. `ldk-node` writes one of its own down after it has begun it: one that ends before that stays pending in its list for
    /// ever, and only the event tells the end.
    pub(crate) fn payments(&mut self) -> Outcome<Vec<Payment>> {
        let mut payments: Vec<Payment> = self.ask(&Call::Payments)?;
        let is_open = |payment: &Payment| !payment.inbound && payment.state == State::Pending;
        if payments.iter().any(is_open) {
            let events: Vec<String> = self.ask(&Call::Events { from: self.heard })?;
            self.heard += events.len();
            self.ended
                .extend(events.iter().filter_map(|event| end_of_payment(event)));
            for payment in payments.iter_mut().filter(|payment| is_open(payment)) {
                if let Some(state) = self.ended.get(&payment.hash) {
                    payment.state = *state;
                }
            }
        }
        Ok(payments)
    }

    pub(crate) fn balance(&mut self) -> Outcome<Balance> {
        self.ask(&Call::Balance)
    }

    /// How long its log is: it grows while it does anything of note.
    pub(crate) fn log_length(&self) -> u64 {
        std::fs::metadata(self.log_path()).map_or(0, |file| file.len())
    }

    /// Its own log.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    fn log_path(&self) -> PathBuf {
        self.folder.join("ldk/ldk_node.log")
    }
}

/// The hash and the end of a payment that an event tells of.
fn end_of_payment(event: &str) -> Option<(String, State)> {
    let state = match event.split_once(' ')?.0 {
        "PaymentSuccessful" => State::Succeeded,
        "PaymentFailed" => State::Failed,
        _ => return None,
    };
    let (_, rest) = event.split_once("payment_hash: ")?;
    let hash = rest
        .split(|c: char| !c.is_ascii_hexdigit())
        .find(|run| run.len() == 64)?;
    Some((hash.to_owned(), state))
}

impl Drop for Ldk {
    fn drop(&mut self) {
        // It is ours, and must not outlive the test.
        let _ = self.kill();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_payment_is_read_from_its_event() {
        let (hash, other) = ("ab".repeat(32), "cd".repeat(32));
        let sent = format!(
            "PaymentSuccessful {{ payment_id: Some(PaymentId({other})), payment_hash: {hash}, payment_preimage: Some({other}) }}"
        );
        assert_eq!(end_of_payment(&sent), Some((hash.clone(), State::Succeeded)));
        let failed = format!("PaymentFailed {{ payment_id: None, payment_hash: Some({hash}), reason: None }}");
        assert_eq!(end_of_payment(&failed), Some((hash.clone(), State::Failed)));
        let received = format!("PaymentReceived {{ payment_id: None, payment_hash: {hash}, amount_msat: 1 }}");
        assert_eq!(end_of_payment(&received), None);
    }
}
