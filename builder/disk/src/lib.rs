//! Partition tables, disk containers in and out: GPT, MBR, qcow2, VMDK, compressed raw.
