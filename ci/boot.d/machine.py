"""QEMU's command line for one machine. Hardware: `virtio` (q35) and `vbox` (what VirtualBox shows: PIIX, AHCI, e1000 in slots 3 and 8) are
PCs, by BIOS or UEFI; `virt` and `raspi4b` are for the Raspberry Pi's image, its kernel taken from the boot partition."""

import base64
import os
import shutil

import disk
import guest

# raspi4b has 2 GiB by its model, and four cores.
PORTS = {"virtio": "ttyS1", "vbox": "ttyS1", "virt": "ttyAMA1", "raspi4b": "ttyAMA0"}
UEFI = ["/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"]


class Machine:
    """A machine to boot: its disks made, its command line known for each start."""

    def __init__(self, options, number, folder):
        self.options, self.number, self.folder = options, number, folder
        self.port = PORTS[options.hardware]
        os.makedirs(folder, exist_ok=True)
        self.image, self.kind, more = disk.unpack(options.image, folder)
        self.arm = options.hardware in ("virt", "raspi4b")
        if self.arm and options.seed:
            self.image = disk.with_seed(self.image, options.seed, folder)
        # Further disks: an OVA's own, and the seed's: file and format.
        self.disks = [(path, "vmdk", "snapshot=on") for path in more]
        if options.seed and not self.arm:
            self.disks.append((f"{folder}/seed.img", "raw", "cache=unsafe"))
        self.renew()
        if self.arm:
            if self.kind != "raw":
                raise RuntimeError(f"{options.image}: a Raspberry Pi image has to be raw")
            self.files = disk.firmware_files(self.image, folder)

    def renew(self):
        """Makes the disks what they are before the first start. The machine takes the secrets off its seed, so it has a copy."""
        if self.options.seed and not self.arm:
            shutil.copy(self.options.seed, f"{self.folder}/seed.img")
        self.overlay = disk.overlay(self.image, self.kind, self.options.disk_size or ("8G" if self.arm else None), self.folder)
        if self.options.firmware == "uefi" and not self.arm:
            shutil.copy(UEFI[1], f"{self.folder}/uefi-vars.fd")

    def log(self, phase, what):
        """Where a serial port's output of a start is kept: `console` or `report`."""
        return os.path.join(self.folder, f"{what}-{phase}.log")

    def report_log(self, phase):
        """Where the report of a start is printed."""
        return self.log(phase, "console" if self.options.hardware == "raspi4b" else "report")

    def command(self, phase, script, lan):
        """The command line of a start. lan: the UDP port of the network the machines share."""
        options = self.options
        line = ["qemu-system-aarch64" if self.arm else "qemu-system-x86_64", "-accel", "tcg,thread=multi,tb-size=512",
                "-display", "none", "-monitor", "stdio", "-no-reboot", "-nodefaults", "-name", f"{options.name},process=nodeimg-boot",
                "-serial", f"file:{self.log(phase, 'console')}"]
        if options.hardware != "raspi4b":
            line += ["-serial", f"file:{self.log(phase, 'report')}", "-smp", str(options.cpus), "-m", str(options.memory)]
        line += self._arm(script) if self.arm else self._pc(script)
        if options.hardware != "raspi4b":
            line += self._network(lan)
        return line + options.qemu

    def _drive(self, interface):
        return ["-drive", f"{interface},format=qcow2,file={self.overlay},cache=unsafe"]

    def _pc(self, script):
        options = self.options
        # String instructions and guards of user memory, which kernel and libc prefer where they are cheap, are slow to emulate.
        line = ["-cpu", "max,-svm,-erms,-fsrm,-smap,-smep,-la57", "-vga", "std"]
        if options.hardware == "vbox":
            # Without hot plugging of PCI cards the NICs are enp0s3 and enp0s8, as in VirtualBox.
            line += ["-M", "pc", "-global", "PIIX4_PM.acpi-root-pci-hotplug=off", "-device", "ich9-ahci,id=ahci,addr=0xd",
                     *self._drive("id=disk,if=none"), "-device", "ide-hd,drive=disk,bus=ahci.0"]
            for port, (path, kind, access) in enumerate(self.disks, 1):
                line += ["-drive", f"id=disk{port},if=none,format={kind},{access},file={path}", "-device", f"ide-hd,drive=disk{port},bus=ahci.{port}"]
        else:
            line += ["-M", "q35", *self._drive("if=virtio")]
            for path, kind, access in self.disks:
                line += ["-drive", f"if=virtio,format={kind},{access},file={path}"]
        if options.firmware == "uefi":
            line += ["-drive", f"if=pflash,format=raw,unit=0,readonly=on,file={UEFI[0]}",
                     "-drive", f"if=pflash,format=raw,unit=1,file={self.folder}/uefi-vars.fd"]
        for name, content in {**guest.credentials(script), **guest.WANTED}.items():
            line += ["-smbios", f"type=11,value=io.systemd.credential.binary:{name}={base64.b64encode(content).decode()}"]
        return line

    def _arm(self, script):
        with open(self.files["cmdline.txt"], encoding="ascii") as file:
            words = file.read().split()
        # QEMU passes no alias serial0, and a quiet boot tells nothing when it fails.
        words = [w.replace("serial0", "ttyAMA0") for w in words if w not in ("console=tty1", "quiet", "splash")]
        line = ["-kernel", self.files["vmlinuz"], "-initrd", self.files["initrd.img"]]
        if self.options.hardware == "virt":
            line += ["-M", "virt", "-cpu", "cortex-a72", *self._drive("if=virtio")]
            words += ["net.ifnames=0", f"systemd.wants={guest.UNIT}"]  # the Pi's NIC is eth0
            for name, content in guest.credentials(script).items():
                path = os.path.join(self.folder, name)
                with open(path, "wb") as file:
                    file.write(content)
                line += ["-fw_cfg", f"name=opt/io.systemd.credentials/{name},file={path}"]
        else:
            tree = disk.qemu_device_tree(self.files["bcm2711-rpi-4-b.dtb"], f"{self.folder}/qemu.dtb")
            line += ["-M", "raspi4b", "-dtb", tree, *self._drive("if=sd")]
            words.append(f"systemd.wants={guest.UNIT}")
            for name, content in guest.credentials(script, embedded=True).items():
                words.append(f"systemd.set_credential_binary={name}:{base64.b64encode(content).decode()}")
        append = " ".join(words)
        if len(append) > 2047:
            raise RuntimeError(f"the kernel's command line has {len(append)} bytes, arm64 takes 2047")
        return [*line, "-append", append]

    def _network(self, lan):
        """NIC 1 stands for VirtualBox's NAT: the same address 10.0.2.15 in every machine, and no way out but for the real Kubernetes,
        which asks registries for its images. NIC 2 is the wire between them."""
        model = "e1000" if self.options.hardware == "vbox" else "virtio-net-pci"
        slots = [",addr=0x3", ",addr=0x8"] if self.options.hardware == "vbox" else ["", ""]
        macs = self.options.mac or [f"52:54:00:00:0{nic}:{self.number:02x}" for nic in (0, 1)]
        wire = f"socket,id=lan,mcast=230.0.0.1:{lan},localaddr=127.0.0.1"
        if self.arm:  # a Pi's one card, eth0, is on the wire
            return ["-netdev", wire, "-device", f"{model},netdev=lan,mac={macs[-1]}"]
        restrict = "off" if self.options.kubernetes == "real" else "on"
        line = ["-netdev", f"user,id=nat,net=10.0.2.0/24,restrict={restrict}", "-device", f"{model},netdev=nat,mac={macs[0]}{slots[0]}"]
        if len(macs) > 1:
            line += ["-netdev", wire, "-device", f"{model},netdev=lan,mac={macs[1]}{slots[1]}"]
        return line
