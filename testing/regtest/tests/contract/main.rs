//! The contract of [`quittance_regtest::Chain`]: every rule once where it lets pass and once where it refuses, with the exact
//! reason. Each story runs on the embedded chain as a test of its own.

#![allow(clippy::unwrap_used, reason = "a story that goes wrong ends there")]

mod locks;
mod mining;
mod packages;
mod reorgs;
mod replacement;
mod scripts;
mod standardness;
mod truc;
mod world;

/// Declares stories: functions over any chain, each a test on the embedded one.
macro_rules! stories {
    ($($(#[$attribute:meta])* fn $name:ident($world:ident) $body:block)*) => {
        $($(#[$attribute])* fn $name<C: quittance_regtest::Chain>($world: &mut crate::world::World<C>) $body)*

        #[cfg(test)]
        mod embedded {
            $(#[test]
            fn $name() {
                super::$name(&mut crate::world::World::embedded());
            })*
        }
    };
}
pub(crate) use stories;
