//! What was typed. Nothing here decides anything: [`crate::run`] turns it into plain arguments of the core.

use clap::{Args, Parser, Subcommand, ValueEnum};
use nodeimg::emit::Hashing;
use std::path::PathBuf;

/// Builds immutable Kubernetes node images: SD cards for Raspberry Pis, appliances for VirtualBox.
///
/// No root, no loop device, no virtual machine: base image and packages are downloaded, verified, taken apart and put
/// together by this process alone. The same lock gives the same bytes.
#[derive(Debug, Parser)]
#[command(name = "nodeimg", version, max_term_width = 100, arg_required_else_help = true, after_help = EXAMPLES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    #[command(flatten)]
    pub(crate) global: Global,
}

const EXAMPLES: &str = "\
Examples:
  nodeimg cluster init home                     make cluster.toml and the cluster's secrets
  nodeimg build --cluster cluster.toml          an image for each role, and a seed for each node
  nodeimg build --profile worker-arm64          an SD-card image, out/worker-arm64.img
  nodeimg build --profile worker-amd64          a VirtualBox appliance, out/worker-amd64.ova
  nodeimg build --profile controlplane-amd64 --format qcow2 --format raw
  nodeimg plan --profile worker-arm64           every step of that build, nothing built
  nodeimg show out/worker-arm64.img:/etc/containerd/config.toml

Exit codes: 0 done, 1 the input is wrong, 2 the world failed (network, disk), 101 a bug.";

#[derive(Debug, Args)]
pub(crate) struct Global {
    /// Folder of verified downloads [default: $XDG_CACHE_HOME/nodeimg]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) cache: Option<PathBuf>,
    /// Use the cache alone; refuse the network
    #[arg(long, global = true)]
    pub(crate) offline: bool,
    /// Fetch what is below the URL FROM from TO instead, a URL or a folder
    #[arg(long, global = true, value_name = "FROM=TO")]
    pub(crate) mirror: Vec<String>,
    /// Trust the keys of FILE as key NAME instead of the shipped fingerprints, for a mirror that signs for itself
    #[arg(long, global = true, value_name = "NAME=FILE")]
    pub(crate) key: Vec<String>,
    /// Take the passphrase of a cluster's secrets from the first line of FILE, instead of asking for it
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// Print events and results as JSON lines on standard output
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Threads to use [default: one a processor]
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=512))]
    pub(crate) jobs: Option<u16>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Build an image, and lock its inputs first if there is no lock
    Build(Build),
    /// Print every step of a build
    Plan(Select),
    /// Print what is in an image: partitions, files with the layer each came from, or one file's bytes
    Show(Show),
    /// Fill the cache with everything a build needs
    Fetch(Select),
    /// List the profiles, or print one with all it extends
    Profiles(Profiles),
    /// Make and check the file that describes a cluster
    Cluster(Cluster),
    /// Check that a running cluster works: API, etcd, nodes, and pods that call each other
    VerifyCluster(VerifyCluster),
}

#[derive(Debug, Args)]
pub(crate) struct Select {
    /// What to build: a file of profiles/ without `.toml`
    #[arg(long, short, value_name = "NAME")]
    pub(crate) profile: Option<String>,
    /// The lock [default: locks/<profile>.lock]; made if it does not exist
    #[arg(long, value_name = "FILE")]
    pub(crate) lock: Option<PathBuf>,
    /// The cluster the node belongs to [default: cluster.toml, if it exists]
    #[arg(long, value_name = "FILE")]
    pub(crate) cluster: Option<PathBuf>,
    /// Which of the cluster's nodes this is, where several have the profile; without --profile, may be given often
    #[arg(long, value_name = "NAME")]
    pub(crate) node: Vec<String>,
    /// A public key that may log in, or a file of such keys; may be given often
    #[arg(long, value_name = "KEY|FILE")]
    pub(crate) ssh_key: Vec<String>,
}

#[derive(Debug, Args)]
#[command(after_help = FLEET)]
pub(crate) struct Build {
    #[command(flatten)]
    pub(crate) select: Select,
    /// Without --profile: what is made of each node
    #[arg(long, value_enum, default_value_t = PerNode::Seed, value_name = "WHAT")]
    pub(crate) per_node: PerNode,
    /// What to write, several if given often [default: the profile's]
    #[arg(long, short, value_enum, value_name = "FORMAT")]
    pub(crate) format: Vec<FormatArg>,
    /// Hash raw and img files whole too, holes included, into FILE.sha256: 0.7 s a GiB. Their block map has a SHA-256 of
    /// each range of data in any case
    #[arg(long)]
    pub(crate) sha256: bool,
    /// Folder of the artifacts
    #[arg(long, short, default_value = "out", value_name = "DIR")]
    pub(crate) out: PathBuf,
}

impl Build {
    /// Returns what is hashed of a disk that is written as its own bytes.
    pub(crate) fn hashing(&self) -> Hashing {
        if self.sha256 {
            Hashing::Whole
        } else {
            Hashing::Data
        }
    }
}

