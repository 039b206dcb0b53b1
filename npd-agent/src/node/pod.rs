//! Which pod and container a cgroup belongs to: the kubelet puts both into the path.
//!
//! `/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod<uid with _>.slice/cri-containerd-<id>.scope`
//! with the systemd driver, `/kubepods/burstable/pod<uid>/<id>` with cgroupfs.

use crate::problem::Fields;

/// Adds a cgroup to the fields of a problem, with the pod and the container that its path names. The root cgroup is
/// ignored, since it does not identify an owner, and existing fields are kept.
pub(crate) fn describe(cgroup: &str, fields: &mut Fields) {
    if cgroup == "/" || fields.get("cgroup").is_some() {
        return;
    }
    fields.add("cgroup", cgroup);
    if let Some(uid) = pod_uid(cgroup) {
        fields.add("pod_uid", uid);
    }
    if let Some(id) = container_id(cgroup) {
        fields.add("container_id", id);
    }
}

/// The pod's uid, if the path names one.
#[must_use]
pub(crate) fn pod_uid(cgroup: &str) -> Option<String> {
    cgroup.split('/').rev().find_map(|part| {
        let part = part.strip_suffix(".slice").unwrap_or(part);
        let (before, uid) = part.rsplit_once("pod")?;
        let uid = uid.replace('_', "-");
        ((before.is_empty() || before.ends_with('-')) && is_uid(&uid)).then_some(uid)
    })
}

/// The container's id, if the path names one: 64 hexadecimal digits.
#[must_use]
pub(crate) fn container_id(cgroup: &str) -> Option<&str> {
    cgroup.split('/').rev().find_map(|part| {
        let part = part.strip_suffix(".scope").unwrap_or(part);
        let id = part.rsplit(['-', ':']).next()?;
        (id.len() == 64 && id.bytes().all(|b| b.is_ascii_hexdigit())).then_some(id)
    })
}

/// `8-4-4-4-12` hexadecimal digits, or the 32 of a static pod's config hash.
fn is_uid(uid: &str) -> bool {
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_hexdigit());
    match uid.len() {
        32 => digits(uid),
        36 => uid.split('-').map(str::len).eq([8, 4, 4, 4, 12]) && uid.split('-').all(digits),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
    const UID: &str = "0a1b2c3d-1111-2222-3333-444455556666";

    #[test]
    fn both_drivers_paths_name_pod_and_container() {
        for path in [
            format!(
                "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{}.slice/cri-containerd-{ID}.scope",
                UID.replace('-', "_")
            ),
            format!("/kubepods/besteffort/pod{UID}/{ID}"),
            format!("/kubelet/kubepods/pod{UID}/{ID}/nested"),
            format!("/kubepods-besteffort-pod{}.slice:cri-containerd:{ID}", UID.replace('-', "_"))
                .replacen(".slice:", ".slice/", 1),
        ] {
            assert_eq!(pod_uid(&path).as_deref(), Some(UID), "{path}");
            assert_eq!(container_id(&path), Some(ID), "{path}");
        }
    }

    #[test]
    fn the_root_cgroup_identifies_no_owner() {
        let mut fields = Fields::default();
        describe("/", &mut fields);
        assert!(fields.is_empty());
        describe(&format!("/kubepods/pod{UID}/{ID}"), &mut fields);
        assert_eq!((fields.get("pod_uid"), fields.get("container_id")), (Some(UID), Some(ID)));
    }

    #[test]
    fn other_cgroups_name_no_pod() {
        for path in ["/", "/system.slice/podman.service", "/user.slice/tripod-1", "/machine.slice/libpod-x.scope"] {
            assert_eq!(pod_uid(path), None, "{path}");
            assert_eq!(container_id(path), None, "{path}");
        }
    }
}
