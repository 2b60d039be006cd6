//! What is built in the small world: two profiles on two bases, and a cluster that has a node of each.

use std::fs;
use std::path::Path;

pub(super) const CLUSTER: &str = "\
name = \"mini\"
kubernetes = \"1.36\"
node_cidr = \"192.168.56.0/24\"
pod_cidr = \"10.244.0.0/16\"
service_cidr = \"10.96.0.0/12\"
dns_domain = \"cluster.local\"
cni = \"none\"

[admin]
user = \"admin\"
ssh_keys = [\"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDfQWvZ0ZTg3b0hGNnJ3cWx0c2FtcGxla2V5MDAwMDAw admin@test\"]

[[node]]
name = \"cp1\"
role = \"controlplane\"
profile = \"controlplane-amd64\"
address = \"192.168.56.10\"

[[node]]
name = \"vm01\"
role = \"worker\"
profile = \"vm\"
address = \"192.168.56.11\"

[[node]]
name = \"card01\"
role = \"worker\"
profile = \"card\"
address = \"192.168.56.12\"
";

const NODE: &str = r#"
role = "worker"
overlays = ["host", "node", "worker"]

[kubernetes]
version = "1.36"
pause_image = "registry.k8s.io/pause:3.10.2"

[packages]
install = ["kubeadm={version}", "kubelet={version}"]
hold = ["kube*"]

[image]
slack = "1MiB"

# So that every format can be made of every profile.
[machine]
cpus = 1
memory = "512MiB"
firmware = "efi"
nics = [
  { link = "nat", adapter = "virtio", forwards = [{ name = "ssh", host = 2222, guest = 22 }] },
  { link = "internal", name = "mini", adapter = "virtio" },
]

[repositories.mini]
url = "http://mini.example/debian"
suites = ["/"]
keys = ["mini"]

[keys.mini]
fingerprints = ["0000 0000 0000 0000 0000  0000 0000 0000 0000 0000"]
urls = ["http://mini.example/key.asc"]
"#;

const VM: &str = r#"
summary = "a virtual machine of some MiB"
extends = ["parts/mini"]
base = "bases/mini-vm"

[image]
format = "ova"
disk = "40MiB"

[network]
uplink = "enp0s3"
cluster = "enp0s8"
"#;

const CARD: &str = r#"
summary = "a card of some MiB"
extends = ["parts/mini"]
base = "bases/mini-card"
overlays = ["pi"]

[image]
format = "img"

[boot]
cmdline = ["cgroup_enable=memory"]
config = ["gpu_mem=16"]

[network]
cluster = "eth0"
"#;

const BASE_VM: &str = r#"
summary = "a small base for virtual machines"
arch = "amd64"
codename = "mini"
url = "http://mini.example/images/vm.img"
sums = "SHA256SUMS"
signature = "SHA256SUMS.gpg"
signed_by = ["mini"]
root_label = "mini-root"
seed = "cidata-partition"
"#;

const BASE_CARD: &str = r#"
summary = "a small base for cards"
arch = "amd64"
codename = "mini"
url = "http://mini.example/images/card.img.xz"
sums = "SHA256SUMS"
signature = "SHA256SUMS.gpg"
signed_by = ["mini"]
root_label = "mini-root"
boot_label = "system-boot"
seed = "boot-partition"
"#;

/// Writes the profiles into a folder, beside which they win over the shipped ones.
pub(super) fn write(folder: &Path) {
    for (name, text) in [
        ("vm", VM),
        ("card", CARD),
        ("parts/mini", NODE),
        ("bases/mini-vm", BASE_VM),
        ("bases/mini-card", BASE_CARD),
    ] {
        let path = folder.join("profiles").join(format!("{name}.toml"));
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, text.trim_start()).expect("a file");
    }
}
