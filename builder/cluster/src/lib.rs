//! The cluster as a file: nodes, PKI, kubeadm configuration, seeds.
