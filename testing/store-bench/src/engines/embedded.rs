//! The store that was built on what these measurements say, through its own interface, with its threads.

use std::path::Path;
use std::time::Duration;

use quittance_journal::{Batch, Store};
use quittance_store::embedded::{EmbeddedStore, Options};

use super::Engine;

struct Embedded(EmbeddedStore);

pub fn open(folder: &Path) -> Box<dyn Engine> {
    Box::new(Embedded(
        EmbeddedStore::create(folder, Options::default()).expect("opens"),
    ))
}

impl Engine for Embedded {
    fn commit(&mut self, steps: &[Batch]) {
        let mut last = self.0.appended();
        for step in steps {
            last = self.0.append(step.clone()).expect("appended");
        }
        let durable = self.0.watch().wait_for(last, Duration::from_secs(60)).expect("durable");
        assert!(durable >= last, "a sync takes less than a minute");
    }
}
