//! Inputs that `deny.toml` must refuse: the workspace's own config or metadata with one thing changed.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

/// A library that is always there; what is forged is forged about it.
pub(super) const CRATE: &str = "memchr";

/// What cargo-deny reads.
#[derive(Clone)]
pub(super) struct Inputs {
    /// `deny.toml`
    pub(super) config: String,
    /// What `cargo metadata` gives.
    pub(super) metadata: Value,
    /// Where a database is that knows a vulnerability of [`CRATE`]. Only a forged config names it.
    pub(super) forged_databases: PathBuf,
}

/// One change, and how cargo-deny has to answer it.
pub(super) struct Forgery {
    /// The claim that is tested.
    pub(super) name: &'static str,
    /// The check that has to fail.
    pub(super) check: &'static str,
    /// What cargo-deny calls the finding.
    pub(super) code: &'static str,
    change: fn(&mut Inputs) -> Result<()>,
}

/// At least one for each rule of `deny.toml`.
pub(super) const FORGERIES: &[Forgery] = &[
    Forgery {
        name: "a_copyleft_licence_is_refused",
        check: "licenses",
        code: "rejected",
        change: |inputs| inputs.set_in_crate("license", "GPL-3.0-only"),
    },
    Forgery {
        name: "a_copyleft_licence_of_a_part_is_refused",
        check: "licenses",
        code: "rejected",
        change: |inputs| inputs.set_in_crate("license", "MIT AND LGPL-2.1-or-later"),
    },
    Forgery {
        name: "a_licence_that_no_crate_has_is_not_allowed_in_advance",
        check: "licenses",
        code: "license-not-encountered",
        change: |inputs| inputs.begin_list("allow", r#""OSL-3.0""#),
    },
    Forgery {
        name: "a_second_version_without_a_skip_is_refused",
        check: "bans",
        code: "duplicate",
        change: |inputs| inputs.empty_list("skip"),
    },
    Forgery {
        name: "a_skip_that_matches_nothing_is_refused",
        check: "bans",
        code: "unmatched-skip",
        change: |inputs| inputs.begin_list("skip", &format!(r#"{{ crate = "{CRATE}@1", reason = "forged" }}"#)),
    },
    Forgery {
        name: "a_skip_of_an_only_version_is_refused",
        check: "bans",
        code: "unnecessary-skip",
        change: |inputs| inputs.begin_list("skip", &format!(r#"{{ crate = "{CRATE}", reason = "forged" }}"#)),
    },
    Forgery {
        name: "a_banned_crate_is_refused",
        check: "bans",
        code: "banned",
        change: |inputs| inputs.begin_list("deny", &format!(r#"{{ crate = "{CRATE}", reason = "forged" }}"#)),
    },
    Forgery {
        name: "a_dependency_on_any_version_is_refused",
        check: "bans",
        code: "wildcard",
        change: Inputs::forge_wildcard,
    },
    Forgery {
        name: "a_git_source_is_refused",
        check: "sources",
        code: "source-not-allowed",
        change: |inputs| inputs.forge_source("git+https://github.com/BurntSushi/memchr?rev=a5b06a3"),
    },
    Forgery {
        name: "another_registry_is_refused",
        check: "sources",
        code: "source-not-allowed",
        change: |inputs| inputs.forge_source("registry+https://example.com/index"),
    },
    Forgery {
        name: "a_known_vulnerability_is_refused",
        check: "advisories",
        code: "vulnerability",
        change: Inputs::forge_database,
    },
    Forgery {
        name: "an_unknown_key_of_the_config_is_refused",
        check: "bans",
        code: "unexpected-keys",
        change: |inputs| inputs.replace("\n[bans]\n", "\n[bans]\nmultiple-version = \"deny\"\n"),
    },
];

// === impl Forgery ===

impl Forgery {
    /// The inputs with the change. A change that changes nothing is an error: it would test nothing.
    pub(super) fn forge(&self, inputs: &Inputs) -> Result<Inputs> {
        let mut forged = inputs.clone();
        (self.change)(&mut forged).with_context(|| format!("cannot forge the input of {}", self.name))?;
        if forged.config == inputs.config && forged.metadata == inputs.metadata {
            bail!("the forged input of {} is the real one", self.name);
        }
        Ok(forged)
    }
}

// === impl Inputs ===

impl Inputs {
    fn packages(&mut self) -> Result<&mut Vec<Value>> {
        self.metadata["packages"].as_array_mut().context("the metadata has no packages")
    }

    fn set_in_crate(&mut self, key: &str, value: &str) -> Result<()> {
        let package = self.packages()?.iter_mut().find(|package| package["name"] == CRATE);
        package.with_context(|| format!("the metadata has no {CRATE}"))?[key] = json!(value);
        Ok(())
    }

    /// Has the crate come from elsewhere. Its id begins with the source too, and the whole graph refers to it by that.
    fn forge_source(&mut self, source: &str) -> Result<()> {
        self.set_in_crate("source", source)?;
        let package = self.packages()?.iter().find(|package| package["name"] == CRATE);
        let id = package.and_then(|package| package["id"].as_str()).context("a package has no id")?.to_owned();
        let (_, fragment) = id.split_once('#').with_context(|| format!("{id} has no version"))?;
        let forged = format!("{source}#{fragment}");
        let text = self.metadata.to_string().replace(&json!(id).to_string(), &json!(forged).to_string());
        self.metadata = serde_json::from_str(&text).context("the forged metadata is not JSON")?;
        Ok(())
    }

    /// Has the agent depend on any version of a library.
    fn forge_wildcard(&mut self) -> Result<()> {
        let package = self.packages()?.iter_mut().find(|package| package["name"] == "npd-agent");
        let dependencies = package.and_then(|package| package["dependencies"].as_array_mut());
        let dependency = dependencies.and_then(|all| all.iter_mut().find(|dependency| dependency["name"] == CRATE));
        dependency.with_context(|| format!("npd-agent does not depend on {CRATE}"))?["req"] = json!("*");
        Ok(())
    }

    /// Has the forged database be the one.
    fn forge_database(&mut self) -> Result<()> {
        let folder = self.forged_databases.to_str().context("the path of the forged database is not UTF-8")?;
        // JSON's strings are TOML's too.
        let line = format!("db-path = {}", json!(folder));
        self.replace("\n[advisories]\n", &format!("\n[advisories]\n{line}\n"))
    }

    /// Puts an element at the beginning of a list of the config.
    fn begin_list(&mut self, key: &str, element: &str) -> Result<()> {
        self.replace(&format!("\n{key} = [\n"), &format!("\n{key} = [\n    {element},\n"))
    }

    /// Takes all elements from a list of the config.
    fn empty_list(&mut self, key: &str) -> Result<()> {
        let begin = format!("\n{key} = [\n");
        let found = self.config.split_once(&begin).and_then(|(_, rest)| rest.split_once("\n]\n"));
        let elements = found.with_context(|| format!("deny.toml has no list `{key}`"))?.0.to_owned();
        self.replace(&elements, "")
    }

    fn replace(&mut self, from: &str, to: &str) -> Result<()> {
        if self.config.matches(from).count() != 1 {
            bail!("deny.toml does not have `{}` exactly once", from.trim());
        }
        self.config = self.config.replacen(from, to, 1);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inputs() -> Inputs {
        let id = "registry+https://github.com/rust-lang/crates.io-index#memchr@2.8.0";
        Inputs {
            config: "[licenses]\nallow = [\n    \"MIT\",\n]\n\n[bans]\ndeny = [\n]\nskip = [\n    \"syn@2\",\n    \"fnv\",\n]\n\n[advisories]\n"
                .to_owned(),
            metadata: json!({
                "packages": [
                    { "name": "memchr", "id": id, "source": id.split('#').next(), "license": "MIT" },
                    { "name": "npd-agent", "dependencies": [{ "name": "memchr", "req": "^2" }] },
                ],
                "resolve": { "nodes": [{ "id": id }] },
            }),
            forged_databases: "/nonexistent".into(),
        }
    }

    #[test]
    fn every_forgery_changes_something() {
        for forgery in FORGERIES {
            forgery.forge(&inputs()).unwrap();
        }
    }

    #[test]
    fn the_whole_graph_knows_a_forged_source() {
        let mut forged = inputs();
        forged.forge_source("git+https://example.com/memchr?rev=1").unwrap();
        let id = "git+https://example.com/memchr?rev=1#memchr@2.8.0";
        assert_eq!(forged.metadata["packages"][0]["id"], id);
        assert_eq!(forged.metadata["resolve"]["nodes"][0]["id"], id);
    }

    #[test]
    fn a_list_is_emptied_and_begun() {
        let mut forged = inputs();
        forged.empty_list("skip").unwrap();
        assert!(forged.config.contains("\nskip = [\n\n]\n"), "{}", forged.config);
        forged.begin_list("skip", "1").unwrap();
        assert!(forged.config.contains("\nskip = [\n    1,\n\n]\n"), "{}", forged.config);
    }

    #[test]
    fn a_change_of_what_is_not_there_is_an_error() {
        assert!(inputs().replace("[sources]", "").is_err());
    }
}
