//! Who may depend on whom: protocol <- engine <- adapters <- apps.
//!
//! Within a layer only upwards, in the order of [`LAYERS`]; adapters never see each other; nothing sees testing but testing
//! itself and xtask (the binary's demo and the library's example may use the regtest chain). Dependencies for tests count like any other.
//! The pure layers take nothing from outside but [`PURE_DEPENDENCIES`], and each crate from outside has its reason in [`REASONS`].

use serde_json::Value;

use super::Finding;
use crate::repository::cargo;

/// The layers, lowest first, and the crates of each, lowest first.
const LAYERS: [(&str, &[&str]); 4] = [
    (
        "protocol",
        &["primitives", "wire", "noise", "onion", "invoice", "transactions"],
    ),
    (
        "engine",
        &[
            "journal", "records", "channel", "monitor", "gossip", "routing", "payments", "manager",
        ],
    ),
    ("adapters", &["store", "chain", "wallet", "signer", "net"]),
    ("apps", &["node", "api", "quittance", "web"]),
];

/// What protocol and engine may take from outside: Bitcoin, curves, ciphers, hashing, and nothing that waits or looks at the world.
const PURE_DEPENDENCIES: [&str; 10] = [
    "bitcoin",
    "chacha20",
    "chacha20poly1305",
    "crc32fast",
    "lightning-invoice",
    "lightning-types",
    "secp256k1",
    "subtle",
    "thiserror",
    "zeroize",
];

/// Where each crate from outside is named, with what we would write otherwise.
pub(crate) const REASONS: &str = "docs/adr/0001-dependencies.md";

/// A workspace member.
pub(crate) struct Crate {
    /// Relative to the root: `crates/protocol/wire`.
    folder: String,
    dependencies: Vec<Dependency>,
}

struct Dependency {
    name: String,
    /// The folder of one of ours; none for a crate from outside.
    folder: Option<String>,
    /// For tests and benches only.
    for_development: bool,
}

/// Where a crate stands.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Layer { layer: usize, position: usize },
    Testing,
    Xtask,
}

