#![no_std]
//! The binary interface between the eBPF probes (`npd-ebpf`) and the agent that loads them.
