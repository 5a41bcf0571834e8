//! The contract of [`quittance_regtest::Chain`]: every rule once where it lets pass and once where it refuses, with the exact
//! reason. Each story runs on the embedded chain as a test of its own, all of them on the embedded chain behind bitcoind's
//! interface, and all of them on one bitcoind if `BITCOIND_EXE` names one
//! (`BITCOIND_EXE=$(cargo xtask bitcoind) cargo test -p quittance-regtest`).
#![allow(clippy::unwrap_used, reason = "a story that goes wrong ends there")]

mod bitcoind;
mod blocks;
mod locks;
mod mining;
mod packages;
mod reorgs;
mod replacement;
mod rpc;
mod scripts;
mod standardness;
mod truc;
mod world;

/// Declares stories: functions over any chain, each a test on the embedded one, and their list.
macro_rules! stories {
    ($($(#[$attribute:meta])* fn $name:ident($world:ident) $body:block)*) => {
        $($(#[$attribute])* fn $name<C: quittance_regtest::Chain>($world: &mut crate::world::World<C>) $body)*

        /// All stories of this file, by name.
        pub(crate) fn all<C: quittance_regtest::Chain>() -> Vec<(&'static str, crate::world::Story<C>)> {
            vec![$((concat!(module_path!(), "::", stringify!($name)), $name as crate::world::Story<C>)),*]
        }

        mod embedded {
            $(#[test]
            fn $name() {
                super::$name(&mut crate::world::World::embedded());
            })*
        }
    };
}
pub(crate) use stories;

/// Every story there is, by name.
fn all_stories<C: quittance_regtest::Chain>() -> Vec<(&'static str, world::Story<C>)> {
    let stories = [
        blocks::all(),
        locks::all(),
        mining::all(),
        packages::all(),
        reorgs::all(),
        replacement::all(),
        scripts::all(),
        standardness::all(),
        truc::all(),
    ];
    stories.into_iter().flatten().collect()
}
