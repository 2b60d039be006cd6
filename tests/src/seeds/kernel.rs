//! Small modules made by a C compiler, plain and compressed, and an index.

use super::{folder, run};
use crate::parsers::kernel::BETWEEN;
use std::fs;

/// As the kernel's own macros lay a module out.
const SOURCE: &str = r#"
#define INFO(n, text) static const char n[] __attribute__((section(".modinfo"), used)) = text
INFO(a, "alias=pci:v00008086d*"); INFO(b, "depends=llc,stp"); INFO(c, "softdep=pre: crc32c"); INFO(d, "name=x");
static const char s[] __attribute__((section("__ksymtab_strings"), used)) = "offered";
struct version { unsigned long crc; char name[56]; };
static const struct version v[] __attribute__((section("__versions"), used)) = {{ 1, "printk" }, { 2, "needed" }};
extern int needed(void);
int offered(void) { return needed(); }
const void *const __ksymtab_offered __attribute__((section("___ksymtab+offered"))) = offered;
"#;

/// Returns a module of 64 bits, and compressed in each way.
pub fn module() -> Vec<Vec<u8>> {
    let folder = folder();
    let path = folder.path();
    fs::write(path.join("x.c"), SOURCE).expect("a folder of our own");
    run(path, "gcc", "gcc", &["-c", "-O1", "-o", "x.ko", "x.c"]);
    let mut seeds = vec![fs::read(path.join("x.ko")).expect("gcc made it")];
    for (tool, package) in [("xz", "xz-utils"), ("zstd", "zstd"), ("gzip", "gzip")] {
        seeds.push(run(path, tool, package, &["-c", "x.ko"]));
    }
    seeds
}

/// Returns an index: `modules.dep`, `.alias`, `.softdep`, `.symbols` and `.order`.
pub fn modules_dep() -> Vec<Vec<u8>> {
    let files: [&[u8]; 5] = [
        b"kernel/a.ko.xz: kernel/b.ko.xz kernel/c.ko.xz\nkernel/b.ko.xz: kernel/c.ko.xz\nkernel/c.ko.xz:\n",
        b"# Aliases\nalias pci:v00008086d*sv* a\nalias fs-x b\n",
        b"# Soft\nsoftdep b pre: a post: c\n",
        b"# Symbols\nalias symbol:f b\nalias symbol:g c\n",
        b"kernel/c.ko\nkernel/b.ko\n",
    ];
    vec![files.join(&BETWEEN)]
}
