//! The tables of what is set up beside kubeadm: networks of pods, load balancers, manifests, MetalLB, NFS, step-ca, routes.

use core::net::Ipv4Addr;
use std::num::NonZeroU32;

use toml::Spanned;

use super::kubeadm::word;
use super::tables::{
    CaTable, CalicoTable, LoadBalancerTable, ManifestTable, MetalLbTable, RouteTable, StorageTable,
};
use super::{At, Reader, suggest};
use crate::error::Fault;
use crate::source::local_path;
use crate::{
    AddressRange, Announce, AsNumber, Bgp, Ca, Calico, Cidr, Cni, Encapsulation, Keeper, Manifest,
    ManifestSource, MetalLb, Route, Stage, Storage, net,
};

const CNIS: &[&str] = &["none", "calico", "flannel", "cilium"];

/// `[loadbalancer]` as far as it could be read.
pub(super) struct DraftBalancer {
    pub(super) virtual_address: Option<At<Ipv4Addr>>,
    /// Who holds the virtual address, with the default where nothing is said; `None` where the word is wrong.
    pub(super) keeper: Option<Keeper>,
    pub(super) metrics_port: u16,
}

/// A manifest and where its table stands.
pub(super) struct DraftManifest {
    pub(super) name: At<crate::ManifestName>,
    pub(super) manifest: Manifest,
}

/// A route as far as it could be read.
pub(super) struct DraftRoute {
    pub(super) to: At<Cidr>,
    pub(super) via: At<Ipv4Addr>,
}

impl DraftRoute {
    pub(super) fn finish(&self) -> Route {
        Route {
            to: self.to.value,
            via: self.via.value,
        }
    }
}

