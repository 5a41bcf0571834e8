//! The owner of a wallet: its folder, its seed, and a follower that feeds it as a node's driver does.

use std::path::PathBuf;

use bitcoin::Transaction;
use quittance_chain::{Bitcoind, ChainUpdate, Follower, Tip};
use quittance_wallet::{NewBlock, ReservePolicy, Seed, StoredSeed, Wallet, WalletError};
use tempfile::TempDir;

use crate::World;

/// A wallet that can be switched off and on.
pub struct Owner {
    /// The wallet.
    pub wallet: Wallet,
    folder: TempDir,
    seed: StoredSeed,
    follower: Follower<Bitcoind>,
}

/// Words of no particular meaning.
const WORDS: &str = "letter advice cage absurd amount doctor acoustic avoid letter advice cage above";

impl Owner {
    /// A new wallet, born at the chain's tip.
    pub fn new(world: &mut World) -> Self {
        let birthday = world.tip();
        let folder = tempfile::tempdir().expect("there is room for a folder");
        Self::at(
            world,
            folder,
            StoredSeed {
                seed: Seed::from_words(WORDS).expect("words of a seed"),
                birthday,
            },
        )
    }

    fn at(world: &mut World, folder: TempDir, seed: StoredSeed) -> Self {
        let wallet = open(&folder, &seed).expect("the files are whole");
        Self::with(world, wallet, folder, seed)
    }

    fn with(world: &mut World, wallet: Wallet, folder: TempDir, seed: StoredSeed) -> Self {
        let follower = Follower::new(world.bitcoind(), wallet.remembered()).expect("a wallet has a tip");
        let mut owner = Self {
            wallet,
            folder,
            seed,
            follower,
        };
        owner.follow();
        owner
    }

    /// Takes in what the chain has to tell.
    pub fn follow(&mut self) {
        while let Some(update) = self.follower.next().expect("the server answers") {
            match update {
                ChainUpdate::Connected(block) => {
                    let block = NewBlock {
                        height: block.height,
                        hash: block.hash,
                        previous: block.previous,
                        time: block.time,
                        transactions: &block.transactions,
                    };
                    self.wallet.connect(&block).expect("the block is the next one");
                }
                ChainUpdate::Rewound(tip) => self.wallet.rewind(tip).expect("the wallet knows the block"),
            }
        }
    }

    /// The process dies, and starts again from what is on disk. The chain goes on from there.
    #[must_use]
    pub fn crash(self, world: &mut World) -> Self {
        Self::at(world, self.folder, self.seed)
    }

    /// The same, with one of the files lost: `wallet-history` or `wallet-promises`.
    #[must_use]
    pub fn crash_without(self, world: &mut World, file: &str) -> Self {
        // A file that was never written is lost as well.
        let _ = std::fs::remove_file(self.folder.path().join(file));
        Self::at(world, self.folder, self.seed)
    }

    /// The machine is lost: the words alone are left, and the birthday.
    #[must_use]
    pub fn restore(self, world: &mut World) -> Self {
        let folder = tempfile::tempdir().expect("there is room for a folder");
        let seed = Seed::from_words(&self.seed.seed.words()).expect("words that we wrote down");
        Self::at(
            world,
            folder,
            StoredSeed {
                seed,
                birthday: self.seed.birthday,
            },
        )
    }

    /// The same, and a channel's log still holds a funding transaction: the wallet is told of it before it has read a block.
    #[must_use]
    pub fn restore_with(self, world: &mut World, funding: &Transaction) -> Self {
        let folder = tempfile::tempdir().expect("there is room for a folder");
        let mut wallet = open(&folder, &self.seed).expect("the files are whole");
        wallet.keep_funding(funding).expect("nothing else spends its coins");
        Self::with(world, wallet, folder, self.seed)
    }

    /// One bit in the middle of a file is not what it was.
    pub fn damage(&self, file: &str) {
        let path = self.folder.path().join(file);
        let mut bytes = std::fs::read(&path).expect("the file is there");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&path, bytes).expect("the file can be written");
    }

    /// Tries to open the wallet once more, beside the one that is open.
    ///
    /// # Errors
    /// When its files cannot be used.
    pub fn opened_again(&self) -> Result<Wallet, WalletError> {
        open(&self.folder, &self.seed)
    }

    /// The last block that the wallet took in.
    pub fn tip(&self) -> Tip {
        self.wallet.tip()
    }

    /// Makes the wallet's promises unwritable, as a full disk does.
    pub fn fill_disk(&self) {
        std::fs::create_dir_all(self.obstacle()).expect("a folder can be made");
    }

    /// There is room again.
    pub fn free_disk(&self) {
        std::fs::remove_dir_all(self.obstacle()).expect("the folder can be removed");
    }

    /// A folder where the temporary file should go.
    fn obstacle(&self) -> PathBuf {
        self.folder.path().join("wallet-promises.new")
    }
}

fn open(folder: &TempDir, seed: &StoredSeed) -> Result<Wallet, WalletError> {
    Wallet::open(seed, folder.path(), bitcoin::Network::Regtest, ReservePolicy::default())
}
