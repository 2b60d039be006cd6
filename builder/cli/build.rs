//! Builds the command anew when a shipped profile or overlay changes: `include_dir!` alone does not notice.

fn main() {
    for folder in ["profiles", "overlays"] {
        println!("cargo:rerun-if-changed=../../{folder}");
    }
}
