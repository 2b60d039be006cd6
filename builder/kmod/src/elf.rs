//! Just enough ELF to find a module's sections and symbols: relocatable, little-endian, 32 or 64 bits.
//!
//! The System V ABI's chapter "Object Files". Nothing is trusted: every offset is checked, and damage is an error.

use std::ops::Range;

/// A symbol that is not defined here has this section index.
const UNDEFINED: u16 = 0;

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
        elf.headers = (at, size, count);
        elf.names = elf
            .extent(names)
            .ok_or("its section names are not where it says")?;
        Ok(elf)
    }

    /// Returns the first section of that name, or `None` if there is none or it lies outside the file.
    pub(crate) fn section(&self, name: &[u8]) -> Option<&'a [u8]> {
        let found = (1..self.headers.2).find(|index| self.name(*index) == Some(name))?;
        self.bytes.get(self.extent(found)?)
    }

    /// Returns the symbols after the null one; names that cannot be read are empty.
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
                .map(text)
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

    fn name(&self, index: usize) -> Option<&'a [u8]> {
        let at = usize::try_from(self.u32(self.header(index)?)?).ok()?;
        self.bytes.get(self.names.clone())?.get(at..).map(text)
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
