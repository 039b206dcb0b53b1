//! What a request asks for, as Kubernetes' `RequestInfo`: authorisation and routing see the same words.

use super::store::Resource;

/// A request for objects of core/v1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RequestInfo {
    /// `get`, `list`, `create`, `patch`, …
    pub verb: &'static str,
    /// What is asked for.
    pub resource: Resource,
    /// Such as `status`; empty for the object itself.
    pub subresource: String,
    /// Empty for cluster-wide objects and for lists of all namespaces.
    pub namespace: String,
    /// Empty for lists and new objects.
    pub name: String,
}

// === impl RequestInfo ===

impl RequestInfo {
    /// From a method and a path; none for what is not under `/api/v1` or not served.
    #[must_use]
    pub(super) fn parse(method: &str, path: &str) -> Option<Self> {
        let words: Vec<_> = path.strip_prefix("/api/v1/")?.trim_end_matches('/').split('/').collect();
        let (namespace, rest) = match words.as_slice() {
            ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (*namespace, rest),
            all => ("", all),
        };
        let (word, name, subresource) = match rest {
            [resource] => (*resource, "", ""),
            [resource, name] => (*resource, *name, ""),
            [resource, name, subresource] => (*resource, *name, *subresource),
            _ => return None,
        };
        let resource = Resource::from_plural(word)?;
        let in_namespace = !namespace.is_empty();
        if in_namespace != resource.is_namespaced() && (in_namespace || !name.is_empty()) {
            return None;
        }
        let verb = match (method, name.is_empty()) {
            ("GET" | "HEAD", true) => "list",
            ("GET" | "HEAD", false) => "get",
            ("POST", _) => "create",
            ("PUT", _) => "update",
            ("PATCH", _) => "patch",
            ("DELETE", true) => "deletecollection",
            ("DELETE", false) => "delete",
            _ => return None,
        };
        Some(Self {
            verb,
            resource,
            subresource: subresource.to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        })
    }

    /// As rules of RBAC name it: `nodes/status`.
    #[must_use]
    pub(super) fn resource_word(&self) -> String {
        match self.subresource.as_str() {
            "" => self.resource.plural().to_owned(),
            subresource => format!("{}/{subresource}", self.resource.plural()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(method: &str, path: &str) -> Option<String> {
        let info = RequestInfo::parse(method, path)?;
        Some(format!("{} {} {}/{}", info.verb, info.resource_word(), info.namespace, info.name))
    }

    #[test]
    fn paths_are_read_as_kubernetes_reads_them() {
        for (method, path, expected) in [
            ("GET", "/api/v1/nodes/node-a", "get nodes /node-a"),
            ("PATCH", "/api/v1/nodes/node-a/status", "patch nodes/status /node-a"),
            ("POST", "/api/v1/nodes", "create nodes /"),
            ("POST", "/api/v1/namespaces/default/events", "create events default/"),
            ("PATCH", "/api/v1/namespaces/default/events/e.1", "patch events default/e.1"),
            ("GET", "/api/v1/pods", "list pods /"),
            ("DELETE", "/api/v1/namespaces/mine", "delete namespaces /mine"),
        ] {
            assert_eq!(words(method, path).as_deref(), Some(expected));
        }
    }

    #[test]
    fn what_is_not_served_has_no_meaning() {
        for path in [
            "/",
            "/version",
            "/apis/apps/v1/deployments",
            "/api/v1/secrets",
            "/api/v1/events/e",
            "/api/v1/namespaces/default/nodes/node-a",
            "/api/v1/nodes/a/b/c",
        ] {
            assert_eq!(words("GET", path), None, "{path}");
        }
    }
}
