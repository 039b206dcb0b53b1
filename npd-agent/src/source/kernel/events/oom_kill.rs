//! Whose memory ran out, in the kernel's own words: the line that it prints before `Killed process`.
//!
//! Linux 5.0 and later: `oom-kill:constraint=…,task_memcg=/…,task=…,pid=…,uid=…`. /proc may be too late for this: on
//! cgroup v1 a task that is exiting is shown in `/`.

use crate::{node::pod, problem::Fields};

/// The start of such a line.
pub(crate) const MARK: &str = "oom-kill:constraint=";

/// The content of such a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OomKill {
    /// The victim, as in the line that follows.
    pub pid: u32,
    cgroup: String,
}

// === impl OomKill ===

impl OomKill {
    /// Parses a line; `None` if it is another one.
    #[must_use]
    pub(crate) fn of_line(text: &str) -> Option<Self> {
        let (_, rest) = text.strip_prefix(MARK)?.split_once(",task_memcg=")?;
        // The cgroup's path and the task's name may both contain commas.
        let (rest, pid) = rest.rsplit_once(",pid=")?;
        let (cgroup, _) = rest.split_once(",task=")?;
        let pid = pid.split(',').next()?.parse().ok()?;
        Some(Self { pid, cgroup: cgroup.to_owned() })
    }

    /// Adds the pod and container to the fields of the victim's problem, unless they are there already.
    pub(crate) fn complete(&self, fields: &mut Fields) {
        pod::describe(&self.cgroup, fields);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=/kubepods/pod0a1b2c3d-1111-2222-3333-444455556666,task_memcg=/kubepods/pod0a1b2c3d-1111-2222-3333-444455556666/9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08,task=java,x=1,pid=4711,uid=0";

    #[test]
    fn the_line_names_the_victims_pod_and_container() {
        let oom = OomKill::of_line(LINE).unwrap();
        assert_eq!(oom.pid, 4711);
        let mut fields = Fields::default();
        oom.complete(&mut fields);
        assert_eq!(fields.get("pod_uid"), Some("0a1b2c3d-1111-2222-3333-444455556666"));
        assert_eq!(
            fields.get("container_id"),
            Some("9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")
        );
    }

    #[test]
    fn what_is_known_already_stays() {
        let mut fields = Fields::default();
        pod::describe("/system.slice/x.service", &mut fields);
        OomKill::of_line(LINE).unwrap().complete(&mut fields);
        assert_eq!(fields.to_string(), "cgroup=/system.slice/x.service");
    }

    #[test]
    fn other_lines_are_none() {
        for line in [
            "",
            "oom-kill:constraint=CONSTRAINT_NONE",
            "oom-kill:constraint=CONSTRAINT_NONE,task_memcg=/,task=a,pid=x,uid=0",
            "x oom-kill:constraint=A,task_memcg=/,task=a,pid=1,uid=0",
        ] {
            assert_eq!(OomKill::of_line(line), None, "{line}");
        }
    }
}
