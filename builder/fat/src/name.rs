//! Names: 8.3 with its case bits, long names in slots of 13 UTF-16 units, and the checksum that ties them together.
//!
//! Microsoft's "FAT: General Overview", sections "Short Directory Entries" and "Long File Name Implementation". Short
//! names are read as code page 437 and written as ASCII only. Knows no directories; see `layout` for uniqueness.

use std::collections::{BTreeMap, BTreeSet};

/// Code page 437 from 0x80 on, which is what volumes use unless told otherwise.
const CP437: &str = "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u{a0}";

/// The base, or the extension, was all lower case before it was folded: Windows NT's two bits.
const LOWER_BASE: u8 = 0x08;
const LOWER_EXTENSION: u8 = 0x10;

/// UTF-16 units in one slot of a long name, and slots at most.
const SLOT_UNITS: usize = 13;
const MAX_UNITS: usize = 255;

/// Where the units of a slot stand in its 32 bytes.
const UNIT_AT: [usize; SLOT_UNITS] = [1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30];

/// A short name as it stands on disk: 8 and 3 bytes, padded with spaces.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Short(pub(crate) [u8; 11]);

impl Short {
    /// Returns the text; `case` holds the case bits.
    pub(crate) fn text(self, case: u8) -> String {
        let mut bytes = self.0;
        if bytes[0] == 0x05 {
            bytes[0] = 0xE5; // 0xE5 itself marks a deleted entry.
        }
        let (base, extension) = bytes.split_at(8);
        let part = |bytes: &[u8], lower: bool| -> String {
            let chars = bytes.iter().map(|it| decode(*it));
            let text: String = chars
                .map(|it| if lower { it.to_ascii_lowercase() } else { it })
                .collect();
            text.trim_end_matches(' ').to_owned()
        };
        let base = part(base, case & LOWER_BASE != 0);
        let extension = part(extension, case & LOWER_EXTENSION != 0);
        if extension.is_empty() {
            base
        } else {
            format!("{base}.{extension}")
        }
    }

    /// Returns the checksum that the slots of the long name carry.
    pub(crate) fn checksum(self) -> u8 {
        self.0
            .iter()
            .fold(0, |sum: u8, it| sum.rotate_right(1).wrapping_add(*it))
    }
}

fn decode(byte: u8) -> char {
    match byte.checked_sub(0x80) {
        None => char::from(byte),
        Some(index) => CP437.chars().nth(usize::from(index)).unwrap_or('_'),
    }
}

/// How a name is stored.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Stored {
    pub(crate) short: Short,
    /// Case bits of the short name; 0 where there is a long one.
    pub(crate) case: u8,
    /// UTF-16 units of the long name; empty if the short one says it all.
    pub(crate) long: Vec<u16>,
}

impl Stored {
    /// Returns how many entries of 32 bytes the name takes with its file's.
    pub(crate) fn slots(&self) -> usize {
        self.long.len().div_ceil(SLOT_UNITS) + 1
    }

    /// Returns the slots of the long name, in the order they stand in before the file's entry.
    pub(crate) fn long_slots(&self) -> impl Iterator<Item = [u8; 32]> + '_ {
        let count = self.long.len().div_ceil(SLOT_UNITS);
        (1..=count).rev().map(move |number| {
            let mut slot = [0; 32];
            let last = if number == count { 0x40 } else { 0 };
            slot[0] = u8::try_from(number).expect("a name takes at most 20 slots") | last;
            slot[11] = 0x0F;
            slot[13] = self.short.checksum();
            for (index, at) in UNIT_AT.into_iter().enumerate() {
                let position = (number - 1) * SLOT_UNITS + index;
                let padding = if position == self.long.len() {
                    0
                } else {
                    0xFFFF
                };
                let unit = self.long.get(position).copied().unwrap_or(padding);
                slot[at..at + 2].copy_from_slice(&unit.to_le_bytes());
            }
            slot
        })
    }
}

/// Collects the slots of a long name as they are read; forgets what does not fit together.
#[derive(Debug, Default)]
pub(crate) struct LongName {
    units: Vec<u16>,
    /// Slots still to come, and the checksum they must carry.
    missing: u8,
    checksum: u8,
}

impl LongName {
    /// Takes a slot.
    pub(crate) fn push(&mut self, slot: &[u8; 32]) {
        let number = slot[0] & 0x3F;
        if slot[0] & 0x40 != 0 && (1..=20).contains(&number) {
            self.units = vec![0; usize::from(number) * SLOT_UNITS];
            self.checksum = slot[13];
        } else if self.units.is_empty()
            || number == 0
            || number + 1 != self.missing
            || slot[13] != self.checksum
        {
            return self.clear();
        }
        // `missing` counts the slot that came last until the next one comes.
        self.missing = number;
        let start = (usize::from(number) - 1) * SLOT_UNITS;
        for (unit, at) in self.units[start..start + SLOT_UNITS]
            .iter_mut()
            .zip(UNIT_AT)
        {
            *unit = u16::from_le_bytes([slot[at], slot[at + 1]]);
        }
    }

