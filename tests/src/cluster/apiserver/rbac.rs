//! Role-based access control: what the rules of a manifest allow a user, and which of them were needed.

use std::collections::BTreeSet;

use serde::Deserialize;
use thiserror::Error;

use super::{failure::Failure, request_info::RequestInfo};

/// What one user may do.
#[derive(Debug)]
pub(super) struct Policy {
    user: String,
    grants: Vec<Grant>,
    used: BTreeSet<usize>,
}

/// Why a manifest is none of RBAC.
#[derive(Debug, Error)]
pub enum RbacError {
    /// It is no YAML, or its objects have other fields.
    #[error("cannot read the manifest")]
    Unreadable(#[source] Box<serde_saphyr::Error>),
    /// A binding names a role that is not in the manifest.
    #[error("{binding} binds {role}, which is not in the manifest")]
    UnknownRole {
        /// The binding's kind and name.
        binding: String,
        /// The role's kind and name.
        role: String,
    },
    /// Nothing is bound to the user.
    #[error("no binding of the manifest is for {user}")]
    NothingGranted {
        /// The user.
        user: String,
    },
}

/// One verb on one resource, as one role grants it.
#[derive(Debug)]
struct Grant {
    role: String,
    /// Empty: cluster-wide.
    namespace: String,
    verb: String,
    resource: String,
    names: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "kind")]
enum Object {
    ClusterRole(Role),
    Role(Role),
    ClusterRoleBinding(Binding),
    RoleBinding(Binding),
    #[serde(other)]
    Other,
}

#[derive(Debug, Deserialize)]
struct Role {
    metadata: Metadata,
    #[serde(default)]
    rules: Vec<Rule>,
}

