//! What LDK's parts write: a log, and nothing else.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use lightning::chain::ChannelMonitorUpdateStatus;
use lightning::chain::chainmonitor::Persist;
use lightning::chain::channelmonitor::{ChannelMonitor, ChannelMonitorUpdate};
use lightning::sign::InMemorySigner;
use lightning::util::logger::{Level, Logger, Record};
use lightning::util::persist::MonitorName;

/// A log as `ldk-node` writes it, a line for each thing.
pub(super) struct Log(Mutex<File>);

impl Log {
    pub(super) fn new(path: &Path) -> std::io::Result<Self> {
        Ok(Self(Mutex::new(File::create(path)?)))
    }
}

impl Logger for Log {
    fn log(&self, record: Record) {
        if record.level >= Level::Debug {
            let (level, place, line, text) = (record.level, record.module_path, record.line, record.args);
            let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if let Err(error) = writeln!(file, "{level} [{place}:{line}] {text}") {
                eprintln!("error: the log cannot be written: {error}");
            }
        }
    }
}

/// Stores nothing: what a channel was, nobody asks once the process has ended.
pub(super) struct Forgetful;

impl Persist<InMemorySigner> for Forgetful {
    fn persist_new_channel(&self, _: MonitorName, _: &ChannelMonitor<InMemorySigner>) -> ChannelMonitorUpdateStatus {
        ChannelMonitorUpdateStatus::Completed
    }

    fn update_persisted_channel(
        &self,
        _: MonitorName,
        _: Option<&ChannelMonitorUpdate>,
        _: &ChannelMonitor<InMemorySigner>,
    ) -> ChannelMonitorUpdateStatus {
        ChannelMonitorUpdateStatus::Completed
    }

    fn archive_persisted_channel(&self, _: MonitorName) {}
}
