//! Just enough ELF to find a module's sections and symbols: relocatable, little-endian, 32 or 64 bits.
//!
//! The System V ABI's chapter "Object Files". Nothing is trusted: every offset is checked, and damage is an error.

use std::ops::Range;

/// A symbol that is not defined here has this section index.
const UNDEFINED: u16 = 0;
/// No name of a symbol is longer: the kernel's own limit. All symbols of a hostile file may name one long text.
const MAX_NAME: usize = 512;

/// An ELF file and its table of sections.
#[derive(Debug)]
pub(crate) struct Elf<'a> {
    bytes: &'a [u8],
    wide: bool,
    /// Offset of the section headers, their size and number, and the index of the one that holds their names.
    headers: (usize, usize, usize),
    names: Range<usize>,
}

/// A symbol: name, and whether it is defined in this file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Symbol<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) is_defined: bool,
}

impl<'a> Elf<'a> {
    /// Finds the sections.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, &'static str> {
        let ident = bytes
            .get(..16)
            .filter(|it| it.starts_with(b"\x7fELF"))
            .ok_or("it does not begin as an ELF file")?;
        let wide = match ident[4] {
            1 => false,
            2 => true,
            _ => return Err("it is neither of 32 nor of 64 bits"),
        };
        if ident[5] != 1 {
            return Err("it is not little-endian");
        }
        let mut elf = Self {
            bytes,
            wide,
            headers: (0, 0, 0),
            names: 0..0,
        };
        let cut = "its header is cut off";
        let at = if wide { elf.word(0x28) } else { elf.word(0x20) }.ok_or(cut)?;
        let small = if wide { 0x3A } else { 0x2E };
        let [size, count, names] = [0, 2, 4].map(|offset| elf.u16(small + offset).map(usize::from));
        let (size, count, names) = (size.ok_or(cut)?, count.ok_or(cut)?, names.ok_or(cut)?);
        if size < if wide { 64 } else { 40 } {
            return Err("its section headers are too small");
        }
        let end = size.checked_mul(count).and_then(|it| it.checked_add(at));
        if end.is_none_or(|it| it > bytes.len()) {
            return Err("its section headers are cut off");
        }
        elf.headers = (at, size, count);
        elf.names = elf
            .extent(names)
            .ok_or("its section names are not where it says")?;
        Ok(elf)
    }

    /// Returns the first section of that name, or `None` if there is none or it lies outside the file.
    pub(crate) fn section(&self, name: &[u8]) -> Option<&'a [u8]> {
        let found = (1..self.headers.2).find(|index| self.is_named(*index, name))?;
        self.bytes.get(self.extent(found)?)
    }

    /// Returns the symbols after the null one; names that cannot be read, or are too long for one, are empty.
    pub(crate) fn symbols(&self) -> impl Iterator<Item = Symbol<'a>> + use<'a> {
        let wide = self.wide;
        let (size, section_at) = if wide { (24, 6) } else { (16, 14) };
        let table = self.section(b".symtab").unwrap_or_default();
        let names = self.section(b".strtab").unwrap_or_default();
        table.chunks_exact(size).skip(1).map(move |raw| {
            let at = u32::from_le_bytes([raw[0], raw[1], raw[2], raw[3]]);
            let section = u16::from_le_bytes([raw[section_at], raw[section_at + 1]]);
            let name = usize::try_from(at)
                .ok()
                .and_then(|at| names.get(at..))
                .map(|it| text(&it[..it.len().min(MAX_NAME)]))
                .filter(|it| it.len() < MAX_NAME)
                .unwrap_or_default();
            Symbol {
                name,
                is_defined: section != UNDEFINED,
            }
        })
    }

    /// Returns the bytes of a checksum in the table of symbol versions, which the name follows.
    pub(crate) fn version_name_at(&self) -> usize {
        if self.wide { 8 } else { 4 }
    }

    fn is_named(&self, index: usize, name: &[u8]) -> bool {
        let at = self.header(index).and_then(|it| self.u32(it));
        let names = self.bytes.get(self.names.clone()).unwrap_or_default();
        at.and_then(|at| names.get(usize::try_from(at).ok()?..)?.strip_prefix(name))
            .is_some_and(|rest| rest.first().is_none_or(|it| *it == 0))
    }

    /// Returns where a section's bytes are.
    fn extent(&self, index: usize) -> Option<Range<usize>> {
        let header = self.header(index)?;
        let (offset_at, size_at) = if self.wide {
            (0x18, 0x20)
        } else {
            (0x10, 0x14)
        };
        let start = self.word(header.checked_add(offset_at)?)?;
        let end = start.checked_add(self.word(header.checked_add(size_at)?)?)?;
        (end <= self.bytes.len()).then_some(start..end)
    }

    fn header(&self, index: usize) -> Option<usize> {
        let (at, size, count) = self.headers;
        if index >= count {
            return None;
        }
        at.checked_add(index.checked_mul(size)?)
    }

    fn u16(&self, at: usize) -> Option<u16> {
        Some(u16::from_le_bytes(self.array(at)?))
    }

    fn u32(&self, at: usize) -> Option<u32> {
        Some(u32::from_le_bytes(self.array(at)?))
    }

    /// Returns an address or offset, which is as wide as the file.
    fn word(&self, at: usize) -> Option<usize> {
        if self.wide {
            usize::try_from(u64::from_le_bytes(self.array(at)?)).ok()
        } else {
            usize::try_from(self.u32(at)?).ok()
        }
    }

    fn array<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        self.bytes.get(at..at.checked_add(N)?)?.try_into().ok()
    }
}

