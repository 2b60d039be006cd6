#!/usr/bin/env python3
"""bios-boot.py BOOT.IMG CORE.IMG DISK LBA SECTORS: what grub-bios-setup does for a GPT disk with a BIOS boot partition, without a device."""
import struct
import sys

boot_path, core_path, disk_path = sys.argv[1:4]
lba, room = int(sys.argv[4]), int(sys.argv[5])
with open(boot_path, "rb") as file:
    boot = bytearray(file.read())
with open(core_path, "rb") as file:
    core = bytearray(file.read())
sectors = -(-len(core) // 512)
core += bytes(sectors * 512 - len(core))
if sectors > room:
    sys.exit(f"bios-boot.py: {core_path} has {sectors} sectors, the BIOS boot partition {room}")
struct.pack_into("<Q", boot, 0x5C, lba)  # where boot.img finds the first sector of core.img
boot[0x66:0x68] = b"\x90\x90"  # a hard disk: trust the BIOS's drive number
struct.pack_into("<QHH", core, 0x1F4, lba + 1, sectors - 1, 0x820)  # core.img's own block list
with open(disk_path, "r+b") as disk:
    disk.write(boot[:440])
    disk.seek(lba * 512)
    disk.write(core)