impl Reader<'_> {
    pub(super) fn cni(
        &mut self,
        text: Option<&Spanned<String>>,
        table: Option<&Spanned<CalicoTable>>,
    ) -> Option<Cni> {
        let word = match text {
            Some(text) => self.value("cni", text, known_cni).map(|it| it.value)?,
            None => "none",
        };
        if let Some(table) = table.filter(|_| word != "calico") {
            let what = format!("[calico] is set, but `cni` is \"{word}\"");
            self.report(
                &table.span(),
                Fault::new(what, "write cni = \"calico\", or remove the table"),
            );
        }
        Some(match word {
            "calico" => Cni::Calico(self.calico(table.map(Spanned::get_ref))?),
            "flannel" => Cni::Flannel,
            "cilium" => Cni::Cilium,
            _ => Cni::None,
        })
    }

    fn calico(&mut self, table: Option<&CalicoTable>) -> Option<Calico> {
        let given = table.and_then(|it| it.encapsulation.as_ref());
        let encapsulation = match given {
            Some(text) => {
                let read = |text: &str| {
                    word(
                        "encapsulation",
                        text,
                        &Encapsulation::ALL,
                        Encapsulation::as_str,
                    )
                };
                self.value("encapsulation", text, read)?.value
            }
            None => Encapsulation::VxlanCrossSubnet,
        };
        let number = table.and_then(|it| it.as_number.as_ref());
        let as_number = match number {
            Some(it) => Some(self.as_number("as_number", it)?),
            None => None,
        };
        // Whoever names an autonomous system, or an encapsulation that needs one, wants BGP.
        let wanted = encapsulation.needs_bgp() || as_number.is_some();
        let bgp = table.and_then(|it| it.bgp).unwrap_or(wanted);
        if !bgp && wanted {
            let what = if as_number.is_some() {
                "`as_number` is set, but `bgp` is false".to_owned()
            } else {
                format!(
                    "encapsulation \"{}\" needs BGP, but `bgp` is false",
                    encapsulation.as_str()
                )
            };
            let span = number.map(Spanned::span).or(given.map(Spanned::span));
            self.report(
                &span.unwrap_or_default(),
                Fault::new(what, "write bgp = true, or use encapsulation \"VXLAN\""),
            );
            return None;
        }
        Some(Calico {
            encapsulation,
            bgp: if bgp {
                Bgp::Enabled(as_number)
            } else {
                Bgp::Disabled
            },
        })
    }

    fn as_number(&mut self, key: &str, number: &Spanned<u32>) -> Option<AsNumber> {
        let res = NonZeroU32::new(*number.get_ref()).map(AsNumber);
        if res.is_none() {
            let what = format!("`{key}`: 0 is no autonomous system");
            self.report(
                &number.span(),
                Fault::new(what, "use a private number, 64512 to 65534"),
            );
        }
        res
    }

    pub(super) fn balancer(
        &mut self,
        table: Option<&LoadBalancerTable>,
        has_nodes: bool,
    ) -> DraftBalancer {
        let Some(table) = table else {
            return DraftBalancer {
                virtual_address: None,
                keeper: None,
                metrics_port: METRICS_PORT,
            };
        };
        let virtual_address = table
            .virtual_address
            .as_ref()
            .and_then(|it| self.value("virtual_address", it, net::ipv4));
        let word = match &table.keeper {
            Some(it) => self.value("keeper", it, keeper).map(|it| it.value),
            // Without machines for it, only the control planes themselves can hold the address.
            None if has_nodes => Some("keepalived"),
            None => Some("kube-vip"),
        };
        let metrics_port = table.metrics_port.as_ref().map_or(METRICS_PORT, |it| {
            if *it.get_ref() == 0 {
                let fault = Fault::new("`metrics_port`: 0 is no port", "use 8405");
                self.report(&it.span(), fault);
            }
            *it.get_ref()
        });
        DraftBalancer {
            keeper: self.keeper(word, virtual_address.as_ref(), table),
            virtual_address,
            metrics_port,
        }
    }

    fn keeper(
        &mut self,
        word: Option<&str>,
        address: Option<&At<Ipv4Addr>>,
        table: &LoadBalancerTable,
    ) -> Option<Keeper> {
        if word? == "keepalived" {
            let router_id = table
                .router_id
                .as_ref()
                .map_or(DEFAULT_ROUTER_ID, |it| *it.get_ref());
            if router_id == 0 {
                let span = table.router_id.as_ref().map(Spanned::span);
                let fault = Fault::new("`router_id`: 0 is no group of VRRP", "use 1 to 255");
                self.report(&span.unwrap_or_default(), fault);
                return None;
            }
            return Some(Keeper::Keepalived { router_id });
        }
        let address = address?;
        let Some(named) = &table.kube_vip_image else {
            let what = format!(
                "`virtual_address` {} is kept by kube-vip, but no `kube_vip_image` is named",
                address.value
            );
            let help = "write kube_vip_image = \"ghcr.io/kube-vip/kube-vip:VERSION\", or add nodes with role = \"loadbalancer\" for keepalived";
            self.report(&address.span, Fault::new(what, help));
            return None;
        };
        self.value("kube_vip_image", named, image)
            .map(|it| Keeper::KubeVip { image: it.value })
    }

    pub(super) fn manifests(&mut self, tables: &[Spanned<ManifestTable>]) -> Vec<DraftManifest> {
        let mut res: Vec<DraftManifest> =
            tables.iter().filter_map(|it| self.manifest(it)).collect();
        // Stable: within a stage the order is the file's.
        res.sort_by_key(|it| it.manifest.stage);
        res
    }

    fn manifest(&mut self, table: &Spanned<ManifestTable>) -> Option<DraftManifest> {
        let span = table.span();
        let table = table.get_ref();
        let name: Option<At<crate::ManifestName>> = self.value("name", &table.name, |text| {
            if text.starts_with("nodeimg-") {
                let what = format!("`{text}` is a name of nodeimg's own manifests");
                return Err(Fault::new(
                    what,
                    "choose one that does not begin with nodeimg-",
                ));
            }
            text.parse()
        });
        let stage = match &table.stage {
            Some(it) => self
                .value("stage", it, |text| {
                    word("stage", text, &Stage::ALL, Stage::as_str)
                })
                .map(|it| it.value),
            None => Some(Stage::Addons),
        };
        let source = match (&table.url, &table.sha256, &table.file) {
            (Some(url), Some(sha256), None) => {
                let url = self.value("url", url, str::parse);
                let sha256 = self.value("sha256", sha256, str::parse);
                url.zip(sha256).map(|(url, sha256)| ManifestSource::Remote {
                    url: url.value,
                    sha256: sha256.value,
                })
            }
            (None, None, Some(file)) => self
                .value("file", file, local_path)
                .map(|it| ManifestSource::Local { path: it.value }),
            (Some(_), None, None) => {
                let help =
                    "download it, look at it, and add what `sha256sum` prints as sha256 = \"…\"";
                self.report(
                    &span,
                    Fault::new("a manifest by `url` without `sha256`", help),
                );
                None
            }
            _ => {
                let what = "a manifest is either `url` and `sha256`, or `file`";
                self.report(&span, Fault::new(what, "keep one of the two"));
                None
            }
        };
        let name = name?;
        Some(DraftManifest {
            manifest: Manifest {
                name: name.value.clone(),
                stage: stage?,
                source: source?,
            },
            name,
        })
    }

    pub(super) fn metallb(&mut self, table: &Spanned<MetalLbTable>) -> Option<MetalLb> {
        let span = table.span();
        let table = table.get_ref();
        let addresses = self.list("addresses", &table.addresses, range);
        if table.addresses.is_empty() {
            let help = "write ranges such as \"10.4.11.0-10.4.15.254\" or networks such as \"10.4.11.0/24\"";
            self.report(&span, Fault::new("[metallb] has no `addresses`", help));
        }
        let mode = match &table.mode {
            Some(it) => self.value("mode", it, metallb_mode)?.value,
            None => "l2",
        };
        let own = table
            .as_number
            .as_ref()
            .map(|it| self.as_number("as_number", it));
        let peers = table
            .peer_as_number
            .as_ref()
            .map(|it| self.as_number("peer_as_number", it));
        let peer = table
            .peer_address
            .as_ref()
            .map(|it| self.value("peer_address", it, net::ipv4));
        let announce = match (mode, own, peers, peer) {
            ("l2", None, None, None) => Announce::Layer2,
            ("bgp", Some(own), Some(peers), Some(peer)) => Announce::Bgp {
                as_number: own?,
                peer_address: peer?.value,
                peer_as_number: peers?,
            },
            ("l2", ..) => {
                let help = "write mode = \"bgp\", or remove `as_number`, `peer_address` and `peer_as_number`";
                let what = "[metallb] names a BGP peer, but its `mode` is \"l2\"";
                self.report(&span, Fault::new(what, help));
                return None;
            }
            _ => {
                let what = "[metallb] with mode \"bgp\" lacks its peer";
                let help = "write `as_number`, `peer_address` and `peer_as_number`";
                self.report(&span, Fault::new(what, help));
                return None;
            }
        };
        Some(MetalLb {
            addresses,
            announce,
        })
    }

    /// A machine for storage has a folder to share even where none is named.
    pub(super) fn storage(
        &mut self,
        table: Option<&Spanned<StorageTable>>,
        has_nodes: bool,
    ) -> Storage {
        let exports = match table {
            Some(it) => self.list("exports", &it.get_ref().exports, str::parse),
            None if has_nodes => vec!["/srv/nfs".parse().expect("a literal path")],
            None => Vec::new(),
        };
        Storage { exports }
    }

    pub(super) fn ca(&mut self, table: Option<&Spanned<CaTable>>) -> Ca {
        let names = table.map(|it| self.list("dns_names", &it.get_ref().dns_names, str::parse));
        Ca {
            dns_names: names.unwrap_or_default(),
        }
    }

    pub(super) fn routes(&mut self, tables: &[RouteTable]) -> Vec<DraftRoute> {
        let read = |table: &RouteTable| {
            let to = self.value("to", &table.to, str::parse);
            let via = self.value("via", &table.via, net::ipv4);
            Some(DraftRoute { to: to?, via: via? })
        };
        tables.iter().filter_map(read).collect()
    }
}

