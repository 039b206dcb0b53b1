//! A pod as it is applied, and what the cluster and the node add to it.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::{Container, Image};

/// Where the kubelet mounts a service account's files.
pub(super) const SECRETS: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// A pod to be run.
#[derive(Clone, Debug)]
pub struct Pod {
    pub(super) spec: Value,
    pub(super) namespace: String,
    pub(super) node: String,
    pub(super) container: Option<String>,
    pub(super) config_maps: BTreeMap<String, Value>,
    pub(super) api_server: Option<(SocketAddr, PathBuf)>,
    more_arguments: Vec<String>,
    /// What stands in for a path of the node.
    host_paths: Vec<(PathBuf, PathBuf)>,
}

// === impl Pod ===

impl Pod {
    /// The pod of a `DaemonSet`, a `Deployment` or a `Job`, or a `Pod` itself.
    pub fn of(object: &Value) -> Result<Self> {
        let spec = match object["kind"].as_str() {
            Some("Pod") => &object["spec"],
            Some(_) => &object["spec"]["template"]["spec"],
            None => bail!("an object without a kind"),
        };
        if !spec["containers"].is_array() {
            bail!("an object of kind {} without containers", object["kind"]);
        }
        Ok(Self {
            spec: spec.clone(),
            namespace: object["metadata"]["namespace"].as_str().unwrap_or("default").to_owned(),
            node: "node-1".to_owned(),
            container: None,
            config_maps: BTreeMap::new(),
            api_server: None,
            more_arguments: Vec::new(),
            host_paths: Vec::new(),
        })
    }

    /// Runs the container of this name instead of the first.
    #[must_use]
    pub fn container(mut self, name: &str) -> Self {
        self.container = Some(name.to_owned());
        self
    }

    /// Runs it on the node of this name.
    #[must_use]
    pub fn node(mut self, name: &str) -> Self {
        name.clone_into(&mut self.node);
        self
    }

    /// Adds a `ConfigMap` to the cluster; other objects are left out.
    #[must_use]
    pub fn config_map(mut self, object: &Value) -> Self {
        if let (Some("ConfigMap"), Some(name)) = (object["kind"].as_str(), object["metadata"]["name"].as_str()) {
            self.config_maps.insert(name.to_owned(), object.clone());
        }
        self
    }

    /// Puts a path of the test in place of one of the node, and of all below it.
    #[must_use]
    pub fn host_path(mut self, on_the_node: impl Into<PathBuf>, here: impl Into<PathBuf>) -> Self {
        self.host_paths.push((on_the_node.into(), here.into()));
        self
    }

    /// Gives it an API server, which has to be reachable from its network namespace, and the folder with the service account's `token`,
    /// `ca.crt` and `namespace`.
    #[must_use]
    pub fn api_server(mut self, address: SocketAddr, secrets: impl Into<PathBuf>) -> Self {
        self.api_server = Some((address, secrets.into()));
        self
    }

    /// Adds an argument to the container's, after all that the manifest says.
    #[must_use]
    pub fn argument(mut self, argument: impl Into<String>) -> Self {
        self.more_arguments.push(argument.into());
        self
    }

    /// Changes what stands at a JSON pointer of the pod's spec, or adds it to the object that is there.
    pub fn with(mut self, pointer: &str, value: impl Into<Value>) -> Result<Self> {
        let (parent, key) = pointer.rsplit_once('/').context("a pointer begins with a slash")?;
        let parent = self.spec.pointer_mut(parent).with_context(|| format!("the pod has no {parent}"))?;
        parent[key] = value.into();
        Ok(self)
    }

    /// Starts it.
    pub fn start(&self, image: &Image) -> Result<Container> {
        Container::start(self, image)
    }

    /// The container to run.
    pub(super) fn chosen(&self) -> Result<&Value> {
        let mut containers = self.spec["containers"].as_array().into_iter().flatten();
        match &self.container {
            None => containers.next().context("a pod without containers"),
            Some(name) => {
                let named = |container: &&Value| container["name"].as_str() == Some(name);
                containers.find(named).with_context(|| format!("the pod has no container {name}"))
            }
        }
    }

    /// The words of its command.
    pub(super) fn command(&self, image: &Image) -> Result<Vec<String>> {
        let container = self.chosen()?;
        let mut words = strings(&container["command"]);
        let args = strings(&container["args"]);
        if words.is_empty() {
            words = strings(&image.config()["Entrypoint"]);
            words.extend(if args.is_empty() { strings(&image.config()["Cmd"]) } else { args });
        } else {
            words.extend(args);
        }
        match (words.as_mut_slice(), self.more_arguments.is_empty()) {
            ([], _) => bail!("neither the container nor the image has a command"),
            (_, true) => {}
            // The chart's form: all is one word of the shell's.
            ([shell, option, script], _) if shell.ends_with("/sh") && option == "-c" => {
                *script = format!("{} {}", script.trim_end(), self.more_arguments.join(" "));
            }
            (_, _) => words.extend(self.more_arguments.iter().cloned()),
        }
        let environment = self.environment(image)?;
        Ok(words.iter().map(|word| expand(word, &environment)).collect())
    }

