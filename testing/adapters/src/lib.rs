//! The chain source and the wallet beside a chain: the embedded one behind bitcoind's interface, and a real bitcoind.
//!
//! Every story is a function of a [`World`]. Each is a test of its own over the embedded chain; over one bitcoind, which the variable
//! `BITCOIND_EXE` names, they run one after the other, each on a chain of its own.
//! (`BITCOIND_EXE=$(cargo xtask bitcoind) cargo test -p quittance-adapter-tests`). Start at [`World`].

mod owner;
mod world;

pub use owner::Owner;
pub use world::{World, spend_open, updates};

/// A test that is told on which chain it runs.
pub type Story = fn(&mut World);

/// Runs stories over a real bitcoind, if there is one; each failure is named.
///
/// # Panics
/// When a story fails.
pub fn tell_over_bitcoind(stories: &[(&str, Story)]) {
    let Some(program) = quittance_regtest::bitcoind::Bitcoind::program() else {
        println!("skipped: BITCOIND_EXE names no bitcoind");
        return;
    };
    let mut broken = Vec::new();
    for (name, story) in stories {
        let mut world = World::real(&program);
        if std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| story(&mut world))).is_err() {
            broken.push(*name);
        }
    }
    assert_eq!(broken, [""; 0], "these stories fail over a real bitcoind");
}

/// Declares stories: each a test over the embedded chain, all of them together over bitcoind.
#[macro_export]
macro_rules! stories {
    ($($(#[$attribute:meta])* fn $name:ident($world:ident) $body:block)*) => {
        $($(#[$attribute])* fn $name($world: &mut $crate::World) $body)*

        mod embedded {
            $(#[test]
            fn $name() {
                super::$name(&mut $crate::World::embedded());
            })*
        }

        #[test]
        fn over_bitcoind() {
            $crate::tell_over_bitcoind(&[$((stringify!($name), $name as $crate::Story)),*]);
        }
    };
}
