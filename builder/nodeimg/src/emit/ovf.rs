//! The OVF descriptor of a virtual machine with one disk.
//!
//! DMTF DSP0243 1.1 (OVF 1.0 envelope): items that make sense to any reader, and VirtualBox's own `vbox:Machine` beside
//! them, which alone carries firmware, graphics, serial port, paravirtualisation and port forwards. No licence, no serial
//! item and no second disk: readers stumble over them. Decides nothing: identifiers, addresses and time are given.

use crate::profile::{Adapter, Firmware, Link, Nic};
use cluster::Mac;
use quick_xml::escape::escape;
use std::fmt::Write as _;

/// The settings version that VirtualBox 6.0 and everything after it reads in this layout.
const SETTINGS_VERSION: &str = "1.16-linux";
/// VirtualBox's and CIM's names of a 64-bit Ubuntu.
const OS_TYPE: &str = "Ubuntu_64";
const OS_ID: u32 = 94;

/// A virtual machine, as its descriptor tells it.
#[derive(Clone, Debug)]
pub(crate) struct Appliance<'a> {
    /// The machine's name.
    pub(crate) name: &'a str,
    /// One line for people.
    pub(crate) description: &'a str,
    /// The machine's UUID, in text.
    pub(crate) uuid: &'a str,
    /// When it was made, as in `2026-11-23T14:50:04Z`.
    pub(crate) time: &'a str,
    /// Processors.
    pub(crate) cpus: u32,
    /// Memory in MiB.
    pub(crate) memory_mib: u64,
    /// Firmware.
    pub(crate) firmware: Firmware,
    /// Network cards, each with its address.
    pub(crate) cards: Vec<Card<'a>>,
    /// The disk.
    pub(crate) disk: Disk<'a>,
}

/// A network card and its MAC address.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Card<'a> {
    pub(crate) nic: &'a Nic,
    pub(crate) mac: Mac,
}

/// The disk's file and size.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Disk<'a> {
    /// The VMDK's file name.
    pub(crate) file: &'a str,
    /// The VMDK's size in bytes.
    pub(crate) file_bytes: u64,
    /// The disk's size in bytes, as the VMDK's header has it.
    pub(crate) capacity_bytes: u64,
    /// The disk's UUID in text, as the VMDK has it.
    pub(crate) uuid: &'a str,
}

/// Returns the descriptor's text, which ends with a newline.
pub(crate) fn text(appliance: &Appliance<'_>) -> String {
    let name = escape(appliance.name);
    let mut out = String::from("<?xml version=\"1.0\"?>\n");
    line(&mut out, &envelope());
    line(&mut out, &references(&appliance.disk));
    line(&mut out, &networks(&appliance.cards));
    line(
        &mut out,
        &format!(
            "  <VirtualSystem ovf:id=\"{name}\">\n    <Info>A virtual machine</Info>\n    <Name>{name}</Name>"
        ),
    );
    let description = escape(appliance.description);
    line(
        &mut out,
        &format!(
            "    <AnnotationSection>\n      <Info>A human-readable annotation</Info>\n      \
         <Annotation>{description}</Annotation>\n    </AnnotationSection>"
        ),
    );
    line(
        &mut out,
        &format!(
            "    <OperatingSystemSection ovf:id=\"{OS_ID}\">\n      <Info>The kind of installed guest operating system</Info>\n      \
         <Description>{OS_TYPE}</Description>\n      <vbox:OSType ovf:required=\"false\">{OS_TYPE}</vbox:OSType>\n    \
         </OperatingSystemSection>"
        ),
    );
    line(&mut out, &hardware(appliance, &name));
    line(&mut out, &machine(appliance, &name));
    out.push_str("  </VirtualSystem>\n</Envelope>\n");
    out
}

fn line(out: &mut String, text: &str) {
    out.push_str(text);
    out.push('\n');
}

fn envelope() -> String {
    let cim = "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2";
    format!(
        "<Envelope ovf:version=\"1.0\" xml:lang=\"en-US\" xmlns=\"http://schemas.dmtf.org/ovf/envelope/1\" \
         xmlns:ovf=\"http://schemas.dmtf.org/ovf/envelope/1\" \
         xmlns:rasd=\"{cim}/CIM_ResourceAllocationSettingData\" xmlns:vssd=\"{cim}/CIM_VirtualSystemSettingData\" \
         xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xmlns:vbox=\"http://www.virtualbox.org/ovf/machine\">"
    )
}