/// Returns the bytes up to the first NUL.
pub(crate) fn text(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().position(|it| *it == 0).unwrap_or(bytes.len());
    &bytes[..end]
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Returns an ELF file of these sections, each at the end of those before it, the last one holding the names.
    pub(crate) fn file(wide: bool, sections: &[(&str, Vec<u8>)]) -> Vec<u8> {
        let word = |it: usize| it.to_le_bytes()[..if wide { 8 } else { 4 }].to_vec();
        let header_bytes = if wide { 64 } else { 52 };
        let mut names = vec![0];
        let (mut body, mut headers) = (Vec::new(), vec![0; if wide { 64 } else { 40 }]);
        let mut header = |name_at: usize, at: usize, len: usize| {
            headers.extend(&name_at.to_le_bytes()[..4]);
            headers.extend([0; 4]);
            headers.extend([word(0), word(0), word(at), word(len)].concat());
            headers.extend(vec![0; if wide { 24 } else { 16 }]);
        };
        for (name, bytes) in sections {
            header(names.len(), header_bytes + body.len(), bytes.len());
            names.extend(name.bytes().chain([0]));
            body.extend(bytes);
        }
        header(0, header_bytes + body.len(), names.len());
        body.extend(names);
        let mut file = b"\x7fELF\0\x01\x01".to_vec();
        file[4] = if wide { 2 } else { 1 };
        file.resize(if wide { 0x28 } else { 0x20 }, 0);
        file.extend(word(header_bytes + body.len()));
        file.resize(if wide { 0x3A } else { 0x2E }, 0);
        file.extend([
            if wide { 64 } else { 40 },
            0,
            u8::try_from(sections.len() + 2).unwrap(),
            0,
        ]);
        file.extend([u8::try_from(sections.len() + 1).unwrap(), 0]);
        file.resize(header_bytes, 0);
        [file, body, headers].concat()
    }

    #[test]
    fn both_widths_have_sections_and_symbols() {
        for wide in [true, false] {
            let mut table = vec![0; if wide { 24 } else { 16 }];
            for (name, section) in [(1, 0), (5, 3)] {
                let mut symbol = vec![0; if wide { 24 } else { 16 }];
                symbol[0] = name;
                symbol[if wide { 6 } else { 14 }] = section;
                table.extend(symbol);
            }
            let names = b"\0one\0two\0".to_vec();
            let sections = [
                (".modinfo", b"alias=x\0".to_vec()),
                (".symtab", table),
                (".strtab", names),
            ];
            let bytes = file(wide, &sections);
            let elf = Elf::parse(&bytes).unwrap();
            assert_eq!(elf.section(b".modinfo"), Some(&b"alias=x\0"[..]));
            assert_eq!(elf.section(b".text"), None);
            let symbols: Vec<_> = elf.symbols().map(|it| (it.name, it.is_defined)).collect();
            assert_eq!(symbols, [(&b"one"[..], false), (b"two", true)]);
            for at in 0..bytes.len() {
                for mask in [0x01, 0x80, 0xFF] {
                    let mut damaged = bytes.clone();
                    damaged[at] ^= mask;
                    if let Ok(elf) = Elf::parse(&damaged) {
                        assert!(elf.symbols().count() <= bytes.len());
                        let _section = elf.section(b".modinfo");
                    }
                }
                assert!(Elf::parse(&bytes[..at]).is_err());
            }
        }
    }

    #[test]
    fn what_is_no_module_says_why() {
        assert!(
            Elf::parse(b"#!/bin/sh\n0123456789")
                .unwrap_err()
                .contains("begin")
        );
        let mut big_endian = file(true, &[]);
        big_endian[5] = 2;
        assert!(
            Elf::parse(&big_endian)
                .unwrap_err()
                .contains("little-endian")
        );
    }
}