/// The workspace members, as cargo describes them.
pub(crate) fn crates() -> Result<Vec<Crate>, String> {
    let output = cargo(&["metadata", "--format-version", "1", "--no-deps"])
        .output()
        .map_err(|error| format!("cargo metadata could not be started: {error}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let metadata: Value = serde_json::from_slice(&output.stdout).map_err(|error| format!("cargo metadata: {error}"))?;
    read(&metadata).ok_or_else(|| "cargo metadata has another form than expected".to_owned())
}

fn read(metadata: &Value) -> Option<Vec<Crate>> {
    let root = metadata["workspace_root"].as_str()?;
    let relative = |path: &str| {
        let path = path.strip_prefix(root).unwrap_or(path);
        path.trim_start_matches('/').to_owned()
    };
    let dependency = |value: &Value| {
        Some(Dependency {
            name: value["name"].as_str()?.to_owned(),
            folder: value["path"].as_str().map(relative),
            for_development: value["kind"] == "dev",
        })
    };
    let member = |value: &Value| {
        let manifest = value["manifest_path"].as_str()?;
        Some(Crate {
            folder: relative(manifest.strip_suffix("/Cargo.toml")?),
            dependencies: value["dependencies"]
                .as_array()?
                .iter()
                .map(dependency)
                .collect::<Option<_>>()?,
        })
    };
    metadata["packages"].as_array()?.iter().map(member).collect()
}

/// Every edge that the layers forbid, and every crate that has no place in them.
pub(crate) fn check(crates: &[Crate]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for one in crates {
        let Some(place) = place(&one.folder) else {
            findings.push(Finding::new(
                &one.folder,
                "has no place in the layers: give it one in xtask/src/tidy/layers.rs",
            ));
            continue;
        };
        for dependency in &one.dependencies {
            if let Some(reason) = objection(&one.folder, &place, dependency) {
                findings.push(Finding::new(&one.folder, reason));
            }
        }
    }
    findings
}

/// Every crate from outside whose reason is not written down.
pub(crate) fn check_reasons(crates: &[Crate], reasons: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for one in crates {
        for dependency in one.dependencies.iter().filter(|dependency| dependency.folder.is_none()) {
            if !reasons.contains(&format!("`{}`", dependency.name)) {
                findings.push(Finding::new(
                    &one.folder,
                    format!("depends on {}, which {REASONS} does not name", dependency.name),
                ));
            }
        }
    }
    findings
}

fn place(folder: &str) -> Option<Place> {
    if folder == "xtask" {
        return Some(Place::Xtask);
    }
    if folder.starts_with("testing/") {
        return Some(Place::Testing);
    }
    let (layer_name, name) = folder.strip_prefix("crates/")?.split_once('/')?;
    let layer = LAYERS.iter().position(|(layer, _)| *layer == layer_name)?;
    let position = LAYERS.get(layer)?.1.iter().position(|known| *known == name)?;
    Some(Place::Layer { layer, position })
}

fn objection(folder: &str, from: &Place, dependency: &Dependency) -> Option<String> {
    let name = &dependency.name;
    let Place::Layer { layer, position } = from else {
        return None;
    };
    let (layer_name, _) = LAYERS.get(*layer)?;
    let is_pure = matches!(*layer_name, "protocol" | "engine");
    let Some(target_folder) = &dependency.folder else {
        let is_refused = is_pure && !dependency.for_development && !PURE_DEPENDENCIES.contains(&name.as_str());
        return is_refused
            .then(|| format!("depends on {name}: {layer_name} takes nothing from outside but a short list"));
    };
    match place(target_folder)? {
        Place::Testing if folder == "crates/apps/quittance" && target_folder == "testing/regtest" => None,
        Place::Testing
            if dependency.for_development && folder == "crates/apps/node" && target_folder == "testing/regtest" =>
        {
            None
        }
        Place::Testing | Place::Xtask => Some(format!("depends on {name}: nothing but testing sees testing")),
        Place::Layer { layer: target, .. } if target > *layer => {
            Some(format!("depends on {name}, which is in a layer above it"))
        }
        Place::Layer { layer: target, .. } if target == *layer && *layer_name == "adapters" => {
            Some(format!("depends on {name}: adapters never see each other"))
        }
        Place::Layer {
            layer: target,
            position: target_position,
        } if target == *layer && target_position >= *position => {
            Some(format!("depends on {name}, which stands above it in {layer_name}"))
        }
        Place::Layer { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edge(folder: &str, target: &str) -> Vec<String> {
        let name = format!("quittance-{}", target.rsplit('/').next().unwrap_or_default());
        depending(
            folder,
            Dependency {
                name,
                folder: Some(target.to_owned()),
                for_development: false,
            },
        )
    }

    fn outside(folder: &str, name: &str, for_development: bool) -> Vec<String> {
        depending(
            folder,
            Dependency {
                name: name.to_owned(),
                folder: None,
                for_development,
            },
        )
    }

    fn depending(folder: &str, dependency: Dependency) -> Vec<String> {
        let one = Crate {
            folder: folder.to_owned(),
            dependencies: vec![dependency],
        };
        check(&[one]).into_iter().map(|finding| finding.what).collect()
    }

    #[test]
    fn edges_that_point_down_are_fine() {
        for (folder, target) in [
            ("crates/protocol/wire", "crates/protocol/primitives"),
            ("crates/engine/monitor", "crates/engine/channel"),
            ("crates/engine/channel", "crates/protocol/transactions"),
            ("crates/adapters/store", "crates/engine/journal"),
            ("crates/apps/quittance", "testing/regtest"),
            ("testing/simulator", "crates/apps/node"),
            ("testing/simulator", "testing/regtest"),
        ] {
            assert_eq!(edge(folder, target), [""; 0], "{folder} -> {target}");
        }
    }

    #[test]
    fn an_edge_to_a_higher_layer_is_refused() {
        assert_eq!(
            edge("crates/protocol/wire", "crates/engine/channel"),
            ["depends on quittance-channel, which is in a layer above it"]
        );
        assert_eq!(
            edge("crates/engine/manager", "crates/adapters/store"),
            ["depends on quittance-store, which is in a layer above it"]
        );
    }

    #[test]
    fn an_edge_upwards_within_a_layer_is_refused() {
        assert_eq!(
            edge("crates/protocol/wire", "crates/protocol/onion"),
            ["depends on quittance-onion, which stands above it in protocol"]
        );
        assert_eq!(
            edge("crates/engine/journal", "crates/engine/channel"),
            ["depends on quittance-channel, which stands above it in engine"]
        );
    }

    #[test]
    fn adapters_do_not_see_each_other() {
        assert_eq!(
            edge("crates/adapters/net", "crates/adapters/store"),
            ["depends on quittance-store: adapters never see each other"]
        );
    }

    #[test]
    fn nothing_sees_testing() {
        let refused = ["depends on quittance-regtest: nothing but testing sees testing"];
        assert_eq!(edge("crates/engine/monitor", "testing/regtest"), refused);
        assert_eq!(edge("crates/apps/node", "testing/regtest"), refused);
    }

    #[test]
    fn the_library_s_example_may_have_a_chain_to_stand_on() {
        let for_example = |folder: &str| {
            let dependency = Dependency {
                name: "quittance-regtest".to_owned(),
                folder: Some("testing/regtest".to_owned()),
                for_development: true,
            };
            depending(folder, dependency)
        };
        assert_eq!(for_example("crates/apps/node"), [""; 0]);
        assert_eq!(
            for_example("crates/apps/api"),
            ["depends on quittance-regtest: nothing but testing sees testing"]
        );
    }

    #[test]
    fn a_crate_without_a_place_is_named() {
        assert_eq!(
            edge("crates/engine/misc", "crates/protocol/wire"),
            ["has no place in the layers: give it one in xtask/src/tidy/layers.rs"]
        );
    }

    #[test]
    fn the_pure_layers_take_little_from_outside() {
        assert_eq!(
            outside("crates/engine/channel", "tokio", false),
            ["depends on tokio: engine takes nothing from outside but a short list"]
        );
        assert_eq!(outside("crates/engine/channel", "proptest", true), [""; 0]);
        assert_eq!(outside("crates/engine/channel", "bitcoin", false), [""; 0]);
        assert_eq!(outside("crates/adapters/net", "tokio", false), [""; 0]);
    }

    #[test]
    fn a_dependency_without_a_reason_is_named() {
        let one = Crate {
            folder: "xtask".to_owned(),
            dependencies: vec![Dependency {
                name: "clap".to_owned(),
                folder: None,
                for_development: false,
            }],
        };
        assert_eq!(check_reasons(std::slice::from_ref(&one), "| `clap` | arguments |"), []);
        assert_eq!(
            check_reasons(&[one], "| `clapper` |"),
            [Finding::new(
                "xtask",
                "depends on clap, which docs/adr/0001-dependencies.md does not name"
            )]
        );
    }

    #[test]
    fn the_real_metadata_is_read() {
        let crates = crates().expect("cargo metadata works in a checkout");
        let wire = crates
            .iter()
            .find(|one| one.folder == "crates/protocol/wire")
            .expect("the workspace has a wire crate");
        assert!(
            wire.dependencies
                .iter()
                .any(|dependency| dependency.folder.as_deref() == Some("crates/protocol/primitives")),
            "wire depends on primitives"
        );
    }
}