#[derive(Debug, Deserialize)]
struct Binding {
    metadata: Metadata,
    #[serde(rename = "roleRef")]
    role: Reference,
    #[serde(default)]
    subjects: Vec<Reference>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rule {
    api_groups: Vec<String>,
    resources: Vec<String>,
    verbs: Vec<String>,
    #[serde(default)]
    resource_names: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Metadata {
    name: String,
    #[serde(default)]
    namespace: String,
}

#[derive(Debug, Deserialize)]
struct Reference {
    kind: String,
    name: String,
    #[serde(default)]
    namespace: String,
}

// === impl Policy ===

impl Policy {
    /// What the roles and bindings of a manifest allow a user; all other objects in it are passed over.
    pub(super) fn parse(user: &str, manifest: &str) -> Result<Self, RbacError> {
        let objects: Vec<Object> =
            serde_saphyr::from_multiple(manifest).map_err(|error| RbacError::Unreadable(Box::new(error)))?;
        let mut grants = Vec::new();
        for object in &objects {
            let (kind, binding) = match object {
                Object::ClusterRoleBinding(binding) => ("ClusterRoleBinding", binding),
                Object::RoleBinding(binding) => ("RoleBinding", binding),
                _ => continue,
            };
            if binding.subjects.iter().any(|subject| subject.is(user)) {
                let role = objects.iter().find_map(|object| object.role(binding));
                let role = role.ok_or_else(|| RbacError::UnknownRole {
                    binding: format!("{kind} {}", binding.metadata.name),
                    role: format!("{} {}", binding.role.kind, binding.role.name),
                })?;
                role.grant(binding, &mut grants);
            }
        }
        if grants.is_empty() {
            return Err(RbacError::NothingGranted { user: user.to_owned() });
        }
        Ok(Self { user: user.to_owned(), grants, used: BTreeSet::new() })
    }

    /// Whether the user may do it.
    ///
    /// # Errors
    ///
    /// 403 in the API server's words.
    pub(super) fn check(&mut self, info: &RequestInfo) -> Result<(), Failure> {
        if let Some(index) = self.grants.iter().position(|grant| grant.allows(info)) {
            self.used.insert(index);
            return Ok(());
        }
        let resource = info.resource_word();
        let place = match info.namespace.as_str() {
            "" => "at the cluster scope".to_owned(),
            namespace => format!("in the namespace \"{namespace}\""),
        };
        let why =
            format!("User \"{}\" cannot {} resource \"{resource}\" in API group \"\" {place}", self.user, info.verb);
        Err(Failure::forbidden(info.resource.plural(), &info.name, &why))
    }

    /// What was granted and never needed, as `ClusterRole npd: patch nodes/status`.
    pub(super) fn unused(&self) -> Vec<String> {
        let unused = self.grants.iter().enumerate().filter(|(index, _)| !self.used.contains(index));
        unused.map(|(_, grant)| format!("{}: {} {}", grant.role, grant.verb, grant.resource)).collect()
    }
}

// === impl Grant ===

impl Grant {
    fn allows(&self, info: &RequestInfo) -> bool {
        (self.namespace.is_empty() || self.namespace == info.namespace)
            && (self.verb == "*" || self.verb == info.verb)
            && (self.resource == "*" || self.resource == info.resource_word())
            && (self.names.is_empty() || self.names.contains(&info.name))
    }
}

// === impl Object ===

impl Object {
    /// This object, if it is the role of a binding: cluster-wide, or of the binding's namespace.
    fn role(&self, binding: &Binding) -> Option<&Role> {
        match (self, binding.role.kind.as_str()) {
            (Self::ClusterRole(role), "ClusterRole") if role.metadata.name == binding.role.name => Some(role),
            (Self::Role(role), "Role")
                if role.metadata.name == binding.role.name && role.metadata.namespace == binding.metadata.namespace =>
            {
                Some(role)
            }
            _ => None,
        }
    }
}

// === impl Role ===

impl Role {
    fn grant(&self, binding: &Binding, grants: &mut Vec<Grant>) {
        let core = |rule: &&Rule| rule.api_groups.iter().any(|group| group.is_empty() || group == "*");
        for rule in self.rules.iter().filter(core) {
            for resource in &rule.resources {
                grants.extend(rule.verbs.iter().map(|verb| Grant {
                    role: format!("{} {}", binding.role.kind, binding.role.name),
                    namespace: binding.metadata.namespace.clone(),
                    verb: verb.clone(),
                    resource: resource.clone(),
                    names: rule.resource_names.clone(),
                }));
            }
        }
    }
}

// === impl Reference ===

impl Reference {
    /// Whether this subject is the user, a service account among them by its user name.
    fn is(&self, user: &str) -> bool {
        match self.kind.as_str() {
            "ServiceAccount" => user == format!("system:serviceaccount:{}:{}", self.namespace, self.name),
            "User" => user == self.name,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USER: &str = "system:serviceaccount:npd:npd";
    const MANIFEST: &str = "
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: reader}
rules:
- {apiGroups: [''], resources: [nodes, nodes/status], verbs: [get]}
- {apiGroups: [apps], resources: [pods], verbs: [list]}
- {apiGroups: [''], resources: [namespaces], verbs: [get], resourceNames: [default]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: reader}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: reader}
subjects: [{kind: ServiceAccount, name: npd, namespace: npd}]
---
kind: Role
metadata: {name: writer, namespace: default}
rules:
- {apiGroups: [''], resources: [events], verbs: [create, patch]}
---
kind: RoleBinding
metadata: {name: writer, namespace: default}
roleRef: {kind: Role, name: writer}
subjects: [{kind: ServiceAccount, name: npd, namespace: npd}]
---
kind: ServiceAccount
metadata: {name: npd, namespace: npd}
";

    fn check(policy: &mut Policy, method: &str, path: &str) -> Result<(), String> {
        policy.check(&RequestInfo::parse(method, path).unwrap()).map_err(|failure| failure.message)
    }

    #[test]
    fn what_a_rule_grants_is_allowed_and_nothing_else() {
        let mut policy = Policy::parse(USER, MANIFEST).unwrap();
        let mut allowed = |method, path| check(&mut policy, method, path).is_ok();
        assert!(allowed("GET", "/api/v1/nodes/node-a"));
        assert!(allowed("POST", "/api/v1/namespaces/default/events"));
        assert!(!allowed("POST", "/api/v1/namespaces/kube-system/events"), "a role counts in its namespace only");
        assert!(!allowed("PATCH", "/api/v1/nodes/node-a/status"), "another verb");
        assert!(!allowed("GET", "/api/v1/nodes"), "list is not get");
        assert!(!allowed("GET", "/api/v1/pods"), "another API group");
        assert!(allowed("GET", "/api/v1/namespaces/default"));
        assert!(!allowed("GET", "/api/v1/namespaces/npd"), "another name");
    }

    #[test]
    fn a_refusal_reads_as_the_real_one() {
        let mut policy = Policy::parse(USER, MANIFEST).unwrap();
        assert_eq!(
            check(&mut policy, "POST", "/api/v1/namespaces/npd/events").unwrap_err(),
            "events is forbidden: User \"system:serviceaccount:npd:npd\" cannot create resource \"events\" in API \
             group \"\" in the namespace \"npd\""
        );
        assert_eq!(
            check(&mut policy, "PATCH", "/api/v1/nodes/node-a/status").unwrap_err(),
            "nodes \"node-a\" is forbidden: User \"system:serviceaccount:npd:npd\" cannot patch resource \
             \"nodes/status\" in API group \"\" at the cluster scope"
        );
    }

    #[test]
    fn a_grant_that_was_not_needed_is_named() {
        let mut policy = Policy::parse(USER, MANIFEST).unwrap();
        check(&mut policy, "GET", "/api/v1/nodes/node-a").unwrap();
        check(&mut policy, "GET", "/api/v1/namespaces/default").unwrap();
        check(&mut policy, "POST", "/api/v1/namespaces/default/events").unwrap();
        assert_eq!(policy.unused(), ["ClusterRole reader: get nodes/status", "Role writer: patch events"]);
    }

    #[test]
    fn a_manifest_that_grants_nothing_is_an_error() {
        let nobody = Policy::parse("system:serviceaccount:npd:other", MANIFEST).unwrap_err();
        assert!(matches!(nobody, RbacError::NothingGranted { .. }), "{nobody}");
        let unbound =
            MANIFEST.replace("name: writer, namespace: default}\nrules", "name: gone, namespace: default}\nrules");
        assert_eq!(
            Policy::parse(USER, &unbound).unwrap_err().to_string(),
            "RoleBinding writer binds Role writer, which is not in the manifest"
        );
        assert!(matches!(Policy::parse(USER, "kind: ["), Err(RbacError::Unreadable(_))));
    }
}
