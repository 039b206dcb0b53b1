//! A pod's container, run on this machine as a node would run it.
//!
//! The kubelet and containerd make an OCI runtime bundle of a pod and an image: the command, the capabilities, the mounts, the devices that
//! the container may use, the paths that it may not see. The same is made here of a DaemonSet or Pod as it is applied, and run by runc or
//! crun. The kernel then says whether what the manifest asks for is enough.
//!
//! Not in here: limits of resources, probes, init containers, and what a network plugin does. A container without `hostNetwork` has a
//! network namespace with a loop-back interface only.

mod bundle;
mod image;
mod pod;
mod running;
mod security;
mod volume;

pub use self::{image::Image, pod::Pod, running::Container};
