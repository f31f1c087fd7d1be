//! The shape of the repository, held by tests: layers, file headers, file sizes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Crate and layer, as ARCHITECTURE.md has them. A crate depends on lower layers only.
const LAYERS: &[(&str, u8)] = &[
    ("order-model", 0),
    ("message-bus", 0),
    ("local-aws", 0),
    ("hostile-inputs", 0),
    ("event-feed", 1),
    ("proto", 2),
    ("replicated-grid", 3),
    ("gateway-agent", 4),
    ("gateway-core", 4),
    ("order-events", 4),
    ("merchant-connection", 4),
    ("connection-polling", 4),
    ("kitchen-api", 4),
    ("comanda", 5),
    ("simulation", 5),
];

/// Lines before a file's tests; the figure of the style guide.
const FILE_LINES_MAX: usize = 500;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the workspace").to_owned()
}

fn rust_files() -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders: Vec<PathBuf> = LAYERS.iter().map(|(name, _)| root().join(name)).collect();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    assert!(files.len() > 100, "found only {} files", files.len());
    files
}

#[test]
fn a_crate_depends_on_lower_layers_only() {
    let layers: BTreeMap<&str, u8> = LAYERS.iter().copied().collect();
    let workspace: toml::Table = std::fs::read_to_string(root().join("Cargo.toml")).unwrap().parse().unwrap();
    let members: Vec<&str> =
        workspace["workspace"]["members"].as_array().unwrap().iter().filter_map(|member| member.as_str()).collect();
    let mut listed: Vec<&str> = layers.keys().copied().collect();
    let mut sorted = members.clone();
    listed.sort_unstable();
    sorted.sort_unstable();
    assert_eq!(sorted, listed, "every crate has a layer");
    for member in members {
        let manifest: toml::Table =
            std::fs::read_to_string(root().join(member).join("Cargo.toml")).unwrap().parse().unwrap();
        let Some(dependencies) = manifest.get("dependencies").and_then(toml::Value::as_table) else { continue };
        for dependency in dependencies.keys().filter(|name| layers.contains_key(name.as_str())) {
            // message-bus and local-aws may name order-model's clock: all three are layer 0, and order-model names neither.
            let allowed =
                layers[dependency.as_str()] < layers[member] || (layers[member] == 0 && dependency == "order-model");
            assert!(
                allowed,
                "{member} (layer {}) depends on {dependency} (layer {})",
                layers[member],
                layers[dependency.as_str()]
            );
        }
    }
}

#[test]
fn every_file_says_what_it_is() {
    let without: Vec<PathBuf> =
        rust_files().into_iter().filter(|path| !std::fs::read_to_string(path).unwrap().starts_with("//!")).collect();
    assert!(without.is_empty(), "files without a //! header: {without:#?}");
}

#[test]
fn files_stay_small() {
    let lines = |path: &PathBuf| {
        std::fs::read_to_string(path).unwrap().lines().take_while(|line| !line.starts_with("#[cfg(test)]")).count()
    };
    let is_test = |path: &PathBuf| path.components().any(|part| part.as_os_str().to_string_lossy().contains("test"));
    let long: Vec<_> = rust_files().into_iter().filter(|path| !is_test(path) && lines(path) > FILE_LINES_MAX).collect();
    assert!(long.is_empty(), "files over {FILE_LINES_MAX} lines: {long:#?}");
}

#[test]
fn the_readme_lists_every_setting() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let listed = readme.lines().filter(|line| line.starts_with("| `") && line.contains("_")).count();
    for setting in comanda::settings::catalogue::SETTINGS {
        let default = setting.default.filter(|text| !text.is_empty()).map(|text| format!("`{text}`"));
        let default = if setting.secret { "secret".to_owned() } else { default.unwrap_or_default() };
        let row = format!("| `{}` | `{}` | {default} | {} |", setting.key, setting.environment, setting.help);
        assert!(readme.contains(&row), "README.md lacks the row\n{row}");
    }
    assert_eq!(listed, comanda::settings::catalogue::SETTINGS.len(), "README.md lists a setting that does not exist");
}
