//! The floor: a file with its space reserved, to which groups are appended with a checksum, one `fdatasync` each. It keeps no rows.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use quittance_journal::Batch;

use super::Engine;

struct Log {
    file: File,
    end: u64,
}

pub fn open(folder: &Path) -> Box<dyn Engine> {
    let file = File::create(folder.join("store.log")).expect("opens");
    // Written zeros, not a hole: the file system then has no extents to convert at each sync.
    // One page at a time, for larger writes make larger pages in the cache, which are then written whole at each sync.
    for place in 0..64 << 8 {
        file.write_all_at(&[0; 4096], place << 12).expect("reserved");
    }
    file.sync_all().expect("syncs");
    Box::new(Log { file, end: 0 })
}

impl Engine for Log {
    fn commit(&mut self, steps: &[Batch]) {
        let mut bytes = Vec::new();
        for step in steps {
            let step = step.to_bytes();
            bytes.extend(crc32fast::hash(&step).to_be_bytes());
            bytes.extend(u32::try_from(step.len()).expect("small").to_be_bytes());
            bytes.extend(step);
        }
        self.file.write_all_at(&bytes, self.end).expect("written");
        self.file.sync_data().expect("syncs");
        self.end += bytes.len() as u64;
    }
}