const FLEET: &str = "\
Without --profile, all nodes of the cluster are built, or those named by --node. An image is large and the same for all
nodes of a profile, so each is built once and holds no secret; what makes it a node is its seed, a few kilobytes:

  Raspberry Pi   flash OUT/PROFILE.img, then copy OUT/seeds/NODE/* onto the card's partition system-boot
  VirtualBox     import OUT/PROFILE.ova once a node, then attach OUT/seeds/NODE.vmdk (it needs NODE.img beside it):
                   VBoxManage storagectl VM --name SATA --portcount 2
                   VBoxManage storageattach VM --storagectl SATA --port 1 --type hdd --medium OUT/seeds/NODE.vmdk
  QEMU           -drive file=OUT/seeds/NODE.img,format=raw,if=virtio beside the node's disk

--per-node image writes a whole artifact for each node instead, its seed inside; --per-node only-seed leaves the images out,
for a change of the cluster's file after they were built. --per-node table puts the seeds of all nodes of a profile into its
image: cards are flashed alike, and each Pi takes its own by the `mac` or `serial` that cluster.toml gives, and wipes the
others. Such an image is as secret as all its seeds together. Seeds hold secrets: they are 0600, and who has one is that node.";

/// What is made of each node of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PerNode {
    /// Its seed, beside one image for each profile
    Seed,
    /// A whole image
    Image,
    /// Its seed, and no image
    OnlySeed,
    /// An entry in its profile's image, which finds out by MAC address or serial number which node it is (Raspberry Pi)
    Table,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum FormatArg {
    /// VirtualBox appliance
    Ova,
    /// streamOptimized VMDK
    Vmdk,
    /// Compressed qcow2
    Qcow2,
    /// Disk with holes
    Raw,
    /// Disk with holes, and its block map
    Img,
    /// Disk compressed with zstd, and its block map
    #[value(name = "img.zst")]
    ImgZst,
    /// Disk compressed with xz, and its block map
    #[value(name = "img.xz")]
    ImgXz,
}

#[derive(Debug, Args)]
pub(crate) struct Show {
    /// An image in any format nodeimg reads or writes, with `:PATH` for what is at a path in it
    #[arg(value_name = "IMAGE[:PATH]")]
    pub(crate) what: String,
    /// The partition to look into, by number or label [default: the root file system]
    #[arg(long, value_name = "PARTITION")]
    pub(crate) partition: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Profiles {
    /// Print this one
    pub(crate) name: Option<String>,
}

#[derive(Debug, Args)]
#[command(after_help = VERIFY)]
pub(crate) struct VerifyCluster {
    /// How to reach it: what `nodeimg cluster export-kubeconfig` writes
    #[arg(value_name = "KUBECONFIG")]
    pub(crate) kubeconfig: PathBuf,
    /// Look only; start no pods
    #[arg(long)]
    pub(crate) read_only: bool,
    /// The cluster's file: its nodes with a kubelet must all have joined [default: cluster.toml, if it exists]
    #[arg(long, value_name = "FILE")]
    pub(crate) cluster: Option<PathBuf>,
    /// What the pods run: agnhost, from a registry of your own
    #[arg(long, value_name = "IMAGE", default_value = nodeimg::health::PROBE_IMAGE)]
    pub(crate) image: String,
    /// Seconds to wait for the pods
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    pub(crate) timeout: u64,
}

const VERIFY: &str = "\
A pod is started on every node, in a namespace that is removed afterwards. Each calls the next node's pod by its address (the
pods' network) and all of them by name (DNS, services). Exit code 0 if all is well, 2 if something is not.

  nodeimg cluster export-kubeconfig --out admin.conf && nodeimg verify-cluster admin.conf";

#[derive(Debug, Args)]
pub(crate) struct Cluster {
    #[command(subcommand)]
    pub(crate) command: ClusterCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ClusterCommand {
    /// Make cluster.toml and a folder of secrets
    Init {
        /// The cluster's name
        #[arg(default_value = "home")]
        name: String,
        /// The file to make; one that exists is kept, and its secrets are made if they are missing
        #[arg(long, default_value = "cluster.toml", value_name = "FILE")]
        file: PathBuf,
        /// Keep the secrets under a passphrase; those that are there in plain are sealed
        #[arg(long)]
        encrypt: bool,
    },
    /// Check cluster.toml and print what is in it
    Check(ClusterFile),
    /// Draw the cluster: its tiers, nodes and ports
    Show {
        #[command(flatten)]
        file: ClusterFile,
        /// Draw as SVG
        #[arg(long, conflicts_with = "mermaid")]
        svg: bool,
        /// Draw as a Mermaid flowchart
        #[arg(long)]
        mermaid: bool,
    },
    /// List the nodes' join tokens, or make a lost node's worthless
    Token {
        #[command(subcommand)]
        command: TokenCommand,
    },
    /// Print a kubeconfig with full rights, valid for a year from now
    ExportKubeconfig {
        #[command(flatten)]
        file: ClusterFile,
        /// Write it into this file, 0600, instead of printing it
        #[arg(long, short, value_name = "FILE")]
        out: Option<PathBuf>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// List each node's token by its public half, and how long it is accepted
    List(ClusterFile),
    /// Make a node's own secrets anew, so that what its lost card holds is worthless
    Revoke {
        /// The node
        node: String,
        #[command(flatten)]
        file: ClusterFile,
    },
    /// Print the tokens as a manifest, for a cluster that is up and does not know them yet
    Manifest(ClusterFile),
}

#[derive(Debug, Args)]
pub(crate) struct ClusterFile {
    /// The cluster's file
    #[arg(long, default_value = "cluster.toml", value_name = "FILE")]
    pub(crate) file: PathBuf,
}

impl From<FormatArg> for nodeimg::profile::Format {
    fn from(it: FormatArg) -> Self {
        match it {
            FormatArg::Ova => Self::Ova,
            FormatArg::Vmdk => Self::Vmdk,
            FormatArg::Qcow2 => Self::Qcow2,
            FormatArg::Raw => Self::Raw,
            FormatArg::Img => Self::Img,
            FormatArg::ImgZst => Self::ImgZst,
            FormatArg::ImgXz => Self::ImgXz,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }
}
