//! The capabilities that the agent uses, where they are permitted but not in effect.
//!
//! That is how a user other than root gets them from the program's file (`setcap cap_bpf,cap_perfmon,cap_syslog=p`). With the
//! file's effective bit exec(2) would fail wherever one of them is not allowed; without it the program starts and has what is
//! left. What it starts gets nothing of them: they are neither inheritable nor ambient, and from then on no program's file gives
//! any, not even the agent's own.

use rustix::{
    io,
    thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities, set_no_new_privs},
};

/// What the probes, /dev/kmsg, and logs and tracefs of others ask for.
const USED: CapabilitySet =
    CapabilitySet::BPF.union(CapabilitySet::PERFMON).union(CapabilitySet::SYSLOG).union(CapabilitySet::DAC_READ_SEARCH);

/// Brings into effect what is permitted and used. It is for the calling thread and those that it starts from now on.
pub fn raise() -> io::Result<()> {
    match raised(capabilities(None)?) {
        Some(sets) => {
            set_capabilities(None, sets)?;
            set_no_new_privs(true)
        }
        None => Ok(()),
    }
}

/// Nothing when all is as it should be.
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
    fn what_is_permitted_and_used_comes_into_effect_and_nothing_else() {
        let permitted = CapabilitySet::BPF | CapabilitySet::SYSLOG | CapabilitySet::SYS_ADMIN;
        let raised = raised(sets(CapabilitySet::empty(), permitted)).unwrap();
        assert_eq!(raised.effective, CapabilitySet::BPF | CapabilitySet::SYSLOG);
        assert_eq!((raised.permitted, raised.inheritable), (permitted, CapabilitySet::empty()));
    }

    #[test]
    fn who_has_all_in_effect_or_nothing_permitted_is_left_alone() {
        assert!(raised(sets(CapabilitySet::all(), CapabilitySet::all())).is_none());
        assert!(raised(sets(CapabilitySet::empty(), CapabilitySet::KILL)).is_none());
    }
}