fn references(disk: &Disk<'_>) -> String {
    let Disk {
        file_bytes,
        capacity_bytes,
        uuid,
        ..
    } = disk;
    let file = escape(disk.file);
    format!(
        "  <References>\n    <File ovf:id=\"file1\" ovf:href=\"{file}\" ovf:size=\"{file_bytes}\"/>\n  </References>\n  \
         <DiskSection>\n    <Info>List of the virtual disks used in the package</Info>\n    \
         <Disk ovf:capacity=\"{capacity_bytes}\" ovf:diskId=\"vmdisk1\" ovf:fileRef=\"file1\" \
         ovf:format=\"http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized\" vbox:uuid=\"{uuid}\"/>\n  \
         </DiskSection>"
    )
}

/// Returns the name by which importers know a card's kind of network.
fn connection(nic: &Nic) -> &'static str {
    match nic.link {
        Link::Nat(_) => "NAT",
        Link::Internal(_) => "Internal",
        Link::HostOnly(_) => "HostOnly",
    }
}

fn networks(cards: &[Card<'_>]) -> String {
    let mut names: Vec<&str> = cards.iter().map(|card| connection(card.nic)).collect();
    names.sort_unstable();
    names.dedup();
    let mut out =
        String::from("  <NetworkSection>\n    <Info>Logical networks used in the package</Info>\n");
    for name in names {
        let text = "Logical network used by this appliance.";
        line(
            &mut out,
            &format!(
                "    <Network ovf:name=\"{name}\">\n      <Description>{text}</Description>\n    </Network>"
            ),
        );
    }
    out + "  </NetworkSection>"
}

/// Returns an item; fields must come in the alphabet's order, `InstanceID` and `ElementName` among them.
fn item(fields: &[(&str, &str)]) -> String {
    let mut out = String::from("      <Item>\n");
    for (name, value) in fields {
        line(
            &mut out,
            &format!("        <rasd:{name}>{}</rasd:{name}>", escape(*value)),
        );
    }
    out + "      </Item>\n"
}

fn hardware(appliance: &Appliance<'_>, name: &str) -> String {
    let mut out = format!(
        "    <VirtualHardwareSection>\n      <Info>Virtual hardware requirements for a virtual machine</Info>\n      <System>\n        \
         <vssd:ElementName>Virtual Hardware Family</vssd:ElementName>\n        <vssd:InstanceID>0</vssd:InstanceID>\n        \
         <vssd:VirtualSystemIdentifier>{name}</vssd:VirtualSystemIdentifier>\n        \
         <vssd:VirtualSystemType>virtualbox-2.2</vssd:VirtualSystemType>\n      </System>\n"
    );
    let cpus = appliance.cpus.to_string();
    let caption = format!(
        "{cpus} virtual CPU{}",
        if appliance.cpus == 1 { "" } else { "s" }
    );
    out += &item(&[
        ("Caption", &caption),
        ("Description", "Number of virtual CPUs"),
        ("ElementName", &caption),
        ("InstanceID", "1"),
        ("ResourceType", "3"),
        ("VirtualQuantity", &cpus),
    ]);
    let memory = appliance.memory_mib.to_string();
    let caption = format!("{memory} MB of memory");
    out += &item(&[
        ("AllocationUnits", "MegaBytes"),
        ("Caption", &caption),
        ("Description", "Memory Size"),
        ("ElementName", &caption),
        ("InstanceID", "2"),
        ("ResourceType", "4"),
        ("VirtualQuantity", &memory),
    ]);
    out += &item(&[
        ("Address", "0"),
        ("Caption", "sataController0"),
        ("Description", "SATA Controller"),
        ("ElementName", "sataController0"),
        ("InstanceID", "3"),
        ("ResourceSubType", "AHCI"),
        ("ResourceType", "20"),
    ]);
    out += &item(&[
        ("AddressOnParent", "0"),
        ("Caption", "disk1"),
        ("Description", "Disk Image"),
        ("ElementName", "disk1"),
        ("HostResource", "ovf:/disk/vmdisk1"),
        ("InstanceID", "4"),
        ("Parent", "3"),
        ("ResourceType", "17"),
    ]);
    for (card, instance) in appliance.cards.iter().zip(5..) {
        let connection = connection(card.nic);
        let caption = format!("Ethernet adapter on '{connection}'");
        // E1000 is the one card that every reader of items knows; VirtualBox takes the real kind from its own section.
        out += &item(&[
            ("AutomaticAllocation", "true"),
            ("Caption", &caption),
            ("Connection", connection),
            ("ElementName", &caption),
            ("InstanceID", &instance.to_string()),
            ("ResourceSubType", "E1000"),
            ("ResourceType", "10"),
        ]);
    }
    out + "    </VirtualHardwareSection>"
}

fn machine(appliance: &Appliance<'_>, name: &str) -> String {
    let Appliance {
        uuid,
        time,
        cpus,
        memory_mib,
        ..
    } = appliance;
    let firmware = match appliance.firmware {
        Firmware::Bios => "BIOS",
        Firmware::Efi => "EFI",
    };
    let mut out = format!(
        "    <vbox:Machine ovf:required=\"false\" version=\"{SETTINGS_VERSION}\" uuid=\"{{{uuid}}}\" name=\"{name}\" \
         OSType=\"{OS_TYPE}\" snapshotFolder=\"Snapshots\" lastStateChange=\"{time}\">\n      \
         <ovf:Info>Complete VirtualBox machine configuration in VirtualBox format</ovf:Info>\n      <Hardware>\n        \
         <CPU count=\"{cpus}\">\n          <PAE enabled=\"false\"/>\n          <LongMode enabled=\"true\"/>\n          \
         <X2APIC enabled=\"true\"/>\n          <HardwareVirtExLargePages enabled=\"false\"/>\n        </CPU>\n        \
         <Memory RAMSize=\"{memory_mib}\"/>\n        <Firmware type=\"{firmware}\"/>\n        <Paravirt provider=\"KVM\"/>\n        \
         <Boot>\n          <Order position=\"1\" device=\"HardDisk\"/>\n          <Order position=\"2\" device=\"None\"/>\n          \
         <Order position=\"3\" device=\"None\"/>\n          <Order position=\"4\" device=\"None\"/>\n        </Boot>\n        \
         <Display controller=\"VMSVGA\" VRAMSize=\"16\"/>\n        <BIOS>\n          <IOAPIC enabled=\"true\"/>\n        </BIOS>\n        \
         <Network>\n"
    );
    for (slot, card) in appliance.cards.iter().enumerate() {
        out += &adapter(slot, card);
    }
    let disk = appliance.disk.uuid;
    write!(
        out,
        "        </Network>\n        <UART>\n          \
         <Port slot=\"0\" enabled=\"true\" IOBase=\"0x3f8\" IRQ=\"4\" hostMode=\"Disconnected\"/>\n        </UART>\n        \
         <AudioAdapter driver=\"Null\" enabled=\"false\"/>\n        <RTC localOrUTC=\"UTC\"/>\n        <StorageControllers>\n          \
         <StorageController name=\"SATA\" type=\"AHCI\" PortCount=\"1\" useHostIOCache=\"false\" Bootable=\"true\" \
         IDE0MasterEmulationPort=\"0\" IDE0SlaveEmulationPort=\"1\" IDE1MasterEmulationPort=\"2\" \
         IDE1SlaveEmulationPort=\"3\">\n            \
         <AttachedDevice type=\"HardDisk\" hotpluggable=\"false\" port=\"0\" device=\"0\">\n              \
         <Image uuid=\"{{{disk}}}\"/>\n            </AttachedDevice>\n          </StorageController>\n        \
         </StorageControllers>\n      </Hardware>\n    </vbox:Machine>"
    )
    .expect("a string takes any text");
    out
}

fn adapter(slot: usize, card: &Card<'_>) -> String {
    let kind = match card.nic.adapter {
        Adapter::Virtio => "virtio",
        Adapter::E1000 => "82540EM",
    };
    let mac = card.mac.compact();
    let mut out = format!(
        "          <Adapter slot=\"{slot}\" enabled=\"true\" MACAddress=\"{mac}\" cable=\"true\" type=\"{kind}\">\n"
    );
    match &card.nic.link {
        Link::Nat(forwards) => {
            line(&mut out, "            <NAT>");
            for forward in forwards {
                let (name, host, guest) = (escape(&forward.name), forward.host, forward.guest);
                line(
                    &mut out,
                    &format!(
                        "              <Forwarding name=\"{name}\" proto=\"1\" hostip=\"127.0.0.1\" hostport=\"{host}\" \
                     guestport=\"{guest}\"/>"
                    ),
                );
            }
            line(&mut out, "            </NAT>");
        }
        Link::Internal(name) => line(
            &mut out,
            &format!("            <InternalNetwork name=\"{}\"/>", escape(name)),
        ),
        Link::HostOnly(name) => line(
            &mut out,
            &format!("            <HostOnlyInterface name=\"{}\"/>", escape(name)),
        ),
    }
    out + "          </Adapter>\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Forward;

    fn sample() -> String {
        let forward = Forward {
            name: "s&h".to_owned(),
            host: 2222,
            guest: 22,
        };
        let nics = [
            Nic {
                adapter: Adapter::Virtio,
                link: Link::Nat(vec![forward]),
                mac: None,
            },
            Nic {
                adapter: Adapter::E1000,
                link: Link::Internal("k<8>s".to_owned()),
                mac: None,
            },
            Nic {
                adapter: Adapter::Virtio,
                link: Link::HostOnly("vboxnet0".to_owned()),
                mac: None,
            },
        ];
        text(&Appliance {
            name: "worker & \"co\"",
            description: "a < b",
            uuid: "384804d7-3bed-40c7-b263-7b0b715a55ac",
            time: "2026-11-23T14:50:04Z",
            cpus: 2,
            memory_mib: 2048,
            firmware: Firmware::Efi,
            cards: nics
                .iter()
                .map(|nic| Card {
                    nic,
                    mac: Mac::virtualbox([0xff, 1, 2]),
                })
                .collect(),
            disk: Disk {
                file: "worker-disk001.vmdk",
                file_bytes: 12_345,
                capacity_bytes: 1 << 30,
                uuid: "0f596904-ab1f-4168-bfcc-4cb3b4cd34d4",
            },
        })
    }

    #[test]
    fn the_descriptor_is_well_formed_and_names_are_escaped() {
        let text = sample();
        let mut reader = quick_xml::Reader::from_str(&text);
        let mut depth = 0;
        loop {
            match reader.read_event().unwrap() {
                quick_xml::events::Event::Start(_) => depth += 1,
                quick_xml::events::Event::End(_) => depth -= 1,
                quick_xml::events::Event::Eof => break,
                _ => {}
            }
        }
        assert_eq!(depth, 0);
        assert!(
            text.contains("name=\"worker &amp; &quot;co&quot;\""),
            "{text}"
        );
        assert!(text.contains("<Forwarding name=\"s&amp;h\" proto=\"1\" hostip=\"127.0.0.1\" hostport=\"2222\" guestport=\"22\"/>"));
        assert!(text.contains("<InternalNetwork name=\"k&lt;8&gt;s\"/>"));
        assert!(text.contains("<HostOnlyInterface name=\"vboxnet0\"/>"));
    }

    #[test]
    fn both_tellings_of_the_machine_agree() {
        let text = sample();
        for uuid in ["vbox:uuid=\"0f596904-ab1f", "<Image uuid=\"{0f596904-ab1f"] {
            assert!(text.contains(uuid), "{uuid}");
        }
        for line in [
            "<rasd:VirtualQuantity>2048</rasd:VirtualQuantity>",
            "<Memory RAMSize=\"2048\"/>",
            "<Firmware type=\"EFI\"/>",
            "ovf:capacity=\"1073741824\"",
            "MACAddress=\"080027FF0102\" cable=\"true\" type=\"virtio\"",
            "hostMode=\"Disconnected\"",
            "<rasd:Connection>Internal</rasd:Connection>",
            "<rasd:Connection>HostOnly</rasd:Connection>",
        ] {
            assert!(text.contains(line), "{line} is missing in {text}");
        }
        assert!(!text.contains("Eula"));
    }
}
