//! The capabilities that the agent uses, if they are permitted but not effective.
//!
//! That is how a user other than root gets them from the executable (`setcap cap_bpf,cap_perfmon,cap_syslog=p`). With the file's
//! effective bit, exec(2) would fail if any one of them is not allowed; without it, the program starts with those that are. Its
//! children get none of them: they are neither inheritable nor ambient, and from then on no executable grants any, not even the
//! agent's own.

use rustix::{
    io,
    thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities, set_no_new_privs},
};

/// What the probes, /dev/kmsg, and other users' logs and tracefs require.
const USED: CapabilitySet =
    CapabilitySet::BPF.union(CapabilitySet::PERFMON).union(CapabilitySet::SYSLOG).union(CapabilitySet::DAC_READ_SEARCH);

/// Makes the permitted capabilities that the agent uses effective, for the calling thread and the threads that it starts later.
pub fn raise() -> io::Result<()> {
    match raised(capabilities(None)?) {
        Some(sets) => {
            set_capabilities(None, sets)?;
            set_no_new_privs(true)
        }
        None => Ok(()),
    }
}

/// The sets to switch to; `None` if nothing needs to change.
fn raised(sets: CapabilitySets) -> Option<CapabilitySets> {
    let effective = sets.effective | (sets.permitted & USED);
    (effective != sets.effective).then_some(CapabilitySets { effective, ..sets })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sets(effective: CapabilitySet, permitted: CapabilitySet) -> CapabilitySets {
        CapabilitySets { effective, permitted, inheritable: CapabilitySet::empty() }
    }

    #[test]
    fn permitted_capabilities_that_are_used_become_effective_and_no_others() {
        let permitted = CapabilitySet::BPF | CapabilitySet::SYSLOG | CapabilitySet::SYS_ADMIN;
        let raised = raised(sets(CapabilitySet::empty(), permitted)).unwrap();
        assert_eq!(raised.effective, CapabilitySet::BPF | CapabilitySet::SYSLOG);
        assert_eq!((raised.permitted, raised.inheritable), (permitted, CapabilitySet::empty()));
    }

    #[test]
    fn nothing_changes_if_all_are_effective_or_none_is_permitted() {
        assert!(raised(sets(CapabilitySet::all(), CapabilitySet::all())).is_none());
        assert!(raised(sets(CapabilitySet::empty(), CapabilitySet::KILL)).is_none());
    }
}