    /// Its environment, in the order in which it was declared.
    pub(super) fn environment(&self, image: &Image) -> Result<Vec<(String, String)>> {
        let mut environment = Vec::new();
        for pair in strings(&image.config()["Env"]) {
            let (name, value) = pair.split_once('=').context("an environment without =")?;
            environment.push((name.to_owned(), value.to_owned()));
        }
        environment.push(("HOSTNAME".to_owned(), self.host_name().to_owned()));
        if let Some((address, _)) = &self.api_server {
            environment.push(("KUBERNETES_SERVICE_HOST".to_owned(), address.ip().to_string()));
            environment.push(("KUBERNETES_SERVICE_PORT".to_owned(), address.port().to_string()));
        }
        let container = self.chosen()?;
        if !container["envFrom"].is_null() {
            bail!("envFrom is not known here");
        }
        for variable in container["env"].as_array().into_iter().flatten() {
            let name = variable["name"].as_str().context("a variable without a name")?;
            let value = match (&variable["value"], &variable["valueFrom"]) {
                (Value::String(text), _) => expand(text, &environment),
                (_, Value::Null) => String::new(),
                (_, from) => self.field(&from["fieldRef"]["fieldPath"]).with_context(|| format!("variable {name}"))?,
            };
            environment.retain(|(other, _)| other != name);
            environment.push((name.to_owned(), value));
        }
        Ok(environment)
    }

    pub(super) fn host_name(&self) -> &str {
        if self.spec["hostNetwork"] == true { &self.node } else { "npd-pod" }
    }

    /// What is here for a path of the node, and whether the test has put it there.
    pub(super) fn here(&self, on_the_node: &Path) -> (PathBuf, bool) {
        for (from, to) in self.host_paths.iter().rev() {
            if let Ok(rest) = on_the_node.strip_prefix(from) {
                // Joining nothing would add a slash, and a file is no folder.
                let here = if rest.as_os_str().is_empty() { to.clone() } else { to.join(rest) };
                return (here, true);
            }
        }
        (on_the_node.to_owned(), false)
    }

    fn field(&self, path: &Value) -> Result<String> {
        Ok(match path.as_str() {
            Some("spec.nodeName") => self.node.clone(),
            Some("metadata.name") => "npd-pod".to_owned(),
            Some("metadata.namespace") => self.namespace.clone(),
            Some("metadata.uid") => "5f3c1ab2-0000-4000-8000-000000000001".to_owned(),
            Some("status.podIP" | "status.hostIP") => "127.0.0.1".to_owned(),
            Some("spec.serviceAccountName") => self.spec["serviceAccountName"].as_str().unwrap_or("default").to_owned(),
            _ => bail!("a source that is not known here: {path}"),
        })
    }
}

/// The strings of a list, or none.
pub(super) fn strings(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(|word| word.as_str().map(ToOwned::to_owned)).collect()
}

/// Replaces `$(NAME)` where the name is known; `$$(NAME)` stands for itself, as in Kubernetes.
fn expand(word: &str, environment: &[(String, String)]) -> String {
    let mut text = String::new();
    let mut rest = word;
    while let Some((before, after)) = rest.split_once('$') {
        text.push_str(before);
        rest = after;
        if let Some(after) = rest.strip_prefix('$') {
            text.push('$');
            rest = after;
            continue;
        }
        let reference = rest.strip_prefix('(').and_then(|inside| inside.split_once(')'));
        match reference.and_then(|(name, after)| Some((environment.iter().find(|(other, _)| other == name)?, after))) {
            Some(((_, value), after)) => {
                text.push_str(value);
                rest = after;
            }
            None => text.push('$'),
        }
    }
    text + rest
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn references_are_expanded_as_kubernetes_does() {
        let environment = [("NODE".to_owned(), "n1".to_owned())];
        for (word, expected) in [
            ("--name=$(NODE)", "--name=n1"),
            ("$(OTHER)", "$(OTHER)"),
            ("$$(NODE)", "$(NODE)"),
            ("$", "$"),
            ("a$b", "a$b"),
        ] {
            assert_eq!(expand(word, &environment), expected);
        }
    }

    #[test]
    fn a_host_path_is_mapped_with_all_below_it() {
        let pod =
            Pod::of(&json!({ "kind": "Pod", "spec": { "containers": [] } })).unwrap().host_path("/var/log/", "/tmp/x");
        assert_eq!(pod.here(Path::new("/var/log")), ("/tmp/x".into(), true));
        assert_eq!(pod.here(Path::new("/var/log/journal")), ("/tmp/x/journal".into(), true));
        assert_eq!(pod.here(Path::new("/var/logs")), ("/var/logs".into(), false));
    }
}
