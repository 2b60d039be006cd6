//! Kernel module indexes: what depmod would write.
