//! A disk that fills under each node in turn, while payments are on their way: the node ends by itself, tells nobody anything that it
//! could not write, and goes on when there is room again.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use quittance_api::Hex;
use quittance_town::{ALICE, CAROL, Ledger, Order, Outcome, Town, compare};

/// What a node's disk holds in all.
const SIZE_MIB: u32 = 8;
/// The exit status of a node whose store failed.
const STORE_FAILED: i32 = 3;

/// A small disk of its own, in memory.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Nothing where we may not mount.
    fn at(folder: &Path) -> Outcome<Option<Self>> {
        std::fs::create_dir_all(folder)?;
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={SIZE_MIB}m"), "tmpfs"]);
        let mounted = mount.arg(folder).output();
        let is_mounted = mounted.is_ok_and(|output| output.status.success());
        Ok(is_mounted.then(|| Self(folder.to_owned())))
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }

    /// Takes all that is left.
    fn fill(&self) -> Outcome<()> {
        let mut file = std::fs::File::create(self.filler())?;
        for size in [64 * 1024, 1024, 1] {
            while file.write_all(&vec![1; size]).is_ok() {}
        }
        Ok(())
    }

    fn empty(&self) -> Outcome<()> {
        Ok(std::fs::remove_file(self.filler())?)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        if crate::is_kept() {
            return;
        }
        // What is still in use goes when it is not.
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

pub(crate) fn full_disks(program: &Path) -> Outcome<String> {
    let folder = crate::folder()?;
    let mut disks = Vec::new();
    for name in ["alice", "bob", "carol"] {
        let Some(disk) = SmallDisk::at(&folder.path().join(name))? else {
            return Ok("left out: full disks, for want of the right to mount small ones".to_owned());
        };
        disks.push(disk);
    }
    let mut town = Town::new(program, folder.path(), None, &[])?;
    let (mut alice, mut carol) = (Ledger::default(), Ledger::default());
    // By ALICE, BOB and CAROL.
    for (victim, disk) in disks.iter().enumerate() {
        let number = u8::try_from(victim)? + 1;
        let orders: Vec<Order> = (0..4)
            .map(|payment| town.order(1_000_000 + payment, Hex([number * 16 + u8::try_from(payment)?; 32])))
            .collect::<Outcome<_>>()?;
        disk.fill()?;
        let payer = town.nodes[ALICE].caller()?.clone();
        for order in &orders {
            // A payer that cannot write gives no answer, and is asked again below.
            let _ = order.give(&payer);
        }
        let ended = &mut town.nodes[victim];
        Town::wait_for("a node without room ends", || Ok(ended.ended()?.is_some()))?;
        let (name, status) = (ended.name, ended.ended()?);
        if status != Some(STORE_FAILED) {
            return Err(format!("{name} ended with status {status:?} when its disk was full").into());
        }
        disk.empty()?;
        town.start(victim)?;
        town.wait_until_usable()?;
        town.settle(&orders)?;
        alice.listen(town.nodes[ALICE].caller()?)?;
        carol.listen(town.nodes[CAROL].caller()?)?;
        compare(&alice, &carol).map_err(|why| format!("{name}'s disk was full: {why}"))?;
        let outcomes = alice.outcomes()?;
        if let Some(order) = orders.iter().find(|order| !outcomes.contains_key(&order.id)) {
            return Err(format!("{name}'s disk was full: payment {} has no outcome", order.id).into());
        }
        for (ledger, node) in [(&mut alice, ALICE), (&mut carol, CAROL)] {
            ledger.handle_all(town.nodes[node].caller()?)?;
        }
    }
    town.check_balances(&alice)?;
    let sent = alice.outcomes()?.values().flatten().count();
    Ok(format!(
        "the disk of each node was full in turn, with payments on their way: it ended with status {STORE_FAILED}, and went on; {sent} sent, the payee's ledger is the payer's, and no channel was closed"
    ))
}
