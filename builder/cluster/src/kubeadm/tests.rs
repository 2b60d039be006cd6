//! Tests of `kubeadm`.