/// The port on which HAProxy's metrics are looked for.
const METRICS_PORT: u16 = 8405;
/// VRRP's group where none is named.
const DEFAULT_ROUTER_ID: u8 = 51;

fn known_cni(text: &str) -> Result<&'static str, Fault> {
    CNIS.iter()
        .copied()
        .find(|it| *it == text)
        .ok_or_else(|| suggest::one_of("CNI", text, CNIS))
}

fn keeper(text: &str) -> Result<&'static str, Fault> {
    const KNOWN: [&str; 2] = ["keepalived", "kube-vip"];
    word("keeper", text, &KNOWN, |it| it)
}

fn metallb_mode(text: &str) -> Result<&'static str, Fault> {
    word("mode", text, &["l2", "bgp"], |it| it)
}

fn image(text: &str) -> Result<String, Fault> {
    let plain = |it: u8| it.is_ascii_alphanumeric() || b"-_./:@".contains(&it);
    let tagged = text
        .rsplit('/')
        .next()
        .is_some_and(|it| it.contains([':', '@']));
    if tagged && text.bytes().all(plain) && !text.ends_with(":latest") && text.len() <= 255 {
        return Ok(text.to_owned());
    }
    Err(Fault::new(
        format!("`{text}` is not an image with a version"),
        "write it with its tag or digest, such as registry.example.org/name:v1.2.3",
    ))
}

fn range(text: &str) -> Result<AddressRange, Fault> {
    if let Ok(cidr) = text.parse::<Cidr>() {
        return Ok(AddressRange {
            first: cidr.network(),
            last: cidr.broadcast(),
        });
    }
    let ends = text.split_once('-').and_then(|(first, last)| {
        Some(AddressRange {
            first: first.trim().parse().ok()?,
            last: last.trim().parse().ok()?,
        })
    });
    match ends {
        Some(it) if it.first <= it.last => Ok(it),
        _ => Err(Fault::new(
            format!("`{text}` is not a range of addresses"),
            "write the first and the last such as 10.4.11.0-10.4.15.254, or a network such as 10.4.11.0/24",
        )),
    }
}