    /// Forgets the slots.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Returns the name if its slots are complete and belong to `short`, and forgets them.
    pub(crate) fn take(&mut self, short: Short) -> Option<String> {
        let this = std::mem::take(self);
        if this.missing != 1 || this.checksum != short.checksum() {
            return None;
        }
        let end = this
            .units
            .iter()
            .position(|it| *it == 0)
            .unwrap_or(this.units.len());
        String::from_utf16(&this.units[..end]).ok()
    }
}

/// Returns why FAT cannot hold the name, or its text.
pub(crate) fn check(name: &[u8]) -> Result<&str, String> {
    let text = std::str::from_utf8(name).map_err(|_| "its name is not UTF-8".to_owned())?;
    if let Some(bad) = text
        .chars()
        .find(|it| *it < ' ' || "\"*/:<>?\\|\u{7f}".contains(*it))
    {
        return Err(format!("its name holds {bad:?}"));
    }
    if text.ends_with(['.', ' ']) {
        return Err("its name ends in a dot or a space".to_owned());
    }
    if text.encode_utf16().count() > MAX_UNITS {
        return Err("its name is longer than 255 UTF-16 units".to_owned());
    }
    Ok(text)
}

/// Returns the name as FAT compares it: letters without case, each alone.
pub(crate) fn folded(name: &str) -> String {
    let fold = |it: char| {
        let mut upper = it.to_uppercase();
        if upper.len() == 1 {
            upper.next().unwrap_or(it)
        } else {
            it
        }
    };
    name.chars().map(fold).collect()
}

/// Returns how each name of a directory is stored: names that fit 8.3 get just that, the others the first free `~N`.
///
/// The names are checked and differ by more than case. The result depends on nothing but the names and their order.
pub(crate) fn store(names: &[&str]) -> Vec<Stored> {
    let exact: Vec<_> = names.iter().map(|name| exact(name)).collect();
    let mut taken: BTreeSet<Short> = exact.iter().flatten().map(|it| it.0).collect();
    let mut next = BTreeMap::new();
    let pairs = names.iter().zip(exact);
    pairs
        .map(|(name, exact)| {
            let long = || name.encode_utf16().collect();
            match exact {
                Some((short, Some(case))) => Stored {
                    short,
                    case,
                    long: Vec::new(),
                },
                Some((short, None)) => Stored {
                    short,
                    case: 0,
                    long: long(),
                },
                None => Stored {
                    short: numbered(name, &mut taken, &mut next),
                    case: 0,
                    long: long(),
                },
            }
        })
        .collect()
}

/// Returns the 8.3 form of a name that is one but for case, and the case bits if those say the rest.
fn exact(name: &str) -> Option<(Short, Option<u8>)> {
    let (base, extension) = match name.rsplit_once('.') {
        Some((_, "")) => return None,
        Some(parts) => parts,
        None => (name, ""),
    };
    let allowed = |it: u8| it.is_ascii_alphanumeric() || b"!#$%&'()-@^_`{}~".contains(&it);
    let fits = !base.is_empty() && base.len() <= 8 && extension.len() <= 3;
    if !fits || !base.bytes().chain(extension.bytes()).all(allowed) {
        return None;
    }
    let lower = |it: &str, bit: u8| {
        let upper = it.bytes().any(|it| it.is_ascii_uppercase());
        let lower = it.bytes().any(|it| it.is_ascii_lowercase());
        if upper && lower {
            None
        } else {
            Some(if lower { bit } else { 0 })
        }
    };
    let case = lower(base, LOWER_BASE)
        .zip(lower(extension, LOWER_EXTENSION))
        .map(|(base, extension)| base | extension);
    Some((padded(base.as_bytes(), extension.as_bytes()), case))
}

fn padded(base: &[u8], extension: &[u8]) -> Short {
    let mut short = [b' '; 11];
    for (to, from) in short[..8].iter_mut().zip(base) {
        *to = from.to_ascii_uppercase();
    }
    for (to, from) in short[8..].iter_mut().zip(extension) {
        *to = from.to_ascii_uppercase();
    }
    Short(short)
}

/// Returns the first free short name of the form `BASE~N.EXT`; `next` remembers where to go on for each base.
fn numbered(
    name: &str,
    taken: &mut BTreeSet<Short>,
    next: &mut BTreeMap<(Vec<u8>, Vec<u8>), u32>,
) -> Short {
    let name = name.trim_start_matches(['.', ' ']);
    let (base, extension) = name.rsplit_once('.').unwrap_or((name, ""));
    let part = |text: &str, len: usize| -> Vec<u8> {
        let kept = text.chars().filter(|it| !matches!(it, '.' | ' '));
        let plain = |it: char| {
            if it.is_ascii() && !"+,;=[]".contains(it) {
                it.to_ascii_uppercase()
            } else {
                '_'
            }
        };
        kept.take(len)
            .map(plain)
            .map(|it| u8::try_from(it).unwrap_or(b'_'))
            .collect()
    };
    let mut base = part(base, 6);
    if base.is_empty() {
        base.push(b'_');
    }
    let extension = part(extension, 3);
    let number = next.entry((base.clone(), extension.clone())).or_insert(1);
    loop {
        let tail = format!("~{number}");
        *number += 1;
        let head = &base[..base.len().min(8 - tail.len())];
        let short = padded(&[head, tail.as_bytes()].concat(), &extension);
        if taken.insert(short) {
            return short;
        }
    }
}

#[cfg(test)]
mod tests;
